//! The agent's door for the member's own people: a Unix socket in the state directory, mode 0600, one JSON document a
//! line each way. Whoever may open the socket may do everything here; nobody else can reach it.
//!
//! Answers are `{"schema":1,"ok":…}` or `{"schema":1,"refused":{"rule":…,"value":…,"limit":…}}`.

use crate::error::{Error, failed};
use crate::wishes::Requests;
use model::{Behaviour, MitigationId, Observable, Refusal, Rule, Sighting};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

/// The socket's name in the state directory.
pub const SOCKET: &str = "control.sock";
/// Longest request, in bytes.
pub const REQUEST_BYTES_MAX: usize = 8 << 20;
/// Connections at one time.
const CONNECTIONS_MAX: usize = 16;
/// A connection without a request is closed after so long.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// What a person, or the command line for one, may ask.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do", deny_unknown_fields)]
pub enum Request {
    /// [`crate::core::views::Status`].
    Status,
    /// [`crate::core::views::Why`] about a value.
    Why {
        /// The value.
        value: Observable,
    },
    /// Every [`crate::core::views::MitigationView`].
    Mitigations,
    /// The last alarms, oldest first.
    Alarms,
    /// The allow-list, each entry with where it comes from.
    AllowList,
    /// The last checkpoint and, where there is one, the fork.
    History,
    /// [`crate::core::views::WitnessView`].
    Witness,
    /// What this member's witness cosigned last of a log, as a signed note.
    CosignedLog {
        /// SHA-256 of the log's origin, in hexadecimal.
        origin_hash: String,
    },
    /// Asks the witness to cosign (C2SP `tlog-witness`); answers `{status, type, body}`.
    AddCheckpoint {
        /// The request's body.
        body: String,
    },
    /// Every [`crate::feeds::FeedView`].
    Feeds,
    /// Looks at a feed now; answers how many of its rounds will have ended before that one.
    FeedNow {
        /// Its name.
        feed: String,
    },
    /// Adds to the allow-list; lifts at once.
    Allow {
        /// What is never to be touched.
        value: Observable,
        /// A note.
        #[serde(default)]
        note: String,
    },
    /// Takes an entry off the allow-list.
    Disallow {
        /// The entry.
        value: Observable,
    },
    /// Ends a mitigation here, and keeps its finding out for a while.
    Lift {
        /// Which.
        mitigation: MitigationId,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Says yes to a mitigation that waits.
    Accept {
        /// Which.
        mitigation: MitigationId,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Says no to a mitigation that waits.
    Refuse {
        /// Which.
        mitigation: MitigationId,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Lifts everything and accepts nothing until `resume`.
    Kill {
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Turns the kill switch off.
    Resume,
    /// Goes on with the history that the hub shows now.
    AcceptHistory,
    /// The clock is right, although it went back.
    AcceptClock,
    /// Reports sightings to the alliance.
    Report {
        /// At most 10,000.
        sightings: Vec<Sighting>,
    },
    /// Takes back what this member reported of something.
    Retract {
        /// What was reported.
        value: Observable,
        /// As which behaviour; its whole family is taken back.
        behaviour: Behaviour,
        /// Why, at most 500 characters.
        reason: String,
    },
}

/// One answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It was done, or this is what was asked for.
    Ok(Value),
    /// A rule said no; nothing was changed.
    Refused(Refusal),
}

#[derive(Serialize, Deserialize)]
struct Line {
    schema: u32,
    #[serde(flatten)]
    answer: Answer,
}

/// Listens on the socket; the task ends when it is aborted.
pub(crate) fn listen(directory: &Path, requests: Requests) -> Result<tokio::task::JoinHandle<()>, Error> {
    let path = directory.join(SOCKET);
    // The directory is locked: a socket that is there belongs to a process that has died.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).map_err(|error| failed("listening on", &path, &error))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
        .map_err(|error| failed("protecting", &path, &error))?;
    Ok(tokio::spawn(accept(listener, requests)))
}

async fn accept(listener: UnixListener, requests: Requests) {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let requests = requests.clone();
                tokio::spawn(async move {
                    // A person who went away has no answer to be given.
                    let _ = serve(stream, requests).await;
                    drop(permit);
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn serve(stream: UnixStream, requests: Requests) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        let limit = REQUEST_BYTES_MAX as u64 + 1;
        let mut bounded = (&mut read).take(limit);
        let reading = bounded.read_until(b'\n', &mut line);
        let Ok(count) = tokio::time::timeout(IDLE_MAX, reading).await else { return Ok(()) };
        if count? == 0 {
            return Ok(());
        }
        let answer = match parse(&line) {
            Ok(request) => requests.ask(request).await,
            Err(refusal) => Answer::Refused(refusal),
        };
        let too_long = line.len() > REQUEST_BYTES_MAX;
        // Answers are plain documents: serde_json cannot fail on them.
        let mut bytes = serde_json::to_vec(&Line { schema: 1, answer }).unwrap_or_default();
        bytes.push(b'\n');
        write.write_all(&bytes).await?;
        if too_long {
            return Ok(());
        }
    }
}

fn parse(line: &[u8]) -> Result<Request, Refusal> {
    if line.len() > REQUEST_BYTES_MAX {
        let value = format!("{} bytes", line.len());
        return Err(Refusal::new(Rule::TooLarge, value, format!("at most {REQUEST_BYTES_MAX} bytes")));
    }
    serde_json::from_slice(line)
        .map_err(|error| Refusal::new(Rule::Malformed, error, "a request as docs/reference/agent-config.md has it"))
}

/// Asks the agent that runs on a state directory; for the command line.
///
/// # Errors
/// Unavailable: no agent runs there, or it did not answer.
pub async fn ask(directory: &Path, request: &Request) -> Result<Answer, Error> {
    let path = directory.join(SOCKET);
    let away = |error: std::io::Error| {
        Error::Unavailable(format!("{}: {error}; is the agent running? epimachia agent --config FILE", path.display()))
    };
    let mut stream = UnixStream::connect(&path).await.map_err(away)?;
    let mut line = serde_json::to_vec(request).unwrap_or_default();
    line.push(b'\n');
    stream.write_all(&line).await.map_err(away)?;
    let mut answer = Vec::new();
    let mut reader = BufReader::new(stream);
    let reading = reader.read_until(b'\n', &mut answer);
    let timed_out = |_| away(std::io::ErrorKind::TimedOut.into());
    tokio::time::timeout(IDLE_MAX, reading).await.map_err(timed_out)?.map_err(away)?;
    let line: Line = serde_json::from_slice(&answer).map_err(|error| away(std::io::Error::other(error)))?;
    Ok(line.answer)
}
