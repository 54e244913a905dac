//! The blast radius, counted again.

use super::{CheckContext, Faults};
use model::{Action, BlastRadius, Mitigation, Plan, Rule, Target};
use std::collections::{BTreeMap, BTreeSet};

/// Compares the header's blast radius with the mitigations.
pub(super) fn check_blast(plan: &Plan, context: &CheckContext<'_>, faults: &mut Faults) {
    let claimed = &plan.header.blast_radius;
    let counted = recount(&plan.mitigations);
    if *claimed != counted {
        faults.refuse(Rule::BlastRadius, format_args!("{claimed:?}"), format_args!("{counted:?}"));
    }
    let largest = context.charter.limits.in_force_per_member_max;
    if counted.most_for_one_member > largest {
        faults.refuse(Rule::BlastRadius, format_args!("{} for one member", counted.most_for_one_member), largest);
    }
}

fn recount(mitigations: &[Mitigation]) -> BlastRadius {
    let mut radius = BlastRadius { mitigations: narrowed(mitigations.len()), ..BlastRadius::default() };
    let mut per_member: BTreeMap<_, u32> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for mitigation in mitigations {
        *per_member.entry(&mitigation.member).or_default() += 1;
        if matches!(mitigation.measure.action(), Action::Notify | Action::Investigate) {
            continue;
        }
        match mitigation.measure.target() {
            Target::Host(address) if address.is_ipv4() => widen(&mut radius.widest_v4_addresses, 0),
            Target::Host(_) => widen(&mut radius.widest_v6_networks, 0),
            Target::Net(net) if net.address().is_ipv4() => widen(&mut radius.widest_v4_addresses, 32 - net.length()),
            Target::Net(net) => widen(&mut radius.widest_v6_networks, 64u8.saturating_sub(net.length())),
            Target::DomainName(name) => drop(names.insert(name)),
            Target::Uri(_) | Target::File(_) => {}
        }
    }
    radius.members = narrowed(per_member.len());
    radius.most_for_one_member = per_member.into_values().max().unwrap_or(0);
    radius.names = narrowed(names.len());
    radius
}

/// 2 to the `bits`, as far as 32 bits hold it.
fn widen(widest: &mut u32, bits: u8) {
    *widest = (*widest).max(1u32.checked_shl(bits.into()).unwrap_or(u32::MAX));
}

fn narrowed(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
