//! A hub's log for tests: real entries, checkpoints signed with the testing alliance's key, proofs, cosignatures.

use account::{Checkpoint, SignedCheckpoint, Signer, cosign, leaf, witness_name};
use alliance::{Author, ENTRY_VERSION, Entry, Event};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use decide::testing::World;
use model::{Digest, Growth, Handling, PlanHeader, PlanId, SigningKey, Statement, StreamMessage, Tlp, merkle};

pub const ALLIANCE: &str = "testing.alliance";

/// Entries, each with the nonce of its leaf.
#[derive(Clone, Default)]
pub struct Log {
    entries: Vec<([u8; 32], Vec<u8>)>,
}

impl Log {
    /// A log of so many entries that nobody reads.
    pub fn of(count: usize) -> Self {
        let mut log = Self::default();
        (0..count).for_each(|n| log.push(format!("entry {n}").into_bytes()));
        log
    }

    pub fn push(&mut self, entry: Vec<u8>) {
        self.entries.push(([self.entries.len() as u8; 32], entry));
    }

    /// The entry with which a plan comes into force, as the alliance writes it; gives its position.
    pub fn put_in_force(&mut self, world: &World, plan: &PlanHeader) -> u64 {
        self.put_in_force_as(world, plan.id(), Some(plan.digest()))
    }

    pub fn put_in_force_as(&mut self, world: &World, plan: PlanId, digest: Option<Digest>) -> u64 {
        let event = Event::PlanInForce { plan, digest };
        let handling = Handling::alliance(Tlp::Green);
        let entry = Entry { v: ENTRY_VERSION, time: world.now, author: Author::Hub, handling, event };
        self.push(entry.to_bytes());
        self.size() - 1
    }

    pub fn size(&self) -> u64 {
        self.entries.len() as u64
    }

    fn leaves(&self) -> Vec<Digest> {
        self.entries.iter().map(|(nonce, entry)| leaf::hash(leaf::commitment(nonce, entry))).collect()
    }

    /// The checkpoint over all entries, signed by the hub.
    pub fn checkpoint(&self) -> SignedCheckpoint {
        let seed = Digest::of(&[b"decide/testing/", b"hub", b"/", b"hub"]);
        let signer = Signer::new(ALLIANCE, seed.as_bytes()).unwrap();
        Checkpoint::new(ALLIANCE, self.size(), merkle::root(&self.leaves())).sign(&signer).unwrap()
    }

    /// The same with the cosignatures of these members.
    pub fn cosigned(&self, world: &World, by: &[&str]) -> SignedCheckpoint {
        let mut signed = self.checkpoint();
        for member in by {
            let line = line(&signed, member, &world.witness_key(member), world);
            signed.add(line).unwrap();
        }
        signed
    }

    /// What the hub announces, with the path from an earlier size.
    pub fn growth(&self, from: u64, wanted: bool) -> StreamMessage {
        let path = merkle::consistency_path(&self.leaves(), from).unwrap_or_default();
        StreamMessage::Grown(Box::new(Growth { note: self.checkpoint().to_string(), from, path, wanted }))
    }

    pub fn path(&self, from: u64) -> Vec<Digest> {
        merkle::consistency_path(&self.leaves(), from).unwrap()
    }

    /// The proof of an entry under the checkpoint with these members' cosignatures.
    pub fn proof(&self, world: &World, position: u64, by: &[&str]) -> String {
        let (nonce, entry) = &self.entries[usize::try_from(position).unwrap()];
        let extra = BASE64.encode([&nonce[..], entry].concat());
        let path = merkle::inclusion_path(&self.leaves(), position).unwrap();
        let path: String = path.iter().map(|hash| BASE64.encode(hash.as_bytes()) + "\n").collect();
        format!("c2sp.org/tlog-proof@v1\nextra {extra}\nindex {position}\n{path}\n{}", self.cosigned(world, by))
    }
}

/// A line in a member's name, with some key.
pub fn line(signed: &SignedCheckpoint, member: &str, key: &SigningKey, world: &World) -> account::Signature {
    let seconds = u64::try_from(world.now.as_millis() / 1_000).unwrap();
    cosign(&witness_name(ALLIANCE, member), key, signed.unverified(), seconds).unwrap()
}
