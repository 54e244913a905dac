//! What people and sensors of honest members do: report, propose, approve, dispute, allow, lift, stop, and in between
//! what hostile ones do.

use crate::fact::{Fact, Violation};
use crate::hub::Request;
use crate::run::{Event, Run};
use agent::core::Input;
use alliance::{Proposal, SignedProposal};
use model::{
    Action, Approval, Behaviour, Dispute, FindingState, Grade, Ground, GroupId, Handling, Measure, MemberId,
    MitigationId, Observable, PersonId, Salt, Scope, Sensor, Sighting, SignedApproval, SignedDispute, Span, Target,
    Timestamp, Tlp, Verdict,
};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

/// What is really hostile in these runs: reported again and again by everybody.
pub const BAD: [&str; 17] = [
    "77.0.0.1",
    "77.0.0.2",
    "77.0.0.3",
    "77.0.0.4",
    "77.0.0.5",
    "77.0.0.6",
    "77.0.0.7",
    "77.0.0.8",
    "77.0.1.1",
    "77.0.1.2",
    "77.0.1.3",
    "2600:77::1",
    "2600:77::2",
    "2600:77:0:1::1",
    "c2.evil-host.com",
    "a.evil-host.com",
    "drop.bad-names.net",
];
/// What guards, members and the never-list protect, and what is shared by many; honest sensors err, too.
pub const GUARDED: [&str; 6] =
    ["44.4.4.4", "9.9.9.9", "31.2.0.9", "20.1.2.3", "login.bigbank.com", "www.many-sites.com"];

impl Run {
    pub(crate) fn deed(&mut self) -> Result<(), Violation> {
        let wait = Span::millis(self.random.between(5_000, 480_000));
        self.after(wait, Event::Deed);
        match self.random.below(100) {
            0..=44 => self.report(),
            45..=49 => self.secret(),
            50..=53 => self.in_the_group(),
            54..=58 => self.propose(),
            59..=69 => self.approve(),
            70..=72 => self.dispute(),
            73..=75 => self.allow(),
            76..=77 => self.lift(),
            78 => self.switch(),
            79..=84 => self.decide(),
            85 => self.amend(),
            86 => self.change_a_key(),
            87..=93 => self.hostile_member(),
            _ => self.hostile_hub(),
        }
    }

    /// One of the honest members.
    pub(crate) fn somebody(&mut self) -> Option<MemberId> {
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        self.random.pick(&ids).cloned()
    }

    /// A sighting of a moment ago, by the member's clock.
    pub(crate) fn sighting(&mut self, observable: Observable, clock: Timestamp) -> Sighting {
        let name = observable.domain().is_some();
        let behaviour = if name { Behaviour::C2 } else { Behaviour::Scan };
        let grades = [Grade::Handshake, Grade::Handshake, Grade::Payload, Grade::Spoofable];
        let at = clock.minus(Span::millis(self.random.between(0, 60_000)));
        Sighting {
            observable,
            behaviour,
            first: at,
            last: at,
            count: 1,
            sensor: Sensor::Ids,
            grade: self.random.pick(&grades).copied().unwrap_or(Grade::Handshake),
            handling: Handling::alliance(Tlp::Green),
        }
    }

    fn sensors(&mut self, id: &MemberId, observables: &[Observable], handling: &Handling) -> Result<(), Violation> {
        let Some(clock) = self.members.get(id).map(|member| member.clock(self.now)) else { return Ok(()) };
        let mut seen = Vec::new();
        for observable in observables {
            let sighting = Sighting { handling: handling.clone(), ..self.sighting(observable.clone(), clock) };
            seen.push((Salt(self.random.bytes16()), sighting));
        }
        self.note(|| format!("{id} sees {observables:?}"));
        self.give(id, Input::Sightings(seen))
    }

    /// Some members see the same things.
    fn report(&mut self) -> Result<(), Violation> {
        let mut observables = Vec::new();
        for _ in 0..=self.random.below(4) {
            let from: &[&str] = if self.random.chance(60) { &GUARDED } else { &BAD };
            observables.extend(self.random.pick(from).and_then(|text| text.parse().ok()));
        }
        for _ in 0..=self.random.below(3) {
            if let Some(id) = self.somebody() {
                self.sensors(&id, &observables, &Handling::alliance(Tlp::Green))?;
            }
        }
        Ok(())
    }

    /// A sensor hands over what must not leave the house.
    fn secret(&mut self) -> Result<(), Violation> {
        let Some(id) = self.somebody() else { return Ok(()) };
        let marker = format!("red-{}.secret-host.com", self.number());
        self.show(&Fact::Secret { marker: &marker })?;
        let observables: Vec<Observable> = marker.parse().into_iter().collect();
        self.sensors(&id, &observables, &Handling::alliance(Tlp::Red))
    }

    /// Two members share something among themselves.
    fn in_the_group(&mut self) -> Result<(), Violation> {
        let group: Option<GroupId> = "pair".parse().ok();
        let marker = format!("pair-{}.group-host.com", self.number());
        let members: BTreeSet<MemberId> = crate::cast::PAIR.iter().filter_map(|name| name.parse().ok()).collect();
        self.show(&Fact::Confidential { marker: &marker, members: &members })?;
        let observables: Vec<Observable> = marker.parse().into_iter().collect();
        let handling = Handling::new(Tlp::Amber, group);
        members.iter().try_for_each(|id| self.sensors(id, &observables, &handling))
    }

    /// Something of a person, on its way to the hub; it may be lost, and nobody waits for it.
    pub(crate) fn say_to_the_hub(&mut self, id: &MemberId, request: Request) {
        let times = if self.random.chance(50) { 0 } else { 1 + u64::from(self.random.chance(50)) };
        for _ in 0..times {
            let (latency, request) = (self.latency(), request.clone());
            self.after(latency, Event::ToHub { member: id.clone(), ask: None, life: 0, request });
        }
    }

    /// A person proposes to deny a whole network, or one thing.
    fn propose(&mut self) -> Result<(), Violation> {
        let (Some(state), Some(id)) = (&self.hub.state, self.members.keys().next().cloned()) else { return Ok(()) };
        let findings = state.findings(None, Some(FindingState::Corroborated), None, 100);
        let Some(finding) = self.random.pick(&findings).cloned() else { return Ok(()) };
        let wide = match finding.observable {
            Observable::Address(IpAddr::V4(v4)) => {
                let [a, b, c, _] = v4.octets();
                format!("{}/24", Ipv4Addr::new(a, b, c, 0)).parse().ok().map(Target::Net)
            }
            _ => None,
        };
        let measure = match wide.filter(|_| self.random.chance(700)) {
            Some(target) => Measure::new(Action::Deny, target, Scope::Border),
            None => Measure::deny(&finding.observable),
        };
        let (Ok(measure), Ok(person)) = (measure, format!("ada@{id}").parse()) else { return Ok(()) };
        let members: BTreeSet<MemberId> = (0..3).filter_map(|_| self.somebody()).collect();
        let lasts = Span::minutes(self.random.between(10, 600));
        let members = members.into_iter().collect();
        let reason = "it all scans".to_owned();
        self.note(|| format!("{person} proposes {measure}"));
        let (made, expires) = (self.now, self.now.plus(Span::hours(1)));
        let proposal = Proposal { person, finding: finding.id, measure, members, lasts, reason, made, expires };
        let key = self.cast.world.person_key(&proposal.person);
        let proposal = SignedProposal::sign(proposal, &key);
        self.say_to_the_hub(&id, Request::Propose(Box::new(proposal)));
        Ok(())
    }

    /// A person looks at a plan that waits, and says yes or, now and then, no.
    fn approve(&mut self) -> Result<(), Violation> {
        let Some(id) = self.somebody() else { return Ok(()) };
        let Some(state) = &self.hub.state else { return Ok(()) };
        let waiting: Vec<_> = state.plans(Some(&id), 100).into_iter().filter(|plan| plan.state == "proposed").collect();
        let Some(plan) = self.random.pick(&waiting).cloned() else { return Ok(()) };
        let first = if self.random.chance(500) { "ada" } else { "bob" };
        let Ok(person) = format!("{first}@{id}").parse::<PersonId>() else { return Ok(()) };
        let verdict = if self.random.chance(850) { Verdict::Approve } else { Verdict::Reject };
        let covers: BTreeSet<MitigationId> = plan.mitigations.iter().map(|mitigation| mitigation.id).collect();
        let until = self.now.plus(Span::minutes(self.random.between(5, 600)));
        let key = self.cast.world.person_key(&person);
        self.show(&Fact::Approval { person: &person, key: key.public().id(), verdict, covers: &covers, until })?;
        let approval = Approval {
            plan: plan.digest,
            key: key.public().id(),
            person: person.clone(),
            verdict,
            made: self.now,
            expires: until,
        };
        self.note(|| format!("{person} says {verdict:?} to {}", plan.id));
        self.say_to_the_hub(&id, Request::Approve(Box::new(SignedApproval::sign(approval, &key))));
        Ok(())
    }

    fn dispute(&mut self) -> Result<(), Violation> {
        let Some(state) = &self.hub.state else { return Ok(()) };
        let findings = state.findings(None, None, None, 100);
        let Some(finding) = self.random.pick(&findings).map(|finding| finding.id) else { return Ok(()) };
        for _ in 0..=self.random.below(2) {
            let Some(id) = self.somebody() else { return Ok(()) };
            let Ok(person) = format!("ada@{id}").parse::<PersonId>() else { return Ok(()) };
            let key = self.cast.world.person_key(&person);
            let grounds = [Ground::FalsePositive, Ground::OwnAsset, Ground::Stale];
            let ground = self.random.pick(&grounds).copied().unwrap_or(Ground::Stale);
            let (key_id, reason) = (key.public().id(), "it is ours".to_owned());
            self.note(|| format!("{person} disputes {finding}"));
            let dispute = Dispute { finding, person, key: key_id, ground, reason, made: self.now };
            self.say_to_the_hub(&id, Request::Dispute(Box::new(SignedDispute::sign(dispute, &key))));
        }
        Ok(())
    }

    /// A person allows something, or takes that back.
    fn allow(&mut self) -> Result<(), Violation> {
        let Some(id) = self.somebody() else { return Ok(()) };
        let Some(member) = self.members.get(&id).filter(|member| member.core.is_some()) else { return Ok(()) };
        let known: Vec<Observable> = member.disk.allow.keys().cloned().collect();
        if let Some(observable) = self.random.pick(&known).cloned().filter(|_| self.random.chance(500)) {
            self.give(&id, Input::Disallow(observable.clone()))?;
            return match self.members.get(&id).is_some_and(|member| member.disk.allow.contains_key(&observable)) {
                true => Ok(()),
                false => self.show(&Fact::Disallowed { member: &id, observable: &observable }),
            };
        }
        let Some(observable) = self.random.pick(&BAD).and_then(|text| text.parse::<Observable>().ok()) else {
            return Ok(());
        };
        self.note(|| format!("{id} allows {observable}"));
        self.give(&id, Input::Allow { observable: observable.clone(), note: "ours".to_owned() })?;
        match self.members.get(&id).is_some_and(|member| member.disk.allow.contains_key(&observable)) {
            true => self.show(&Fact::Allowed { member: &id, observable: &observable }),
            false => Ok(()),
        }
    }

    fn lift(&mut self) -> Result<(), Violation> {
        let Some(id) = self.somebody() else { return Ok(()) };
        let held = self.members.get(&id).map(|member| member.disk.held.clone()).unwrap_or_default();
        let held: Vec<_> = held.into_iter().collect();
        let Some((mitigation, of)) = self.random.pick(&held).cloned() else { return Ok(()) };
        self.note(|| format!("{id} lifts {mitigation}"));
        self.show(&Fact::OwnerRefused { member: &id, finding: of.mitigation.finding })?;
        self.give(&id, Input::Lift { mitigation, reason: "our customer".to_owned() })
    }

    /// The kill switch is turned on, or off.
    fn switch(&mut self) -> Result<(), Violation> {
        let Some(id) = self.somebody() else { return Ok(()) };
        let Some(member) = self.members.get(&id).filter(|member| member.core.is_some()) else { return Ok(()) };
        match member.disk.killed.is_some() {
            true => self.give(&id, Input::Resume)?,
            false => self.give(&id, Input::Kill { reason: "an outage".to_owned() })?,
        }
        let on = self.members.get(&id).is_some_and(|member| member.disk.killed.is_some());
        self.note(|| format!("the kill switch of {id} is {}", if on { "on" } else { "off" }));
        self.show(&Fact::Switched { member: &id, on })
    }

    /// A person decides on what waits.
    fn decide(&mut self) -> Result<(), Violation> {
        let Some(id) = self.somebody() else { return Ok(()) };
        let house = self.members.get(&id).map(crate::member::Member::house).unwrap_or_default();
        let waiting: Vec<MitigationId> = house.waiting.into_iter().collect();
        let Some(mitigation) = self.random.pick(&waiting).copied() else { return Ok(()) };
        let accept = self.random.chance(700);
        let finding = self.members.get(&id).and_then(|member| member.disk.held.get(&mitigation));
        if let Some(finding) = finding.map(|held| held.mitigation.finding).filter(|_| !accept) {
            self.show(&Fact::OwnerRefused { member: &id, finding })?;
        }
        self.note(|| format!("{id} decides on {mitigation}: {accept}"));
        self.give(&id, Input::PersonDecided { mitigation, accept, reason: "so be it".to_owned() })
    }

    /// The next charter never blocks one thing more.
    fn amend(&mut self) -> Result<(), Violation> {
        let never = self.random.pick(&BAD).and_then(|text| text.parse::<Observable>().ok());
        let quiet = self.now >= self.keys_quiet_at && self.cast.charters.len() < 4;
        let Some(never) = never.filter(|_| quiet) else { return Ok(()) };
        let Some(in_force) = self.newest_charter() else { return Ok(()) };
        let fresh = self.random.bytes32();
        let signed = self.cast.next_charter(&never, &in_force, fresh, self.now);
        let Some(signed) = signed.map_err(|refusal| self.broken(refusal))? else { return Ok(()) };
        self.sign_charter(&signed)?;
        self.note(|| format!("a charter that never blocks {never} is signed: {}", signed.digest()));
        let Some(id) = self.somebody() else { return Ok(()) };
        // It is brought again until it is adopted: the others build upon it.
        for wait in [1, 1_200, 3_600] {
            let request = Request::Adopt(Box::new(signed.clone()));
            self.after(Span::seconds(wait), Event::ToHub { member: id.clone(), ask: None, life: 0, request });
        }
        Ok(())
    }
}
