//! `[[point]]`: one enforcement point.

use crate::error::{Broken, Error};
use act::nftables::enforcer::Via;
use act::nftables::{self, Nftables};
use act::preview::Preview;
use act::rpz::{
    Following, FollowingKey, PrimarySettings, RpzPoint, RpzSettings, Secondary, TsigKey, ZoneLimits, ZoneSettings,
};
use act::{Point, PointError};
use model::{PointName, Refusal, Rule};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long the member's resolvers may take to be read back.
const READ_BACK_MAX: Duration = Duration::from_secs(2);
/// Triggers that the hot zone holds.
const TRIGGERS_MAX: usize = 100_000;

/// One enforcement point, by its type.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type", deny_unknown_fields)]
pub enum PointConfig {
    /// Shows the text and does nothing.
    Preview {
        /// The point's name.
        name: PointName,
    },
    /// This machine's packet filter; docs/how-to/nftables.md.
    Nftables(nftables::Settings),
    /// The member's resolvers, by a response policy zone; docs/how-to/dns-resolvers.md.
    Rpz(Box<RpzConfig>),
}

/// A response policy zone.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RpzConfig {
    /// The point's name.
    pub name: PointName,
    /// The zone's name.
    pub zone: String,
    /// Where our primary listens.
    pub listen: SocketAddr,
    /// Where the zone's serial is kept.
    pub serial_file: PathBuf,
    /// The member's resolvers, which are asked whether they enforce.
    #[serde(default)]
    pub resolvers: Vec<SocketAddr>,
    /// Resolvers that are told of changes by NOTIFY.
    #[serde(default)]
    pub notify: Vec<SocketAddr>,
    /// The key of transfers and NOTIFY.
    #[serde(default)]
    pub tsig: Option<TsigConfig>,
    /// Networks that may transfer without a key (Unbound cannot sign).
    #[serde(default)]
    pub allow_unsigned: Vec<nftables::Protected>,
    /// Also keep names from resolving to denied addresses; default false.
    #[serde(default)]
    pub addresses: bool,
}

/// A TSIG key (RFC 8945).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TsigConfig {
    /// The key's name.
    pub name: String,
    /// `hmac-sha256`, `hmac-sha384`, `hmac-sha512`.
    pub algorithm: String,
    /// The file with the secret in base 64; mode 0600.
    pub secret: PathBuf,
}

impl PointConfig {
    /// The point's name.
    pub fn name(&self) -> &PointName {
        match self {
            Self::Preview { name } => name,
            Self::Nftables(settings) => &settings.name,
            Self::Rpz(config) => &config.name,
        }
    }

    /// Can it be asked what it enforces? A list of resolvers that is empty has nobody to ask.
    pub(super) fn reads_back(&self) -> bool {
        match self {
            Self::Preview { .. } => false,
            Self::Nftables(_) => true,
            Self::Rpz(config) => !config.resolvers.is_empty(),
        }
    }

    /// Does what it says fit together?
    pub(super) fn check(&self) -> Result<(), Refusal> {
        match self {
            Self::Nftables(settings) => settings.check(),
            Self::Preview { .. } | Self::Rpz(_) => Ok(()),
        }
    }

    /// The files that it names.
    pub(super) fn paths(&mut self) -> Vec<&mut PathBuf> {
        match self {
            Self::Rpz(config) => {
                let secret = config.tsig.as_mut().map(|tsig| &mut tsig.secret);
                [Some(&mut config.serial_file), secret].into_iter().flatten().collect()
            }
            Self::Nftables(settings) => settings.via.iter_mut().collect(),
            Self::Preview { .. } => Vec::new(),
        }
    }

    /// Makes the point ready to be ordered; lifts nothing that is in force.
    ///
    /// # Errors
    /// Broken: the point cannot work as it is configured.
    pub fn start(&self) -> Result<Arc<dyn Point>, Error> {
        let broken = |error: PointError| Error::Broken(Broken::Failed(format!("point {}: {error}", self.name())));
        Ok(match self {
            Self::Preview { name } => Arc::new(Preview::new(name.clone())),
            Self::Nftables(settings) => match &settings.via {
                Some(socket) => Arc::new(Via::new(settings.name.clone(), socket)),
                None => Arc::new(Nftables::new(settings.clone()).map_err(broken)?),
            },
            Self::Rpz(config) => Arc::new(RpzPoint::start(config.settings()?).map_err(broken)?),
        })
    }
}

/// What a configuration is shown for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// BIND's `named.conf`.
    Bind,
    /// Unbound's `unbound.conf`.
    Unbound,
    /// The table that `nft -f` takes.
    Nft,
}

impl PointConfig {
    /// What the point's peer must be given by its own people; holds no secret. Needs no running agent.
    ///
    /// # Errors
    /// Refused: this point has no such peer.
    pub fn configuration_for(&self, peer: Peer) -> Result<String, Refusal> {
        match (self, peer) {
            (Self::Rpz(config), Peer::Bind) => Ok(config.following().bind()),
            (Self::Rpz(config), Peer::Unbound) => Ok(config.following().unbound()),
            (Self::Nftables(settings), Peer::Nft) => match Nftables::new(settings.clone()) {
                Ok(point) => Ok(point.configuration()),
                Err(PointError::Refused(refusal)) => Err(refusal),
                Err(error) => Err(Refusal::new(Rule::Malformed, self.name(), error)),
            },
            _ => Err(Refusal::new(Rule::Malformed, self.name(), "bind or unbound for rpz, nft for nftables")),
        }
    }
}

impl RpzConfig {
    fn following(&self) -> Following {
        let key = self.tsig.as_ref().map(|tsig| FollowingKey {
            name: tsig.name.trim_end_matches('.').to_ascii_lowercase(),
            algorithm: tsig.algorithm.clone(),
            secret_file: Some(tsig.secret.clone()),
        });
        Following { zones: vec![self.zone.clone()], primary: self.listen, key }
    }

    /// What the point is started with; reads the key's secret.
    ///
    /// # Errors
    /// Broken: the secret cannot be read, others may read it, or it is no key.
    pub fn settings(&self) -> Result<RpzSettings, Error> {
        let key = self.tsig.as_ref().map(TsigConfig::key).transpose()?;
        let secondary = |address: &SocketAddr| Secondary { address: *address, key: key.clone() };
        let zone = ZoneSettings {
            name: self.zone.clone(),
            tag: "hot".to_owned(),
            serial_file: self.serial_file.clone(),
            limits: ZoneLimits { triggers_max: TRIGGERS_MAX, allowed_max: TRIGGERS_MAX },
            timers: Default::default(),
        };
        let primary = PrimarySettings {
            listen: self.listen,
            keys: key.iter().cloned().collect(),
            allow_unsigned: self.allow_unsigned.iter().map(|allowed| allowed.0).collect(),
            secondaries: self.notify.iter().map(secondary).collect(),
            zones: vec![zone],
        };
        Ok(RpzSettings {
            name: self.name.clone(),
            primary,
            resolvers: self.resolvers.clone(),
            read_back_limit: READ_BACK_MAX,
            addresses: self.addresses,
        })
    }
}

impl TsigConfig {
    fn key(&self) -> Result<TsigKey, Error> {
        let secret = crate::keys::read_secret(&self.secret)?;
        TsigKey::new(&self.name, &self.algorithm, &secret)
            .map_err(|error| Error::Broken(Broken::Failed(error.to_string())))
    }
}
