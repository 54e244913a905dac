//! The heart of an agent: a state machine without I/O, clock or randomness. Time and salts are arguments.
//!
//! [`Core::handle`] takes one [`Input`] and says what is to be done. What it must not forget it says first, as
//! [`Output::Persist`]; only when that is durable may the rest be carried out. The real agent and the simulator run the
//! same core.
//!
//! Read `exchange` (what goes in and comes out), `state` (what is remembered), then `parts` (what is accepted),
//! `points`
//! (how it comes into force and is read back), `history` (charters and checkpoints), `reports` (what is told the hub).
//!
//! What is absent: nothing here trusts the hub. A mitigation is accepted for what members signed, and ends by itself.

mod alarms;
pub mod exchange;
pub mod feeds;
mod history;
mod keys;
pub mod outbox;
mod parts;
mod persons;
mod places;
mod points;
mod reports;
mod seen;
pub mod settings;
pub mod state;
mod statements;
pub mod views;
mod witness;

pub use exchange::{Alarm, AlarmKind, Input, Order, Outcome, Output, Trouble, WhichCharter};
pub use feeds::{FED_SIGHTINGS_MAX, Fed, FedNews, Mark};
pub use outbox::{Outbox, Submission, TakenBack};
pub use settings::{PointSetup, Router, Settings};
pub use state::{Record, SourceMark, State};

use alarms::Alarms;
use charter::{Charter, Guards};
use decide::AllowList;
use history::Doubts;
use model::{
    Digest, Finding, FindingId, LineageId, MitigationId, MitigationState, PointName, Receipt, Refusal, Rule,
    SigningKey, Span, Target, Timestamp,
};
use places::Places;
use state::Held;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How often the time is written down while nothing else happens.
const TIME_EVERY: Span = Span::seconds(30);
/// A clock that goes back by more than this is worth an alarm.
const CLOCK_BACK_MAX: Span = Span::minutes(1);
/// Findings that are remembered for `why`; they are not needed for anything else.
const FINDINGS_MAX: usize = 10_000;

/// One member's agent, as a state machine.
pub struct Core {
    settings: Settings,
    key: SigningKey,
    router: Arc<dyn Router>,
    state: State,
    /// The charter in force with the keys as they are now, ready to be asked; none before the first one came.
    law: Option<Law>,
    /// The allow-list of the configuration and of persons, ready to be asked.
    allow: AllowList,
    places: Places,
    /// The disk is full: nothing is taken on that could not be remembered.
    is_full: bool,
    by_finding: BTreeMap<FindingId, BTreeSet<MitigationId>>,
    by_lineage: BTreeMap<LineageId, BTreeSet<MitigationId>>,
    by_target: BTreeMap<Target, BTreeSet<MitigationId>>,
    expiries: BTreeSet<(Timestamp, MitigationId)>,
    /// What is to be ordered at the end of this call.
    orders: BTreeMap<(PointName, Order), BTreeSet<MitigationId>>,
    /// What changed in this call, so that its state is to be looked at.
    changed: BTreeSet<MitigationId>,
    patrol: points::Patrol,
    doubts: Doubts,
    alarms: Alarms,
    counts: views::Counts,
    findings: BTreeMap<FindingId, Arc<Finding>>,
    /// Mitigations that were refused since the start, so that a resend is not refused again.
    refused: BTreeSet<MitigationId>,
    withdrawn: parts::Withdrawn,
    witnessing: witness::Witnessing,
    sending: reports::Sending,
    /// Submissions in our name that were not ours and were told.
    foreign: statements::Said,
    now: Timestamp,
    out: Vec<Output>,
}

/// The charter in force with what follows from it.
struct Law {
    charter: Charter,
    digest: Digest,
    /// None while the guard lists are not at hand: nothing is accepted then.
    guards: Option<Guards>,
}

impl Core {
    /// The core of an agent with this configuration, key, points and state; `lists` are the guard list files of the
    /// charter in the state, where they are at hand. The first input must be [`Input::Restarted`].
    ///
    /// # Errors
    /// The charter in the state cannot be read any more.
    pub fn new(
        settings: Settings,
        key: SigningKey,
        router: Arc<dyn Router>,
        state: State,
        lists: Option<&[Vec<u8>]>,
    ) -> Result<Self, Refusal> {
        let law = state.charter.as_ref().map(|signed| Law::new(signed, lists, &state.keys)).transpose()?;
        let mut core = Self {
            settings,
            key,
            router,
            law,
            allow: AllowList::default(),
            places: Places::default(),
            is_full: false,
            by_finding: BTreeMap::new(),
            by_lineage: BTreeMap::new(),
            by_target: BTreeMap::new(),
            expiries: BTreeSet::new(),
            orders: BTreeMap::new(),
            changed: BTreeSet::new(),
            patrol: points::Patrol::default(),
            doubts: Doubts::default(),
            alarms: Alarms::default(),
            counts: views::Counts::default(),
            findings: BTreeMap::new(),
            refused: BTreeSet::new(),
            withdrawn: parts::Withdrawn::default(),
            witnessing: witness::Witnessing::default(),
            sending: reports::Sending::default(),
            foreign: statements::Said::default(),
            now: state.seen.unwrap_or(Timestamp::MIN),
            out: Vec::new(),
            state,
        };
        let held: Vec<Held> = core.state.held.values().cloned().collect();
        held.iter().for_each(|held| core.index(held));
        core.read_allow_list();
        Ok(core)
    }

    /// Takes one input and says what is to be done, in order.
    pub fn handle(&mut self, input: Input, now: Timestamp) -> Vec<Output> {
        self.advance(now, matches!(input, Input::ClockAccepted));
        // Before anything else: what has ended must not be renewed, counted or reported as in force.
        self.expire();
        self.dispatch(input);
        self.press();
        self.press_witnesses();
        self.retry();
        self.settle();
        self.give_orders();
        self.thin();
        self.seal();
        std::mem::take(&mut self.out)
    }

    /// When [`Input::Tick`] is due at the latest.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        let expiry = self.next_expiry();
        let times =
            [expiry, self.places.wakes_at(), self.patrol_at(), self.doubts_at(), self.seals_at(), self.witness_at()];
        times.into_iter().flatten().min()
    }

    /// What this agent remembers.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The charter in force; none before the first one came.
    pub fn charter(&self) -> Option<&Charter> {
        self.law.as_ref().map(|law| &law.charter)
    }

    /// May the stream be opened? Without charter and guards no part could be judged.
    pub fn is_ready(&self) -> bool {
        self.law.as_ref().is_some_and(|law| law.guards.is_some())
    }

    fn dispatch(&mut self, input: Input) {
        match input {
            Input::Restarted => self.restarted(),
            Input::Tick => {}
            Input::Message { position, message } => {
                self.hub_is_there();
                self.on_message(position, *message);
            }
            Input::Charter { signed, lists } => self.on_charter(*signed, &lists),
            Input::CharterAnnounced(version) => {
                self.hub_is_there();
                self.ask_for_proofs_soon();
                self.on_charter_announced(version);
            }
            Input::Consistency { from, to, path } => self.on_consistency(from, to, &path),
            Input::NextSequence(next) => self.on_next_sequence(next),
            Input::Acknowledged { sequence } => self.on_acknowledged(sequence),
            Input::SubmissionRefused { sequence, refusal } => self.on_submission_refused(sequence, &refusal),
            Input::PointDone { point, order, asked, outcome } => self.on_point_done(&point, order, &asked, &outcome),
            Input::ReadBack { point, asked, answer } => self.on_read_back(&point, &asked, answer),
            Input::NumberTaken { sequence, next } => self.on_number_taken(sequence, next),
            Input::Sightings(sightings) => self.on_sightings(sightings),
            Input::Followed { source, mark, sightings } => self.on_followed(source, mark, sightings),
            Input::Fed { news, sightings } => self.on_fed(*news, sightings),
            Input::Retract(taken_back) => self.on_retract(taken_back),
            Input::Allow { observable, note } => self.on_allow(observable, note),
            Input::Disallow(observable) => self.on_disallow(&observable),
            Input::SettingsChanged(settings) => self.on_settings(*settings),
            Input::PersonDecided { mitigation, accept, reason } => self.on_decision(mitigation, accept, reason),
            Input::Lift { mitigation, reason } => self.on_lift(mitigation, reason),
            Input::Kill { reason } => self.on_kill(reason),
            Input::Resume => self.on_resume(),
            Input::Trouble { kind, text } => self.alarm(kind, &text),
            Input::HistoryAccepted => self.on_history_accepted(),
            Input::Proof(text) => self.on_witnessed(&text),
            Input::PeerCheckpoint { peer, note } => self.on_peer_checkpoint(&peer, &note),
            Input::AddCheckpoint(body) => self.on_add_checkpoint(&body),
            Input::ClockAccepted => self.on_clock_accepted(),
            Input::HubAway => self.hub_is_away(),
            Input::Room(full) => self.on_room(full),
        }
    }

    /// Time only goes forward, unless a person says otherwise; how far it went is written down now and then.
    fn advance(&mut self, clock: Timestamp, trusted: bool) {
        let back = self.now.since(clock);
        if back > CLOCK_BACK_MAX && !trusted && self.now != Timestamp::MIN {
            let text = format!(
                "The clock says {clock}, which is {back} before the latest time seen here. Expiry goes on from the \
                 later one. If the clock is right now, run: epimachia agent clock accept"
            );
            self.alarm(AlarmKind::ClockWentBack, &text);
        }
        self.now = if trusted { clock } else { self.now.max(clock) };
        let written = self.state.seen.unwrap_or(Timestamp::MIN);
        if trusted || self.now.since(written) >= TIME_EVERY {
            self.persist(Record::Time(self.now));
        }
    }

    /// Times that were set by the clock before lie anywhere: everything is begun anew.
    fn on_clock_accepted(&mut self) {
        self.alarms.begin_anew();
        self.doubts.not_after(self.now);
        self.witnessing.not_after(self.now);
        self.restart_points();
        self.ask_anew();
        self.done("the clock is taken to be right; everything in force is read back anew".to_owned());
    }

    fn restarted(&mut self) {
        // The allow-list of the configuration may have grown while the agent was away.
        self.lift_allowed();
        self.restart_points();
        self.restart_witness();
        match &self.law {
            None => self.out.push(Output::FetchCharter(WhichCharter::InForce)),
            Some(law) if law.guards.is_none() => {
                self.out.push(Output::FetchCharter(WhichCharter::Version(law.charter.alliance.version)));
            }
            Some(_) => {}
        }
        self.out.push(Output::FetchSequence);
    }

    /// Applies a record and has it written down.
    fn persist(&mut self, record: Record) {
        self.state.apply(record.clone());
        self.out.push(Output::Persist(record));
    }

    fn alarm(&mut self, kind: AlarmKind, text: &str) {
        if let Some(alarm) = self.alarms.raise(kind, text, self.now) {
            self.out.push(Output::Alarm(alarm));
        }
    }

    fn done(&mut self, text: String) {
        self.out.push(Output::Done(text));
    }

    /// The disk is full, or there is room again.
    fn on_room(&mut self, full: Option<String>) {
        self.is_full = full.is_some();
        if let Some(text) = full {
            self.alarm(AlarmKind::DiskFull, &text);
        }
    }

    /// Why whatever only takes room is refused while the disk is full.
    fn full(&self) -> Option<Refusal> {
        let limit = "room on the disk of the agent's state";
        self.is_full.then(|| Refusal::new(Rule::ReadOnly, "the disk is full", limit))
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.counts.refusal(refusal.rule);
        self.out.push(Output::Refused(refusal));
    }

    /// Holds a new mitigation.
    fn hold(&mut self, held: Held) {
        self.index(&held);
        self.persist(Record::Held(Box::new(held)));
    }

    fn index(&mut self, held: &Held) {
        let (id, mitigation) = (held.id(), &held.mitigation);
        self.by_finding.entry(mitigation.finding).or_default().insert(id);
        if held.ending.is_none() {
            self.by_lineage.entry(mitigation.lineage()).or_default().insert(id);
        }
        self.by_target.entry(mitigation.measure.target().clone()).or_default().insert(id);
        self.expiries.insert((mitigation.expires, id));
    }

    /// Changes what is held and writes it down; nothing if it is not held.
    fn change(&mut self, id: &MitigationId, change: impl FnOnce(&mut Held)) {
        let Some(mut held) = self.state.held.get(id).cloned() else { return };
        change(&mut held);
        self.persist(Record::Held(Box::new(held)));
        self.changed.insert(*id);
    }

    /// Moves a mitigation to a state and reports it; a move that the model does not know is not made.
    fn become_state(&mut self, id: &MitigationId, state: MitigationState, point: Option<PointName>, evidence: &str) {
        let Some(held) = self.state.held.get(id) else { return };
        if !held.state.may_become(state) {
            return;
        }
        let refusal = held.ending.as_ref().and_then(|ending| ending.refusal.clone());
        let receipt = Receipt {
            mitigation: *id,
            state,
            point,
            at: self.now,
            evidence: short(evidence),
            packets: held.packets,
            bytes: held.bytes,
            refusal,
        };
        self.counts.state(state);
        self.persist(Record::Receipt(Box::new(receipt)));
        match state.is_final() {
            true => self.gone(id),
            false => {
                let evidence = short(evidence);
                self.change(id, |held| (held.state, held.evidence) = (state, evidence));
            }
        }
    }

    fn gone(&mut self, id: &MitigationId) {
        let Some(held) = self.state.held.get(id) else { return };
        self.expiries.remove(&(held.mitigation.expires, *id));
        unindex(&mut self.by_finding, &held.mitigation.finding, id);
        unindex(&mut self.by_lineage, &held.mitigation.lineage(), id);
        unindex(&mut self.by_target, held.mitigation.measure.target(), id);
        self.places.remove(id);
        self.persist(Record::Gone(*id));
    }

    fn remember(&mut self, findings: &[Arc<Finding>]) {
        self.findings.extend(findings.iter().map(|finding| (finding.id, Arc::clone(finding))));
        if self.findings.len() > FINDINGS_MAX {
            // Those made longest ago go, a tenth more than must, so that it need not be looked for each time.
            let mut made: Vec<_> = self.findings.values().map(|finding| (finding.made, finding.id)).collect();
            made.sort_unstable();
            let gone = made.len() - FINDINGS_MAX + FINDINGS_MAX / 10;
            made.iter().take(gone).for_each(|(_, id)| drop(self.findings.remove(id)));
        }
    }
}

impl Law {
    fn new(
        signed: &charter::SignedCharter,
        lists: Option<&[Vec<u8>]>,
        keys: &charter::KeyBook,
    ) -> Result<Self, Refusal> {
        let charter = keys.effective(&Charter::parse(&signed.text)?);
        let guards = lists.map(|lists| Guards::new(&charter, lists)).transpose()?;
        Ok(Self { digest: signed.digest(), charter, guards })
    }
}

fn unindex<K: Ord>(index: &mut BTreeMap<K, BTreeSet<MitigationId>>, key: &K, id: &MitigationId) {
    let Some(ids) = index.get_mut(key) else { return };
    ids.remove(id);
    if ids.is_empty() {
        index.remove(key);
    }
}

/// A receipt's evidence: at most 200 characters.
fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

/// What is refused because nothing was found under this name.
fn not_held(id: &MitigationId) -> Refusal {
    Refusal::new(Rule::UnknownPlan, id, "a mitigation that this agent holds: epimachia mitigation list")
}
