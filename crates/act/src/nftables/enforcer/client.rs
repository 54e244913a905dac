//! The agent's side: a point like any other, which has the enforcer do everything.

use super::wire::{self, Answer, Item, Request, VERSION};
use crate::nftables::slot::Slot;
use crate::nftables::{preview_text, time_for};
use crate::point::{Effect, Point, PointError, Protection, Seen};
use model::{Measure, PointName, Timestamp};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Time for a frame to be sent or received, once it has begun.
const FRAME_MAX: Duration = Duration::from_secs(10);

/// The packet filter by way of the enforcer; holds no privilege.
#[derive(Debug)]
pub struct Via {
    name: PointName,
    path: PathBuf,
    connection: Mutex<Option<UnixStream>>,
}

impl Via {
    /// The point that reaches the enforcer at this socket; connects when it is first asked.
    pub fn new(name: PointName, path: &Path) -> Self {
        Self { name, path: path.to_owned(), connection: Mutex::default() }
    }

    /// Asks once; a connection that the enforcer closed meanwhile is opened again. All requests may be repeated.
    fn ask(&self, request: &Request) -> Result<Answer, PointError> {
        let count = request.items().len();
        let mut connection = self.lock();
        let was_open = connection.is_some();
        let answer = match self.exchange(&mut connection, request, count) {
            Err(_) if was_open => self.exchange(&mut connection, request, count),
            first => first,
        };
        match answer.map_err(|error| self.away(&error))? {
            Answer::Refused(refusal) => Err(PointError::Refused(refusal)),
            Answer::Unavailable(text) => Err(PointError::Unavailable(format!("enforcer: {}", printable(&text)))),
            Answer::Broken(text) => Err(PointError::Broken(format!("enforcer: {}", printable(&text)))),
            answer => Ok(answer),
        }
    }

    fn exchange(&self, at: &mut Option<UnixStream>, request: &Request, count: usize) -> io::Result<Answer> {
        // Taken out: whatever goes wrong leaves no connection with half an answer in it.
        let stream = match at.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        let answer = say(&stream, request, count)?;
        *at = Some(stream);
        Ok(answer)
    }

    fn connect(&self) -> io::Result<UnixStream> {
        let stream = UnixStream::connect(&self.path)?;
        match say(&stream, &Request::Hello { version: VERSION }, 0)? {
            Answer::Version(VERSION) => Ok(stream),
            Answer::Version(other) => Err(io::Error::other(format!(
                "the enforcer speaks version {other} of the channel, this agent {VERSION}: update both"
            ))),
            Answer::Refused(refusal) => Err(io::Error::new(io::ErrorKind::PermissionDenied, refusal.to_string())),
            other => Err(io::Error::other(format!("an answer that does not fit: {other:?}"))),
        }
    }

    fn away(&self, error: &io::Error) -> PointError {
        let what = format!("the enforcer at {} cannot be asked: {error}", self.path.display());
        match error.kind() {
            io::ErrorKind::PermissionDenied => PointError::Broken(format!(
                "{what}; the agent's user must be in its `users`, and in its socket's group"
            )),
            _ => PointError::Unavailable(format!("{what}; systemctl status epimachia-enforcer")),
        }
    }

    fn change(&self, request: &Request) -> Result<(), PointError> {
        match self.ask(request)? {
            Answer::Done => Ok(()),
            other => Err(self.unfit(&other)),
        }
    }

    fn unfit(&self, answer: &Answer) -> PointError {
        // Whatever is left of the conversation is not to be trusted.
        *self.lock() = None;
        let kind = match answer {
            Answer::Seen(_) | Answer::Effects(_) => "an answer of another length or kind",
            _ => "an answer of another kind",
        };
        PointError::Unavailable(format!("enforcer: {kind} than was asked for; update agent and enforcer together"))
    }

    fn lock(&self) -> MutexGuard<'_, Option<UnixStream>> {
        // A panic elsewhere leaves a connection or none: both are right.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn say(stream: &UnixStream, request: &Request, count: usize) -> io::Result<Answer> {
    let sent = wire::send(stream, request, FRAME_MAX);
    // Who is refused at the door is told why before anything is read of them, and the door is shut.
    let is_shut =
        |error: &io::Error| matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
    if !sent.as_ref().is_err_and(is_shut) {
        sent?;
    }
    let wait = time_for(3 * count) + time_for(3 * count);
    let body = wire::receive(stream, wire::frame_bytes_max(count), wait, FRAME_MAX)?;
    let body = body.ok_or(io::ErrorKind::UnexpectedEof)?;
    serde_json::from_slice(&body).map_err(io::Error::other)
}

fn items(protections: &[Protection]) -> Vec<Item> {
    protections.iter().map(Item::from).collect()
}

fn printable(text: &str) -> String {
    model::parse::printable(text)
}

impl Point for Via {
    fn name(&self) -> &PointName {
        &self.name
    }

    fn accepts(&self, measure: &Measure) -> bool {
        Slot::of(measure).is_some()
    }

    fn preview(&self, wanted: &[Protection], now: Timestamp) -> String {
        wanted.iter().filter_map(|protection| preview_text(protection, now)).collect()
    }

    fn apply(&self, wanted: &[Protection], _now: Timestamp) -> Result<(), PointError> {
        self.change(&Request::Apply { wanted: items(wanted) })
    }

    fn replace(&self, wanted: &[Protection], _now: Timestamp) -> Result<(), PointError> {
        self.change(&Request::Replace { wanted: items(wanted) })
    }

    fn withdraw(&self, ended: &[Protection], _now: Timestamp) -> Result<(), PointError> {
        self.change(&Request::Withdraw { ended: items(ended) })
    }

    fn read_back(&self, asked: &[Protection]) -> Result<Vec<Seen>, PointError> {
        match self.ask(&Request::ReadBack { asked: items(asked) })? {
            Answer::Seen(seen) if seen.len() == asked.len() => {
                Ok(seen.into_iter().zip(asked).map(|(seen, protection)| seen.of(protection.mitigation)).collect())
            }
            other => Err(self.unfit(&other)),
        }
    }

    fn effect(&self, asked: &[Protection]) -> Result<Vec<Effect>, PointError> {
        match self.ask(&Request::Effect { asked: items(asked) })? {
            Answer::Effects(counts) if counts.len() == asked.len() => {
                Ok(counts.into_iter().map(|(packets, bytes)| Effect { packets, bytes }).collect())
            }
            other => Err(self.unfit(&other)),
        }
    }

    fn lift_all(&self) -> Result<(), PointError> {
        self.change(&Request::LiftAll)
    }
}
