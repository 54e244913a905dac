//! Witnesses in a run: agents cosign what the hub announces, plans wait for their proofs where the charter asks for it,
//! members compare what they were shown; and a hub that forks shows some of them another history.

use crate::fact::{Fact, Violation};
use crate::hub::{Hub, Request};
use crate::run::Run;
use account::{
    Checkpoint, EntryProof, Gathered, Opening, SignedCheckpoint, TileId, TileSource, WitnessKey, paths, witness_name,
};
use agent::core::Input;
use alliance::PlanState;
use model::{Digest, Growth, MemberId, PlanId, Refusal, Rule, StreamMessage, merkle};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Announced checkpoints that can still be cosigned.
const RECENT_MAX: usize = 64;

/// What the hub knows of its witnesses, and whom it shows another history.
#[derive(Default)]
pub struct Book {
    gathered: Gathered,
    recent: VecDeque<SignedCheckpoint>,
    waiting: Vec<(u64, MemberId)>,
    announced: u64,
    fork: Option<Fork>,
    /// Roots that were counted, by size, of the true history and of the other: a tree is hashed once for everybody.
    roots: [BTreeMap<u64, Digest>; 2],
}

/// A second history: another entry at `at`, the same ones after it.
struct Fork {
    at: u64,
    victims: BTreeSet<MemberId>,
}

/// A tree of which every leaf is at hand.
struct Leaves(Vec<Digest>);

impl TileSource for Leaves {
    fn tile(&self, id: TileId) -> Option<Vec<Digest>> {
        let below = 256_usize.checked_pow(u32::from(id.level))?;
        let first = usize::try_from(id.index).ok()? * 256;
        let hash = |nth: usize| Some(merkle::root(self.0.get(nth * below..(nth + 1) * below)?));
        (first..first + usize::from(id.width)).map(hash).collect()
    }
}

impl Hub {
    /// The leaves as this member is shown them.
    fn leaves_for(&self, member: &MemberId) -> Leaves {
        let mut leaves = self.journal.leaves().to_vec();
        if let Some(fork) = self.book.fork.as_ref().filter(|fork| fork.victims.contains(member))
            && let Some(leaf) = usize::try_from(fork.at).ok().and_then(|at| leaves.get_mut(at))
        {
            *leaf = Digest::of(&[b"another entry"]);
        }
        Leaves(leaves)
    }

    /// Is this member shown the other history?
    fn is_victim(&self, member: &MemberId) -> bool {
        self.book.fork.as_ref().is_some_and(|fork| fork.victims.contains(member))
    }

    /// The root over the first `size` entries as this member is shown them.
    fn root_for(&mut self, member: &MemberId, size: u64) -> Option<Digest> {
        let history = usize::from(self.is_victim(member));
        if let Some(root) = self.book.roots.get(history)?.get(&size) {
            return Some(*root);
        }
        let leaves = self.leaves_for(member).0;
        let root = merkle::root(leaves.get(..usize::try_from(size).ok()?)?);
        self.book.roots.get_mut(history)?.insert(size, root);
        Some(root)
    }

    /// Does this root stand in the journal's own history?
    pub fn is_true(&mut self, size: u64, root: Digest) -> bool {
        let [roots, _] = &mut self.book.roots;
        if let Some(known) = roots.get(&size) {
            return *known == root;
        }
        let own = self.journal.root(size);
        roots.extend(own.map(|own| (size, own)));
        own == Some(root)
    }

    /// The path between two sizes, as this member is shown it.
    pub fn consistency_for(&self, member: &MemberId, from: u64, to: u64) -> Option<Vec<Digest>> {
        let leaves = self.leaves_for(member).0;
        merkle::consistency_path(leaves.get(..usize::try_from(to).ok()?)?, from)
    }

    /// The checkpoint over everything durable, as this member is shown it.
    pub fn checkpoint_for(&mut self, member: &MemberId) -> Option<SignedCheckpoint> {
        let size = self.journal.head();
        let root = self.root_for(member, size)?;
        let checkpoint = Checkpoint::new(self.signer.verifier().name(), size, root);
        let signed = checkpoint.sign(&self.signer).ok()?;
        if !self.book.recent.contains(&signed) {
            self.book.recent.push_back(signed.clone());
        }
        if self.book.recent.len() > RECENT_MAX {
            self.book.recent.pop_front();
        }
        Some(signed)
    }

    /// Takes a cosignature.
    ///
    /// # Errors
    /// The rule that says no.
    pub fn cosign(&mut self, member: &MemberId, note: &str) -> Result<(), Refusal> {
        let key = self.witness(member).ok_or_else(|| Refusal::new(Rule::UnknownWitness, member, "a witness"))?;
        let signed = SignedCheckpoint::parse(note.as_bytes()).map_err(Refusal::from)?;
        let other = |fault| Refusal::new(Rule::OtherLog, fault, "our log");
        signed.verify(self.signer.verifier()).map_err(other)?;
        let line = signed.note().signatures().iter().find(|line| key.is_named_by(line));
        let line = line.ok_or_else(|| Refusal::new(Rule::UnknownWitness, "another line", &key))?;
        let bad = |fault| Refusal::new(Rule::BadSignature, fault, "a cosignature");
        key.verify(signed.note().text(), line).map_err(bad)?;
        self.book.gathered.take(key.name(), signed.unverified(), line.clone());
        Ok(())
    }

    fn witness(&self, member: &MemberId) -> Option<WitnessKey> {
        let charter = self.state.as_ref()?.charter()?;
        let (_, key) = charter.witnesses().find(|(id, _)| *id == member)?;
        WitnessKey::new(&witness_name(&charter.alliance.name, member.as_str()), *key).ok()
    }

    /// The proof for a member that a plan is in force.
    pub fn proof_of(&mut self, member: &MemberId, plan: PlanId) -> Option<String> {
        let PlanState::InForce { position, .. } = self.state.as_ref()?.plan(plan, Some(member))?.state else {
            return None;
        };
        self.proof_for(member, position)
    }

    /// The proof of an entry for a member, under a checkpoint that enough others have cosigned.
    pub fn proof_for(&mut self, member: &MemberId, position: u64) -> Option<String> {
        let charter = self.state.as_ref()?.charter()?;
        let own = witness_name(&charter.alliance.name, member.as_str());
        let wanted = charter.witness.cosignatures as usize;
        let enough = |signed: &&SignedCheckpoint| {
            let others = self.book.gathered.witnesses_of(signed.unverified()).filter(|name| *name != own).count();
            position < signed.unverified().size && others >= wanted
        };
        let cosigned: Vec<SignedCheckpoint> = self.book.recent.iter().rev().filter(enough).cloned().collect();
        let mut shown = |signed: &SignedCheckpoint| {
            let of = signed.unverified();
            self.root_for(member, of.size) == Some(of.root)
        };
        let signed = cosigned.into_iter().find(|signed| shown(signed))?;
        let leaves = self.leaves_for(member);
        let (entry, nonce) = self.journal.entry(position)?;
        let whole = self.book.gathered.cosigned(&signed);
        paths::root(&leaves, signed.unverified().size).ok()?;
        let proof = EntryProof::make(&leaves, whole, position, Some(Opening { nonce, entry: entry.to_vec() }));
        proof.ok().map(|proof| proof.to_string())
    }
}

impl Run {
    /// What agents send their witness's word for.
    pub(crate) fn cosigned(&mut self, id: &MemberId, note: String) {
        self.say_to_the_hub(id, Request::Cosign(note));
    }

    /// A proof that the stream did not bring.
    pub(crate) fn fetch_proof(&mut self, id: &MemberId, plan: PlanId) {
        if let Some(member) = self.members.get_mut(id) {
            member.asked.retain(|_, asked| !matches!(asked, Request::Proof(of) if *of == plan));
        }
        self.ask(id, Request::Proof(plan));
    }

    /// A cosignature reaches the hub; whoever waits for it hears.
    pub(crate) fn hear_witness(&mut self, id: &MemberId, note: &str) -> Result<(), Violation> {
        if let Err(refusal) = self.hub.cosign(id, note) {
            self.tally.refusal(refusal.rule);
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.hub.book.waiting);
        let head = self.hub.journal.head().saturating_sub(1);
        for (position, member) in waiting {
            match self.hub.proof_for(&member, position) {
                Some(proof) => self.deliver(&member, vec![(head, StreamMessage::Witnessed(proof))])?,
                None => self.hub.book.waiting.push((position, member)),
            }
        }
        Ok(())
    }

    /// Notes who waits for proofs, and asks everybody's witness for them.
    pub(crate) fn ask_witnesses(&mut self, parts: &[(u64, MemberId)]) -> Result<(), Violation> {
        let wanted = self.cast.world.charter.witness.cosignatures > 0 && !parts.is_empty();
        if wanted {
            self.hub.book.waiting.extend(parts.iter().cloned());
            self.announce_growth(true)?;
        }
        Ok(())
    }

    /// Whoever still waits may wait for a message that was lost: everybody's witness is asked again.
    pub(crate) fn remind_witnesses(&mut self) -> Result<(), Violation> {
        match self.hub.book.waiting.is_empty() {
            true => Ok(()),
            false => self.announce_growth(true),
        }
    }

    /// A checkpoint for everybody who listens, with the path from the last one.
    pub(crate) fn announce_growth(&mut self, wanted: bool) -> Result<(), Violation> {
        let head = self.hub.journal.head();
        let from = std::mem::replace(&mut self.hub.book.announced, head).min(head);
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for id in ids {
            let Some(signed) = self.hub.checkpoint_for(&id) else { continue };
            let note = signed.to_string();
            let message = match self.hub.consistency_for(&id, from, head).filter(|_| from > 0) {
                Some(path) => StreamMessage::Grown(Box::new(Growth { note, from, path, wanted })),
                None => StreamMessage::Checkpoint(note),
            };
            self.deliver(&id, vec![(head.saturating_sub(1), message)])?;
        }
        Ok(())
    }

    /// A hostile hub begins to show some members another history.
    pub(crate) fn fork(&mut self) -> Result<(), Violation> {
        if self.hub.book.fork.is_some() {
            return Ok(());
        }
        let victims: BTreeSet<MemberId> = self.somebody().into_iter().chain(self.somebody()).collect();
        let at = self.hub.journal.head();
        self.note(|| format!("the hub shows {victims:?} another history from entry {at} on"));
        self.show(&Fact::Fork { at })?;
        self.hub.book.roots = Default::default();
        self.hub.book.fork = Some(Fork { at, victims });
        Ok(())
    }

    /// Each member looks at what the others' witnesses said last.
    pub(crate) fn compare_all(&mut self) -> Result<(), Violation> {
        let origin = Digest::of(&[self.cast.world.charter.alliance.name.as_bytes()]).to_string();
        let last = |member: &crate::member::Member| {
            member.core.as_ref()?.cosigned_log(&origin).map(|seen| (member.id.clone(), seen.note.clone()))
        };
        let said: Vec<(MemberId, String)> = self.members.values().filter_map(last).collect();
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for id in ids {
            for (peer, note) in said.iter().filter(|(peer, _)| *peer != id) {
                self.give(&id, Input::PeerCheckpoint { peer: peer.clone(), note: note.clone() })?;
            }
        }
        Ok(())
    }
}
