//! `[witness]` and `[[peer]]`: this member's witness as a service, and the witnesses of others.

use super::{SOURCES_MAX, address, count, malformed, span};
use account::VerifierKey;
use model::{MemberId, Refusal, Span};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

/// `[witness]`. Cosigning for the alliance's own hub needs none of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WitnessConfig {
    /// Address and port of the witness's own service (C2SP `tlog-witness`, plain HTTP); absent: there is none. What it
    /// serves is signed and public. Who is hurt if it is open to strangers: nobody but this machine, within the limits.
    pub listen: Option<SocketAddr>,
    /// Verifier keys of other logs that the witness cosigns when it is asked; at most 64.
    pub logs: Vec<String>,
    /// Requests a minute, from everybody together; 1 to 100,000, default 600.
    pub requests_per_minute_max: u32,
    /// How often peers are asked what they cosigned last; 1s to 1h, default 1m.
    pub compare_every: Span,
}

impl Default for WitnessConfig {
    fn default() -> Self {
        let compare_every = Span::minutes(1);
        Self { listen: None, logs: Vec::new(), requests_per_minute_max: 600, compare_every }
    }
}

/// `[[peer]]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerConfig {
    /// Whose witness it is, as the charter names it.
    pub member: MemberId,
    /// Its monitoring prefix (C2SP `tlog-witness`): `http://` or `https://`. What it shows is signed by the hub and by the
    /// peer, so the way need not be trusted.
    #[serde(with = "address")]
    pub url: Url,
    /// The CA of an `https://` address, PEM.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

impl WitnessConfig {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        count("witness.logs", self.logs.len(), 0, SOURCES_MAX)?;
        count("witness.requests_per_minute_max", self.requests_per_minute_max as usize, 1, 100_000)?;
        span("witness.compare_every", self.compare_every, Span::seconds(1), Span::hours(1))?;
        let key = |text: &String| text.parse::<VerifierKey>().map(drop).map_err(Refusal::from);
        self.logs.iter().try_for_each(key)
    }

    /// The logs' keys; what is none was refused when the file was read.
    pub(super) fn keys(&self) -> Vec<VerifierKey> {
        self.logs.iter().filter_map(|text| text.parse().ok()).collect()
    }
}

pub(super) fn check_peers(peers: &[PeerConfig]) -> Result<(), Refusal> {
    count("peer", peers.len(), 0, SOURCES_MAX)?;
    let mut seen = BTreeSet::new();
    for peer in peers {
        if !seen.insert(&peer.member) {
            return Err(malformed("peer.member", &peer.member, "each member once"));
        }
        match (peer.url.scheme(), &peer.ca) {
            ("http", None) | ("https", Some(_)) => {}
            ("https", None) => return Err(malformed("peer.ca", "absent", "a CA file, for https")),
            _ => return Err(malformed("peer.url", &peer.url, "http://… without peer.ca, or https://… with it")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> PeerConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_witness_and_its_peers_are_read_and_what_is_out_of_bounds_is_named() {
        let log = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
        let good: WitnessConfig = toml::from_str(&format!("listen = '127.0.0.1:7380'\nlogs = ['{log}']")).unwrap();
        assert!(good.check().is_ok() && good.keys().len() == 1);
        let bad = WitnessConfig { logs: vec!["sum.golang.org".to_owned()], ..WitnessConfig::default() };
        assert!(bad.check().is_err());
        let bad = WitnessConfig { requests_per_minute_max: 0, ..WitnessConfig::default() };
        assert!(bad.check().unwrap_err().value.starts_with("witness.requests_per_minute_max"));
    }

    #[test]
    fn a_peer_is_reached_over_https_with_a_ca_or_over_plain_http() {
        let plain = peer("member = 'cloud'\nurl = 'http://10.0.0.1:7380'");
        assert!(check_peers(std::slice::from_ref(&plain)).is_ok());
        assert!(check_peers(&[plain.clone(), plain]).is_err());
        assert!(check_peers(&[peer("member = 'cloud'\nurl = 'https://w.example'")]).is_err());
        assert!(check_peers(&[peer("member = 'cloud'\nurl = 'https://w.example'\nca = 'ca.pem'")]).is_ok());
        assert!(check_peers(&[peer("member = 'cloud'\nurl = 'ftp://w.example'")]).is_err());
    }
}
