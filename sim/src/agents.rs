//! The agents of a run: inputs into their cores, outputs onto disk, wire and enforcement points, and their deaths.

use crate::fact::{Fact, Violation};
use crate::hub::Request;
use crate::member::through_json;
use crate::point::Ailment;
use crate::run::{Event, Run};
use crate::wires::content;
use act::Protection;
use agent::core::{Input, Order, Output, Record, Submission};
use model::{MemberId, PointName, Rule, Span};

/// How many times in two thousand an agent that starts again dies of what it does first.
const DIES_AGAIN: u64 = 100;

impl Run {
    /// Gives an input to an agent and carries out what it says; it may die at any step of that.
    pub(crate) fn give(&mut self, id: &MemberId, input: Input) -> Result<(), Violation> {
        let Some(member) = self.members.get_mut(id) else { return Ok(()) };
        let clock = member.clock(self.now);
        let Some(core) = &mut member.core else { return Ok(()) };
        let again = matches!(input, Input::Restarted);
        let outputs = core.handle(input, clock);
        let often = if again { DIES_AGAIN } else { 1 };
        let dies = self.faults && self.random.chance(often) && self.random.chance(500);
        // Everything that must not be forgotten is durable, as one frame of the agent's file, before anything else is
        // done.
        let (records, others): (Vec<Output>, Vec<Output>) =
            outputs.into_iter().partition(|output| matches!(output, Output::Persist(_)));
        if dies && self.random.chance(200) {
            return self.kill_member(id);
        }
        for record in records {
            self.carry_out(id, record)?;
        }
        let mut left = if dies { self.random.below(others.len() as u64 + 1) } else { u64::MAX };
        for output in others {
            if left == 0 {
                return self.kill_member(id);
            }
            left -= 1;
            self.carry_out(id, output)?;
        }
        match left {
            0 => self.kill_member(id),
            _ => self.set_alarm_clock(id),
        }
    }

    fn carry_out(&mut self, id: &MemberId, output: Output) -> Result<(), Violation> {
        match output {
            Output::Persist(record) => return self.persist(id, record),
            Output::Point { point, order, protections } => self.order_point(id, point, order, protections),
            Output::Send(submission) => return self.send(id, submission),
            Output::FetchCharter(which) => self.ask(id, Request::Charter(which)),
            Output::FetchConsistency { from, to } => self.ask(id, Request::Consistency { from, to }),
            Output::FetchProof { plan } => self.fetch_proof(id, plan),
            Output::Cosign(note) => self.cosigned(id, note),
            Output::WitnessAnswer(_) => {}
            Output::FetchSequence => self.ask(id, Request::Sequence),
            Output::Reconnect { .. } => self.cut(id),
            Output::Alarm(alarm) => self.note(|| format!("alarm at {id}: {}: {}", alarm.kind, alarm.text)),
            Output::Done(text) => self.note(|| format!("done at {id}: {text}")),
            Output::Refused(refusal) => {
                self.tally.refusal(refusal.rule);
                self.note(|| format!("{id} refuses: {refusal}"));
            }
        }
        Ok(())
    }

    fn persist(&mut self, id: &MemberId, record: Record) -> Result<(), Violation> {
        match &record {
            Record::Held(held) => {
                let known = self.members.get(id).is_some_and(|member| member.disk.held.contains_key(&held.id()));
                if !known {
                    self.tally.held += 1;
                    self.note(|| {
                        format!(
                            "{id} holds {} ({} until {})",
                            held.id(),
                            held.mitigation.measure,
                            held.mitigation.expires
                        )
                    });
                    self.show(&Fact::Held { member: id, mitigation: &held.mitigation })?;
                }
            }
            Record::Charter(signed) => {
                self.note(|| format!("{id} adopts charter {}", signed.digest()));
                self.show(&Fact::Adopted { member: id, digest: signed.digest() })?;
            }
            Record::KeyChanged(signed) => {
                let change = &signed.change;
                self.note(|| format!("{id} takes {} of {} {}", change.act, change.member, change.key.id()));
                self.tally.keys += 1;
                self.show(&Fact::KeyTaken { member: id, change })?;
            }
            Record::Checkpoint(seen) => {
                let own = self.hub.is_true(seen.size, seen.root);
                self.show(&Fact::Followed { member: id, size: seen.size, own })?;
            }
            Record::Receipt(receipt) => {
                *self.tally.receipts.entry(receipt.state).or_default() += 1;
                if let Some(refusal) = &receipt.refusal {
                    self.tally.refusal(refusal.rule);
                }
                self.note(|| {
                    let why = receipt.refusal.as_ref().map_or_else(|| receipt.evidence.clone(), ToString::to_string);
                    format!("{id}: {} is {}: {why}", receipt.mitigation, receipt.state)
                });
            }
            _ => {}
        }
        let record = through_json(&record).map_err(|refusal| self.broken(refusal))?;
        if let Some(member) = self.members.get_mut(id) {
            member.disk.apply(record);
        }
        Ok(())
    }

    fn send(&mut self, id: &MemberId, submission: Submission) -> Result<(), Violation> {
        let text = match &submission {
            Submission::Sightings(batch) => serde_json::to_string(batch),
            Submission::Receipts(signed) => serde_json::to_string(signed),
            Submission::Retraction(signed) => serde_json::to_string(signed),
        };
        let text = text.unwrap_or_default();
        self.show(&Fact::Wire { from: Some(id), to: None, text: &text })?;
        if let Submission::Sightings(batch) = &submission {
            for sighting in batch.openings.iter().filter_map(|opening| opening.parse().ok()) {
                self.show(&Fact::Sealed { member: id, key: batch.header.key, sighting: &sighting })?;
            }
        }
        if let Some(member) = self.members.get_mut(id) {
            member.asked.retain(|_, request| !matches!(request, Request::Submit(_)));
        }
        self.ask(id, Request::Submit(Box::new(submission)));
        Ok(())
    }

    /// An answer counts once, and only for a question of this life that is still open.
    pub(crate) fn answered(&mut self, id: &MemberId, life: u64, ask: u64, input: Input) -> Result<(), Violation> {
        let here = self.members.get_mut(id).filter(|member| member.life == life);
        let Some(asked) = here.and_then(|member| member.asked.remove(&ask)) else { return Ok(()) };
        self.tally.messages += 1;
        if let (Request::Submit(submission), Input::Acknowledged { sequence }) = (&asked, &input) {
            let content = content(submission);
            self.show(&Fact::Acknowledged { member: id, sequence: *sequence, content })?;
        }
        match input {
            // It is not what is in it that is wrong, but its number.
            Input::SubmissionRefused { refusal, .. } if refusal.rule == Rule::OutOfSequence => {
                self.ask(id, Request::Sequence);
                Ok(())
            }
            Input::SubmissionRefused { sequence, refusal } if refusal.rule == Rule::NumberReused => {
                let next = refusal.limit.parse().unwrap_or(sequence + 1);
                self.give(id, Input::NumberTaken { sequence, next })
            }
            input => self.give(id, input),
        }
    }

    fn order_point(&mut self, id: &MemberId, point: PointName, order: Order, protections: Vec<Protection>) {
        let takes = Span::millis(self.random.between(1, 400));
        let now = self.now;
        let Some(member) = self.members.get_mut(id) else { return };
        let busy = member.point_busy.entry(point.clone()).or_insert(now);
        *busy = (*busy).max(now).plus(takes);
        let (at, life) = (*busy, member.life);
        self.at(at, Event::Work { member: id.clone(), life, point, order, protections });
    }

    pub(crate) fn work(
        &mut self,
        id: &MemberId,
        life: u64,
        name: &PointName,
        order: Order,
        protections: &[Protection],
    ) -> Result<(), Violation> {
        let Some(member) = self.members.get_mut(id) else { return Ok(()) };
        // The agent died meanwhile: what was under way may be carried out all the same, and nobody hears of it.
        let alive = member.life == life && member.core.is_some();
        if !alive && self.random.chance(500) {
            return Ok(());
        }
        let Some(point) = member.points.get_mut(name) else { return Ok(()) };
        let (input, changes) = point.carry_out(order, protections);
        for change in changes {
            self.changed(id, name, change)?;
        }
        if alive {
            let latency = Span::millis(self.random.between(1, 50));
            self.after(latency, Event::Done { member: id.clone(), life, input: Box::new(input) });
        }
        Ok(())
    }

    pub(crate) fn done(&mut self, id: &MemberId, life: u64, input: Input) -> Result<(), Violation> {
        match self.members.get(id).is_some_and(|member| member.life == life) {
            true => self.give(id, input),
            false => Ok(()),
        }
    }

    /// Opens the stream, once there is a charter to judge by.
    pub(crate) fn connect(&mut self, id: &MemberId, life: u64) -> Result<(), Violation> {
        let here = self.members.get(id).filter(|member| member.life == life && member.stream.is_none());
        let Some((member, core)) = here.and_then(|member| Some((member, member.core.as_ref()?))) else {
            return Ok(());
        };
        let subscribing = member.asked.values().any(|request| matches!(request, Request::Subscribe { .. }));
        match core.is_ready() {
            true if subscribing => {}
            true => {
                let after = if self.calm_after_disorder() { None } else { core.state().position };
                self.ask(id, Request::Subscribe { after });
            }
            false => self.after(Span::seconds(5), Event::Connect { member: id.clone(), life }),
        }
        Ok(())
    }

    /// What was lost in silence is asked for anew.
    fn calm_after_disorder(&self) -> bool {
        self.disorder && !self.faults
    }

    pub(crate) fn wake(&mut self, id: &MemberId, life: u64) -> Result<(), Violation> {
        let due = self.members.get_mut(id).filter(|member| member.life == life && member.wakes == Some(self.now));
        match due {
            Some(member) => {
                member.wakes = None;
                self.give(id, Input::Tick)
            }
            None => Ok(()),
        }
    }

    fn set_alarm_clock(&mut self, id: &MemberId) -> Result<(), Violation> {
        let soonest = self.now.plus(Span::millis(1));
        let Some(member) = self.members.get_mut(id) else { return Ok(()) };
        let Some(at) = member.core.as_ref().and_then(agent::core::Core::wakes_at) else { return Ok(()) };
        let at = member.when(at).max(soonest);
        if member.wakes.is_none_or(|earlier| at < earlier) {
            member.wakes = Some(at);
            let life = member.life;
            self.at(at, Event::Wake { member: id.clone(), life });
        }
        Ok(())
    }

    pub(crate) fn start_member(&mut self, id: &MemberId) -> Result<(), Violation> {
        let Some(member) = self.members.get_mut(id).filter(|member| member.core.is_none()) else { return Ok(()) };
        let started = member.start(&self.cast);
        let life = member.life;
        started.map_err(|refusal| self.broken(refusal))?;
        self.note(|| format!("the agent of {id} starts"));
        self.show(&Fact::Able { member: id, point: None })?;
        self.give(id, Input::Restarted)?;
        self.after(Span::millis(500), Event::Connect { member: id.clone(), life });
        Ok(())
    }

    /// An agent's process dies, and starts again after a while.
    pub(crate) fn kill_member(&mut self, id: &MemberId) -> Result<(), Violation> {
        let Some(member) = self.members.get_mut(id).filter(|member| member.core.is_some()) else { return Ok(()) };
        member.die();
        self.tally.agent_crashes += 1;
        self.note(|| format!("the agent of {id} dies"));
        let wait = Span::millis(self.random.between(5_000, 1_200_000));
        self.after(wait, Event::Start(id.clone()));
        self.show(&Fact::Unable { member: id, point: None })
    }

    /// Something breaks.
    pub(crate) fn fault(&mut self) -> Result<(), Violation> {
        let wait = Span::millis(self.random.between(60_000, 900_000));
        self.after(wait, Event::Fault);
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        let Some(id) = self.random.pick(&ids).cloned() else { return Ok(()) };
        match self.random.below(8) {
            0 if self.hub.state.is_some() => {
                self.kill_hub(0);
                Ok(())
            }
            1 => self.kill_member(&id),
            2 => {
                self.cut(&id);
                Ok(())
            }
            3 => self.sicken(&id),
            4 => self.lose_rules(&id),
            5 => {
                if let Some(member) = self.members.get_mut(&id) {
                    member.set_clock(&mut self.random);
                }
                Ok(())
            }
            6 if self.hub.state.is_some() => {
                self.hub.make_snapshot();
                Ok(())
            }
            _ => self.announce_checkpoint(None),
        }
    }

    fn a_point(&mut self, id: &MemberId) -> Option<PointName> {
        let names: Vec<PointName> = self.members.get(id)?.points.keys().cloned().collect();
        self.random.pick(&names).cloned()
    }

    fn sicken(&mut self, id: &MemberId) -> Result<(), Violation> {
        let Some(name) = self.a_point(id) else { return Ok(()) };
        let ailments = [Ailment::Stuck, Ailment::Silent, Ailment::Halfway];
        let ailment = self.random.pick(&ailments).copied();
        if let Some(point) = self.members.get_mut(id).and_then(|member| member.points.get_mut(&name)) {
            point.ailment = ailment;
        }
        self.note(|| format!("point {name} of {id} is out of order: {ailment:?}"));
        let wait = Span::millis(self.random.between(10_000, 1_800_000));
        self.after(wait, Event::Well { member: id.clone(), point: name.clone() });
        self.show(&Fact::Unable { member: id, point: Some(&name) })
    }

    fn lose_rules(&mut self, id: &MemberId) -> Result<(), Violation> {
        let Some(name) = self.a_point(id) else { return Ok(()) };
        let nth = if self.random.chance(200) { None } else { Some(self.random.below(8) as usize) };
        let point = self.members.get_mut(id).and_then(|member| member.points.get_mut(&name));
        let changes = point.map(|point| point.lose(nth)).unwrap_or_default();
        self.note(|| format!("somebody deletes {} rules at point {name} of {id}", changes.len()));
        changes.into_iter().try_for_each(|change| self.changed(id, &name, change))
    }

    pub(crate) fn heal(&mut self, id: &MemberId, name: &PointName) -> Result<(), Violation> {
        let Some(point) = self.members.get_mut(id).and_then(|member| member.points.get_mut(name)) else {
            return Ok(());
        };
        if point.ailment.take().is_none() {
            return Ok(());
        }
        self.note(|| format!("point {name} of {id} works again"));
        self.show(&Fact::Able { member: id, point: Some(name) })
    }

    pub(crate) fn heal_points(&mut self, id: &MemberId) -> Result<(), Violation> {
        let names: Vec<PointName> =
            self.members.get(id).map(|member| member.points.keys().cloned().collect()).unwrap_or_default();
        names.iter().try_for_each(|name| self.heal(id, name))
    }
}
