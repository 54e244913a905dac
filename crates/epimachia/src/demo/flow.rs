//! Reports that flow while something is measured: members without agents of their own send signed sightings of ever
//! new addresses, evenly, so many a second.

use super::api::Api;
use super::cast::Role;
use crate::exit::Failure;
use model::{Batch, Behaviour, Grade, Handling, Opening, Salt, Sensor, Sighting, Timestamp, Tlp};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// How often each member reports.
const EVERY: Duration = Duration::from_millis(100);
/// Addresses that are reported: below 30.0.0.0/8 and what follows, again from the front after a hundred million.
const ADDRESSES: u32 = 100_000_000;
const FIRST: u32 = 30 << 24;

/// A flow that runs until it is stopped.
pub struct Flow {
    over: Arc<AtomicBool>,
    taken: Arc<AtomicU64>,
    senders: Vec<JoinHandle<Result<(), Failure>>>,
}

impl Flow {
    /// Starts: each member gets an equal share of `per_second`.
    pub fn start(members: Vec<(Role, Api)>, seed: u64, per_second: u32) -> Self {
        let (over, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let each = per_second as usize * EVERY.as_millis() as usize / 1_000 / members.len().max(1);
        let share = ADDRESSES / u32::try_from(members.len().max(1)).unwrap_or(1);
        let senders = (0..).zip(members).map(|(n, (role, api))| {
            let sender = Sender { role, api, seed, each, next: n * share, left: share };
            tokio::spawn(sender.run(Arc::clone(&over), Arc::clone(&taken)))
        });
        let senders = senders.collect();
        Self { over, taken, senders }
    }

    /// Sightings that the hub has taken so far.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Ends it.
    ///
    /// # Errors
    /// A member could not report.
    pub async fn stop(self) -> Result<(), Failure> {
        self.over.store(true, Ordering::Relaxed);
        for sender in self.senders {
            sender.await.map_err(|error| Failure::failed(error, ""))??;
        }
        Ok(())
    }
}

struct Sender {
    role: Role,
    api: Api,
    seed: u64,
    each: usize,
    next: u32,
    left: u32,
}

impl Sender {
    async fn run(mut self, over: Arc<AtomicBool>, taken: Arc<AtomicU64>) -> Result<(), Failure> {
        // What is late is sent at once after it, so that the rate is kept where the hub can take it.
        let mut due = tokio::time::interval(EVERY);
        for sequence in 1.. {
            due.tick().await;
            if over.load(Ordering::Relaxed) || self.each == 0 {
                break;
            }
            let body = self.body(sequence)?;
            self.api.post_lines("/api/v1/sightings", body).await?;
            taken.fetch_add(self.each as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    fn body(&mut self, sequence: u64) -> Result<Vec<u8>, Failure> {
        let now = super::stage::Stage::now();
        let mut openings = Vec::with_capacity(self.each);
        for _ in 0..self.each {
            // Nobody is to be kept from guessing these: the salt need not be random.
            let salt = Salt(u128::from(self.next).to_be_bytes());
            openings.push(Opening::seal(salt, &sighting(Ipv4Addr::from(FIRST + self.next), now)?));
            self.next = if self.left > 1 { self.next + 1 } else { 0 };
            self.left = self.left.saturating_sub(1);
        }
        let batch = Batch::seal(self.role.member()?, &self.role.key(self.seed), sequence, now, openings);
        let mut body = Vec::new();
        line(&mut body, &serde_json::json!({ "header": batch.header, "signature": batch.signature }))?;
        batch.openings.iter().try_for_each(|opening| line(&mut body, opening))?;
        Ok(body)
    }
}

fn line(body: &mut Vec<u8>, value: &impl serde::Serialize) -> Result<(), Failure> {
    serde_json::to_writer(&mut *body, value).map_err(|error| Failure::failed(error, ""))?;
    body.push(b'\n');
    Ok(())
}

fn sighting(address: Ipv4Addr, now: Timestamp) -> Result<Sighting, Failure> {
    Ok(Sighting {
        observable: address.to_string().parse()?,
        behaviour: Behaviour::Bruteforce,
        first: now,
        last: now,
        count: 1,
        sensor: Sensor::Ids,
        grade: Grade::Handshake,
        handling: Handling::alliance(Tlp::Green),
    })
}
