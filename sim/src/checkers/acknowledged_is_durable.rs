//! `acknowledged_is_durable`: what the hub says it has stands in the journal, with exactly what was signed, then and
//! after every restart.

use super::Checker;
use crate::fact::Fact;
use alliance::{Entry, Event, Report};
use model::{Digest, MemberId, Statement, Timestamp};
use std::collections::BTreeMap;

/// Its books, each by member and number of the submission.
#[derive(Default)]
pub struct AcknowledgedIsDurable {
    durable: BTreeMap<(MemberId, u64), Digest>,
    acknowledged: BTreeMap<(MemberId, u64), Digest>,
}

impl Checker for AcknowledgedIsDurable {
    fn promise(&self) -> &'static str {
        "acknowledged_is_durable"
    }

    fn see(&mut self, fact: &Fact<'_>, _now: Timestamp) -> Result<(), String> {
        match fact {
            Fact::Durable { entries, .. } => self.durable.extend(entries.iter().filter_map(|entry| submission(entry))),
            Fact::ReadBack { entries } => {
                self.durable = entries.iter().filter_map(|entry| submission(entry)).collect();
                self.acknowledged.iter().try_for_each(|(key, content)| self.stands(key, content))?;
            }
            Fact::Acknowledged { member, sequence, content } => {
                let key = ((*member).clone(), *sequence);
                self.stands(&key, content)?;
                self.acknowledged.insert(key, *content);
            }
            _ => {}
        }
        Ok(())
    }
}

impl AcknowledgedIsDurable {
    fn stands(&self, key: &(MemberId, u64), content: &Digest) -> Result<(), String> {
        let (member, sequence) = key;
        match self.durable.get(key) {
            Some(durable) if durable == content => Ok(()),
            Some(_) => Err(format!("submission {sequence} of {member} was acknowledged and stands there as another")),
            None => Err(format!("submission {sequence} of {member} was acknowledged and is not in the journal")),
        }
    }
}

/// Author, number and digest of a signed submission.
fn submission(entry: &[u8]) -> Option<((MemberId, u64), Digest)> {
    match Entry::from_bytes(entry).ok()?.event {
        Event::SightingsReported(Report::Signed(batch)) => {
            Some(((batch.header.author.clone(), batch.header.sequence), batch.header.digest()))
        }
        Event::ReceiptsReported(signed) => {
            Some(((signed.receipts.author.clone(), signed.receipts.sequence), signed.receipts.digest()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::scene::{at, member, sighting};
    use alliance::Author;
    use model::{Batch, Grade, Handling, Opening, Salt, SigningKey, Tlp};

    fn batch(observable: &str) -> Batch {
        let opening = Opening::seal(Salt([1; 16]), &sighting(observable, Grade::Handshake));
        Batch::seal(member("cloud"), &SigningKey::from_seed(&[1; 32]), 1, at(0), vec![opening])
    }

    fn entry(batch: &Batch) -> Vec<u8> {
        let event = Event::SightingsReported(Report::Signed(Box::new(batch.clone())));
        let (author, handling) = (Author::Member(member("cloud")), Handling::alliance(Tlp::Green));
        Entry { v: 1, time: at(0), author, handling, event }.to_bytes()
    }

    fn acknowledge(checker: &mut AcknowledgedIsDurable, batch: &Batch) -> Result<(), String> {
        let content = batch.header.digest();
        checker.see(&Fact::Acknowledged { member: &member("cloud"), sequence: 1, content }, at(0))
    }

    #[test]
    fn what_is_acknowledged_before_it_is_durable_is_seen() {
        let (mut checker, batch) = (AcknowledgedIsDurable::default(), batch("60.1.2.3"));
        assert!(acknowledge(&mut checker, &batch).is_err());
        checker.see(&Fact::Durable { from: 0, entries: &[entry(&batch)] }, at(0)).unwrap();
        assert_eq!(acknowledge(&mut checker, &batch), Ok(()));
    }

    #[test]
    fn what_is_lost_by_a_restart_is_seen() {
        let (mut checker, batch) = (AcknowledgedIsDurable::default(), batch("60.1.2.3"));
        let entries = [entry(&batch)];
        checker.see(&Fact::Durable { from: 0, entries: &entries }, at(0)).unwrap();
        acknowledge(&mut checker, &batch).unwrap();
        assert_eq!(checker.see(&Fact::ReadBack { entries: &entries }, at(0)), Ok(()));
        assert!(checker.see(&Fact::ReadBack { entries: &[] }, at(0)).is_err());
    }

    #[test]
    fn an_acknowledgement_of_something_else_under_the_same_number_is_seen() {
        let mut checker = AcknowledgedIsDurable::default();
        checker.see(&Fact::Durable { from: 0, entries: &[entry(&batch("60.1.2.3"))] }, at(0)).unwrap();
        assert!(acknowledge(&mut checker, &batch("60.9.9.9")).is_err());
    }
}
