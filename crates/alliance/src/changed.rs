//! Findings that changed in one moment, gathered into few entries; and which of them agents hear of.

use crate::entry::Event;
use crate::handle::Drafted;
use crate::state::Alliance;
use model::{Finding, FindingState, Handling, MemberId, StreamMessage};
use std::collections::BTreeMap;
use std::sync::Arc;

/// About so many bytes of findings go into one entry, and into one message: what agents read at once.
const ENTRY_BYTES: usize = if cfg!(test) { 8 << 10 } else { 256 << 10 };
/// What a finding takes without its observable and its reporters, about.
const FINDING_BYTES: usize = 512;
/// What a reporter's line takes, about.
const LINE_BYTES: usize = 256;

/// Findings that changed, by who may see them, in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    audiences: BTreeMap<Handling, Vec<Vec<Finding>>>,
    /// What the last list of each audience takes.
    bytes: BTreeMap<Handling, usize>,
}

impl Changed {
    /// Adds a finding as it is now.
    pub(crate) fn add(&mut self, finding: Finding) {
        let takes = FINDING_BYTES + finding.observable.to_string().len() + LINE_BYTES * finding.sum.lines.len();
        let bytes = self.bytes.entry(finding.handling.clone()).or_default();
        let lists = self.audiences.entry(finding.handling.clone()).or_default();
        match lists.last_mut().filter(|_| *bytes + takes <= ENTRY_BYTES) {
            Some(list) => list.push(finding),
            None => {
                lists.push(vec![finding]);
                *bytes = 0;
            }
        }
        *bytes += takes;
    }

    /// One entry for what goes into one.
    pub(crate) fn drafts(self) -> impl Iterator<Item = Drafted> {
        let lists = self
            .audiences
            .into_iter()
            .flat_map(|(handling, lists)| lists.into_iter().map(move |findings| (handling.clone(), findings)));
        lists.map(|(handling, findings)| Drafted::hub(handling, Event::FindingsChanged { findings }))
    }
}

impl Alliance {
    /// The message for all agents that may see these findings, which stand in one entry and have one audience.
    pub(crate) fn findings_for_all(&self, findings: &[Finding]) -> Vec<(MemberId, StreamMessage)> {
        let told = |f: &&Arc<Finding>| self.concerns_agents(f);
        let known = findings.iter().filter_map(|finding| self.ledger.findings.get(&finding.id));
        let list: Arc<Vec<Arc<Finding>>> = Arc::new(known.filter(told).cloned().collect());
        let (Some(first), Some(in_force)) = (list.first(), &self.charter) else { return Vec::new() };
        (in_force.charter.members.iter())
            .filter(|member| self.may_see(Some(&member.id), &first.handling))
            .map(|member| (member.id.clone(), StreamMessage::Findings(Arc::clone(&list))))
            .collect()
    }

    /// Agents hear of what machines may act upon, of what became of it, and of what must not be acted upon. What only
    /// informs people is read at the hub: there may be hundred thousands of it in a second.
    fn concerns_agents(&self, finding: &Finding) -> bool {
        let held_back = matches!(finding.state, FindingState::Guarded | FindingState::Revoked);
        finding.actionable || held_back || self.ledger.lineages.contains_key(&finding.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{World, at};

    fn finding(n: u32, tlp: &str) -> Finding {
        let mut world = World::new("");
        world.saw("telecom", "1.2.3.4");
        world.now = at(10);
        world.saw("cloud", "1.2.3.4");
        let mut finding = world.alliance.findings(None, None, None, 1).remove(0);
        finding.observable = std::net::Ipv4Addr::from(n).to_string().parse().unwrap();
        finding.handling.tlp = tlp.parse().unwrap();
        finding
    }

    #[test]
    fn findings_share_entries_with_those_of_their_audience_only() {
        let mut changed = Changed::default();
        [finding(1, "green"), finding(2, "clear"), finding(3, "green")].into_iter().for_each(|f| changed.add(f));
        let drafts: Vec<Drafted> = changed.drafts().collect();
        assert_eq!(drafts.len(), 2);
        for Drafted { handling, event, .. } in drafts {
            let Event::FindingsChanged { findings } = event else { panic!("{event:?}") };
            assert!(findings.iter().all(|finding| finding.handling == handling), "{findings:?}");
        }
    }

    #[test]
    fn an_entry_takes_so_many_bytes_and_no_more() {
        let mut changed = Changed::default();
        let one = finding(1, "green");
        (0..100).for_each(|_| changed.add(one.clone()));
        let drafts: Vec<Drafted> = changed.drafts().collect();
        let lengths = drafts.iter().map(|draft| serde_json::to_vec(&draft.event).unwrap().len());
        let lengths: Vec<usize> = lengths.collect();
        assert!(lengths.len() > 5 && lengths.iter().all(|length| *length <= ENTRY_BYTES), "{lengths:?}");
        let all: usize = drafts
            .iter()
            .map(|draft| match &draft.event {
                Event::FindingsChanged { findings } => findings.len(),
                _ => 0,
            })
            .sum();
        assert_eq!(all, 100);
    }
}
