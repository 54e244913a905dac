//! What is to end before its time, because what it rested on no longer stands.

use crate::plan::{InForce, Lineage};
use model::{Finding, FindingId, FindingState, Timestamp, Withdrawal};
use std::collections::BTreeMap;

/// The withdrawals that these findings call for: everything in force whose finding has faded, is held back by a guard,
/// or was revoked.
pub fn withdrawals(in_force: &BTreeMap<Lineage, InForce>, findings: &[&Finding], now: Timestamp) -> Vec<Withdrawal> {
    let ended: BTreeMap<FindingId, FindingState> = (findings.iter())
        .filter(|finding| finding.state != FindingState::Corroborated)
        .map(|finding| (finding.id, finding.state))
        .collect();
    (in_force.iter())
        .filter(|(_, force)| force.expires > now)
        .filter_map(|(lineage, _)| {
            let state = ended.get(&lineage.finding)?;
            Some(Withdrawal {
                member: lineage.member.clone(),
                finding: lineage.finding,
                reason: state.explains().to_owned(),
                made: now,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;
    use model::{Behaviour, Span};

    #[test]
    fn what_no_longer_stands_is_withdrawn_from_everybody_and_the_rest_stays() {
        let world = World::new();
        let finding = |text: &str, state| {
            let finding = world.finding(&text.parse().unwrap(), Behaviour::Scan);
            Finding { state, ..finding }
        };
        let faded = finding("60.0.0.1", FindingState::Faded);
        let revoked = finding("60.0.0.2", FindingState::Revoked);
        let standing = finding("60.0.0.3", FindingState::Corroborated);
        let lineage = |member: &str, finding: &Finding| world.lineage(member, finding);
        let until = |span| InForce { generation: 1, since: world.now, expires: world.now.plus(span) };
        let in_force = BTreeMap::from([
            (lineage("bank", &faded), until(Span::hours(1))),
            (lineage("cloud", &faded), until(Span::hours(1))),
            (lineage("telecom", &faded), until(Span::ZERO)),
            (lineage("bank", &revoked), until(Span::hours(1))),
            (lineage("bank", &standing), until(Span::hours(1))),
        ]);
        let ended = withdrawals(&in_force, &[&faded, &revoked, &standing], world.now);
        let who: Vec<_> = ended.iter().map(|w| (w.member.as_str(), w.finding)).collect();
        let mut expected = vec![("bank", faded.id), ("bank", revoked.id), ("cloud", faded.id)];
        expected.sort();
        assert_eq!(who, expected);
        assert!(ended.iter().any(|w| w.reason == FindingState::Revoked.explains()));
    }
}
