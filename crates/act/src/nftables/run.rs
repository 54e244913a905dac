//! Runs `nft` as a child: arguments and input of our own making only, a time limit, a limit on its output, and errors
//! that say what to do.

use crate::point::PointError;
use model::parse::printable;
use model::{ParseError, Refusal, Rule};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Most output that is read from nft: a listing of 200,000 elements is about 31 MB.
const OUTPUT_BYTES_MAX: u64 = 64 << 20;
/// Most of nft's complaint that is read; it repeats the offending line.
const COMPLAINT_BYTES_MAX: u64 = 64 << 10;
/// Where nft and ip are looked for: a service's PATH often lacks the administrator's directories.
const PATH: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

/// The name of a network namespace of iproute2 (`ip netns list`): 1 to 64 of letters, digits, `-`, `_` and `.`,
/// beginning with a letter or digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetnsName(String);

impl NetnsName {
    /// The text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NetnsName {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let first_ok = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        match first_ok && text.len() <= 64 && text.bytes().all(allowed) {
            true => Ok(Self(text)),
            false => {
                Err(ParseError::new("netns", &text, "1 to 64 of a-z A-Z 0-9 - _ . beginning with a letter or digit"))
            }
        }
    }
}

impl From<NetnsName> for String {
    fn from(name: NetnsName) -> Self {
        name.0
    }
}

/// How nft is reached.
#[derive(Clone, Debug)]
pub struct Nft {
    /// The network namespace in which it runs; `None`: our own.
    pub netns: Option<NetnsName>,
}

/// What nft said when it did not do as told.
#[derive(Debug)]
pub enum Failure {
    /// Something named in the command does not exist.
    Missing,
    /// A set holds as many elements as it was declared for.
    Full,
    /// Anything else.
    Other(PointError),
}

impl From<Failure> for PointError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Missing => Self::Unavailable("nft: the table is not there (any more); apply again".to_owned()),
            Failure::Full => {
                Refusal::new(Rule::BlastRadius, "a set of the table is full", "`size` elements a set").into()
            }
            Failure::Other(error) => error,
        }
    }
}

impl Nft {
    /// Carries out `script` as one transaction: all of it or nothing.
    pub fn change(&self, script: &str, limit: Duration) -> Result<(), Failure> {
        self.run(&["-f", "-"], script, limit).map(|_| ())
    }

    /// Our table as JSON (libnftables-json(5)); `None` if there is none.
    pub fn list(&self, limit: Duration) -> Result<Option<Vec<u8>>, PointError> {
        match self.run(&["-j", "list", "table", "inet", "epimachia"], "", limit) {
            Ok(json) => Ok(Some(json)),
            Err(Failure::Missing) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    fn run(&self, arguments: &[&str], input: &str, limit: Duration) -> Result<Vec<u8>, Failure> {
        let mut child = self.command(arguments).spawn().map_err(|e| Failure::Other(not_started(&e)))?;
        let finished = converse(&mut child, input, Instant::now() + limit);
        if finished.is_none() {
            // The child may have ended by itself just now; either way it is collected.
            let _ = child.kill();
            let _ = child.wait();
        }
        let Some(finished) = finished else {
            let text = format!("nft did not finish within {} ms and was stopped; try again", limit.as_millis());
            return Err(Failure::Other(PointError::Unavailable(text)));
        };
        match finished.success {
            true => Ok(finished.output),
            false => Err(complaint(&String::from_utf8_lossy(&finished.complaint))),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match &self.netns {
            None => Command::new("nft"),
            Some(name) => {
                let mut ip = Command::new("ip");
                ip.args(["netns", "exec", name.as_str(), "nft"]);
                ip
            }
        };
        command.args(arguments).env_clear().env("PATH", PATH).env("LC_ALL", "C");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// A child that ended by itself.
struct Finished {
    success: bool,
    output: Vec<u8>,
    complaint: Vec<u8>,
}

/// Feeds the child and reads it out, side by side, since either pipe may fill up; `None` when the deadline passed or
/// the output exceeded its limit.
fn converse(child: &mut Child, input: &str, deadline: Instant) -> Option<Finished> {
    let (stdin, stdout, stderr) = (child.stdin.take()?, child.stdout.take()?, child.stderr.take()?);
    let (output_to, output) = mpsc::channel();
    let (complaint_to, complaint) = mpsc::channel();
    std::thread::spawn(move || output_to.send(read_all(stdout, OUTPUT_BYTES_MAX)));
    std::thread::spawn(move || complaint_to.send(read_all(stderr, COMPLAINT_BYTES_MAX)));
    // A child that stops reading (it found an error) is no error here: its complaint says why.
    let input = input.to_owned();
    std::thread::spawn(move || { stdin }.write_all(input.as_bytes()));
    let left = || deadline.saturating_duration_since(Instant::now());
    let output = output.recv_timeout(left()).ok()?.filter(|bytes| bytes.len() as u64 <= OUTPUT_BYTES_MAX)?;
    let complaint = complaint.recv_timeout(left()).ok()??;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(Finished { success: status.success(), output, complaint }),
            Ok(None) if left() > Duration::ZERO => std::thread::sleep(Duration::from_micros(200)),
            _ => return None,
        }
    }
}

/// Everything up to one byte more than `max`; the pipe is closed then, which ends the writer.
fn read_all(pipe: impl Read, max: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    pipe.take(max + 1).read_to_end(&mut bytes).ok().map(|_| bytes)
}

fn not_started(error: &std::io::Error) -> PointError {
    match error.kind() {
        std::io::ErrorKind::NotFound => PointError::Broken(format!(
            "nft is not installed (looked in {PATH}); on Debian and Ubuntu: apt install nftables, for `netns` iproute2"
        )),
        _ => PointError::Unavailable(format!("nft could not be started: {error}")),
    }
}

/// Sorts what nft or ip wrote to standard error.
fn complaint(text: &str) -> Failure {
    let has = |part: &str| text.contains(part);
    let first = || printable(text.lines().next().unwrap_or("no reason given"));
    let broken = |text: String| Failure::Other(PointError::Broken(text));
    if has("Cannot open network namespace") {
        return broken(format!("the network namespace of the configuration does not exist: {}", first()));
    }
    if has("exec of \"nft\" failed") {
        return broken("nft is not installed; on Debian and Ubuntu: apt install nftables".to_owned());
    }
    if has("Operation not permitted") || has("you must be root") {
        let why = "nft may not change the packet filter: the agent needs the capability CAP_NET_ADMIN";
        return broken(format!("{why} (AmbientCapabilities=CAP_NET_ADMIN in its unit)"));
    }
    if has("No such file or directory") {
        return Failure::Missing;
    }
    if has("Too many open files in system") {
        return Failure::Full;
    }
    if has("syntax error") || has("Operation not supported") {
        return broken(format!("this nft or kernel does not know what is needed (nft 1.0.6, Linux 5.11): {}", first()));
    }
    Failure::Other(PointError::Unavailable(format!("nft refused: {}", first())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_options_or_paths_are_no_namespaces() {
        for bad in ["", "-n", ".", "../x", "a b", "a;b", &"a".repeat(65)] {
            assert!(NetnsName::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        assert!(NetnsName::try_from("epi-router_1.a".to_owned()).is_ok());
    }

    #[test]
    fn complaints_say_what_to_do() {
        let other = |text: &str| match complaint(text) {
            Failure::Other(error) => error,
            failure => panic!("{failure:?}"),
        };
        let error = other("Error: Could not process rule: Operation not permitted\nadd table inet epimachia\n");
        assert!(matches!(&error, PointError::Broken(text) if text.contains("CAP_NET_ADMIN")), "{error}");
        let error = other("Cannot open network namespace \"x\": No such file or directory");
        assert!(matches!(&error, PointError::Broken(text) if text.contains("namespace")), "{error}");
        let error = other("Error: Could not process rule: Device or resource busy\u{1b}[31m");
        assert!(matches!(&error, PointError::Unavailable(text) if text.contains("busy\\u{1b}")), "{error}");
        assert!(matches!(complaint("Error: No such file or directory"), Failure::Missing));
        assert!(matches!(complaint("Error: Too many open files in system"), Failure::Full));
    }

    #[test]
    fn a_namespace_that_does_not_exist_is_named() {
        let nft = Nft { netns: Some(NetnsName::try_from("epi-no-such-namespace".to_owned()).unwrap()) };
        let error = nft.list(Duration::from_secs(5)).unwrap_err();
        assert!(matches!(&error, PointError::Broken(text) if text.contains("epi-no-such-namespace")), "{error}");
    }
}
