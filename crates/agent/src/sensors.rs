//! Sensors: a file that is followed also when it is rotated or cut, or standard input.
//!
//! Parsing runs in the agent's own process, which has no privileges (docs/decisions/0008-privileges-apart.md), one task
//! a sensor. How far a file was read is written down together with what was seen up to there, so that a restart neither
//! loses nor repeats a line: `feed` reads and knows files again, `place` says from where to go on.

mod feed;
mod place;

use crate::config::{Reader, SourceConfig};
use crate::core::{AlarmKind, Input, SourceMark};
use crate::running::salted;
use feed::{Feed, Piece};
use model::{Sighting, Timestamp};
use observe::Settings;
use place::Place;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc::Sender;

/// How often a quiet file is looked at. Speed protects: this is part of the time to protection.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;
/// How often the place is written down while nothing is seen.
const MARK_EVERY: Duration = Duration::from_secs(1);
/// How long a file that cannot be read is left alone.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Follows one sensor until the agent stops; `mark` says how far its file had been read before.
pub(crate) async fn follow(source: SourceConfig, settings: Settings, mark: Option<SourceMark>, inputs: Sender<Input>) {
    let (name, told) = (source.name.clone(), inputs.clone());
    // A fault in a parser ends this task alone; somebody must hear of it.
    if let Err(error) = tokio::spawn(run(source, settings, mark, inputs)).await
        && error.is_panic()
    {
        trouble(&told, &name, "its reader has a fault and has stopped; report it, and restart the agent").await;
    }
}

async fn run(source: SourceConfig, settings: Settings, mark: Option<SourceMark>, inputs: Sender<Input>) {
    let reader = match source.reader(&settings) {
        Ok(reader) => reader,
        Err(error) => return trouble(&inputs, &source.name, &error.to_string()).await,
    };
    match &source.file {
        None => read_stdin(reader, &inputs).await,
        Some(path) => Follower::new(&source, reader, inputs.clone()).run(path, mark).await,
    }
}

async fn read_stdin(mut reader: Reader, inputs: &Sender<Input>) {
    let (mut stdin, mut bytes) = (tokio::io::stdin(), vec![0; READ_BYTES]);
    let mut open = true;
    while open {
        let count = tokio::time::timeout(MARK_EVERY, stdin.read(&mut bytes)).await;
        let mut sightings = match count {
            Ok(Ok(count)) if count > 0 => reader.push(bytes.get(..count).unwrap_or_default()),
            Ok(_) => {
                open = false;
                reader.finish()
            }
            Err(_) => Vec::new(),
        };
        sightings.extend(reader.due(crate::clock::wall()));
        for part in sightings.chunks(1_000) {
            let Ok(input) = salted(part.to_vec()) else { continue };
            if inputs.send(input).await.is_err() {
                return;
            }
        }
    }
}

/// One file and its successors.
struct Follower {
    name: String,
    from_beginning: bool,
    reader: Reader,
    inputs: Sender<Input>,
    place: Place,
    marked: Instant,
}

impl Follower {
    fn new(source: &SourceConfig, reader: Reader, inputs: Sender<Input>) -> Self {
        let (name, from_beginning) = (source.name.clone(), source.from_beginning);
        Self { name, from_beginning, reader, inputs, place: Place::default(), marked: Instant::now() }
    }

    async fn run(mut self, path: &Path, mark: Option<SourceMark>) {
        let Some(mut feed) = self.open(path, mark).await else { return };
        let mut bytes = vec![0; READ_BYTES];
        loop {
            let max = self.place.read_max(feed.at()).min(READ_BYTES as u64) as usize;
            let going_on = match feed.read(bytes.get_mut(..max).unwrap_or_default()).await {
                Ok(Piece::Bytes(count)) => self.take(&feed, bytes.get(..count).unwrap_or_default()).await,
                Ok(Piece::Quiet) => {
                    tokio::time::sleep(LOOK_EVERY).await;
                    self.take(&feed, &[]).await
                }
                Ok(Piece::Next) => self.next_file(&feed).await,
                Err(error) => {
                    trouble(&self.inputs, &self.name, &error.to_string()).await;
                    tokio::time::sleep(AGAIN_AFTER).await;
                    !self.inputs.is_closed()
                }
            };
            if !going_on {
                return;
            }
        }
    }

    /// Finds the place where the last run stopped; waits for a file that is not there yet.
    async fn open(&mut self, path: &Path, mark: Option<SourceMark>) -> Option<Feed> {
        loop {
            let opened = match &mark {
                Some(known) => self.resume(path, known).await,
                None => Feed::begin(path, self.from_beginning).await.inspect(|feed| self.place.begin(feed.at())),
            };
            match opened {
                Ok(feed) => return Some(feed),
                Err(error) if self.inputs.is_closed() => {
                    tracing::debug!(%error, "nobody waits for this sensor any more");
                    return None;
                }
                Err(error) => trouble(&self.inputs, &self.name, &error.to_string()).await,
            }
            // Whatever appears now is new from its beginning.
            self.from_beginning = true;
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    async fn resume(&mut self, path: &Path, mark: &SourceMark) -> std::io::Result<Feed> {
        match Feed::resume(path, mark).await? {
            Some(feed) => {
                self.place.resume(mark);
                Ok(feed)
            }
            None => {
                let text = "the file that was being read is gone, or was cut, while the agent was away: what was \
                            written to it after the last look is lost; the present file is read from its beginning";
                let feed = Feed::begin(path, true).await?;
                trouble(&self.inputs, &self.name, text).await;
                self.place.begin(0);
                Ok(feed)
            }
        }
    }

    /// Reads a piece; false when nobody listens any more.
    async fn take(&mut self, feed: &Feed, piece: &[u8]) -> bool {
        let mut sightings = self.reader.push(piece);
        if self.place.is_behind() {
            // All this was reported before: it is read again for what was still being counted.
            if self.place.has_come(feed.at(), feed.line_at(), self.reader.latest()) {
                drop(self.reader.due(self.place.closed()));
            }
            return true;
        }
        let now = crate::clock::wall();
        sightings.extend(self.reader.due(now));
        self.place.moved(feed.line_at(), self.reader.latest(), now);
        self.hand_over(feed, sightings).await
    }

    /// The file was rotated away: its last line counts, and so does all that has waited.
    async fn next_file(&mut self, feed: &Feed) -> bool {
        let sightings = self.reader.finish();
        self.place.begin(feed.at());
        self.hand_over(feed, sightings).await
    }

    async fn hand_over(&mut self, feed: &Feed, sightings: Vec<Sighting>) -> bool {
        if sightings.is_empty() && (!self.place.is_news() || self.marked.elapsed() < MARK_EVERY) {
            return true;
        }
        let Ok(Input::Sightings(sightings)) = salted(sightings) else { return true };
        let mark = self.place.mark(feed);
        self.marked = Instant::now();
        self.inputs.send(Input::Followed { source: self.name.clone(), mark, sightings }).await.is_ok()
    }
}

async fn trouble(inputs: &Sender<Input>, name: &str, what: &str) {
    let text = format!("Sensor {name} cannot be read: {}", model::parse::printable(what));
    // The agent is stopping if nobody listens.
    let _ = inputs.send(Input::Trouble { kind: AlarmKind::SensorFailed, text }).await;
}

/// Long ago: nothing has been reported yet.
const NEVER: Timestamp = Timestamp::MIN;

#[cfg(test)]
mod tests;
