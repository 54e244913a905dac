//! Which charter is in force, and whether the hub shows one history to everybody.
//!
//! A charter is adopted only if it is the pinned one or follows, version by version, from the one in force. A
//! checkpoint
//! is accepted only with a proof that it continues the last one. Where no proof comes, nothing new is accepted until a
//! person of the member has looked.

use super::state::{Forked, Seen};
use super::{AlarmKind, Core, Law, Output, Record, WhichCharter};
use account::SignedCheckpoint;
use charter::{Charter, SignedCharter};
use model::{Digest, MemberId, Refusal, Rule, StreamMessage, Timestamp, merkle};
use std::collections::{BTreeMap, VecDeque};

/// Most messages that wait for a charter; beyond it the stream is opened again later.
const DEFERRED_MAX: usize = 256;
/// How long messages wait for an announced charter before they are judged by the one in force.
const CHARTER_WAIT: model::Span = model::Span::seconds(30);
/// How often an unanswered question to the hub is asked again.
pub(super) const ASK_AGAIN: model::Span = model::Span::seconds(10);
/// Most versions that are walked back to the pinned charter.
const WALK_MAX: usize = 1_000;

/// What the hub still has to show.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// A charter was announced; messages wait until it came, at most until then.
    awaited: Option<(u64, Timestamp)>,
    deferred: VecDeque<(u64, StreamMessage)>,
    /// Charters between the pinned one and the one in force, newest first, while walking back at the first start.
    walked: Vec<(SignedCharter, Vec<Vec<u8>>)>,
    /// A checkpoint waits for its proof.
    unproven: Option<Unproven>,
    /// Checkpoints that other members were shown wait for theirs.
    pub(super) peers: BTreeMap<MemberId, Unproven>,
    /// Since when the hub is away: it owes nothing meanwhile, and gives nothing that could be acted upon.
    away: Option<Timestamp>,
}

impl Doubts {
    /// Nothing waits for longer than from now on: the clock was set back.
    pub(super) fn not_after(&mut self, now: Timestamp) {
        for unproven in self.unproven.iter_mut().chain(self.peers.values_mut()) {
            (unproven.since, unproven.again) = (unproven.since.min(now), unproven.again.min(now));
        }
        self.away = self.away.map(|away| away.min(now));
        if let Some((_, until)) = &mut self.awaited {
            *until = (*until).min(now);
        }
    }
}

/// A checkpoint for which the hub still owes a proof.
#[derive(Clone, Debug)]
pub(super) struct Unproven {
    pub(super) shown: Seen,
    pub(super) since: Timestamp,
    pub(super) again: Timestamp,
}

impl Core {
    /// The message, unless it must wait for a charter that was announced. Withdrawals never wait.
    pub(super) fn defer(&mut self, position: u64, message: StreamMessage) -> Option<StreamMessage> {
        if self.doubts.awaited.is_none() || matches!(message, StreamMessage::Charter { .. }) {
            return Some(message);
        }
        if let StreamMessage::Withdraw(withdrawals) = &message {
            self.on_withdrawals(withdrawals);
        }
        if let StreamMessage::Withdrawn(ids) = &message {
            self.on_withdrawn_before(ids);
        }
        match self.doubts.deferred.len() < DEFERRED_MAX {
            true => self.doubts.deferred.push_back((position, message)),
            false => {
                self.doubts.deferred.clear();
                self.reconnect();
            }
        }
        None
    }

    /// Does anything wait for a charter?
    pub(super) fn is_deferring(&self) -> bool {
        !self.doubts.deferred.is_empty()
    }

    /// Judges what waited, in order.
    fn release(&mut self) {
        self.doubts.awaited = None;
        for (position, message) in std::mem::take(&mut self.doubts.deferred) {
            self.take_in(position, message);
        }
    }

    pub(super) fn doubts_at(&self) -> Option<Timestamp> {
        let awaited = self.doubts.awaited.map(|(_, until)| until);
        let unproven = self.doubts.unproven.iter().chain(self.doubts.peers.values()).map(|unproven| unproven.again);
        awaited.into_iter().chain(unproven).min()
    }

    /// Asks again for what did not come, and stops waiting when it is too long.
    pub(super) fn press(&mut self) {
        if self.doubts.awaited.is_some_and(|(_, until)| until <= self.now) {
            self.alarm(
                AlarmKind::CharterRefused,
                "The hub announced a charter and did not show it; the one in force goes on.",
            );
            self.release();
        }
        let owed = self.doubts.unproven.iter().map(|unproven| (None, unproven));
        let of_peers = self.doubts.peers.iter().map(|(peer, unproven)| (Some(peer.clone()), unproven));
        let due = owed.chain(of_peers).filter(|(_, unproven)| unproven.again <= self.now);
        let due: Vec<(Option<MemberId>, Unproven)> = due.map(|(by, unproven)| (by, unproven.clone())).collect();
        due.into_iter().for_each(|(by, unproven)| self.press_for(by, unproven));
    }

    pub(super) fn hub_is_away(&mut self) {
        self.doubts.away.get_or_insert(self.now);
    }

    /// It speaks again: it owes its proofs as long as it did before.
    pub(super) fn hub_is_there(&mut self) {
        let Some(away) = self.doubts.away.take() else { return };
        for unproven in self.doubts.unproven.iter_mut().chain(self.doubts.peers.values_mut()) {
            unproven.since = unproven.since.plus(self.now.since(away.max(unproven.since)));
            unproven.again = self.now;
        }
    }

    /// A proof has not come: it is asked for again, or it is too late.
    fn press_for(&mut self, by: Option<MemberId>, unproven: Unproven) {
        let is_there = self.doubts.away.is_none();
        if is_there && self.now.since(unproven.since) >= self.settings.history_grace {
            let fault = format!("no proof came within {}", self.settings.history_grace);
            return self.fork(unproven.shown, fault, by.as_ref());
        }
        let again = self.now.plus(ASK_AGAIN);
        let owed = match &by {
            None => self.doubts.unproven.as_mut(),
            Some(peer) => self.doubts.peers.get_mut(peer),
        };
        owed.into_iter().for_each(|owed| owed.again = again);
        if is_there {
            self.ask_consistency(&unproven.shown);
        }
    }

    pub(super) fn on_charter_announced(&mut self, version: u64) {
        let in_force = self.charter().map_or(0, |charter| charter.alliance.version);
        if version > in_force && self.doubts.awaited.is_none_or(|(awaited, _)| awaited < version) {
            self.doubts.awaited = Some((version, self.now.plus(CHARTER_WAIT)));
            self.out.push(Output::FetchCharter(WhichCharter::Version(in_force + 1)));
        }
    }

    pub(super) fn on_charter(&mut self, signed: SignedCharter, lists: &[Vec<u8>]) {
        let adopted = match &self.law {
            None => self.adopt_first(signed, lists),
            Some(law) if law.digest == signed.digest() => self.take_lists(&signed, lists),
            Some(law) => {
                let digest = law.digest;
                self.follow_charter(signed, lists, digest)
            }
        };
        if let Err(refusal) = adopted {
            self.counts.refusal(refusal.rule);
            let text = format!("The charter that the hub offers is not adopted: {refusal}. The one in force goes on.");
            self.alarm(AlarmKind::CharterRefused, &text);
            self.release();
        }
    }

    /// The next charter, its consents checked by the keys that count now: those that changed come with it.
    fn follow_charter(&mut self, signed: SignedCharter, lists: &[Vec<u8>], before: Digest) -> Result<(), Refusal> {
        self.on_keys(&signed.keys);
        let Some(law) = &self.law else { return Ok(()) };
        signed.verify_next(&law.charter, before, self.now)?;
        self.adopt(signed, lists)
    }

    fn take_lists(&mut self, signed: &SignedCharter, lists: &[Vec<u8>]) -> Result<(), Refusal> {
        self.law = Some(Law::new(signed, Some(lists), &self.state.keys)?);
        Ok(())
    }

    /// Walks back from the charter in force to the pinned one, whose digest is what the member trusts.
    fn adopt_first(&mut self, signed: SignedCharter, lists: &[Vec<u8>]) -> Result<(), Refusal> {
        let charter = Charter::parse(&signed.text)?;
        let version = charter.alliance.version;
        if signed.digest() == self.settings.pin {
            if version == 1 {
                signed.verify_first(self.now)?;
            }
            self.adopt(signed, lists)?;
            while let Some((next, lists)) = self.doubts.walked.pop() {
                self.on_charter(next, &lists);
            }
            return Ok(());
        }
        let newer = self.doubts.walked.last().map(|(newer, _)| Charter::parse(&newer.text)).transpose()?;
        let follows = newer.is_none_or(|newer| newer.alliance.previous == Some(signed.digest()));
        if version == 1 || !follows || self.doubts.walked.len() >= WALK_MAX {
            self.doubts.walked.clear();
            let limit = format!("a charter that follows from the pinned {}", self.settings.pin);
            return Err(Refusal::new(Rule::CharterUnsigned, signed.digest(), limit));
        }
        self.doubts.walked.push((signed, lists.to_vec()));
        self.out.push(Output::FetchCharter(WhichCharter::Version(version - 1)));
        Ok(())
    }

    fn adopt(&mut self, signed: SignedCharter, lists: &[Vec<u8>]) -> Result<(), Refusal> {
        let law = Law::new(&signed, Some(lists), &self.state.keys.next())?;
        let version = law.charter.alliance.version;
        self.law = Some(law);
        self.persist(Record::Charter(Box::new(signed)));
        self.hold_to_charter();
        // What was made under this charter was refused as long as it was not here.
        self.ask_anew();
        match self.doubts.awaited {
            Some((awaited, until)) if awaited > version => {
                self.doubts.awaited = Some((awaited, until));
                self.out.push(Output::FetchCharter(WhichCharter::Version(version + 1)));
            }
            _ => self.release(),
        }
        Ok(())
    }

    pub(super) fn on_checkpoint(&mut self, note: &str) {
        let shown = match self.believed(note) {
            Ok(shown) => shown,
            Err(text) => {
                self.counts.refusal(Rule::BadSignature);
                return self.alarm(AlarmKind::CheckpointDoubtful, &format!("A checkpoint cannot be believed: {text}"));
            }
        };
        let same = self.root_at(shown.size).map(|root| root == shown.root);
        match (&self.state.checkpoint, same) {
            (None, _) => self.adopt_checkpoint(shown),
            (Some(held), Some(true)) if held.size == shown.size => self.adopt_checkpoint(held.clone()),
            (Some(_), Some(true)) => {}
            (Some(_), Some(false)) => self.fork(shown, "two roots for one size".to_owned(), None),
            (Some(_), None) => self.doubt(shown),
        }
    }

    /// A checkpoint that the hub's key signed, for this alliance's journal.
    pub(super) fn believed(&self, note: &str) -> Result<Seen, String> {
        let signed = SignedCheckpoint::parse(note.as_bytes()).map_err(|error| error.to_string())?;
        let checkpoint = signed.verify(&self.hub_key()?).map_err(|error| error.to_string())?;
        Ok(Seen { size: checkpoint.size, root: checkpoint.root, note: note.to_owned() })
    }

    /// Only the newest one is asked about: its proof covers those between.
    fn doubt(&mut self, shown: Seen) {
        let again = self.now.plus(ASK_AGAIN);
        match &mut self.doubts.unproven {
            // The grace goes on from the first: a stream of checkpoints does not postpone it.
            Some(unproven) if unproven.shown.size < shown.size => unproven.shown = shown,
            Some(_) => {}
            None => {
                self.ask_consistency(&shown);
                self.doubts.unproven = Some(Unproven { shown, since: self.now, again });
            }
        }
    }

    pub(super) fn ask_consistency(&mut self, shown: &Seen) {
        let Some(held) = &self.state.checkpoint else { return };
        let (from, to) = (held.size.min(shown.size), held.size.max(shown.size));
        self.out.push(Output::FetchConsistency { from, to });
    }

    pub(super) fn on_consistency(&mut self, from: u64, to: u64, path: &[Digest]) {
        let mut answered = false;
        if let Some(unproven) = self.doubts.unproven.clone() {
            match self.continues(&unproven.shown, from, to, path) {
                None => self.ask_anew_about(&unproven.shown, from, to),
                Some(Ok(newer)) => {
                    answered = true;
                    self.doubts.unproven = None;
                    self.remember_checkpoint(&unproven.shown);
                    self.adopt_checkpoint(newer);
                }
                Some(Err(fault)) => return self.fork(unproven.shown, fault, None),
            }
        }
        for (peer, unproven) in self.doubts.peers.clone() {
            match self.continues(&unproven.shown, from, to, path) {
                None if answered => {}
                None => self.ask_anew_about(&unproven.shown, from, to),
                Some(Ok(newer)) => {
                    self.doubts.peers.remove(&peer);
                    self.remember_checkpoint(&unproven.shown);
                    self.adopt_checkpoint(newer);
                }
                Some(Err(fault)) => return self.fork(unproven.shown, fault, Some(&peer)),
            }
        }
    }

    /// Does the path show that this checkpoint and ours continue each other? `None` if it is between other sizes; else
    /// the newer of the two. Ours is the last one, or any that is not smaller than the one shown: that one is then a
    /// beginning of our history.
    fn continues(&self, shown: &Seen, from: u64, to: u64, path: &[Digest]) -> Option<Result<Seen, String>> {
        let held = self.state.checkpoint.as_ref()?;
        let ours = if shown.size == from { to } else { from };
        let fits = (shown.size == from || shown.size == to) && (ours == held.size || ours >= shown.size);
        let root = self.root_at(ours).filter(|_| fits)?;
        let verified = match shown.size == from {
            true => merkle::verify_consistency(from, shown.root, to, root, path),
            false => merkle::verify_consistency(from, root, to, shown.root, path),
        };
        let newer = if shown.size > held.size { shown } else { held };
        Some(verified.map(|()| newer.clone()).map_err(|fault| fault.to_string()))
    }

    /// A newer one came meanwhile: the answer is about another pair, and the right one is asked for at its time.
    fn ask_anew_about(&mut self, shown: &Seen, from: u64, to: u64) {
        let stale = self.state.checkpoint.as_ref().is_some_and(|held| {
            let asked = (held.size.min(shown.size), held.size.max(shown.size));
            asked != (from, to)
        });
        if stale {
            self.ask_consistency(shown);
        }
    }

    pub(super) fn fork(&mut self, shown: Seen, fault: String, by: Option<&MemberId>) {
        self.doubts.unproven = None;
        if let Some(peer) = by {
            self.doubts.peers.remove(peer);
        }
        let Some(held) = self.state.checkpoint.clone() else { return };
        if self.state.forked.is_some() {
            return;
        }
        let text = format!(
            "The hub shows {}a journal of {} entries that does not continue the {} seen before ({fault}). What is in \
             force stays until it expires; nothing new is accepted. Show both checkpoints to other members, then: \
             epimachia agent history show",
            by.map(|peer| format!("{peer} ")).unwrap_or_default(),
            shown.size,
            held.size
        );
        self.counts.refusal(Rule::HistoryForked);
        let by = by.cloned();
        self.persist(Record::Forked(Some(Forked { since: self.now, held, shown, fault, by })));
        self.alarm(AlarmKind::HistoryForked, &text);
    }

    pub(super) fn on_history_accepted(&mut self) {
        let Some(forked) = self.state.forked.clone() else {
            return self.done("the history is not in doubt".to_owned());
        };
        let (size, root) = (forked.shown.size, forked.shown.root);
        self.fall_silent();
        self.doubts.peers.clear();
        self.persist(Record::Checkpoint(forked.shown));
        self.persist(Record::Forked(None));
        self.ask_anew();
        self.done(format!("the journal of {size} entries with root {root} is followed from now on"));
    }
}
