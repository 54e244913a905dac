//! The literal texts: what resolvers and the packet filter would have been given, by the enforcement points' own
//! renderers.

use super::blocks::Block;
use crate::exit::Failure;
use act::Protection;
use act::nftables::{Nftables, SIZE_DEFAULT, SIZE_MAX, Settings};
use model::{Digest, MitigationId, Span, Target, Timestamp};

/// The zone's name in the text.
const ZONE: &str = "shadow.rpz.epimachia.invalid";
/// Longest automatic mitigation: what is in force is renewed before it ends.
const LASTS_MAX: Span = Span::hours(24);

/// Both texts for the same moment.
#[derive(Debug)]
pub struct Texts {
    /// A policy zone, as a zone file.
    pub rpz: String,
    /// The packet filter's table, as a file for `nft -f`.
    pub nft: String,
    /// What neither could take: own space and guards are left out, as an agent would.
    pub left_out: usize,
}

/// Renders `blocks` as they would have stood at `now`.
///
/// # Errors
/// A point's own rule says no.
pub fn texts<'a>(blocks: impl Iterator<Item = &'a Block>, now: Timestamp) -> Result<Texts, Failure> {
    let (mut names, mut networks, mut left_out) = (Vec::new(), Vec::new(), 0);
    for block in blocks {
        if block.own || block.guard.as_ref().is_some_and(|hit| hit.absolute) {
            left_out += 1;
            continue;
        }
        let protection = Protection {
            mitigation: MitigationId::of(&Digest::of(&[b"epimachia/shadow", block.finding.to_string().as_bytes()])),
            finding: block.finding,
            measure: block.measure.clone(),
            expires: now.plus(LASTS_MAX),
        };
        match block.measure.target() {
            Target::DomainName(_) => names.push(protection),
            _ => networks.push(protection),
        }
    }
    Ok(Texts { rpz: act::rpz::zone_file(ZONE, &names)?, nft: nft(&networks, now)?, left_out })
}

fn nft(networks: &[Protection], now: Timestamp) -> Result<String, Failure> {
    let size = u32::try_from(networks.len()).unwrap_or(u32::MAX).clamp(SIZE_DEFAULT, SIZE_MAX);
    let settings = Settings { name: "shadow".parse()?, protect: Vec::new(), size, netns: None, via: None };
    let point = Nftables::new(settings).map_err(|e| Failure::failed(e, ""))?;
    Ok(point.whole(networks, now)?)
}

#[cfg(test)]
mod tests {
    use super::super::blocks::tests::{blocks, finding};
    use super::*;

    #[test]
    fn names_go_to_the_zone_addresses_to_the_table_and_own_space_to_neither() {
        let made = "2026-01-01T00:00:00Z";
        let blocks = blocks(
            ["1.2.3.4", "2600:1:2:3::1", "bad.example.org", "8.8.4.4", "10.0.0.1"]
                .map(|observable| finding(observable, made, &[]))
                .into(),
        );
        let texts = texts(blocks.all().iter(), made.parse().unwrap()).unwrap();
        assert!(texts.rpz.contains("\nbad.example.org CNAME .\n*.bad.example.org CNAME .\n"), "{}", texts.rpz);
        assert!(texts.nft.contains("deny4_32 { 1.2.3.4 timeout 86400000ms comment \"fin-"), "{}", texts.nft);
        assert!(texts.nft.contains("deny6_64 { 2600:1:2:3:: timeout"), "{}", texts.nft);
        assert!(!texts.nft.contains("8.8.4.4") && !texts.nft.contains("10.0.0.1 "));
        assert_eq!(texts.left_out, 2);
    }
}
