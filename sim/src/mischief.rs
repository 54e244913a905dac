//! What hostile members and a hostile hub do, each with the keys that it has and no others.

use crate::deeds::{BAD, GUARDED};
use crate::fact::{Fact, Violation};
use crate::hub::Request;
use crate::run::Run;
use agent::core::{Submission, WhichCharter};
use charter::SignedCharter;
use decide::testing::hostile::{Kind, hostile};
use model::{
    Approval, Batch, Digest, Grade, Handling, MemberId, MitigationState, Observable, Opening, PersonId, Receipt,
    Receipts, Salt, Sighting, SignedApproval, SignedReceipts, SigningKey, Span, StreamMessage, Tlp, Verdict,
    Withdrawal,
};
use serde_json::Value;
use std::collections::BTreeSet;

impl Run {
    pub(crate) fn hostile_member(&mut self) -> Result<(), Violation> {
        let hostile: Vec<MemberId> = self.cast.hostile.iter().cloned().collect();
        let Some(id) = self.random.pick(&hostile).cloned() else { return Ok(()) };
        self.tally.mischief += 1;
        match self.random.below(9) {
            8 => self.lie(&id, &BAD, true),
            0 => self.lie(&id, &GUARDED, true),
            1 => self.lie(&id, &["8.8.4.4", "bbc.com", "151.101.0.81"], true),
            2 => self.lie(&id, &["8.8.4.4", "bbc.com", "151.101.0.81"], false),
            3 => self.forge(&id),
            4 => self.leak(&id),
            5 => self.false_receipts(&id),
            6 => self.false_approval(&id),
            _ => self.replay(&id),
        }
        Ok(())
    }

    /// Signed lies; where there are two liars they collude.
    fn lie(&mut self, _id: &MemberId, about: &[&str], own_number: bool) {
        let liars: Vec<MemberId> = self.cast.hostile.iter().cloned().collect();
        let Some(observable) = self.random.pick(about).and_then(|text| text.parse::<Observable>().ok()) else { return };
        for liar in liars {
            let now = self.now;
            let sighting = Sighting { grade: Grade::Payload, ..self.sighting(observable.clone(), now) };
            let next = self.next_number(&liar);
            let sequence = if own_number { next } else { next.saturating_add(3) };
            self.submit(&liar, &liar, &sighting, sequence);
        }
    }

    fn next_number(&self, id: &MemberId) -> u64 {
        self.hub.state.as_ref().map_or(1, |state| state.next_sequence(id))
    }

    /// A batch by `author`, signed with the key of `id`.
    fn submit(&mut self, id: &MemberId, author: &MemberId, sighting: &Sighting, sequence: u64) {
        let key = self.cast.world.agent_key(id.as_str());
        let opening = Opening::seal(Salt(self.random.bytes16()), sighting);
        let batch = Batch::seal(author.clone(), &key, sequence, self.now, vec![opening]);
        if id == author {
            // A violation here would be one of the checkers' own books.
            let _ = self.show(&Fact::Sealed { member: id, key: key.public().id(), sighting });
        }
        self.note(|| format!("hostile {id} reports {} as {author}", sighting.observable));
        self.say_to_the_hub(id, Request::Submit(Box::new(Submission::Sightings(Box::new(batch)))));
    }

    /// As somebody else, or with something changed afterwards.
    fn forge(&mut self, id: &MemberId) {
        let Some(victim) = self.somebody() else { return };
        let Ok(observable) = "77.9.9.9".parse::<Observable>() else { return };
        let now = self.now;
        let sighting = self.sighting(observable, now);
        let sequence = self.next_number(&victim);
        match self.random.below(2) {
            0 => self.submit(id, &victim, &sighting, sequence),
            _ => {
                let key = self.cast.world.agent_key(id.as_str());
                let opening = Opening::seal(Salt(self.random.bytes16()), &sighting);
                let mut batch = Batch::seal(id.clone(), &key, self.next_number(id), now, vec![opening]);
                let other = self.sighting(sighting.observable.clone(), now.minus(Span::seconds(90)));
                batch.openings = vec![Opening::seal(Salt([1; 16]), &other)];
                self.say_to_the_hub(id, Request::Submit(Box::new(Submission::Sightings(Box::new(batch)))));
            }
        }
    }

    /// RED, sent all the same.
    fn leak(&mut self, id: &MemberId) {
        let marker = format!("red-{}.secret-host.com", self.number());
        let Ok(observable) = marker.parse::<Observable>() else { return };
        let _ = self.show(&Fact::Secret { marker: &marker });
        let now = self.now;
        let sighting = Sighting { handling: Handling::alliance(Tlp::Red), ..self.sighting(observable, now) };
        let sequence = self.next_number(id);
        self.submit(id, id, &sighting, sequence);
    }

    /// Receipts for what is another's.
    fn false_receipts(&mut self, id: &MemberId) {
        let Some(state) = &self.hub.state else { return };
        let all = state.mitigations(None, None, self.now);
        let Some(mitigation) = self.random.pick(&all).map(|view| view.id) else { return };
        let key = self.cast.world.agent_key(id.as_str());
        let receipt = Receipt {
            mitigation,
            state: MitigationState::Withdrawn,
            point: None,
            at: self.now,
            evidence: String::new(),
            packets: None,
            bytes: None,
            refusal: None,
        };
        let (sequence, made) = (self.next_number(id), self.now);
        let receipts = Receipts { author: id.clone(), key: key.public().id(), sequence, made, receipts: vec![receipt] };
        let signed = SignedReceipts::sign(receipts, &key);
        self.say_to_the_hub(id, Request::Submit(Box::new(Submission::Receipts(Box::new(signed)))));
    }

    /// An approval in a person's name, with the agent's key.
    fn false_approval(&mut self, id: &MemberId) {
        let Some(state) = &self.hub.state else { return };
        let plans = state.plans(None, 20);
        let Some(plan) = self.random.pick(&plans).map(|plan| plan.digest) else { return };
        let speaks_for = if self.random.chance(500) { Some(id.clone()) } else { self.somebody() };
        let Some(Ok(person)) = speaks_for.map(|member| format!("ada@{member}").parse::<PersonId>()) else { return };
        let key: SigningKey = self.cast.world.agent_key(id.as_str());
        let approval = Approval {
            plan,
            key: key.public().id(),
            person,
            verdict: Verdict::Approve,
            made: self.now,
            expires: self.now.plus(Span::hours(1)),
        };
        self.say_to_the_hub(id, Request::Approve(Box::new(SignedApproval::sign(approval, &key))));
    }

    /// What the member sent before, under an old number.
    fn replay(&mut self, id: &MemberId) {
        let now = self.now;
        let Some(observable) = self.random.pick(&GUARDED).and_then(|text| text.parse::<Observable>().ok()) else {
            return;
        };
        let sighting = self.sighting(observable, now);
        self.submit(id, id, &sighting, 1);
    }

    pub(crate) fn hostile_hub(&mut self) -> Result<(), Violation> {
        if !self.cast.hostile_hub || self.hub.state.is_none() {
            return Ok(());
        }
        self.tally.mischief += 1;
        match self.random.below(13) {
            0..=4 => self.hostile_part(),
            10 => self.fork(),
            11 | 12 => self.forged_key_change(),
            5 | 6 => self.send_again(),
            7 => self.mutated(),
            8 => self.announce_forgery(),
            _ => {
                let forged = self.random.chance(100).then(|| Digest::of(&[b"another history"]));
                match forged {
                    Some(_) => self.announce_checkpoint(forged),
                    None => self.withdraw_all(),
                }
            }
        }
    }

    /// A part of the generator: good but for one thing, by the victim's own clock.
    fn hostile_part(&mut self) -> Result<(), Violation> {
        let Some(victim) = decide::testing::hostile::VICTIM.parse::<MemberId>().ok() else { return Ok(()) };
        let clock = self.members.get(&victim).and_then(|member| Some(member.core.as_ref()?.status().now));
        let Some(kind) = self.random.pick(Kind::ALL).copied() else { return Ok(()) };
        // A header that names charter 2 is wrong only while charter 1 is in force.
        let outdated = kind == Kind::WrongHeader && self.cast.charters.len() > 1;
        let Some(clock) = clock.filter(|_| !outdated) else { return Ok(()) };
        self.cast.world.now = clock;
        let mut random = decide::testing::Random::new(self.random.bits());
        let part = hostile(&self.cast.world, kind, &mut random);
        self.note(|| format!("the hub sends a part that is {}", kind.as_str()));
        let text = format!(r#"{{"type":"part","body":{}}}"#, part.json);
        let position = self.hub.journal.head();
        self.deliver_text(&victim, position, text)
    }

    /// Something older, or somebody else's.
    fn send_again(&mut self) -> Result<(), Violation> {
        let (Some(id), remembered) = (self.somebody(), self.remembered.len() as u64) else { return Ok(()) };
        let nth = self.random.below(remembered) as usize;
        let Some(part) = self.remembered.get(nth).cloned() else { return Ok(()) };
        let head = self.hub.journal.head();
        self.deliver(&id, vec![(head, StreamMessage::Part(Box::new(part)))])
    }

    /// A real part with something changed.
    fn mutated(&mut self) -> Result<(), Violation> {
        let (Some(id), remembered) = (self.somebody(), self.remembered.len() as u64) else { return Ok(()) };
        let nth = self.random.below(remembered) as usize;
        let Some(mut part) = self.remembered.get(nth).cloned() else { return Ok(()) };
        for item in &mut part.items {
            item.mitigation.member = id.clone();
            item.mitigation.generation += 1;
            item.mitigation.expires = item.mitigation.expires.plus(Span::minutes(30));
        }
        let Ok(mut value) = serde_json::to_value(StreamMessage::Part(Box::new(part))) else { return Ok(()) };
        self.scramble(&mut value);
        let position = self.hub.journal.head();
        self.deliver_text(&id, position, value.to_string())
    }

    /// Changes one text somewhere in a document.
    fn scramble(&mut self, value: &mut Value) {
        match value {
            Value::Array(list) if !list.is_empty() => {
                let nth = self.random.below(list.len() as u64) as usize;
                if let Some(inner) = list.get_mut(nth) {
                    self.scramble(inner);
                }
            }
            Value::Object(map) if !map.is_empty() => {
                let nth = self.random.below(map.len() as u64) as usize;
                if let Some((_, inner)) = map.iter_mut().nth(nth) {
                    self.scramble(inner);
                }
            }
            Value::String(text) => *text = text.replace(['1', 'a'], "2"),
            Value::Number(_) => *value = Value::from(self.random.below(5)),
            other => *other = Value::Null,
        }
    }

    /// A charter that the hub, or one member too few, signed.
    pub(crate) fn forged_charter(&mut self, which: WhichCharter) -> Option<SignedCharter> {
        let WhichCharter::Version(version) = which else { return None };
        let known = self.cast.charters.len() as u64;
        if !self.cast.hostile_hub || version <= known || !self.random.chance(900) {
            return None;
        }
        let mut charter = self.cast.world.charter.clone();
        charter.alliance.version = version;
        charter.alliance.previous = self.cast.charters.last().map(SignedCharter::digest);
        charter.guards.never.clear();
        charter.quorum.plan = 1;
        let by: BTreeSet<&str> = self.cast.hostile.iter().take(1).map(MemberId::as_str).collect();
        let by: Vec<&str> = by.into_iter().collect();
        self.cast.sign(&charter, &by).ok()
    }

    fn announce_forgery(&mut self) -> Result<(), Violation> {
        let version = self.cast.charters.len() as u64 + 1;
        let Some(id) = self.somebody() else { return Ok(()) };
        self.note(|| format!("the hub announces a charter {version} that nobody signed to {id}"));
        let head = self.hub.journal.head();
        self.deliver(&id, vec![(head, StreamMessage::Charter { version })])
    }

    /// Withdrawals are obeyed: whoever forges one can only end a protection.
    fn withdraw_all(&mut self) -> Result<(), Violation> {
        let Some(id) = self.somebody() else { return Ok(()) };
        let held = self.members.get(&id).map(|member| member.disk.held.clone()).unwrap_or_default();
        let made = self.now;
        let withdrawal = |finding| Withdrawal { member: id.clone(), finding, reason: "because".to_owned(), made };
        let all: Vec<Withdrawal> = held.values().map(|held| withdrawal(held.mitigation.finding)).collect();
        let head = self.hub.journal.head();
        self.deliver(&id, vec![(head, StreamMessage::Withdraw(all))])
    }
}
