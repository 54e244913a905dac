//! What members' witnesses say of the log: their cosignatures, the checkpoint that bears most of them, and who is shown
//! the proof of a plan once enough have cosigned (C2SP `tlog-cosignature`).
//!
//! A plan goes to the agents at once; the checkpoint over it follows, with the path from the one before, and asks for
//! cosignatures; each agent checks and answers with its own; as soon as there are enough, the proof of the plan goes
//! out. That is one round trip more, and only where the charter asks for it. One round is open at a time: what comes
//! meanwhile is under the next.

use crate::clock::Clock;
use crate::core::Core;
use crate::directory::write_whole;
use crate::figures::{COSIGNATURES, COSIGNED_SIZE};
use crate::problem::Problem;
use crate::streams::Addressed;
use crate::tree::Newest;
use crate::wire::{CosignatureTaken, SCHEMA};
use account::{
    Checkpoint, EntryProof, Gathered, Opening, SignedCheckpoint, Standing, VerifierKey, WitnessKey, paths, witness_name,
};
use charter::Charter;
use model::{Growth, MemberId, Refusal, Rule, Span, StreamMessage, Timestamp};
use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Checkpoints that can still be cosigned.
const RECENT_MAX: usize = 64;
/// Plans that wait for their proof to be pushed; agents ask for others themselves.
const WAITING_MAX: usize = 1_024;
/// A round that has not come to its end by then does not hold up the next.
const ROUND_MAX: Duration = Duration::from_millis(250);
/// While no plan waits, cosignatures are asked for so often.
const ASK_EVERY: Span = Span::seconds(10);
/// A checkpoint with fewer cosignatures takes the place of one that is older by more.
const BEST_FOR: Span = Span::minutes(1);
/// The best cosigned checkpoint is written at most so often.
const KEEP_EVERY: Duration = Duration::from_secs(1);
/// How far a cosignature's time may be from ours.
const SKEW_MAX: Span = Span::minutes(5);

/// What is known of the log's witnesses.
pub(crate) struct Witnesses {
    /// Where the best cosigned checkpoint is kept, as a signed note; not where nothing can be written.
    path: Option<PathBuf>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    gathered: Gathered,
    recent: VecDeque<Arc<Newest>>,
    best: Option<Best>,
    waiting: VecDeque<Waiting>,
    announced: u64,
    asked_at: Option<Timestamp>,
    /// Is the best one another than the one that was kept, and when was that?
    unkept: bool,
    kept_at: Option<Instant>,
    /// When cosignatures were last asked for because a plan waits, and over which size; none: nobody waits.
    round: Option<(Instant, u64)>,
}

/// The checkpoint that is shown to those who ask, with its cosignatures.
struct Best {
    signed: SignedCheckpoint,
    witnesses: usize,
    at: Timestamp,
}

/// A plan in force whose members wait for its proof.
struct Waiting {
    position: u64,
    members: BTreeSet<MemberId>,
}

/// A proof that can be pushed now.
struct Ready {
    position: u64,
    members: Vec<MemberId>,
}

impl Witnesses {
    /// Begins with the cosigned checkpoint that was kept, if it is ours.
    pub(crate) fn open(path: PathBuf, keep: bool, log: &VerifierKey, clock: &Clock) -> Self {
        let kept = std::fs::read(&path).ok().and_then(|bytes| SignedCheckpoint::parse(&bytes).ok());
        let ours = kept.filter(|signed| signed.verify(log).is_ok());
        let best = ours.map(|signed| Best { witnesses: signed.note().signatures().len() - 1, signed, at: clock.now() });
        Self { path: keep.then_some(path), inner: Mutex::new(Inner { best, ..Inner::default() }) }
    }

    /// Notes the plans among these messages whose members will wait for a proof; are there any?
    pub(crate) fn expect(&self, charter: Option<&Charter>, messages: &[Addressed]) -> bool {
        if charter.is_none_or(|charter| charter.witness.cosignatures == 0) {
            return false;
        }
        let mut inner = self.inner();
        let parts = messages.iter().filter(|m| matches!(m.message, StreamMessage::Part(_)));
        let mut any = false;
        for addressed in parts {
            any = true;
            match inner.waiting.back_mut().filter(|waiting| waiting.position == addressed.position) {
                Some(waiting) => drop(waiting.members.insert(addressed.member.clone())),
                None => {
                    let members = BTreeSet::from([addressed.member.clone()]);
                    inner.waiting.push_back(Waiting { position: addressed.position, members });
                }
            }
            if inner.waiting.len() > WAITING_MAX {
                drop(inner.waiting.pop_front());
            }
        }
        any
    }

    /// May the next checkpoint ask for cosignatures, or is a round still open?
    pub(crate) fn is_free(&self) -> bool {
        self.inner().round.is_none_or(|(since, _)| since.elapsed() >= ROUND_MAX)
    }

    /// What everybody is told of a new checkpoint; `wanted` if a plan waits for it, `None` if there is nothing to tell.
    pub(crate) fn announcement(
        &self,
        core: &Core,
        newest: &Arc<Newest>,
        wanted: bool,
        now: Timestamp,
    ) -> Option<StreamMessage> {
        let witnesses = core.gate.pass().charter.as_ref().map_or(0, |charter| charter.witnesses().count());
        let to = newest.signed.unverified().size;
        let mut inner = self.inner();
        let due = inner.asked_at.is_none_or(|at| now.since(at) >= ASK_EVERY);
        let bare = inner.best.as_ref().is_none_or(|best| best.signed.unverified().size < to);
        let ask = witnesses > 0 && (wanted || (due && bare));
        let from = std::mem::replace(&mut inner.announced, to);
        if from == to && !ask {
            return None;
        }
        if inner.recent.back().is_none_or(|last| last.signed.unverified().size != to) {
            inner.recent.push_back(Arc::clone(newest));
        }
        while inner.recent.len() > RECENT_MAX {
            drop(inner.recent.pop_front());
        }
        if ask {
            inner.asked_at = Some(now);
        }
        if wanted {
            inner.round = Some((Instant::now(), to));
        }
        drop(inner);
        let note = newest.signed.to_string();
        let path = if from == 0 { None } else { paths::consistency(&core.log.tiles(newest), from, to).ok() };
        Some(match path {
            Some(path) => StreamMessage::Grown(Box::new(Growth { note, from, path, wanted: ask })),
            None if ask => StreamMessage::Grown(Box::new(Growth { note, from: to, path: Vec::new(), wanted: ask })),
            None => StreamMessage::Checkpoint(note),
        })
    }

    /// Takes a member's cosignature, and pushes the proofs that it completes.
    ///
    /// # Errors
    /// `unknown_witness`, `other_log`, `bad_signature`, `clock_skew`, `malformed`.
    pub(crate) fn take(&self, core: &Core, member: &MemberId, note: &str) -> Result<CosignatureTaken, Problem> {
        let charter = Arc::clone(core.gate.pass().charter()?);
        let key = key_of(&charter, member)?;
        let signed = SignedCheckpoint::parse(note.as_bytes()).map_err(Refusal::from)?;
        let recent = self.recent(signed.unverified());
        if recent.as_ref().is_none_or(|recent| recent.signed.note().text() != signed.note().text()) {
            ours(&signed, core.log.verifier())?;
        }
        let line = verified(&signed, &key, core.clock.now())?;
        let checkpoint = signed.unverified();
        let (standing, ready) = {
            let mut inner = self.inner();
            let standing = inner.gathered.take(key.name(), checkpoint, line);
            let whole = recent.as_ref().map(|recent| inner.improve(&recent.signed, &charter, core.clock.now()));
            let ready = if whole.is_some() { inner.ready(checkpoint, &charter) } else { Vec::new() };
            (standing, whole.map(|whole| (whole, ready)))
        };
        core.figures.counter(&COSIGNATURES, &[("standing", word(standing))]).increment(1);
        let mut cosigned = 0;
        if let Some((whole, ready)) = ready {
            cosigned = whole.note().signatures().len() as u64 - 1;
            self.push(core, &whole, recent.as_deref(), ready);
            if self.inner().kept_at.is_none_or(|at| at.elapsed() >= KEEP_EVERY) {
                self.keep(core);
            }
        }
        Ok(CosignatureTaken { schema: SCHEMA, size: checkpoint.size, standing: word(standing).to_owned(), cosigned })
    }

    /// Makes the proofs and sends each to its members.
    fn push(&self, core: &Core, whole: &SignedCheckpoint, recent: Option<&Newest>, ready: Vec<Ready>) {
        let Some(recent) = recent else { return };
        for Ready { position, members } in ready {
            match proof(core, whole, recent, position) {
                Ok(proof) => {
                    let message = StreamMessage::Witnessed(proof.to_string());
                    members.iter().for_each(|member| core.streams.whisper(member, &message));
                }
                Err(told) => tracing::warn!(position, told, "no proof was made; agents will ask for it"),
            }
        }
    }

    /// The checkpoint that is shown: the one that most witnesses cosigned lately, or the newest.
    pub(crate) fn shown(&self, newest: &Newest) -> SignedCheckpoint {
        let inner = self.inner();
        inner.best.as_ref().map_or_else(|| newest.signed.clone(), |best| best.signed.clone())
    }

    /// Keeps the best cosigned checkpoint beside the journal. It is derived: lost, it comes again within seconds.
    pub(crate) fn keep(&self, core: &Core) {
        let best = {
            let mut inner = self.inner();
            let unkept = std::mem::take(&mut inner.unkept);
            inner.kept_at = Some(Instant::now());
            let best = inner.best.as_ref().filter(|_| unkept);
            best.map(|best| (best.signed.to_string(), best.signed.unverified().size))
        };
        let (Some(path), Some((text, size))) = (&self.path, best) else { return };
        core.figures.gauge(&COSIGNED_SIZE, &[]).set(size as f64);
        if let Err(error) = write_whole(path, text.as_bytes(), false) {
            tracing::warn!(%error, "the cosigned checkpoint was not kept");
        }
    }

    /// The announced checkpoint of this size and root.
    fn recent(&self, checkpoint: &Checkpoint) -> Option<Arc<Newest>> {
        let inner = self.inner();
        let same = |newest: &&Arc<Newest>| {
            let of = newest.signed.unverified();
            of.size == checkpoint.size && of.root == checkpoint.root
        };
        inner.recent.iter().rev().find(same).cloned()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Lists of what can be asked for again: half a change hurts nobody.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The checkpoint with its cosignatures; the best one from now on if it is better.
    fn improve(&mut self, signed: &SignedCheckpoint, charter: &Charter, now: Timestamp) -> SignedCheckpoint {
        let names: BTreeSet<String> = names_of(charter).into_iter().map(|(_, name)| name).collect();
        self.gathered.retain(|name| names.contains(name));
        let whole = self.gathered.cosigned(signed);
        let (size, witnesses) = (signed.unverified().size, whole.note().signatures().len() - 1);
        let enough = charter.witness.cosignatures > 0 && witnesses > charter.witness.cosignatures as usize;
        let better = self.best.as_ref().is_none_or(|best| {
            let newer = size >= best.signed.unverified().size;
            newer && (enough || witnesses >= best.witnesses || now.since(best.at) > BEST_FOR)
        });
        if better {
            self.best = Some(Best { signed: whole.clone(), witnesses, at: now });
            self.unkept = true;
        }
        whole
    }

    /// Whose wait this checkpoint ends: those whom enough *others* have cosigned it for.
    fn ready(&mut self, checkpoint: &Checkpoint, charter: &Charter) -> Vec<Ready> {
        let least = charter.witness.cosignatures as usize;
        let cosigned: BTreeSet<&str> = self.gathered.witnesses_of(checkpoint).collect();
        let enough = |member: &MemberId| {
            let own = witness_name(&charter.alliance.name, member.as_str());
            cosigned.iter().filter(|name| **name != own).count() >= least
        };
        let mut ready = Vec::new();
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.position < checkpoint.size) {
            let (members, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut waiting.members).into_iter().partition(enough);
            waiting.members = rest.into_iter().collect();
            if !members.is_empty() {
                ready.push(Ready { position: waiting.position, members });
            }
        }
        self.waiting.retain(|waiting| !waiting.members.is_empty());
        let over = self.round.is_some_and(|(_, size)| self.waiting.iter().all(|waiting| waiting.position >= size));
        if over {
            self.round = None;
        }
        ready
    }
}

/// The proof of a plan in force, under a cosigned checkpoint. It shows the entry: whoever has the part may see it.
fn proof(core: &Core, whole: &SignedCheckpoint, recent: &Newest, position: u64) -> Result<EntryProof, String> {
    let record = core.journal.read(position, 1).map_err(|error| error.to_string())?.pop();
    let record = record.ok_or("the entry is missing")?;
    let opening = Opening { nonce: record.nonce, entry: record.entry };
    EntryProof::make(&core.log.tiles(recent), whole.clone(), position, Some(opening)).map_err(|error| error.to_string())
}

/// The members that cosign, with the names of their witnesses.
fn names_of(charter: &Charter) -> Vec<(&MemberId, String)> {
    charter.witnesses().map(|(member, _)| (member, witness_name(&charter.alliance.name, member.as_str()))).collect()
}

fn key_of(charter: &Charter, member: &MemberId) -> Result<WitnessKey, Refusal> {
    let found = charter.witnesses().find(|(id, _)| *id == member);
    let limit = "a member with a witness key in the charter: epimachia agent witness";
    let (_, key) = found.ok_or_else(|| Refusal::new(Rule::UnknownWitness, member, limit))?;
    Ok(WitnessKey::new(&witness_name(&charter.alliance.name, member.as_str()), *key)?)
}

/// Did this hub sign it?
fn ours(signed: &SignedCheckpoint, log: &VerifierKey) -> Result<(), Refusal> {
    let limit = || format!("a checkpoint of {} with the hub's signature", log.name());
    signed.verify(log).map(|_| ()).map_err(|fault| Refusal::new(Rule::OtherLog, fault, limit()))
}

/// The latest line by this witness, once every line in its name is found to be good, and that one of our time.
fn verified(signed: &SignedCheckpoint, key: &WitnessKey, now: Timestamp) -> Result<account::Signature, Refusal> {
    let named = signed.note().signatures().iter().filter(|line| key.is_named_by(line));
    let mut latest: Option<(u64, &account::Signature)> = None;
    for line in named {
        let bad = |fault| Refusal::new(Rule::BadSignature, fault, "a cosignature of this checkpoint");
        let seconds = key.verify(signed.note().text(), line).map_err(bad)?;
        latest = latest.filter(|(before, _)| *before > seconds).or(Some((seconds, line)));
    }
    let none = || Refusal::new(Rule::UnknownWitness, "no line by this witness", format!("a line by {key}"));
    let (seconds, line) = latest.ok_or_else(none)?;
    let at = Timestamp::from_millis(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000));
    let (earliest, latest) = (now.minus(SKEW_MAX), now.plus(SKEW_MAX));
    match (earliest..=latest).contains(&at) {
        true => Ok(line.clone()),
        false => Err(Refusal::new(Rule::ClockSkew, at, format!("between {earliest} and {latest}"))),
    }
}

const fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::New => "new",
        Standing::Again => "again",
        Standing::Older { .. } => "older",
    }
}
