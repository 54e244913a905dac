//! What the hub is told: sightings and receipts, sealed into submissions one after the other.

use super::outbox::{Submission, TakenBack};
use super::state::SourceMark;
use super::{AlarmKind, Core, Output, Record};
use crate::strip::Why;
use model::observable::bogon;
use model::retraction::RETRACTION_REASON_CHARS_MAX;
use model::sighting::BATCH_SIGHTINGS_MAX;
use model::{Grade, Observable, Opening, Refusal, Rule, Salt, Sighting, Span, Timestamp, Tlp};

/// Submissions follow each other at least this far apart, unless there is a full one: the hub pays for each.
const SEAL_EVERY: Span = Span::millis(20);
/// A submission with as many does not wait.
const SEAL_AT_ONCE: usize = 1_000;
/// So many receipts wait as they are. Of more, those that later ones overtake go.
const RECEIPTS_WHOLE_MAX: usize = 1_000;
/// Most retractions that wait.
const TAKEN_BACK_MAX: usize = 1_000;
/// Most sightings in one input.
const INPUT_SIGHTINGS_MAX: usize = BATCH_SIGHTINGS_MAX;

/// When the next submission may be sealed.
#[derive(Debug, Default)]
pub(super) struct Sending {
    sealed_at: Option<Timestamp>,
    /// The hub was asked since the start: a number that somebody else used meanwhile would be taken for a resend.
    agreed: bool,
    /// Was anything acknowledged since the hub last told its count? Then an answer that differs may be older.
    acknowledged: bool,
    /// Receipts that wait and that no later one overtook, when that was looked at last.
    receipts_kept: usize,
}

impl Core {
    pub(super) fn on_sightings(&mut self, sightings: Vec<(Salt, Sighting)>) {
        if let Some(full) = self.full() {
            return self.refuse(full);
        }
        if sightings.len() > INPUT_SIGHTINGS_MAX {
            let limit = format!("{INPUT_SIGHTINGS_MAX} at once");
            return self.refuse(Refusal::new(Rule::TooLarge, format_args!("{} sightings", sightings.len()), limit));
        }
        self.hear(sightings);
    }

    /// What stood in a sensor's file, and how far it was read.
    pub(super) fn on_followed(&mut self, source: String, mark: SourceMark, sightings: Vec<(Salt, Sighting)>) {
        if !sightings.is_empty() {
            self.hear(sightings);
        }
        self.persist(Record::Followed(source, mark));
    }

    /// The sightings that may go to the hub, sealed, and the rules that refused the others.
    pub(super) fn admitted(&mut self, sightings: Vec<(Salt, Sighting)>) -> (Vec<Opening>, Vec<Rule>) {
        let (openings, refused) = self.sealed(sightings);
        (openings, refused.into_iter().map(|refusal| refusal.rule).collect())
    }

    fn sealed(&mut self, sightings: Vec<(Salt, Sighting)>) -> (Vec<Opening>, Vec<Refusal>) {
        let (total, mut openings) = (sightings.len(), Vec::with_capacity(sightings.len()));
        let mut refused = Vec::new();
        for (salt, sighting) in sightings {
            match self.admit(&sighting, openings.len()) {
                Ok(()) => openings.push(Opening::seal(salt, &sighting)),
                Err(refusal) => {
                    self.counts.refusal(refusal.rule);
                    refused.push(refusal);
                }
            }
        }
        self.counts.sightings(openings.len(), total - openings.len());
        (openings, refused)
    }

    fn hear(&mut self, sightings: Vec<(Salt, Sighting)>) {
        let (openings, mut refused) = self.sealed(sightings);
        let (accepted, refused) = (openings.len(), refused.pop());
        if accepted > 0 {
            self.persist(Record::Heard(openings));
        }
        if let Some(refusal) = refused.as_ref().filter(|refusal| refusal.rule == Rule::QuotaExceeded) {
            self.alarm(AlarmKind::OutboxFull, &format!("Sightings are refused here: {refusal}. Is the hub reachable?"));
        }
        match refused {
            Some(refusal) => self.out.push(Output::Refused(refusal)),
            None if accepted == 1 => self.done("1 sighting waits for the hub".to_owned()),
            None => self.done(format!("{accepted} sightings wait for the hub")),
        }
    }

    pub(super) fn on_retract(&mut self, taken_back: TakenBack) {
        if !(1..=RETRACTION_REASON_CHARS_MAX).contains(&taken_back.reason.trim().chars().count()) {
            let limit = format!("a reason of 1 to {RETRACTION_REASON_CHARS_MAX} characters");
            return self.refuse(Refusal::new(Rule::Malformed, &taken_back.reason, limit));
        }
        if self.state.outbox.taken_back.len() >= TAKEN_BACK_MAX {
            let value = format!("{TAKEN_BACK_MAX} retractions waiting for the hub");
            return self.refuse(Refusal::new(Rule::QuotaExceeded, value, "retractions once the hub is back"));
        }
        let told = format!("what this member reported of {} is taken back", taken_back.observable);
        self.persist(Record::TakenBack(Box::new(taken_back)));
        self.done(told);
    }

    /// What the alliance would refuse is refused here already: some of it must not leave the house.
    fn admit(&self, sighting: &Sighting, beside: usize) -> Result<(), Refusal> {
        if sighting.handling.tlp == Tlp::Red {
            return Err(Refusal::new(Rule::RedNotAccepted, &sighting.observable, "at most amber+strict"));
        }
        if let Observable::Address(address) = sighting.observable
            && let Some(network) = bogon(address)
        {
            return Err(Refusal::new(Rule::BogonEvidence, format_args!("{address}: {network}"), "a public address"));
        }
        self.lawful(sighting)?;
        self.about_others(sighting)?;
        self.state.outbox.admit(sighting.grade, beside + 1, self.settings.outbox_sightings_max)
    }

    /// What points to this member stays here; a person may name an own address, to have it looked after.
    fn about_others(&self, sighting: &Sighting) -> Result<(), Refusal> {
        match self.settings.strip.sighting(sighting) {
            Some(Why::OwnPrefix) if sighting.grade == Grade::Analyst => Ok(()),
            Some(why) => {
                let limit = format!("what does not point to this member ({why}); [strip] says what does");
                Err(Refusal::new(Rule::VictimData, &sighting.observable, limit))
            }
            None => Ok(()),
        }
    }

    fn lawful(&self, sighting: &Sighting) -> Result<(), Refusal> {
        let Some(law) = &self.law else { return Ok(()) };
        let limits = &law.charter.limits;
        let (earliest, latest) = (self.now.minus(limits.skew_past_max), self.now.plus(limits.skew_future_max));
        if sighting.last > latest || sighting.last < earliest {
            let limit = format!("between {earliest} and {latest}");
            return Err(Refusal::new(Rule::ClockSkew, sighting.last, limit));
        }
        let owner = law.guards.as_ref().and_then(|guards| guards.owner(&sighting.observable));
        match owner == Some(&self.settings.member) && sighting.grade != Grade::Analyst {
            true => Err(Refusal::new(Rule::OwnSpaceEvidence, &sighting.observable, "what is not this member's own")),
            false => Ok(()),
        }
    }

    /// Drops receipts that later ones overtake. While the hub is away, a point that falls silent and speaks again makes
    /// two each time, for days; looked at whenever there are twice as many as must stay, it costs next to nothing.
    pub(super) fn thin(&mut self) {
        let waiting = self.state.outbox.receipts.len();
        self.sending.receipts_kept = self.sending.receipts_kept.min(waiting);
        if waiting < RECEIPTS_WHOLE_MAX.max(2 * self.sending.receipts_kept) {
            return;
        }
        let overtaken = self.state.outbox.overtaken();
        self.sending.receipts_kept = waiting - overtaken.len();
        if !overtaken.is_empty() {
            self.counts.receipts_overtaken += overtaken.len() as u64;
            self.persist(Record::Overtaken(overtaken));
        }
    }

    /// Seals the next submission when its time has come.
    pub(super) fn seal(&mut self) {
        if self.seals_at().is_none_or(|at| at > self.now) {
            return;
        }
        let sealed = self.state.outbox.next_sealed(&self.settings.member, &self.key, self.now);
        let Some(sealed) = sealed else { return };
        self.sending.sealed_at = Some(self.now);
        self.persist(Record::Sealed(Box::new(sealed)));
        self.send();
    }

    /// When the next submission is sealed; none while one is under way or nothing waits.
    pub(super) fn seals_at(&self) -> Option<Timestamp> {
        let outbox = &self.state.outbox;
        let waiting = outbox.sightings.len() + outbox.receipts.len() + outbox.taken_back.len();
        if outbox.sealed.is_some() || !self.sending.agreed || waiting == 0 || !self.own_key_counts() {
            return None;
        }
        match self.sending.sealed_at {
            Some(at) if waiting < SEAL_AT_ONCE => Some(at.plus(SEAL_EVERY).min(self.now.plus(SEAL_EVERY))),
            _ => Some(self.now),
        }
    }

    fn send(&mut self) {
        if let Some(submission) = self.state.outbox.sealed.clone() {
            self.out.push(Output::Send(submission));
        }
    }

    pub(super) fn on_acknowledged(&mut self, sequence: u64) {
        let sealed = self.state.outbox.sealed.as_ref().filter(|sealed| sealed.sequence() == sequence);
        let Some((sightings, receipts)) = sealed.map(lengths) else { return };
        self.counts.acknowledged(sightings, receipts);
        self.sending.acknowledged = true;
        self.persist(Record::Acknowledged(sequence));
    }

    /// The hub's count and ours are brought together. Numbers that somebody else used are not used again; what the hub
    /// has lost is numbered anew.
    pub(super) fn on_next_sequence(&mut self, expected: u64) {
        self.sending.agreed = true;
        let outbox = &self.state.outbox;
        let Some(next) = outbox.next else {
            return self.persist(Record::Sequence(expected));
        };
        let under_way = outbox.sealed.as_ref().map(Submission::sequence);
        let fits = expected == next || under_way == Some(expected);
        if !fits && std::mem::take(&mut self.sending.acknowledged) {
            // The answer may have been overtaken: a number that was used since then would be taken for a resend.
            return self.out.push(Output::FetchSequence);
        }
        if !fits {
            let text = format!(
                "The hub expects submission {expected} from this member, this agent is at {}. Either two agents \
                 use one key, or a state directory or the hub was restored from a backup. It goes on from {expected}.",
                under_way.unwrap_or(next)
            );
            self.alarm(AlarmKind::SequenceTaken, &text);
            if under_way.is_some() {
                self.persist(Record::Unsealed(BATCH_SIGHTINGS_MAX));
            }
            return self.persist(Record::Sequence(expected));
        }
        // After a start the one under way is sent again; the hub knows it if it has it.
        self.send();
    }

    /// Something else has this submission's number: another agent of this member, or this one before it was restored.
    pub(super) fn on_number_taken(&mut self, sequence: u64, next: u64) {
        if self.state.outbox.sealed.as_ref().is_none_or(|sealed| sealed.sequence() != sequence) {
            return;
        }
        self.counts.refusal(Rule::NumberReused);
        let text = format!(
            "The hub has something else as submission {sequence} of this member. Either two agents use one key, or a \
             state directory was restored from a backup. What waits is numbered anew from {next}."
        );
        self.alarm(AlarmKind::SequenceTaken, &text);
        self.persist(Record::Unsealed(BATCH_SIGHTINGS_MAX));
        self.persist(Record::Sequence(next));
    }

    /// What is under way was signed with a key that this agent has no more, or that counts no more: nothing is dropped.
    fn may_sign_anew(&self) -> bool {
        let other = self.state.outbox.sealed.as_ref().is_some_and(|sealed| sealed.key() != self.key.public().id());
        other || !self.own_key_counts()
    }

    /// The hub will never take this submission as it is. A batch is halved until the sighting at fault stands alone.
    pub(super) fn on_submission_refused(&mut self, sequence: u64, refusal: &Refusal) {
        let sealed = self.state.outbox.sealed.as_ref().filter(|sealed| sealed.sequence() == sequence);
        let Some((kind, count)) = sealed.map(|sealed| (sealed.kind(), sealed.len())) else { return };
        self.counts.refusal(refusal.rule);
        if matches!(refusal.rule, Rule::UnknownKey | Rule::KeyRevoked) && self.may_sign_anew() {
            return self.persist(Record::Unsealed(BATCH_SIGHTINGS_MAX));
        }
        if kind == "sightings" && count > 1 {
            return self.persist(Record::Unsealed(count / 2));
        }
        self.alarm(
            AlarmKind::SubmissionRefused,
            &format!("The hub refused {count} {kind}: {refusal}. They are dropped."),
        );
        self.persist(Record::Dropped(sequence));
    }
}

fn lengths(submission: &Submission) -> (usize, usize) {
    match submission {
        Submission::Sightings(_) => (submission.len(), 0),
        Submission::Receipts(_) => (0, submission.len()),
        Submission::Retraction(_) => (0, 0),
    }
}
