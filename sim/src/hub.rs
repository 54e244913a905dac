//! The hub of a run: the real state machine over a journal in memory, with the sequencer's order of things: decide,
//! apply, append, and only then answer and publish.

use crate::cast::Cast;
use crate::journal::Journal;
use crate::random::Random;
use account::{Checkpoint, Signer};
use agent::core::{Submission, WhichCharter};
use alliance::{Alliance, Archive, Archived, Command, Drafted, Entry, Event, Report, Setup, Shard, SignedProposal};
use charter::SignedCharter;
use model::{
    Digest, MemberId, PlanId, Refusal, Rule, SignedApproval, SignedDispute, SignedKeyChange, StreamMessage, Timestamp,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Something that is asked of the hub.
#[derive(Clone, Debug)]
pub enum Request {
    /// Sightings or receipts.
    Submit(Box<Submission>),
    /// Which number comes next?
    Sequence,
    /// A charter, please.
    Charter(WhichCharter),
    /// The path between two sizes of the journal.
    Consistency {
        /// The older size.
        from: u64,
        /// The newer size.
        to: u64,
    },
    /// The proof of the entry at this position.
    Proof(PlanId),
    /// A checkpoint that the member's witness cosigned.
    Cosign(String),
    /// Open the stream.
    Subscribe {
        /// After this position; none: with everything in force.
        after: Option<u64>,
    },
    /// A person's yes or no.
    Approve(Box<SignedApproval>),
    /// A person's objection.
    Dispute(Box<SignedDispute>),
    /// A person's proposal.
    Propose(Box<SignedProposal>),
    /// The next charter.
    Adopt(Box<SignedCharter>),
    /// A change of a key.
    ChangeKey(Box<SignedKeyChange>),
}

/// What became of a command.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is in the journal, now or from before.
    Accepted,
    /// A rule said no.
    Refused(Refusal),
}

/// What a turn leaves to be told once it is durable.
#[derive(Debug, Default)]
pub struct Turn {
    /// What became of the command, if there was one.
    pub outcome: Option<Outcome>,
    /// Messages with their positions, in order.
    pub messages: Vec<(u64, MemberId, StreamMessage)>,
    /// Rules that held something back, from the entries.
    pub held: Vec<Rule>,
    /// More follows, in a turn of its own.
    pub more: bool,
    packed: Vec<(Vec<u8>, [u8; 32])>,
}

/// Reports by position, as the real hub reads them from its journal.
#[derive(Default)]
struct Reports(BTreeMap<u64, Arc<Archived>>);

impl Archive for Reports {
    fn report(&self, position: u64) -> Option<Arc<Archived>> {
        self.0.get(&position).cloned()
    }
}

/// The hub.
pub struct Hub {
    /// None while it is down.
    pub state: Option<Alliance>,
    /// What is on its disk.
    pub journal: Journal,
    reports: Reports,
    lists: Vec<Vec<u8>>,
    seed: [u8; 16],
    snapshot: Option<Vec<Shard>>,
    charters: BTreeMap<u64, SignedCharter>,
    pub(crate) signer: Signer,
    /// What its witnesses said.
    pub(crate) book: crate::witness::Book,
    random: Random,
}

impl Hub {
    /// A hub with an empty journal.
    ///
    /// # Errors
    /// The alliance's name cannot sign checkpoints.
    pub fn new(cast: &Cast, mut random: Random) -> Result<Self, Refusal> {
        let (lists, seed) = (cast.lists.clone(), random.bytes16());
        let mut hub = Self {
            state: None,
            journal: Journal::default(),
            reports: Reports::default(),
            lists,
            seed,
            snapshot: None,
            charters: BTreeMap::new(),
            signer: cast.signer()?,
            book: crate::witness::Book::default(),
            random,
        };
        hub.start()?;
        Ok(hub)
    }

    /// Starts from the disk: the newest snapshot and the journal's tail, or the whole journal.
    ///
    /// # Errors
    /// An entry of the journal cannot be read.
    pub fn start(&mut self) -> Result<(), Refusal> {
        let setup = Setup { seed: self.seed };
        let mut state = match &self.snapshot {
            Some(shards) => Alliance::restore(setup, &self.lists, shards)?,
            None => {
                let mut state = Alliance::new(setup)?;
                self.lists.iter().for_each(|list| {
                    state.add_list(list.clone());
                });
                state
            }
        };
        self.reports.0.clear();
        self.charters.clear();
        for (position, bytes) in (0..).zip(self.journal.entries()) {
            let entry = Entry::from_bytes(bytes)?;
            if position >= state.next_position() {
                state.apply(position, &entry);
            }
            match entry.event {
                Event::SightingsReported(report) => {
                    self.reports.0.insert(position, Arc::new(Archived::new(report)));
                }
                Event::CharterAdopted(signed) => drop(self.charters.insert(version_of(&signed), *signed)),
                _ => {}
            }
        }
        state.replayed();
        self.state = Some(state);
        Ok(())
    }

    /// The process dies when this many entries of its turn had reached the disk.
    pub fn crash(&mut self, reached: usize) {
        self.journal.crash(reached);
        self.state = None;
    }

    /// Keeps a snapshot of what is durable.
    pub fn make_snapshot(&mut self) {
        self.snapshot = self.state.as_ref().map(Alliance::snapshot);
    }

    /// What a member asks, as a command, once its signature was verified; as the hub's doors do before the sequencer.
    ///
    /// # Errors
    /// The rule that says no.
    pub fn admit(&self, caller: &MemberId, request: Request, now: Timestamp) -> Result<Command, Refusal> {
        let state = self.state.as_ref().ok_or_else(|| Refusal::new(Rule::ReadOnly, "the hub", "a hub that runs"))?;
        if let Request::Adopt(signed) = request {
            return Ok(Command::AdoptCharter(signed));
        }
        let none = || Refusal::new(Rule::CharterUnsigned, "none", "a charter");
        let charter = state.charter().ok_or_else(none)?;
        match request {
            Request::Submit(submission) => match *submission {
                Submission::Sightings(batch) => {
                    own(caller, &batch.header.author)?;
                    let key = charter.member_key(&batch.header.author, &batch.header.key, batch.header.made)?;
                    let sightings = batch.verify(&key)?;
                    Ok(Command::Report { report: Report::Signed(batch), sightings })
                }
                Submission::Receipts(signed) => {
                    let of = &signed.receipts;
                    own(caller, &of.author)?;
                    signed.verify(&charter.member_key(&of.author, &of.key, of.made)?)?;
                    Ok(Command::Receipts(*signed))
                }
                Submission::Retraction(signed) => {
                    let of = &signed.retraction;
                    own(caller, &of.author)?;
                    charter.member_key(&of.author, &of.key, of.made)?.verify(of, &signed.signature)?;
                    Ok(Command::Retract(*signed))
                }
            },
            Request::Approve(signed) => {
                let of = &signed.approval;
                own(caller, &of.person.member())?;
                signed.verify(&charter.person_key(&of.person, &of.key, of.made)?)?;
                Ok(Command::Approve(*signed))
            }
            Request::Dispute(signed) => {
                let of = &signed.dispute;
                own(caller, &of.person.member())?;
                signed.verify(&charter.person_key(&of.person, &of.key, now)?)?;
                Ok(Command::Dispute(*signed))
            }
            Request::Propose(signed) => {
                let of = &signed.proposal;
                own(caller, &of.person.member())?;
                charter.person_key(&of.person, &signed.key, now)?.verify(of, &signed.signature)?;
                Ok(Command::Propose(signed))
            }
            Request::ChangeKey(signed) => {
                own(caller, &signed.change.member)?;
                state.check_key_change(&signed)?;
                Ok(Command::ChangeKey(signed))
            }
            _ => Err(Refusal::new(Rule::Malformed, "a question", "a command")),
        }
    }

    /// One turn of the sequencer: the command, what follows from it, and from time if it `ticked`; if more follows,
    /// that is for the next turn. Memory is ahead of the disk until [`Journal::sync`].
    pub fn turn(&mut self, command: Option<Command>, ticked: bool, now: Timestamp) -> Turn {
        let Some(mut state) = self.state.take() else { return Turn::default() };
        let now = state.time().map_or(now, |latest| latest.max(now));
        let mut turn = Turn::default();
        turn.outcome = command.map(|command| self.decide(&mut state, &mut turn, command, now));
        let together = turn.packed.len();
        if ticked && let Ok(drafts) = state.handle(Command::Tick, now) {
            self.enter(&mut state, &mut turn, drafts, now);
        }
        let mut followed = state.follow(now, ticked, &self.reports);
        let drafts = std::mem::take(&mut followed.drafts);
        self.enter(&mut state, &mut turn, drafts, now);
        state.settled(&followed);
        turn.more = followed.more;
        self.journal.write(std::mem::take(&mut turn.packed), together);
        self.state = Some(state);
        turn
    }

    fn decide(&mut self, state: &mut Alliance, turn: &mut Turn, command: Command, now: Timestamp) -> Outcome {
        match state.duplicate(&command) {
            Ok(Some(_)) => return Outcome::Accepted,
            Err(refusal) => return Outcome::Refused(refusal),
            Ok(None) => {}
        }
        match state.handle(command, now) {
            Err(refusal) => Outcome::Refused(refusal),
            Ok(drafts) => {
                self.enter(state, turn, drafts, now);
                Outcome::Accepted
            }
        }
    }

    /// Every entry goes through its bytes and back, as on the disk.
    fn enter(&mut self, state: &mut Alliance, turn: &mut Turn, drafts: Vec<Drafted>, now: Timestamp) {
        for draft in drafts {
            let Drafted { author, handling, event, sightings } = draft;
            let bytes = Entry { v: alliance::ENTRY_VERSION, time: now, author, handling, event }.to_bytes();
            // What cannot be read back is kept as it is: the next start will say so, and fail the run.
            let Ok(entry) = Entry::from_bytes(&bytes) else {
                turn.packed.push((bytes, [0; 32]));
                continue;
            };
            let position = state.next_position();
            turn.packed.push((bytes, self.random.bytes32()));
            state.apply_typed(position, &entry, sightings.as_deref());
            let messages = state.messages(&entry).into_iter();
            turn.messages.extend(messages.map(|(member, message)| (position, member, message)));
            match entry.event {
                Event::SightingsReported(report) => {
                    self.reports.0.insert(position, Arc::new(Archived::new(report)));
                }
                Event::CharterAdopted(signed) => drop(self.charters.insert(version_of(&signed), *signed)),
                Event::Held { refusal, .. } => turn.held.push(refusal.rule),
                _ => {}
            }
        }
    }

    /// A charter that was asked for.
    pub fn charter(&self, which: WhichCharter) -> Option<&SignedCharter> {
        match which {
            WhichCharter::InForce => self.charters.last_key_value().map(|(_, signed)| signed),
            WhichCharter::Version(version) => self.charters.get(&version),
        }
    }

    /// The checkpoint over all durable entries, or over what the hub would like to have been there.
    pub fn checkpoint(&self, forged: Option<Digest>) -> Option<String> {
        let size = self.journal.head();
        let root = forged.or_else(|| self.journal.root(size))?;
        let checkpoint = Checkpoint::new(self.signer.verifier().name(), size, root);
        checkpoint.sign(&self.signer).ok().map(|signed| signed.to_string())
    }
}

fn version_of(signed: &SignedCharter) -> u64 {
    charter::Charter::parse(&signed.text).map_or(0, |charter| charter.alliance.version)
}

/// A token speaks for its own member only.
fn own(caller: &MemberId, author: &MemberId) -> Result<(), Refusal> {
    match caller == author {
        true => Ok(()),
        false => Err(Refusal::new(Rule::ScopeMissing, author, format!("statements of {caller}"))),
    }
}
