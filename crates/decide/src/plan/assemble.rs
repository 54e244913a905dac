//! Mitigations into a plan with its header: tree, counts, reasons.

use super::{Input, Skipped};
use charter::Charter;
use model::{
    Action, BlastRadius, Class, Evidence, FindingId, MemberId, Mitigation, Plan, PlanHeader, PlanId, Rule, Target,
    Timestamp, merkle,
};
use std::collections::{BTreeMap, BTreeSet};

/// Lines of reasons that name single findings.
const NAMED_MAX: usize = 10;

/// What a header needs beside the mitigations.
pub(crate) struct Assembly<'a> {
    pub charter: &'a Charter,
    pub parent: Option<PlanId>,
    pub generation: u64,
    pub class: Class,
    pub made: Timestamp,
    pub reasons: Vec<String>,
}

impl Assembly<'_> {
    pub fn plan(self, mitigations: Vec<Mitigation>, evidence: BTreeMap<FindingId, Vec<Evidence>>) -> Plan {
        let leaves: Vec<_> = mitigations.iter().map(Mitigation::leaf).collect();
        let header = PlanHeader {
            alliance: self.charter.alliance.name.clone(),
            charter: self.charter.alliance.version,
            parent: self.parent,
            generation: self.generation,
            class: self.class,
            made: self.made,
            reasons: self.reasons,
            blast_radius: blast_radius(&mitigations),
            count: count(mitigations.len()),
            root: merkle::root(&leaves),
        };
        Plan { header, mitigations, evidence }
    }
}

fn blast_radius(mitigations: &[Mitigation]) -> BlastRadius {
    let mut members: BTreeMap<&MemberId, usize> = BTreeMap::new();
    for mitigation in mitigations {
        *members.entry(&mitigation.member).or_default() += 1;
    }
    let touching = || {
        let changes = |m: &&Mitigation| !matches!(m.measure.action(), Action::Notify | Action::Investigate);
        mitigations.iter().filter(changes).map(|m| m.measure.target())
    };
    let networks = || touching().filter_map(|target| target.observable().network());
    let v4 = networks().filter(|n| n.addr().is_ipv4()).map(|n| 1u64 << (32 - n.prefix_len())).max();
    let v6 = networks().filter(|n| n.addr().is_ipv6()).map(|n| 1u64 << (64 - n.prefix_len().min(64))).max();
    let names: BTreeSet<&Target> = touching().filter(|t| matches!(t, Target::DomainName(_))).collect();
    BlastRadius {
        mitigations: count(mitigations.len()),
        members: count(members.len()),
        most_for_one_member: count(members.values().copied().max().unwrap_or(0)),
        widest_v4_addresses: u32::try_from(v4.unwrap_or(0)).unwrap_or(u32::MAX),
        widest_v6_networks: u32::try_from(v6.unwrap_or(0)).unwrap_or(u32::MAX),
        names: count(names.len()),
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Why the plan was made, in a few lines. Observables are not named: the header goes to members who may not see them.
pub(super) fn reasons(input: &Input<'_>, mitigations: &[Mitigation], skipped: &[Skipped]) -> Vec<String> {
    let findings: BTreeSet<FindingId> = mitigations.iter().map(|m| m.finding).collect();
    let members: BTreeSet<&MemberId> = mitigations.iter().map(|m| &m.member).collect();
    let mut lines = vec![format!("{} findings are corroborated; {} members act.", findings.len(), members.len())];
    let behind = input.candidates.iter().filter(|c| findings.contains(&c.finding.id));
    lines.extend(behind.take(NAMED_MAX).map(|c| {
        let sum = &c.finding.sum;
        format!("{}: {:.3} points of {:.3}, {}.", c.finding.id, sum.total, sum.threshold, c.finding.family)
    }));
    let mut crowded: BTreeMap<&MemberId, usize> = BTreeMap::new();
    for skip in skipped.iter().filter(|skip| skip.refusal.rule == Rule::BlastRadius) {
        if let Some(member) = &skip.member {
            *crowded.entry(member).or_default() += 1;
        }
    }
    let room = 18usize.saturating_sub(lines.len());
    lines.extend(
        crowded.iter().take(room).map(|(member, n)| format!("{member}: the {n} least relevant left out, no room.")),
    );
    if crowded.len() > room {
        lines.push(format!("{} more members had no room for some.", crowded.len() - room));
    }
    lines
}
