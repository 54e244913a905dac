//! What the agent shows of itself: status, mitigations, and why something is or is not in force.

use super::places::Stage;
use super::state::{Allowed, Decision, Held, Killed};
use super::{Alarm, AlarmKind, Core};
use decide::AllowList;
use model::{
    Finding, FindingId, Measure, MemberId, MitigationId, MitigationState, Observable, PlanId, PointName, PublicKey,
    Rule, Timestamp,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Counters since the start.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    /// Sightings that were taken for the hub.
    pub sightings: u64,
    /// Sightings that were refused here.
    pub sightings_refused: u64,
    /// Sightings that the hub has.
    pub sightings_acknowledged: u64,
    /// Receipts that the hub has.
    pub receipts_acknowledged: u64,
    /// Receipts that were not sent, since later ones of the same mitigation, point and state overtook them.
    pub receipts_overtaken: u64,
    /// Checkpoints that this member's witness cosigned.
    pub cosigned: u64,
    /// Requests that this member's witness answered otherwise, by HTTP status.
    pub witness_refused: BTreeMap<u16, u64>,
    /// Refusals by rule.
    pub refusals: BTreeMap<Rule, u64>,
    /// How often a mitigation came into each state.
    pub states: BTreeMap<MitigationState, u64>,
}

impl Counts {
    pub(super) fn refusal(&mut self, rule: Rule) {
        *self.refusals.entry(rule).or_default() += 1;
    }

    pub(super) fn witness_refused(&mut self, status: u16) {
        *self.witness_refused.entry(status).or_default() += 1;
    }

    pub(super) fn state(&mut self, state: MitigationState) {
        *self.states.entry(state).or_default() += 1;
    }

    pub(super) fn sightings(&mut self, accepted: usize, refused: usize) {
        self.sightings += accepted as u64;
        self.sightings_refused += refused as u64;
    }

    pub(super) fn acknowledged(&mut self, sightings: usize, receipts: usize) {
        self.sightings_acknowledged += sightings as u64;
        self.receipts_acknowledged += receipts as u64;
    }
}

/// The agent on one screen.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Whose agent.
    pub member: MemberId,
    /// The alliance; none before the first charter.
    pub alliance: Option<String>,
    /// Version of the charter in force.
    pub charter: Option<u64>,
    /// Are the charter and its guard lists at hand?
    pub ready: bool,
    /// Now, as the agent takes it.
    pub now: Timestamp,
    /// Everything on the stream up to here was dealt with.
    pub position: Option<u64>,
    /// Entries of the journal at the last checkpoint.
    pub checkpoint: Option<u64>,
    /// The member's witness.
    pub witness: WitnessView,
    /// Why nothing new is accepted, where a second history was seen.
    pub history_forked: Option<String>,
    /// Set while the kill switch is on.
    pub kill_switch: Option<Killed>,
    /// Mitigations by state.
    pub mitigations: BTreeMap<MitigationState, u64>,
    /// Mitigations that wait for a person.
    pub waiting_for_a_person: u64,
    /// Enforcement points, and how many protections each was read back as enforcing.
    pub points: BTreeMap<PointName, u64>,
    /// Entries of the allow-list.
    pub allow_list: usize,
    /// Sightings and receipts that the hub does not have yet.
    pub outbox: usize,
    /// Counters since the start.
    pub counts: Counts,
    /// Alarms by kind since the start.
    pub alarms: BTreeMap<AlarmKind, u64>,
}

/// The member's witness, and what the charter asks of others.
#[derive(Clone, Debug, Serialize)]
pub struct WitnessView {
    /// The public half of the key, as it stands in the charter; none: this agent does not cosign.
    pub public: Option<PublicKey>,
    /// The same as a C2SP verifier key; none before the first charter.
    pub vkey: Option<String>,
    /// Does the charter in force name this key?
    pub named_by_charter: bool,
    /// Did it fall silent, since a person accepted a history that contradicts it?
    pub silent: bool,
    /// Entries under the last checkpoint of the alliance's log that it cosigned.
    pub cosigned: Option<u64>,
    /// How many other members must have cosigned a plan's checkpoint before this agent acts.
    pub cosignatures_wanted: usize,
    /// Plans that wait for them.
    pub plans_waiting: usize,
}

/// One mitigation, as it is listed.
#[derive(Clone, Debug, Serialize)]
pub struct MitigationView {
    /// Its identifier.
    pub id: MitigationId,
    /// The finding behind it.
    pub finding: FindingId,
    /// The plan that asked for it.
    pub plan: PlanId,
    /// What it is about.
    pub observable: Observable,
    /// What is done.
    pub measure: Measure,
    /// The same in words.
    pub text: String,
    /// Where it stands.
    pub state: MitigationState,
    /// Since when it is held.
    pub since: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// Why it waits for a person.
    pub waits: Option<String>,
    /// Why it ends.
    pub ends: Option<String>,
    /// What each point says.
    pub points: BTreeMap<PointName, PointView>,
    /// Packets or answers affected so far.
    pub packets: Option<u64>,
    /// Bytes affected so far.
    pub bytes: Option<u64>,
}

/// One mitigation at one point.
#[derive(Clone, Debug, Serialize)]
pub struct PointView {
    /// How far it has come, in words.
    pub stage: &'static str,
    /// What the point said last.
    pub evidence: String,
}

/// What the agent knows about a value.
#[derive(Clone, Debug, Serialize)]
pub struct Why {
    /// What was asked about.
    pub observable: Observable,
    /// What is in force or due here and concerns it.
    pub mitigations: Vec<MitigationView>,
    /// Entries of the allow-list that cover it.
    pub allow_list: BTreeMap<Observable, String>,
    /// What the hub told about it.
    pub findings: Vec<Finding>,
    /// What persons decided.
    pub decisions: BTreeMap<FindingId, Decision>,
}

impl Core {
    /// The agent on one screen.
    pub fn status(&self) -> Status {
        let mut mitigations = BTreeMap::new();
        self.state.held.values().for_each(|held| *mitigations.entry(held.state).or_default() += 1);
        let waiting = self.state.held.values().filter(|held| held.asks.is_some() && held.ending.is_none()).count();
        let enforced =
            |point: &PointName| self.places.where_stage(point, |stage| stage == Stage::Enforced).len() as u64;
        Status {
            member: self.settings.member.clone(),
            alliance: self.charter().map(|charter| charter.alliance.name.clone()),
            charter: self.charter().map(|charter| charter.alliance.version),
            ready: self.is_ready(),
            now: self.now,
            position: self.state.position,
            checkpoint: self.state.checkpoint.as_ref().map(|seen| seen.size),
            witness: self.witness_view(),
            history_forked: self.state.forked.as_ref().map(|forked| forked.fault.clone()),
            kill_switch: self.state.killed.clone(),
            mitigations,
            waiting_for_a_person: waiting as u64,
            points: self.settings.points.iter().map(|p| (p.name.clone(), enforced(&p.name))).collect(),
            allow_list: self.allow_entries().len(),
            outbox: self.state.outbox.len(),
            counts: self.counts.clone(),
            alarms: self.alarms.totals(),
        }
    }

    /// Every mitigation that is due, in force or ending, in the order of their identifiers.
    pub fn mitigations(&self) -> Vec<MitigationView> {
        self.state.held.iter().map(|(id, held)| self.view(id, held)).collect()
    }

    /// One of them.
    pub fn mitigation(&self, id: &MitigationId) -> Option<MitigationView> {
        self.state.held.get(id).map(|held| self.view(id, held))
    }

    /// What the agent knows about a value.
    pub fn why(&self, observable: &Observable) -> Why {
        let asked = AllowList::new([observable]);
        let concerns = |other: &Observable| asked.covers(other);
        let held = self.state.held.iter().filter(|(_, held)| {
            concerns(&held.mitigation.observable) || concerns(&held.mitigation.measure.target().observable())
        });
        let findings: Vec<Finding> =
            self.findings.values().filter(|f| concerns(&f.observable)).map(|f| Finding::clone(f)).collect();
        let named = findings.iter().map(|finding| finding.id);
        let named = named.chain(held.clone().map(|(_, held)| held.mitigation.finding));
        let decision = |id: FindingId| Some((id, self.state.decisions.get(&id)?.clone()));
        Why {
            observable: observable.clone(),
            decisions: named.filter_map(decision).collect(),
            mitigations: held.map(|(id, held)| self.view(id, held)).collect(),
            allow_list: self.allow_entries().into_iter().filter(|(entry, _)| concerns(entry)).collect(),
            findings,
        }
    }

    /// The allow-list, each entry with where it comes from.
    pub fn allow_entries(&self) -> BTreeMap<Observable, String> {
        let added = |allowed: &Allowed| format!("since {}: {}", allowed.since, allowed.note);
        let configured = self.settings.allow.iter().map(|entry| (entry.clone(), "configuration file".to_owned()));
        self.state.allow.iter().map(|(entry, allowed)| (entry.clone(), added(allowed))).chain(configured).collect()
    }

    /// The last alarms, oldest first.
    pub fn alarms(&self) -> Vec<(Timestamp, Alarm)> {
        self.alarms.shown().cloned().collect()
    }

    fn view(&self, id: &MitigationId, held: &Held) -> MitigationView {
        let mitigation = &held.mitigation;
        let place = |(point, place): (&PointName, &super::places::Place)| {
            (point.clone(), PointView { stage: words(place.stage), evidence: place.evidence.clone() })
        };
        MitigationView {
            id: *id,
            finding: mitigation.finding,
            plan: held.plan,
            observable: mitigation.observable.clone(),
            measure: mitigation.measure.clone(),
            text: mitigation.measure.to_string(),
            state: held.state,
            since: held.since,
            expires: mitigation.expires,
            waits: held.asks.clone(),
            ends: held.ending.as_ref().map(|ending| ending.reason.clone()),
            points: self.places.of(id).map(place).collect(),
            packets: held.packets,
            bytes: held.bytes,
        }
    }
}

const fn words(stage: Stage) -> &'static str {
    match stage {
        Stage::Ordered => "ordered",
        Stage::Settling => "applied, not yet read back",
        Stage::Enforced => "enforced",
        Stage::Shown => "shown, cannot be read back",
        Stage::Failed => "failed, is tried again",
        Stage::Barred => "refused by the point",
        Stage::Suspending => "being lifted by the kill switch",
        Stage::Suspended => "suspended by the kill switch",
        Stage::Lifting => "being lifted",
        Stage::Checking => "lifted, not yet read back",
        Stage::Lifted => "lifted",
    }
}
