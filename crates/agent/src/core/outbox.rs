//! The outbox: what was seen and done, kept until the hub has it durably, sent in order, one submission at a time.
//!
//! Sightings and receipts wait unsealed. One submission at a time takes a number, is signed, and stays as it is until
//! the hub has acknowledged it; meanwhile what is new gathers, so that the next one is as large as it needs to be.

use model::sighting::BATCH_SIGHTINGS_MAX;
use model::{
    Batch, BatchHeader, Behaviour, Grade, GroupId, KeyId, MemberId, Observable, Opening, Receipt, Receipts, Refusal,
    Retraction, Rule, Signature, SignedReceipts, SignedRetraction, SigningKey, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

/// Most receipts in one submission.
const RECEIPTS_PART_MAX: usize = 1_000;

/// What the hub has not acknowledged yet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outbox {
    /// Sightings that wait, oldest first.
    pub sightings: VecDeque<Opening>,
    /// Receipts that wait, oldest first.
    pub receipts: VecDeque<Receipt>,
    /// What is to be taken back, oldest first; it goes before sightings and receipts.
    pub taken_back: VecDeque<TakenBack>,
    /// The one submission that is under way.
    pub sealed: Option<Submission>,
    /// The number of the next submission; none until the hub was asked.
    pub next: Option<u64>,
    /// Most sightings of the next submission, while a refused one is being narrowed down.
    pub part_max: Option<usize>,
    /// Was the last submission one of receipts? The kinds take turns.
    pub receipts_last: bool,
}

/// What a person takes back of this member's reports.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakenBack {
    /// What was reported.
    pub observable: Observable,
    /// As which behaviour; its whole family is taken back.
    pub behaviour: Behaviour,
    /// Why, in words, at most 500 characters.
    pub reason: String,
}

/// A signed submission.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Submission {
    /// For `POST /api/v1/sightings`.
    Sightings(Box<Batch>),
    /// For `POST /api/v1/receipts`.
    Receipts(Box<SignedReceipts>),
    /// For `POST /api/v1/retractions`.
    Retraction(Box<SignedRetraction>),
}

impl Submission {
    /// Its number among the member's submissions.
    pub fn sequence(&self) -> u64 {
        match self {
            Self::Sightings(batch) => batch.header.sequence,
            Self::Receipts(signed) => signed.receipts.sequence,
            Self::Retraction(signed) => signed.retraction.sequence,
        }
    }

    /// The key that signed it.
    pub fn key(&self) -> KeyId {
        match self {
            Self::Sightings(batch) => batch.header.key,
            Self::Receipts(signed) => signed.receipts.key,
            Self::Retraction(signed) => signed.retraction.key,
        }
    }

    /// How many sightings or receipts it holds.
    pub fn len(&self) -> usize {
        match self {
            Self::Sightings(batch) => batch.openings.len(),
            Self::Receipts(signed) => signed.receipts.receipts.len(),
            Self::Retraction(_) => 1,
        }
    }

    /// Never: a submission holds at least one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `sightings`, `receipts` or `retraction`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Sightings(_) => "sightings",
            Self::Receipts(_) => "receipts",
            Self::Retraction(_) => "retraction",
        }
    }
}

/// A sealing as it is recorded: what was signed, without what waits in the outbox anyway.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sealed {
    /// The first `header.count` sightings.
    Sightings {
        /// What was signed.
        header: BatchHeader,
        /// Over the header.
        signature: Signature,
    },
    /// The first `count` receipts.
    Receipts {
        /// What was signed, without the receipts.
        receipts: Receipts,
        /// How many receipts were.
        count: usize,
        /// Over the statement with its receipts.
        signature: Signature,
    },
    /// The first that is to be taken back.
    Retraction(Box<SignedRetraction>),
}

impl Sealed {
    /// Its number and signature.
    pub fn signed(&self) -> (u64, &Signature) {
        match self {
            Self::Sightings { header, signature } => (header.sequence, signature),
            Self::Receipts { receipts, signature, .. } => (receipts.sequence, signature),
            Self::Retraction(signed) => (signed.retraction.sequence, &signed.signature),
        }
    }
}

impl Outbox {
    /// How many sightings and receipts the hub does not have yet.
    pub fn len(&self) -> usize {
        self.sightings.len()
            + self.receipts.len()
            + self.taken_back.len()
            + self.sealed.as_ref().map_or(0, Submission::len)
    }

    /// Does the hub have everything?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// May `count` more sightings of this grade wait? What is easiest to forge is refused first.
    ///
    /// # Errors
    /// `quota_exceeded`.
    pub fn admit(&self, grade: Grade, count: usize, sightings_max: usize) -> Result<(), Refusal> {
        let share = match grade {
            Grade::Spoofable => 70,
            Grade::Handshake => 85,
            Grade::Payload | Grade::Analyst => 100,
        };
        let limit = sightings_max / 100 * share;
        match self.sightings.len() + count <= limit {
            true => Ok(()),
            false => {
                let waiting = format!("{} sightings waiting for the hub", self.sightings.len());
                Err(Refusal::new(Rule::QuotaExceeded, waiting, format!("{limit} of grade {grade}")))
            }
        }
    }

    /// The next submission's sealing; `None` if one is under way, nothing waits, or the number is not known.
    pub fn next_sealed(&self, author: &MemberId, key: &SigningKey, made: Timestamp) -> Option<Sealed> {
        let sequence = self.next.filter(|_| self.sealed.is_none())?;
        if let Some(TakenBack { observable, behaviour, reason }) = self.taken_back.front().cloned() {
            let (author, id) = (author.clone(), key.public().id());
            let retraction = Retraction { author, key: id, sequence, made, observable, behaviour, reason };
            return Some(Sealed::Retraction(Box::new(SignedRetraction::sign(retraction, key))));
        }
        let turn = !self.receipts.is_empty() && (!self.receipts_last || self.sightings.is_empty());
        match turn {
            true => {
                let count = self.receipts.len().min(RECEIPTS_PART_MAX);
                let first = self.receipts.iter().take(count).cloned().collect();
                let mut receipts =
                    Receipts { author: author.clone(), key: key.public().id(), sequence, made, receipts: first };
                let signature = key.sign(&receipts);
                receipts.receipts.clear();
                Some(Sealed::Receipts { receipts, count, signature })
            }
            false => {
                let most = self.part_max.unwrap_or(BATCH_SIGHTINGS_MAX);
                // The hub takes one audience a report: what is for another group waits for the next one.
                let audience = self.sightings.front().and_then(group);
                let together = self.sightings.iter().take(most).take_while(|opening| group(opening) == audience);
                let openings: Vec<Opening> = together.cloned().collect();
                let count = openings.len();
                let seal = || Batch::seal(author.clone(), key, sequence, made, openings);
                (count > 0)
                    .then(seal)
                    .map(|batch| Sealed::Sightings { header: batch.header, signature: batch.signature })
            }
        }
    }

    pub(super) fn seal(&mut self, sealed: Sealed) {
        let submission = match sealed {
            Sealed::Retraction(signed) => {
                drop(self.taken_back.pop_front());
                Submission::Retraction(signed)
            }
            Sealed::Sightings { header, signature } => {
                let count = (header.count as usize).min(self.sightings.len());
                self.receipts_last = false;
                Submission::Sightings(Box::new(Batch {
                    header,
                    signature,
                    openings: self.sightings.drain(..count).collect(),
                }))
            }
            Sealed::Receipts { mut receipts, count, signature } => {
                receipts.receipts = self.receipts.drain(..count.min(self.receipts.len())).collect();
                self.receipts_last = true;
                Submission::Receipts(Box::new(SignedReceipts { receipts, signature }))
            }
        };
        self.next = Some(submission.sequence() + 1);
        self.sealed = Some(submission);
    }

    /// Puts the submission under way back to the front, and its number back to the next.
    pub(super) fn unseal(&mut self, part_max: usize) {
        let Some(submission) = self.sealed.take() else { return };
        self.next = Some(submission.sequence());
        match submission {
            Submission::Sightings(batch) => {
                self.part_max = Some(part_max.max(1));
                batch.openings.into_iter().rev().for_each(|opening| self.sightings.push_front(opening));
            }
            Submission::Receipts(signed) => {
                signed.receipts.receipts.into_iter().rev().for_each(|receipt| self.receipts.push_front(receipt));
            }
            Submission::Retraction(signed) => {
                let Retraction { observable, behaviour, reason, .. } = signed.retraction;
                self.taken_back.push_front(TakenBack { observable, behaviour, reason });
            }
        }
    }

    /// The places of waiting receipts that need not be sent: of each mitigation, point and state the first and the
    /// newest stay. A first read-back and an end are first ones, so whoever takes what stays comes to the same account.
    pub(super) fn overtaken(&self) -> Vec<usize> {
        let mut newest = BTreeMap::new();
        let mut overtaken = Vec::new();
        for (place, receipt) in self.receipts.iter().enumerate() {
            let of = (receipt.mitigation, receipt.point.as_ref(), receipt.state);
            match newest.entry(of) {
                Entry::Vacant(first) => {
                    first.insert(None);
                }
                Entry::Occupied(mut later) => overtaken.extend(later.insert(Some(place))),
            }
        }
        overtaken.sort_unstable();
        overtaken
    }

    /// Drops the waiting receipts at these places, which ascend.
    pub(super) fn forget(&mut self, places: &[usize]) {
        let mut place = 0..;
        self.receipts.retain(|_| place.next().is_none_or(|place| places.binary_search(&place).is_err()));
    }

    /// What is taken back need not be said first: it is dropped from what waits.
    pub(super) fn take_back(&mut self, taken_back: TakenBack) {
        let (observable, family) = (&taken_back.observable, taken_back.behaviour.family());
        let same = |opening: &Opening| {
            opening.parse().is_ok_and(|s| s.observable == *observable && s.behaviour.family() == family)
        };
        self.sightings.retain(|opening| !same(opening));
        self.taken_back.push_back(taken_back);
    }

    pub(super) fn acknowledge(&mut self, sequence: u64) {
        if self.sealed.as_ref().is_some_and(|s| s.sequence() == sequence) {
            self.sealed = None;
            // Back to full size by doubling: the refused sighting may be among the next ones.
            self.part_max = self.part_max.map(|part| part * 2).filter(|part| *part < BATCH_SIGHTINGS_MAX);
        }
    }

    /// Forgets the submission under way; its number was not used.
    pub(super) fn drop_sealed(&mut self, sequence: u64) {
        if self.sealed.as_ref().is_some_and(|s| s.sequence() == sequence) {
            self.sealed = None;
            self.next = Some(sequence);
        }
    }
}

/// The sharing group of a sealed sighting. Most have none, and are not read for it.
fn group(opening: &Opening) -> Option<GroupId> {
    let named = opening.sighting.get().contains("\"group\"");
    named.then(|| opening.parse().ok()?.handling.group).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Digest, MitigationId, MitigationState, Salt, Sighting};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    fn opening(n: u8) -> Opening {
        let json = format!(
            r#"{{"observable":"8.8.4.{n}","behaviour":"scan","first":"2026-01-01T00:00:00Z",
            "last":"2026-01-01T00:00:01Z","sensor":"ids","grade":"handshake","handling":{{"tlp":"green"}}}}"#
        );
        Opening::seal(Salt([n; 16]), &Sighting::parse(&json).unwrap())
    }

    fn sealed(outbox: &Outbox) -> Option<Sealed> {
        let key = SigningKey::from_seed(&[5; 32]);
        outbox.next_sealed(&"telecom".parse().unwrap(), &key, "2026-01-01T00:00:02Z".parse().unwrap())
    }

    fn with(count: u8) -> Outbox {
        Outbox { sightings: (0..count).map(opening).collect(), next: Some(7), ..Outbox::default() }
    }

    #[test]
    fn a_sealed_batch_is_rebuilt_from_its_record_and_verifies() {
        let mut outbox = with(3);
        outbox.seal(sealed(&outbox).unwrap());
        let Some(Submission::Sightings(batch)) = &outbox.sealed else { panic!("no batch") };
        let key = SigningKey::from_seed(&[5; 32]).public();
        assert_eq!((batch.verify(&key).unwrap().len(), batch.header.sequence), (3, 7));
        assert_eq!((outbox.next, outbox.sightings.len()), (Some(8), 0));
    }

    #[test]
    fn one_submission_is_under_way_at_a_time_and_none_without_a_number() {
        let mut outbox = with(3);
        outbox.seal(sealed(&outbox).unwrap());
        outbox.sightings.push_back(opening(9));
        assert!(sealed(&outbox).is_none());
        outbox.acknowledge(6);
        assert!(outbox.sealed.is_some(), "another number acknowledges nothing");
        outbox.acknowledge(7);
        assert!(sealed(&outbox).is_some());
        outbox.next = None;
        assert!(sealed(&outbox).is_none());
    }

    #[test]
    fn a_refused_batch_is_narrowed_down_and_nothing_else_is_lost() {
        let mut outbox = with(4);
        outbox.seal(sealed(&outbox).unwrap());
        outbox.unseal(2);
        assert_eq!((outbox.next, outbox.sightings.len()), (Some(7), 4));
        outbox.seal(sealed(&outbox).unwrap());
        assert_eq!(outbox.sealed.as_ref().unwrap().len(), 2);
        outbox.unseal(1);
        outbox.seal(sealed(&outbox).unwrap());
        outbox.drop_sealed(7);
        assert_eq!((outbox.next, outbox.sightings.len()), (Some(7), 3));
    }

    #[test]
    fn what_is_for_different_groups_goes_in_different_batches_in_order() {
        let in_group = |n: u8, group: &str| {
            let mut sighting = opening(n).parse().unwrap();
            sighting.handling.group = Some(group.parse().unwrap());
            Opening::seal(Salt([n; 16]), &sighting)
        };
        let sightings = [opening(1), opening(2), in_group(3, "pair"), in_group(4, "banks"), in_group(5, "banks")];
        let mut outbox = Outbox { sightings: sightings.into(), next: Some(1), ..Outbox::default() };
        let mut sizes = Vec::new();
        while let Some(next) = sealed(&outbox) {
            outbox.seal(next);
            sizes.push(outbox.sealed.as_ref().unwrap().len());
            outbox.acknowledge(sizes.len() as u64);
        }
        assert_eq!(sizes, [2, 1, 2]);
    }

    #[test]
    fn what_is_taken_back_goes_first_and_is_not_reported_after() {
        let mut outbox = with(3);
        let taken_back =
            TakenBack { observable: "8.8.4.1".parse().unwrap(), behaviour: Behaviour::Scan, reason: "ours".to_owned() };
        outbox.take_back(taken_back);
        assert_eq!(outbox.len(), 3);
        outbox.seal(sealed(&outbox).unwrap());
        let Some(Submission::Retraction(signed)) = outbox.sealed.clone() else { panic!("no retraction") };
        let key = SigningKey::from_seed(&[5; 32]).public();
        assert!(key.verify(&signed.retraction, &signed.signature).is_ok());
        assert_eq!((signed.retraction.sequence, outbox.sightings.len()), (7, 2));
        outbox.unseal(1);
        assert_eq!((outbox.next, outbox.taken_back.len()), (Some(7), 1), "nothing is lost when it is numbered anew");
    }

    #[test]
    fn when_it_fills_up_what_is_easiest_to_forge_is_refused_first() {
        let outbox = with(75);
        assert_eq!(outbox.admit(Grade::Spoofable, 1, 100).unwrap_err().rule, Rule::QuotaExceeded);
        assert!(outbox.admit(Grade::Handshake, 10, 100).is_ok());
        assert!(outbox.admit(Grade::Handshake, 11, 100).is_err());
        assert!(outbox.admit(Grade::Payload, 25, 100).is_ok());
        assert!(outbox.admit(Grade::Analyst, 26, 100).is_err());
    }
    /// What the hub makes of receipts: where the mitigation stands, and when it was first read back.
    fn account(since: MitigationState, receipts: &[&Receipt]) -> (MitigationState, Option<Timestamp>) {
        let (mut stands, mut verified) = (since, None);
        for receipt in receipts.iter().filter(|receipt| receipt.mitigation == mitigation(0)) {
            if stands.may_be_followed_by(receipt.state) {
                stands = receipt.state;
                verified = verified.or_else(|| (stands == MitigationState::Verified).then_some(receipt.at));
            }
        }
        (stands, verified)
    }

    fn mitigation(n: u8) -> MitigationId {
        MitigationId::of(&Digest::of(&[&[n]]))
    }

    fn receipts() -> impl Strategy<Value = Vec<Receipt>> {
        let any = (0..2_u8, select(vec![None, Some("edge"), Some("dns")]), select(MitigationState::ALL.to_vec()));
        let receipt = |(at, (of, point, state)): (usize, (u8, Option<&str>, MitigationState))| Receipt {
            mitigation: mitigation(of),
            state,
            point: point.map(|point| point.parse().unwrap()),
            at: Timestamp::from_millis(at as i64),
            evidence: String::new(),
            packets: None,
            bytes: None,
            refusal: None,
        };
        vec(any, 0..200).prop_map(move |all| all.into_iter().enumerate().map(receipt).collect())
    }

    proptest! {
        /// In any order, also those that no agent would send.
        #[test]
        fn receipts_that_were_not_overtaken_come_to_the_same_account(
            all in receipts(),
            since in select(MitigationState::ALL.to_vec()),
        ) {
            let mut outbox = Outbox { receipts: all.clone().into(), ..Outbox::default() };
            outbox.forget(&outbox.overtaken());
            let kept: Vec<&Receipt> = outbox.receipts.iter().collect();
            prop_assert_eq!(account(since, &kept), account(since, &all.iter().collect::<Vec<_>>()));
            prop_assert_eq!(kept.last().copied(), all.last());
            prop_assert!(kept.is_sorted_by_key(|receipt| receipt.at) && kept.len() <= 2 * 2 * 3 * 7);
            prop_assert_eq!(outbox.overtaken(), Vec::<usize>::new(), "and it does not go on");
        }
    }
}
