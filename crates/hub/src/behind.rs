//! Behind the sequencer: agents hear, the tree grows, checkpoints are signed, snapshots are made.

use crate::core::{Condition, Core};
use crate::error::Error;
use crate::figures::{SNAPSHOT, SNAPSHOT_SECONDS, seconds};
use crate::sequencer::Done;
use crate::snapshots::Snapshots;
use alliance::Alliance;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::time::{Duration, Instant};

/// How often it is looked whether a round of cosignatures has ended.
const ROUND_LOOK: Duration = Duration::from_millis(2);

/// The thread that follows the sequencer, until that one ends.
pub(crate) struct Behind {
    pub(crate) core: Arc<Core>,
    pub(crate) done: Receiver<Done>,
    pub(crate) snapshots: SyncSender<()>,
}

impl Behind {
    /// Publishes, grows and signs. The last thing it does is a checkpoint over everything.
    pub(crate) fn run(self) {
        let accounting = &self.core.config.account;
        let (every, again) =
            (accounting.checkpoint_every.to_std(), accounting.checkpoint_age_max.to_std().div_f64(2.0));
        let (mut signed_at, mut dirty, mut wanted, mut entries) = (Instant::now(), false, false, 0_u64);
        loop {
            let in_turn = signed_at + if dirty { every } else { again };
            // A plan that waits for cosignatures does not wait for the next checkpoint in turn.
            let due = if wanted { in_turn.min(self.next_round()) } else { in_turn };
            match self.done.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(done) => {
                    entries += done.commitments.len() as u64;
                    dirty = true;
                    wanted |= self.take(done);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let asks = wanted && self.core.witnesses.is_free();
            if asks || Instant::now() >= in_turn {
                self.sign(asks);
                (signed_at, dirty, wanted) = (Instant::now(), false, wanted && !asks);
            }
            if entries >= self.core.config.journal.snapshot_every {
                // One that is still being made is enough; the next turn asks again.
                match self.snapshots.try_send(()) {
                    Ok(()) => entries = 0,
                    Err(TrySendError::Full(())) => {}
                    Err(TrySendError::Disconnected(())) => tracing::error!("the thread that makes snapshots has ended"),
                }
            }
        }
        if dirty {
            self.sign(false);
        }
        self.core.witnesses.keep(&self.core);
    }

    /// When the next checkpoint may ask for cosignatures: at once, or shortly while a round is open.
    fn next_round(&self) -> Instant {
        let wait = if self.core.witnesses.is_free() { Duration::ZERO } else { ROUND_LOOK };
        Instant::now() + wait
    }

    /// Publishes and grows; does a plan wait for cosignatures now?
    fn take(&self, done: Done) -> bool {
        let pass = self.core.gate.pass();
        let waits = self.core.witnesses.expect(pass.charter.as_deref(), &done.messages);
        self.core.streams.publish(done.messages);
        self.core.log.extend(&done.commitments);
        waits
    }

    fn sign(&self, wanted: bool) {
        if matches!(&*self.core.condition.borrow(), Condition::Broken(_)) {
            return;
        }
        let now = self.core.clock.now();
        match self.core.log.sign(now) {
            Ok(newest) => {
                let told = self.core.witnesses.announcement(&self.core, &newest, wanted, now);
                told.iter().for_each(|message| self.core.streams.announce(message));
                self.core.witnesses.keep(&self.core);
            }
            Err(error) => tracing::error!(%error, "no checkpoint was signed"),
        }
    }
}

/// The thread that makes snapshots when it is asked to; ends when nobody can ask any more.
pub(crate) fn make_snapshots(core: &Core, snapshots: &Snapshots, asked: &Receiver<()>) {
    while asked.recv().is_ok() {
        if let Err(error) = make_snapshot(core, snapshots) {
            tracing::warn!(%error, "no snapshot was made; the ones before stand");
        }
    }
}

/// Makes one snapshot, a step at a time. The sequencer waits for one step at most, and goes on between them.
pub(crate) fn make_snapshot(core: &Core, snapshots: &Snapshots) -> Result<u64, Error> {
    // One at a time: a second one would take the first one's place.
    let _making = core.saving.lock().map_err(|_| untrusted())?;
    let begun = Instant::now();
    let mut longest = Duration::ZERO;
    let mut held = |took: Duration| {
        core.figures.histogram(&SNAPSHOT_SECONDS, &[]).record(took);
        longest = longest.max(took);
    };
    let saving = core.change(&mut held, Alliance::begin_saving).map_err(|_| untrusted())?;
    let saved = snapshots.save(saving, |saving| {
        let step = core.change(&mut held, |state| saving.step(state)).map_err(|_| untrusted())?;
        step.map_err(|error| Error::Broken(error.to_string()))
    });
    let position = saved.inspect_err(|_| drop(core.change(&mut |_| (), Alliance::end_saving)))?;
    core.figures.gauge(&SNAPSHOT, &[]).set(seconds(core.clock.now()));
    tracing::info!(position, longest_us = longest.as_micros() as u64, took = ?begun.elapsed(), "snapshot made");
    Ok(position)
}

fn untrusted() -> Error {
    Error::Broken("the state is not to be trusted".to_owned())
}
