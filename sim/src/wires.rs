//! Between hub and agents: questions and answers, the stream, and the hub's turns.

use crate::fact::{Fact, Violation};
use crate::hub::{Outcome, Request};
use crate::run::{Event, REMEMBERED, Run};
use agent::core::{Input, Submission};
use alliance::Command;
use model::{MemberId, Rule, Span, Statement, StreamMessage};

/// When an unanswered question is asked again.
const AGAIN: Span = Span::seconds(10);
/// How many times in a thousand a hub that starts again dies in its first turn.
const DIES_AGAIN: u64 = 100;

impl Run {
    /// How long something is on its way.
    pub(crate) fn latency(&mut self) -> Span {
        let most = if self.faults && self.random.chance(50) { 20_000 } else { 300 };
        Span::millis(self.random.between(1, most))
    }

    /// Is this message lost?
    fn lost(&mut self) -> bool {
        let lost = self.faults && self.random.chance(30);
        self.tally.lost += u64::from(lost);
        lost
    }

    /// An agent asks the hub, again and again until it is answered.
    pub(crate) fn ask(&mut self, id: &MemberId, request: Request) {
        let ask = self.number();
        let Some(member) = self.members.get_mut(id) else { return };
        member.asked.insert(ask, request);
        let life = member.life;
        self.post(id, life, ask);
    }

    fn post(&mut self, id: &MemberId, life: u64, ask: u64) {
        let Some(request) = self.members.get(id).and_then(|member| member.asked.get(&ask)).cloned() else { return };
        let times = if self.lost() { 0 } else { 1 + u64::from(self.faults && self.random.chance(20)) };
        for _ in 0..times {
            let (latency, request) = (self.latency(), request.clone());
            self.after(latency, Event::ToHub { member: id.clone(), ask: Some(ask), life, request });
        }
        self.after(AGAIN, Event::Again { member: id.clone(), life, ask });
    }

    pub(crate) fn ask_again(&mut self, id: &MemberId, life: u64, ask: u64) -> Result<(), Violation> {
        let Some(member) = self.members.get_mut(id).filter(|member| member.life == life) else { return Ok(()) };
        // The core itself asks again for proofs.
        if matches!(member.asked.get(&ask), Some(Request::Consistency { .. } | Request::Proof(_))) {
            member.asked.remove(&ask);
        }
        self.post(id, life, ask);
        Ok(())
    }

    pub(crate) fn bring_to_hub(
        &mut self,
        id: &MemberId,
        ask: Option<u64>,
        life: u64,
        request: Request,
    ) -> Result<(), Violation> {
        let Some(state) = &self.hub.state else { return Ok(()) };
        self.tally.messages += 1;
        let input = match request {
            Request::Sequence => Some(Input::NextSequence(state.next_sequence(id))),
            Request::Charter(which) => self.charter_for(which),
            Request::Consistency { from, to } => {
                self.hub.consistency_for(id, from, to).map(|path| Input::Consistency { from, to, path })
            }
            Request::Proof(plan) => self.hub.proof_of(id, plan).map(Input::Proof),
            Request::Cosign(note) => {
                self.hear_witness(id, &note)?;
                None
            }
            Request::Subscribe { after } => return self.open_stream(id, ask, life, after),
            command => self.command(id, command)?,
        };
        if let (Some(input), Some(ask)) = (input, ask)
            && !self.lost()
        {
            let latency = self.latency();
            self.after(latency, Event::Answer { member: id.clone(), life, ask, input: Box::new(input) });
        }
        Ok(())
    }

    fn charter_for(&mut self, which: agent::core::WhichCharter) -> Option<Input> {
        let forged = self.forged_charter(which);
        let signed = forged.or_else(|| self.hub.charter(which).cloned())?;
        Some(Input::Charter { signed: Box::new(signed), lists: self.cast.lists.clone() })
    }

    /// A statement: verified, ordered, answered once it is durable.
    fn command(&mut self, id: &MemberId, request: Request) -> Result<Option<Input>, Violation> {
        let submitted = match &request {
            Request::Submit(submission) => Some(submission.sequence()),
            _ => None,
        };
        let outcome = match self.hub.admit(id, request, self.now) {
            Ok(command) => self.order(Some(command), false)?,
            Err(refusal) => Some(Outcome::Refused(refusal)),
        };
        if let Some(Outcome::Refused(refusal)) = &outcome {
            self.tally.refusal(refusal.rule);
            self.note(|| format!("the hub refuses {id}: {refusal}"));
        }
        let Some(sequence) = submitted else { return Ok(None) };
        match outcome {
            // The hub died on it.
            None => Ok(None),
            Some(Outcome::Accepted) => Ok(Some(Input::Acknowledged { sequence })),
            Some(Outcome::Refused(refusal)) => Ok(Some(Input::SubmissionRefused { sequence, refusal })),
        }
    }

    /// One turn of the hub, and those that follow from it. None if the hub died before it could answer.
    pub(crate) fn order(&mut self, command: Option<Command>, ticked: bool) -> Result<Option<Outcome>, Violation> {
        self.turn(command, ticked, if ticked { 10 } else { 4 })
    }

    /// Decided, applied, written, made durable, told; the hub dies on the way so many times in a thousand.
    fn turn(&mut self, command: Option<Command>, ticked: bool, dies: u64) -> Result<Option<Outcome>, Violation> {
        let turn = self.hub.turn(command, ticked, self.now);
        if self.faults && self.random.chance(dies) {
            let reached = self.reached();
            self.kill_hub(reached);
            return Ok(None);
        }
        let from = self.hub.journal.sync();
        let entries = self.hub.journal.since(from).to_vec();
        if !entries.is_empty() {
            self.note(|| kinds(&entries));
            self.show(&Fact::Durable { from, entries: &entries })?;
        }
        turn.held.iter().for_each(|rule| self.tally.refusal(*rule));
        if self.faults && self.random.chance(4) {
            self.kill_hub(0);
            return Ok(None);
        }
        self.publish(turn.messages)?;
        if turn.more {
            // Its answer is on the way already, whatever becomes of the hub now.
            self.turn(None, false, dies)?;
        }
        Ok(turn.outcome)
    }

    /// How many entries of a turn reach the disk before the hub dies: none, all, or some.
    fn reached(&mut self) -> usize {
        let all = self.hub.journal.unsynced();
        match self.random.below(3) {
            0 => 0,
            1 => all,
            _ => self.random.below(all as u64 + 1) as usize,
        }
    }

    fn publish(&mut self, messages: Vec<(u64, MemberId, StreamMessage)>) -> Result<(), Violation> {
        let told = !messages.is_empty();
        let parts = messages.iter().filter(|(_, _, message)| matches!(message, StreamMessage::Part(_)));
        let parts: Vec<(u64, MemberId)> = parts.map(|(position, member, _)| (*position, member.clone())).collect();
        let mut by_member: std::collections::BTreeMap<MemberId, Vec<(u64, StreamMessage)>> = Default::default();
        for (position, member, message) in messages {
            by_member.entry(member).or_default().push((position, message));
        }
        for (id, messages) in by_member {
            self.deliver(&id, messages)?;
        }
        if told && self.random.chance(300) {
            let wanted = self.random.chance(500);
            self.announce_growth(wanted)?;
        }
        self.ask_witnesses(&parts)
    }

    /// A checkpoint for everybody who listens.
    pub(crate) fn announce_checkpoint(&mut self, forged: Option<model::Digest>) -> Result<(), Violation> {
        let head = self.hub.journal.head();
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for id in ids {
            let shown = self.hub.checkpoint_for(&id).map(|signed| signed.to_string());
            let Some(note) = forged.and_then(|_| self.hub.checkpoint(forged)).or(shown) else { continue };
            let message = StreamMessage::Checkpoint(note);
            self.deliver(&id, vec![(head.saturating_sub(1), message)])?;
        }
        Ok(())
    }

    fn open_stream(&mut self, id: &MemberId, ask: Option<u64>, life: u64, after: Option<u64>) -> Result<(), Violation> {
        let stream = self.number();
        let Some(member) = self.members.get_mut(id).filter(|member| member.life == life) else { return Ok(()) };
        // A question that was doubled on the way opens one stream.
        if ask.is_none_or(|ask| member.asked.remove(&ask).is_none()) {
            return Ok(());
        }
        member.stream = Some(stream);
        member.stream_busy = self.now;
        let Some(state) = &self.hub.state else { return Ok(()) };
        let mut given = state.in_force_for(id, after);
        self.note(|| format!("{id} listens after {after:?}"));
        if let Some(signed) = self.hub.checkpoint_for(id) {
            let head = self.hub.journal.head().saturating_sub(1);
            given.push((head, StreamMessage::Checkpoint(signed.to_string())));
        }
        self.deliver(id, given)
    }

    /// Sends messages over a member's stream, in order, until it breaks.
    pub(crate) fn deliver(&mut self, id: &MemberId, messages: Vec<(u64, StreamMessage)>) -> Result<(), Violation> {
        let next: Vec<Option<u64>> =
            messages.iter().skip(1).map(|(position, _)| Some(*position)).chain([None]).collect();
        for ((position, message), next) in messages.into_iter().zip(next) {
            // Only the last message of a position moves the reader's place to it.
            let event = if next == Some(position) { position.saturating_sub(1) } else { position };
            if let StreamMessage::Part(part) = &message
                && self.cast.hostile_hub
            {
                self.remembered.push_back((**part).clone());
                if self.remembered.len() > REMEMBERED {
                    self.remembered.pop_front();
                }
            }
            let text = serde_json::to_string(&message).unwrap_or_default();
            self.deliver_text(id, event, text)?;
        }
        Ok(())
    }

    /// Sends one message as text.
    pub(crate) fn deliver_text(&mut self, id: &MemberId, event: u64, text: String) -> Result<(), Violation> {
        let Some((life, Some(stream))) = self.members.get(id).map(|member| (member.life, member.stream)) else {
            return Ok(());
        };
        self.show(&Fact::Wire { from: None, to: Some(id), text: &text })?;
        if self.faults && self.random.chance(10) {
            self.tally.lost += 1;
            if !self.disorder {
                self.cut(id);
            }
            return Ok(());
        }
        let times = 1 + u64::from(self.faults && self.random.chance(20));
        for _ in 0..times {
            let mut at = self.now.plus(self.latency());
            if let Some(member) = self.members.get_mut(id).filter(|_| !self.disorder) {
                at = at.max(member.stream_busy);
                member.stream_busy = at;
            }
            let message = Event::Stream { member: id.clone(), life, stream, id: event, text: text.clone() };
            self.at(at, message);
        }
        Ok(())
    }

    /// A member's stream breaks; its agent notices, and opens it again.
    pub(crate) fn cut(&mut self, id: &MemberId) {
        let wait = Span::millis(self.random.between(500, 60_000));
        let Some(member) = self.members.get_mut(id) else { return };
        member.stream = None;
        member.asked.retain(|_, request| !matches!(request, Request::Subscribe { .. }));
        let life = member.life;
        self.note(|| format!("the stream of {id} breaks"));
        self.after(wait, Event::Connect { member: id.clone(), life });
    }

    pub(crate) fn streamed(
        &mut self,
        id: &MemberId,
        life: u64,
        stream: u64,
        event: u64,
        text: &str,
    ) -> Result<(), Violation> {
        let disorder = self.disorder && self.faults;
        let here = |member: &&crate::member::Member| member.life == life && (member.stream == Some(stream) || disorder);
        if self.members.get(id).filter(here).is_none() {
            return Ok(());
        }
        self.tally.messages += 1;
        match serde_json::from_str::<StreamMessage>(text) {
            Ok(message) => self.give(id, Input::Message { position: event, message: Box::new(message) }),
            Err(error) => {
                let rule = refused_by(&error.to_string());
                self.tally.refusal(rule);
                self.note(|| format!("{id} cannot read a message: {error}"));
                Ok(())
            }
        }
    }

    pub(crate) fn hub_tick(&mut self) -> Result<(), Violation> {
        let every = if self.faults { Span::minutes(5) } else { Span::minutes(1) };
        self.after(every, Event::HubTick);
        if self.hub.state.is_some() {
            self.order(None, true)?;
            self.remind_witnesses()?;
        }
        Ok(())
    }

    /// The hub starts from its disk, and at once does what it could not end, as the sequencer does: its first turn is a
    /// tick. Now and then it dies of that again.
    pub(crate) fn start_hub(&mut self) -> Result<(), Violation> {
        if self.hub.state.is_some() || self.gone {
            return Ok(());
        }
        self.hub.start().map_err(|refusal| self.broken(refusal))?;
        self.note(|| "the hub starts".to_owned());
        let entries = self.hub.journal.entries().to_vec();
        self.show(&Fact::ReadBack { entries: &entries })?;
        let crashes = self.tally.hub_crashes;
        self.turn(None, true, DIES_AGAIN)?;
        self.tally.hub_crashes_again += self.tally.hub_crashes - crashes;
        Ok(())
    }

    /// The hub dies when this many entries of its turn had reached the disk, and starts again after a while.
    pub(crate) fn kill_hub(&mut self, reached: usize) {
        let (written, before) = (self.hub.journal.unsynced(), self.hub.journal.head());
        self.hub.crash(reached);
        let left = self.hub.journal.head() - before;
        self.tally.hub_crashes += 1;
        self.tally.half_turns += u64::from(left > 0 && left < written as u64);
        self.note(|| format!("the hub dies, {left} of the {written} entries of its turn are there"));
        let wait = Span::millis(self.random.between(2_000, 900_000));
        self.after(wait, Event::HubStart);
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        ids.iter().for_each(|id| self.cut(id));
    }
}

/// The rule that refused a message while it was read.
fn refused_by(error: &str) -> Rule {
    let named = error.strip_prefix("refused by ").and_then(|rest| rest.split_once(':'));
    named.and_then(|(rule, _)| rule.parse().ok()).unwrap_or(Rule::Malformed)
}

/// The digest of what was signed.
pub(crate) fn content(submission: &Submission) -> model::Digest {
    match submission {
        Submission::Sightings(batch) => batch.header.digest(),
        Submission::Receipts(signed) => signed.receipts.digest(),
        Submission::Retraction(signed) => signed.retraction.digest(),
    }
}

/// The kinds of entries, for the trace.
fn kinds(entries: &[Vec<u8>]) -> String {
    let kind = |bytes: &Vec<u8>| alliance::Entry::from_bytes(bytes).map_or("?", |entry| entry.event.kind());
    format!("journal: {}", entries.iter().map(kind).collect::<Vec<_>>().join(", "))
}
