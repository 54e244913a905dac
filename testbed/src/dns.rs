//! The small world of test resolvers: an authoritative server for `test.`, a client, free ports, child programs.

use crate::Error;
use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name, Ttl};
use domain::rdata::{A, Aaaa, AllRecordData};
use std::fmt::Write;
use std::fs::{self, File};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a program may take until it answers for the first time.
const READY: Duration = Duration::from_secs(60);
/// Names that the world remembers having been asked for.
const ASKED_MAX: usize = 100_000;

/// The address of every name below `test.` that does not say another.
pub const WORLD_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);
/// The same for IPv6.
pub const WORLD_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x80);

/// An authoritative server on loopback. Every name below `test.` has an address: `ip-192-0-2-7.test` the one it says,
/// `ip6-…` likewise (`ip6-2001-db8-0-0-0-0-0-1.test`), every other one [`WORLD_V4`] and [`WORLD_V6`]. Anything else
/// does not exist, so that no resolver of a test ever asks the Internet.
#[derive(Debug)]
pub struct World {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl World {
    /// Starts it on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// No port is free.
    pub fn start() -> Result<Self, Error> {
        Self::start_with(|name| name == "test" || name.ends_with(".test"))
    }

    /// Starts one in which every name exists, for a resolver that is shown blocking names of the real world. It answers
    /// itself: nothing is asked of anybody.
    ///
    /// # Errors
    /// No port is free.
    pub fn whole() -> Result<Self, Error> {
        Self::start_with(|_| true)
    }

    fn start_with(exists: fn(&str) -> bool) -> Result<Self, Error> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let port = socket.local_addr()?.port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, log) = (Arc::clone(&stop), Arc::clone(&asked));
        let thread = std::thread::Builder::new().name("world".to_owned()).spawn(move || {
            let mut buffer = [0; 4_096];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, peer)) = socket.recv_from(&mut buffer) else { continue };
                if let Some(reply) = world_answer(&buffer[..length], &log, exists) {
                    // A lost answer is asked for again.
                    let _ = socket.send_to(&reply, peer);
                }
            }
        })?;
        Ok(Self { port, asked, stop, thread: Some(thread) })
    }

    /// The UDP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Every name that resolvers have asked for, in lower case, in order, with repetitions.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn world_answer(octets: &[u8], asked: &Mutex<Vec<String>>, exists: fn(&str) -> bool) -> Option<Vec<u8>> {
    let request = Message::from_octets(octets).ok()?;
    let question = request.sole_question().ok()?;
    let name = question.qname().to_string().to_ascii_lowercase();
    let name = name.trim_end_matches('.');
    let mut log = asked.lock().unwrap_or_else(PoisonError::into_inner);
    if log.len() < ASKED_MAX {
        log.push(name.to_owned());
    }
    drop(log);
    let exists = exists(name);
    let rcode = if exists { Rcode::NOERROR } else { Rcode::NXDOMAIN };
    let mut answer = MessageBuilder::new_vec().start_answer(&request, rcode).ok()?;
    answer.header_mut().set_aa(true);
    let first = name.split('.').next().unwrap_or_default();
    let ttl = Ttl::from_secs(1);
    if exists && question.qclass() == Class::IN {
        let owner = question.qname();
        match question.qtype() {
            Rtype::A => answer.push((owner, Class::IN, ttl, A::new(v4_in(first).unwrap_or(WORLD_V4)))).ok()?,
            Rtype::AAAA => answer.push((owner, Class::IN, ttl, Aaaa::new(v6_in(first).unwrap_or(WORLD_V6)))).ok()?,
            _ => {}
        }
    }
    Some(answer.finish())
}

fn v4_in(label: &str) -> Option<Ipv4Addr> {
    label.strip_prefix("ip-")?.replace('-', ".").parse().ok()
}

fn v6_in(label: &str) -> Option<Ipv6Addr> {
    label.strip_prefix("ip6-")?.replace('-', ":").parse().ok()
}

/// What a server answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// `NOERROR`, `NXDOMAIN`, `REFUSED`, …
    pub rcode: String,
    /// The records of the answer section: `TYPE data`, sorted.
    pub records: Vec<String>,
}

impl Answer {
    /// Does one of the records read so?
    pub fn has(&self, record: &str) -> bool {
        self.records.iter().any(|r| r == record)
    }
}

/// Asks once over UDP and waits at most `wait`. `None`: no answer.
pub fn ask(server: SocketAddr, name: &str, rtype: Rtype, wait: Duration) -> Option<Answer> {
    static ID: AtomicU16 = AtomicU16::new(1);
    let id = ID.fetch_add(1, Ordering::Relaxed);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    socket.connect(server).ok()?;
    socket.set_read_timeout(Some(wait)).ok()?;
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    builder.header_mut().set_rd(true);
    let mut question = builder.question();
    question.push((name.parse::<Name<Vec<u8>>>().ok()?, rtype)).ok()?;
    socket.send(&question.finish()).ok()?;
    let mut buffer = [0; 4_096];
    let length = socket.recv(&mut buffer).ok()?;
    let message = Message::from_octets(&buffer[..length]).ok()?;
    if message.header().id() != id {
        return None;
    }
    let records = message.answer().ok()?.limit_to::<AllRecordData<_, _>>();
    let mut records: Vec<String> =
        records.flatten().map(|record| format!("{} {}", record.rtype(), record.data())).collect();
    records.sort();
    Some(Answer { rcode: message.header().rcode().to_string(), records })
}

/// Asks for addresses again and again until `wanted` holds, at most for `wait`. Gives the last answer and the time
/// that it took.
pub fn ask_until(
    server: SocketAddr,
    name: &str,
    wait: Duration,
    mut wanted: impl FnMut(&Answer) -> bool,
) -> (Option<Answer>, Duration) {
    let start = Instant::now();
    loop {
        let answer = ask(server, name, Rtype::A, Duration::from_millis(500));
        let held = answer.as_ref().is_some_and(&mut wanted);
        if held || start.elapsed() >= wait {
            return (answer, start.elapsed());
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// A port of 127.0.0.1 that is free for UDP and TCP, and is not given out again by this process.
///
/// # Errors
/// None was found.
pub fn free_port() -> Result<u16, Error> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // Processes of one test run begin at different places, below the range from which the kernel gives out ports.
    let start = u64::from(std::process::id()) * 131;
    for _ in 0..2_000 {
        let step = start + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 12_000 + u16::try_from(step % 20_000).unwrap_or(0);
        let free = |port| {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
                && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        };
        if free(port) {
            return Ok(port);
        }
    }
    Err(Error("no free port on 127.0.0.1 between 12000 and 31999".to_owned()))
}

/// A child program with its own directory; stopped when dropped, its log printed when a test is failing.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) dir: tempfile::TempDir,
    child: Child,
    program: &'static str,
    package: &'static str,
}

impl Daemon {
    /// Starts `program` with its output in `log` of `dir`.
    pub(crate) fn start(
        program: &'static str,
        package: &'static str,
        dir: tempfile::TempDir,
        arguments: &[&str],
    ) -> Result<Self, Error> {
        let child = spawn(program, package, dir.path(), arguments)?;
        Ok(Self { dir, child, program, package })
    }

    /// Stops the program and starts it again in its directory, with a new log.
    pub(crate) fn restart(&mut self, arguments: &[&str]) -> Result<(), Error> {
        self.stop();
        self.child = spawn(self.program, self.package, self.dir.path(), arguments)?;
        Ok(())
    }

    /// Waits until somebody answers at a TCP port.
    pub(crate) fn wait_listening(&mut self, port: u16) -> Result<(), Error> {
        self.wait_for(&|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())
    }

    /// Waits until the resolver at `port` answers from the world.
    pub(crate) fn wait_ready(&mut self, port: u16) -> Result<(), Error> {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        self.wait_for(&|| {
            let answer = ask(server, "ready.test", Rtype::A, Duration::from_millis(100));
            answer.is_some_and(|answer| answer.rcode == "NOERROR")
        })
    }

    fn wait_for(&mut self, is_ready: &dyn Fn() -> bool) -> Result<(), Error> {
        let start = Instant::now();
        while start.elapsed() < READY {
            if let Some(status) = self.child.try_wait()? {
                return Err(Error(format!("{} has ended ({status}):\n{}", self.program, self.log())));
            }
            if is_ready() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(Error(format!("{} does not answer after {READY:?}:\n{}", self.program, self.log())))
    }

    /// Stops the program and waits for its end.
    pub(crate) fn stop(&mut self) {
        // Both fail only when it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Everything it has printed so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            let mut text = String::new();
            let _ = writeln!(text, "---- log of {} ----\n{}", self.program, self.log());
            eprint_all(&text);
        }
    }
}

fn spawn(program: &str, package: &str, dir: &Path, arguments: &[&str]) -> Result<Child, Error> {
    let path = find(program)
        .ok_or_else(|| Error(format!("`{program}` is not installed; on Debian: apt-get install {package}")))?;
    let log = File::create(dir.join("log"))?;
    let mut command = Command::new(path);
    command.args(arguments).current_dir(dir).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(command.spawn()?)
}

#[expect(clippy::print_stderr, reason = "a failing test shows what its peers said")]
fn eprint_all(text: &str) {
    eprint!("{text}");
}

/// Looks in PATH and in the directories of system programs, which ordinary users often lack.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|dir| dir.join(program)).find(|file| is_file(file))
}

fn is_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file())
}

/// A directory of its own for one program.
pub(crate) fn directory(program: &str) -> Result<tempfile::TempDir, Error> {
    Ok(tempfile::Builder::new().prefix(&format!("epimachia-{program}-")).tempdir()?)
}
