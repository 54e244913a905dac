//! The agent as a witness of the hub's log, and what it asks of other members' witnesses before it acts.
//!
//! A checkpoint that continues the last one is cosigned when cosignatures are wanted: first it is written down, then
//! the line leaves the house, so no kill -9 makes this witness contradict itself. Where the charter asks for
//! cosignatures, a plan that is sound waits until the proof came that it stands under a checkpoint which enough *other*
//! members have cosigned. Withdrawals and expiry wait for nobody.

use super::history::Unproven;
use super::parts::due;
use super::state::{Seen, WitnessRecord};
use super::{AlarmKind, Core, Output, Record};
use account::{AddCheckpoint, EntryProof, Reply, SignedCheckpoint, VerifierKey, WitnessKey, witness_name};
use charter::Charter;
use model::{
    Digest, Growth, MemberId, Mitigation, PlanHeader, PlanPart, PublicKey, Refusal, Rule, Span, Statement, Timestamp,
    merkle,
};
use serde::Deserialize;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// Checkpoints that are remembered as continuing each other.
const RECENT_MAX: usize = 64;
/// Parts, and mitigations in them, that wait at a time; beyond it they are asked for again later.
const WAITING_MAX: usize = 256;
const WAITING_ITEMS_MAX: usize = 20_000;
/// Plans whose proof came, so that a resend need not wait.
const PROVEN_MAX: usize = 1_024;
/// A proof that was not pushed is asked for after so long, and again, less and less often.
const ASK_FIRST: Span = Span::millis(700);
const ASK_AGAIN: Span = Span::seconds(5);
const ASK_AGAIN_MAX: Span = Span::minutes(1);
/// Somebody is told of a plan that has waited so long.
const TELL_AFTER: Span = Span::seconds(10);

/// What the witness remembers while the process runs.
#[derive(Debug, Default)]
pub(super) struct Witnessing {
    recent: VecDeque<(u64, Digest)>,
    waiting: VecDeque<Waiting>,
    proven: VecDeque<Digest>,
    /// More came than may wait: the stream is opened again when there is room.
    missed: bool,
    /// Cosignatures were asked for up to this size.
    wanted: u64,
}

impl Witnessing {
    /// Nothing waits for longer than from now on: the clock was set back.
    pub(super) fn not_after(&mut self, now: Timestamp) {
        for waiting in &mut self.waiting {
            (waiting.since, waiting.again) = (waiting.since.min(now), waiting.again.min(now));
        }
    }
}

/// A part that is sound and waits for its proof.
#[derive(Debug)]
struct Waiting {
    part: Box<PlanPart>,
    since: Timestamp,
    /// When its proof is asked for next, and how long after that again.
    again: Timestamp,
    pause: Span,
    told: bool,
    /// A proof whose checkpoint is not proven to continue ours yet.
    proof: Option<Arc<EntryProof>>,
}

/// What is read of an entry of the journal here: which plan it puts in force. Its short identifier alone would say too
/// little: whoever makes plans can make two of one identifier.
#[derive(Deserialize)]
struct Placed {
    event: PlacedEvent,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "body")]
enum PlacedEvent {
    PlanInForce { digest: Digest },
}

impl Core {
    /// A witness with another key begins anew: what the old one said binds the old one.
    pub(super) fn restart_witness(&mut self) {
        let key = self.settings.witness.as_ref().map(|key| key.public());
        if key.is_some() && key != self.state.witness.key {
            self.persist(Record::Witness(WitnessRecord::Key(key)));
        }
        if let Some(seen) = &self.state.checkpoint {
            self.witnessing.recent.push_back((seen.size, seen.root));
        }
    }

    /// A part of a plan: dealt with now, or when its proof has come.
    pub(super) fn hold_or_take(&mut self, part: PlanPart) {
        let plan = part.header.digest();
        let free = self.cosignatures_wanted() == 0 || self.witnessing.proven.contains(&plan);
        if free || !self.is_hopeful(&part) {
            return self.on_part(&part);
        }
        let waiting = &mut self.witnessing.waiting;
        if waiting.iter().any(|waiting| waiting.part.header.digest() == plan) {
            return;
        }
        let items: usize = waiting.iter().map(|waiting| waiting.part.items.len()).sum();
        if waiting.len() >= WAITING_MAX || items + part.items.len() > WAITING_ITEMS_MAX {
            self.witnessing.missed = true;
            return;
        }
        let (since, again) = (self.now, self.now.plus(ASK_FIRST));
        let part = Box::new(part);
        waiting.push_back(Waiting { part, since, again, pause: ASK_AGAIN, told: false, proof: None });
    }

    /// Does anything wait for a proof? Then the place in the stream stays before it.
    pub(super) fn is_waiting(&self) -> bool {
        self.witnessing.missed || !self.witnessing.waiting.is_empty()
    }

    /// How many parts wait for cosignatures.
    pub(super) fn parts_waiting(&self) -> usize {
        self.witnessing.waiting.len()
    }

    fn cosignatures_wanted(&self) -> usize {
        self.charter().map_or(0, |charter| charter.witness.cosignatures as usize)
    }

    /// A checkpoint with the path from the one before: no question to the hub is needed where we hold that one.
    pub(super) fn on_growth(&mut self, growth: &Growth) {
        let shown = match self.believed(&growth.note) {
            Ok(shown) => shown,
            Err(_) => return self.on_checkpoint(&growth.note),
        };
        if growth.wanted {
            self.witnessing.wanted = shown.size;
        }
        let held = self.state.checkpoint.as_ref().filter(|held| held.size == growth.from);
        let proven = held.is_some_and(|held| {
            merkle::verify_consistency(held.size, held.root, shown.size, shown.root, &growth.path).is_ok()
        });
        match proven {
            true => self.adopt_checkpoint(shown),
            // Not the one we hold, or a path that does not fit: the hub is asked for the right one.
            false => self.on_checkpoint(&growth.note),
        }
    }

    /// A checkpoint is found to continue the last one, or is the first.
    pub(super) fn adopt_checkpoint(&mut self, seen: Seen) {
        if self.state.checkpoint.as_ref() != Some(&seen) {
            self.persist(Record::Checkpoint(seen.clone()));
        }
        self.remember_checkpoint(&seen);
        if self.witnessing.wanted > 0 && seen.size >= self.witnessing.wanted {
            self.witnessing.wanted = 0;
            self.cosign_own(&seen);
        }
        self.weigh_all();
    }

    /// It stands in our history, though it may not be the last one.
    pub(super) fn remember_checkpoint(&mut self, seen: &Seen) {
        let recent = &mut self.witnessing.recent;
        if !recent.contains(&(seen.size, seen.root)) {
            recent.push_back((seen.size, seen.root));
        }
        if recent.len() > RECENT_MAX {
            recent.pop_front();
        }
    }

    /// The root that our history has at this size, where that is known.
    pub(super) fn root_at(&self, size: u64) -> Option<Digest> {
        let recent = self.witnessing.recent.iter().rev().find(|(known, _)| *known == size).map(|(_, root)| *root);
        recent.or_else(|| self.state.checkpoint.as_ref().filter(|held| held.size == size).map(|held| held.root))
    }

    /// The hub's history was accepted by a person against what we saw: this witness has nothing more to say.
    pub(super) fn fall_silent(&mut self) {
        self.witnessing.recent.clear();
        if !self.state.witness.cosigned.is_empty() {
            self.persist(Record::Witness(WitnessRecord::Silent));
            let text = "This member's witness cosigned another history than the one that was accepted, and falls \
                        silent. With a new witness key in the charter it speaks again: epimachia agent witness";
            self.alarm(AlarmKind::WitnessSilent, text);
        }
    }

    /// Our own witness key, under its name, if the charter names it.
    fn own_witness(&self) -> Option<(String, PublicKey)> {
        let (charter, key) = (self.charter()?, self.settings.witness.as_ref()?.public());
        let member = charter.member(&self.settings.member).ok()?;
        let named = member.witness == Some(key);
        named.then(|| (witness_name(&charter.alliance.name, member.id.as_str()), key))
    }

    fn cosign_own(&mut self, seen: &Seen) {
        let Some((name, _)) = self.own_witness() else { return };
        if self.state.forked.is_some() {
            return;
        }
        if let Some(note) = self.cosign(&name, seen) {
            self.out.push(Output::Cosign(note));
        }
    }

    /// Cosigns what was found to continue the last one cosigned of its log: written down before it is said.
    fn cosign(&mut self, name: &str, seen: &Seen) -> Option<String> {
        let signed = SignedCheckpoint::parse(seen.note.as_bytes()).ok()?;
        let origin = signed.unverified().origin.clone();
        let last = self.state.witness.cosigned.get(&origin);
        let contradicts =
            last.is_some_and(|last| last.size > seen.size || (last.size == seen.size && last.root != seen.root));
        if contradicts || self.state.witness.silent {
            return None;
        }
        let seconds = u64::try_from(self.now.as_millis() / 1_000).ok()?;
        let key = self.settings.witness.as_ref()?;
        let line = account::cosign(name, key, signed.unverified(), seconds).ok()?;
        let mut note = signed;
        note.add(line).ok()?;
        let note = note.to_string();
        let seen = Seen { note: note.clone(), ..seen.clone() };
        self.persist(Record::Witness(WitnessRecord::Cosigned(origin, seen)));
        self.counts.cosigned += 1;
        Some(note)
    }

    /// The proof of a plan came.
    pub(super) fn on_witnessed(&mut self, text: &str) {
        let read = EntryProof::parse(text.as_bytes()).map_err(|error| error.to_string());
        let placed = read.and_then(|proof| Ok((self.placed(&proof)?, proof)));
        match placed {
            Ok((plan, proof)) => self.weigh(plan, &Arc::new(proof)),
            Err(text) => {
                self.counts.refusal(Rule::DigestMismatch);
                self.alarm(AlarmKind::CheckpointDoubtful, &format!("A plan's proof does not hold: {text}"));
            }
        }
    }

    /// Which plan a proof puts in force, in the journal that the hub signed.
    fn placed(&self, proof: &EntryProof) -> Result<Digest, String> {
        let proven = proof.verify(&self.hub_key()?).map_err(|fault| fault.to_string())?;
        let placed: Placed = serde_json::from_slice(proven.entry.unwrap_or_default())
            .map_err(|error| format!("the entry puts no plan in force: {error}"))?;
        let PlacedEvent::PlanInForce { digest } = placed.event;
        Ok(digest)
    }

    /// Proofs that waited for their checkpoint.
    fn weigh_all(&mut self) {
        let waiting = self.witnessing.waiting.iter();
        let proofs: Vec<_> =
            waiting.filter_map(|w| Some((w.part.header.digest(), Arc::clone(w.proof.as_ref()?)))).collect();
        proofs.iter().for_each(|(plan, proof)| self.weigh(*plan, proof));
    }

    /// The proof holds: is its checkpoint of our history, and cosigned by enough others?
    fn weigh(&mut self, plan: Digest, proof: &Arc<EntryProof>) {
        if !self.witnessing.waiting.iter().any(|waiting| waiting.part.header.digest() == plan) {
            return;
        }
        let (size, root) = (proof.checkpoint().unverified().size, proof.checkpoint().unverified().root);
        if self.root_at(size) != Some(root) {
            let waiting = self.witnessing.waiting.iter_mut().find(|waiting| waiting.part.header.digest() == plan);
            if let Some(waiting) = waiting.filter(|waiting| waiting.proof.as_ref() != Some(proof)) {
                waiting.proof = Some(Arc::clone(proof));
                let note = proof.checkpoint().to_string();
                self.on_checkpoint(&note);
            }
            return;
        }
        match self.others_over(proof.checkpoint()) {
            Ok(others) if others.len() >= self.cosignatures_wanted() => self.release_plan(plan),
            Ok(_) => {}
            Err(text) => {
                self.counts.refusal(Rule::BadSignature);
                self.alarm(AlarmKind::CheckpointDoubtful, &format!("A cosignature cannot be believed: {text}"));
            }
        }
    }

    /// The other members whose witnesses cosigned this checkpoint.
    fn others_over(&self, signed: &SignedCheckpoint) -> Result<BTreeSet<MemberId>, String> {
        let charter = self.charter().ok_or("no charter yet")?;
        let mut others = BTreeSet::new();
        for (member, key) in charter.witnesses().filter(|(member, _)| **member != self.settings.member) {
            let key = verifier(charter, member, *key)?;
            if key.cosigned(signed.note()).map_err(|fault| fault.to_string())?.is_some() {
                others.insert(member.clone());
            }
        }
        Ok(others)
    }

    fn release_plan(&mut self, plan: Digest) {
        self.witnessing.proven.push_back(plan);
        if self.witnessing.proven.len() > PROVEN_MAX {
            self.witnessing.proven.pop_front();
        }
        let (ready, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.witnessing.waiting).into_iter().partition(|w| w.part.header.digest() == plan);
        self.witnessing.waiting = rest.into();
        ready.iter().for_each(|waiting| self.on_part(&waiting.part));
        self.catch_up();
    }

    /// What there was no room for is asked for again.
    fn catch_up(&mut self) {
        if self.witnessing.missed && self.witnessing.waiting.is_empty() {
            self.witnessing.missed = false;
            self.reconnect();
        }
    }

    /// What is withdrawn does not come into force when its proof comes.
    pub(super) fn withdraw_waiting(&mut self, over: impl Fn(&PlanHeader, &Mitigation) -> bool) {
        for waiting in &mut self.witnessing.waiting {
            let header = &waiting.part.header;
            waiting.part.items.retain(|item| !over(header, &item.mitigation));
        }
        self.witnessing.waiting.retain(|waiting| !waiting.part.items.is_empty());
        self.catch_up();
    }

    /// The hub is there again: what was asked for in vain meanwhile is asked for soon.
    pub(super) fn ask_for_proofs_soon(&mut self) {
        let soon = self.now.plus(ASK_FIRST);
        for waiting in &mut self.witnessing.waiting {
            (waiting.again, waiting.pause) = (waiting.again.min(soon), ASK_AGAIN);
        }
    }

    pub(super) fn witness_at(&self) -> Option<Timestamp> {
        self.witnessing.waiting.iter().map(|waiting| waiting.again).min()
    }

    /// Asks for proofs that did not come, tells a person, and gives up what would have ended meanwhile.
    pub(super) fn press_witnesses(&mut self) {
        if self.cosignatures_wanted() == 0 && self.is_waiting() {
            let waiting = std::mem::take(&mut self.witnessing.waiting);
            waiting.iter().for_each(|waiting| self.on_part(&waiting.part));
            return self.catch_up();
        }
        let (now, mut asked, mut late) = (self.now, Vec::new(), Vec::new());
        for waiting in self.witnessing.waiting.iter_mut().filter(|waiting| waiting.again <= now) {
            waiting.again = now.plus(waiting.pause);
            waiting.pause = Span::millis(waiting.pause.as_millis() * 2).min(ASK_AGAIN_MAX);
            asked.push(waiting.part.header.id());
            if now.since(waiting.since) >= TELL_AFTER && !waiting.told {
                waiting.told = true;
                late.push(waiting.part.clone());
            }
        }
        asked.into_iter().for_each(|plan| self.out.push(Output::FetchProof { plan }));
        late.iter().for_each(|part| self.tell_late(part));
        self.give_up();
    }

    fn tell_late(&mut self, part: &PlanPart) {
        let wanted = self.cosignatures_wanted();
        let text = format!(
            "Plan {} waits: its checkpoint is not cosigned by {wanted} other members. It is not carried out. Ask them \
             whether their agents run, and compare checkpoints: epimachia agent history show",
            part.header.id()
        );
        self.alarm(AlarmKind::CosignaturesMissing, &text);
        let member = self.settings.member.clone();
        for item in part.items.iter().filter(|item| item.mitigation.member == member) {
            let receipt = due(item.mitigation.id(), self.now, format!("waits for {wanted} members' cosignatures"));
            self.persist(Record::Receipt(Box::new(receipt)));
        }
    }

    /// What has ended before its proof came is refused.
    fn give_up(&mut self) {
        let now = self.now;
        let is_over = |waiting: &Waiting| waiting.part.items.iter().all(|item| item.mitigation.expires <= now);
        let (over, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.witnessing.waiting).into_iter().partition(is_over);
        self.witnessing.waiting = rest.into();
        for item in over.iter().flat_map(|waiting| &waiting.part.items) {
            let limit = format!("{} other members' cosignatures", self.cosignatures_wanted());
            let refusal = Refusal::new(Rule::CosignaturesMissing, item.mitigation.id(), limit);
            self.refuse_mitigation(&item.mitigation, refusal);
        }
        self.catch_up();
    }

    /// Another member's witness shows what it cosigned last: one history for both?
    pub(super) fn on_peer_checkpoint(&mut self, peer: &MemberId, note: &str) {
        let shown = match self.of_peer(peer, note) {
            Ok(shown) => shown,
            Err(refusal) => {
                self.counts.refusal(refusal.rule);
                let text = format!("The checkpoint that {peer} shows cannot be believed: {refusal}");
                return self.alarm(AlarmKind::CheckpointDoubtful, &text);
            }
        };
        match self.root_at(shown.size) {
            Some(root) if root == shown.root => drop(self.doubts.peers.remove(peer)),
            Some(_) => self.fork(shown, format!("{peer} was shown another tree of this size"), Some(peer)),
            None if self.state.checkpoint.is_none() => {}
            None => {
                let (since, again) = (self.now, self.now.plus(super::history::ASK_AGAIN));
                self.ask_consistency(&shown);
                self.doubts.peers.entry(peer.clone()).or_insert(Unproven { shown, since, again });
            }
        }
    }

    /// A checkpoint that the hub signed and this peer's witness cosigned.
    fn of_peer(&self, peer: &MemberId, note: &str) -> Result<Seen, Refusal> {
        let shown = self.believed(note).map_err(|text| Refusal::new(Rule::OtherLog, text, "the hub's checkpoint"))?;
        let unknown = || Refusal::new(Rule::UnknownWitness, peer, "a cosignature by that member's witness key");
        let charter = self.charter().ok_or_else(unknown)?;
        let (_, key) = charter.witnesses().find(|(member, _)| *member == peer).ok_or_else(unknown)?;
        let key = verifier(charter, peer, *key).map_err(|text| Refusal::new(Rule::UnknownWitness, text, "a name"))?;
        let signed = SignedCheckpoint::parse(note.as_bytes()).map_err(Refusal::from)?;
        let cosigned = key.cosigned(signed.note());
        let cosigned = cosigned.map_err(|fault| Refusal::new(Rule::BadSignature, fault, "the witness's own line"))?;
        cosigned.map(|_| shown).ok_or_else(unknown)
    }

    /// Somebody asks this witness to cosign a checkpoint, of the alliance's log or of another that it is to witness.
    pub(super) fn on_add_checkpoint(&mut self, body: &[u8]) {
        let answer = self.add_checkpoint(body);
        if let Err(reply) = &answer {
            self.counts.witness_refused(reply.status());
        }
        self.out.push(Output::WitnessAnswer(answer));
    }

    fn add_checkpoint(&mut self, body: &[u8]) -> Result<String, Reply> {
        let request = AddCheckpoint::parse(body).map_err(|error| Reply::Malformed(error.to_string()))?;
        let origin = request.checkpoint.unverified().origin.clone();
        let own = self.charter().map(|charter| charter.alliance.name.clone()).filter(|name| *name == origin);
        let mut keys = self.settings.logs.clone();
        if own.is_some() {
            keys = self.hub_key().into_iter().collect();
        }
        let (name, _) = self.own_witness().ok_or_else(|| Reply::UnknownLog(origin.clone()))?;
        if self.state.witness.silent || (own.is_some() && self.state.forked.is_some()) {
            return Err(Reply::UnknownLog(origin));
        }
        let last = match own {
            Some(_) => self.state.checkpoint.as_ref(),
            None => self.state.witness.cosigned.get(&origin),
        };
        let last = last.map(|last| (last.size, last.root));
        let new = request.judge(&keys, last)?;
        let seen = Seen { size: new.size, root: new.root, note: request.checkpoint.to_string() };
        if own.is_some() {
            self.adopt_checkpoint(seen.clone());
        }
        let note = self.cosign(&name, &seen).ok_or(Reply::UnknownLog(origin))?;
        // The last line is ours.
        Ok(note.lines().last().map(|line| format!("{line}\n")).unwrap_or_default())
    }

    /// The key with which the hub signs checkpoints.
    pub(super) fn hub_key(&self) -> Result<VerifierKey, String> {
        let charter = self.charter().ok_or("no charter yet")?;
        let key = VerifierKey::new(&charter.alliance.name, charter.alliance.hub_key.as_bytes());
        key.map_err(|error| error.to_string())
    }

    /// What this witness cosigned last of a log, by the SHA-256 of its origin in hexadecimal.
    pub fn cosigned_log(&self, origin_hash: &str) -> Option<&Seen> {
        let cosigned = self.state.witness.cosigned.iter();
        let mut of = cosigned.filter(|(origin, _)| Digest::of(&[origin.as_bytes()]).to_string() == origin_hash);
        of.next().map(|(_, seen)| seen)
    }

    /// The witness's key as others configure it, whether the charter names it, and what it last said of this log.
    pub fn witness_view(&self) -> super::views::WitnessView {
        let (charter, key) = (self.charter(), self.settings.witness.as_ref().map(|key| key.public()));
        let name = charter.map(|charter| witness_name(&charter.alliance.name, self.settings.member.as_str()));
        let vkey = name.and_then(|name| WitnessKey::new(&name, key?).ok()).map(|key| key.to_string());
        let last = charter.and_then(|charter| self.state.witness.cosigned.get(&charter.alliance.name));
        super::views::WitnessView {
            public: key,
            vkey,
            named_by_charter: self.own_witness().is_some(),
            silent: self.state.witness.silent,
            cosigned: last.map(|seen| seen.size),
            cosignatures_wanted: self.cosignatures_wanted(),
            plans_waiting: self.parts_waiting(),
        }
    }
}

fn verifier(charter: &Charter, member: &MemberId, key: PublicKey) -> Result<WitnessKey, String> {
    WitnessKey::new(&witness_name(&charter.alliance.name, member.as_str()), key).map_err(|error| error.to_string())
}
