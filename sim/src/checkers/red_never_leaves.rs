//! `red_never_leaves`: what a sensor marked RED stands in nothing that leaves its house and in no journal; what is
//! shared in a group reaches nobody outside it.

use super::Checker;
use crate::fact::Fact;
use model::{MemberId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Its books.
pub struct RedNeverLeaves {
    secrets: BTreeSet<String>,
    groups: BTreeMap<String, BTreeSet<MemberId>>,
    /// A hostile hub shows what it has to whom it likes: groups are a promise of honest hubs.
    hostile_hub: bool,
}

impl RedNeverLeaves {
    /// The checker of a run.
    pub fn new(hostile_hub: bool) -> Self {
        Self { secrets: BTreeSet::new(), groups: BTreeMap::new(), hostile_hub }
    }

    fn no_secret(&self, text: &str, whither: &str) -> Result<(), String> {
        match self.secrets.iter().find(|marker| text.contains(marker.as_str())) {
            Some(marker) => Err(format!("{marker} is RED and went {whither}")),
            None => Ok(()),
        }
    }
}

impl Checker for RedNeverLeaves {
    fn promise(&self) -> &'static str {
        "red_never_leaves"
    }

    fn see(&mut self, fact: &Fact<'_>, _now: Timestamp) -> Result<(), String> {
        match fact {
            Fact::Secret { marker } => drop(self.secrets.insert((*marker).to_owned())),
            Fact::Confidential { marker, members } => {
                self.groups.insert((*marker).to_owned(), (*members).clone());
            }
            Fact::Wire { from: Some(from), text, .. } => self.no_secret(text, &format!("from {from} to the hub"))?,
            Fact::Wire { from: None, to: Some(to), text } => {
                self.no_secret(text, &format!("to {to}"))?;
                let mut told = self.groups.iter().filter(|(marker, _)| text.contains(marker.as_str()));
                if let Some((marker, _)) = told.find(|(_, group)| !group.contains(to) && !self.hostile_hub) {
                    return Err(format!("{to} was shown {marker}, which is not for it"));
                }
            }
            Fact::Durable { entries, .. } => {
                for entry in *entries {
                    self.no_secret(&String::from_utf8_lossy(entry), "into the journal")?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::scene::{at, member};

    fn checker(hostile_hub: bool) -> RedNeverLeaves {
        let mut checker = RedNeverLeaves::new(hostile_hub);
        checker.see(&Fact::Secret { marker: "red-1.net" }, at(0)).unwrap();
        let members = BTreeSet::from([member("cloud")]);
        checker.see(&Fact::Confidential { marker: "pair-1.net", members: &members }, at(0)).unwrap();
        checker
    }

    #[test]
    fn a_red_sighting_on_the_wire_or_in_the_journal_is_seen() {
        let (mut checker, member) = (checker(false), member("bank"));
        let text = "{\"observable\":\"red-1.net\"}";
        assert!(checker.see(&Fact::Wire { from: Some(&member), to: None, text }, at(0)).is_err());
        assert!(checker.see(&Fact::Wire { from: None, to: Some(&member), text }, at(0)).is_err());
        assert!(checker.see(&Fact::Durable { from: 0, entries: &[text.into()] }, at(0)).is_err());
        assert!(checker.see(&Fact::Wire { from: Some(&member), to: None, text: "green" }, at(0)).is_ok());
    }

    #[test]
    fn what_a_group_shares_is_seen_outside_it_and_not_inside() {
        let (inside, outside) = (member("cloud"), member("bank"));
        let shown = |to, hostile| {
            checker(hostile).see(&Fact::Wire { from: None, to: Some(to), text: "pair-1.net" }, at(0)).is_ok()
        };
        assert!(shown(&inside, false) && !shown(&outside, false) && shown(&outside, true));
    }
}
