//! Reads a conversation, types it, compares what came with what stands beside it.

use crate::blank;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// How long one command may take.
const COMMAND_TIME_MAX: &str = "180";
/// How long an `until` is tried again.
const UNTIL_TIME_MAX: Duration = Duration::from_secs(180);

/// Where the conversation stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// In a file of its own: standard error is marked, the exit code is given.
    Script,
    /// In the `console` blocks of a page: both outputs as a terminal shows them, `...` stands for any lines.
    Page,
}

/// One command with what is expected of it.
struct Step {
    command: String,
    expected: Vec<String>,
}

/// The place where a conversation happens; everything started in it is stopped with it.
struct Place {
    dir: tempfile::TempDir,
    port: u16,
    running: Vec<Child>,
}

/// Runs a conversation.
pub fn run_file(path: &Path, form: Form) {
    run_in(&mut Place::new(), path, form);
}

/// Runs pages that go on where the one before ended.
pub fn run_pages(paths: &[PathBuf]) {
    let mut place = Place::new();
    paths.iter().for_each(|path| run_in(&mut place, path, Form::Page));
}

fn run_in(place: &mut Place, path: &Path, form: Form) {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (mut out, mut wrong) = (String::new(), String::new());
    for piece in pieces(&text, form) {
        match piece {
            Piece::Text(line) => writeln!(out, "{line}").unwrap(),
            Piece::Step(step) => {
                let came = place.take(&step.command, form);
                let expected: Vec<String> = step.expected.iter().map(|line| place.blanked(line)).collect();
                if !agrees(&expected, &came, form) {
                    let (expected, came) = (expected.join("\n"), came.join("\n"));
                    writeln!(wrong, "$ {}\nexpected:\n{expected}\ncame:\n{came}\n", step.command).unwrap();
                }
                write_step(&mut out, &step.command, &came);
            }
        }
    }
    if form == Form::Script && std::env::var_os("EPIMACHIA_UPDATE").is_some() {
        return std::fs::write(path, out).unwrap();
    }
    assert!(wrong.is_empty(), "{} ({})\n{wrong}", path.display(), place.logs());
}

fn write_step(out: &mut String, command: &str, came: &[String]) {
    for (n, line) in command.lines().enumerate() {
        let typed = format!("{} {line}", if n == 0 { "$" } else { ">" });
        writeln!(out, "{}", typed.trim_end()).unwrap();
    }
    came.iter().for_each(|line| writeln!(out, "{line}").unwrap());
}

/// Equal; in a page `...` stands for any number of lines.
fn agrees(expected: &[String], came: &[String], form: Form) -> bool {
    match expected.iter().position(|line| form == Form::Page && line == "...") {
        None => expected == came,
        Some(at) => {
            let (before, after) = (&expected[..at], &expected[at + 1..]);
            let rest = came.len().checked_sub(before.len());
            rest.is_some_and(|rest| {
                came.starts_with(before) && (0..=rest).any(|skip| agrees(after, &came[before.len() + skip..], form))
            })
        }
    }
}

enum Piece {
    Text(String),
    Step(Step),
}

fn pieces(text: &str, form: Form) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut inside = form == Form::Script;
    for line in text.lines() {
        if form == Form::Page && line.trim_start().starts_with("```") {
            inside = line.trim_start() == "```console";
            pieces.push(Piece::Text(line.to_owned()));
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            pieces.push(Piece::Step(Step { command: command.to_owned(), expected: Vec::new() }));
        } else if let Some(Piece::Step(step)) = pieces.last_mut().filter(|_| inside && !line.starts_with('#')) {
            match line.strip_prefix("> ").or(line.strip_prefix('>')).filter(|_| step.expected.is_empty()) {
                Some(more) => step.command = format!("{}\n{more}", step.command),
                None => step.expected.push(line.to_owned()),
            }
        } else {
            pieces.push(Piece::Text(line.to_owned()));
        }
    }
    pieces
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), port: free_port(), running: Vec::new() }
    }

    fn name(&self) -> &str {
        self.dir.path().to_str().unwrap()
    }

    /// Types a command; gives its lines, blanked.
    fn take(&mut self, command: &str, form: Form) -> Vec<String> {
        let typed = command.replace("8443", &self.port.to_string());
        if let Some(server) = typed.strip_suffix(" &") {
            self.start(server);
            return Vec::new();
        }
        let output = match typed.strip_prefix("until ").filter(|typed| !typed.contains("; do ")) {
            None => self.shell(&typed).output().unwrap(),
            Some(typed) => self.until(typed),
        };
        self.lines(&output, form)
    }

    fn until(&self, typed: &str) -> Output {
        let begun = Instant::now();
        loop {
            let output = self.shell(typed).output().unwrap();
            if output.status.success() || begun.elapsed() > UNTIL_TIME_MAX {
                return output;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn start(&mut self, typed: &str) {
        let log = std::fs::File::create(self.dir.path().join(format!("server-{}.log", self.running.len()))).unwrap();
        // The shell becomes the server, so that stopping the child stops it.
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec {typed}")]).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let child = self.in_place(&mut command).spawn().unwrap();
        self.running.push(child);
    }

    fn shell(&self, typed: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args([COMMAND_TIME_MAX, "sh", "-c", typed]).stdin(Stdio::null());
        self.in_place(&mut command);
        command
    }

    fn in_place<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_epimachia"));
        let path = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());
        command.current_dir(self.dir.path()).env_clear().env("PATH", path).env("HOME", self.dir.path())
    }

    fn lines(&self, output: &Output, form: Form) -> Vec<String> {
        let text =
            |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().map(|line| blank::line(line, self.name())).collect();
        let (out, err): (Vec<String>, Vec<String>) = (text(&output.stdout), text(&output.stderr));
        let mut lines: Vec<String> = out.iter().map(|line| line.trim_end().to_owned()).collect();
        let mark = if form == Form::Script { "! " } else { "" };
        lines.extend(err.iter().map(|line| format!("{mark}{line}").trim_end().to_owned()));
        let code = output.status.code().unwrap_or(-1);
        if code != 0 && form == Form::Script {
            lines.push(format!("= {code}"));
        }
        lines
    }

    fn blanked(&self, line: &str) -> String {
        match line.strip_prefix("! ") {
            Some(told) => format!("! {}", blank::line(told, self.name())),
            None => blank::line(line, self.name()),
        }
    }

    /// What the servers said, for a test that failed.
    fn logs(&self) -> String {
        let read = |n| std::fs::read_to_string(self.dir.path().join(format!("server-{n}.log"))).unwrap_or_default();
        (0..self.running.len()).map(read).collect()
    }
}

/// A free port below those that the system gives to outgoing connections, which could take it before the server does.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + (std::process::id() % 20_000) as u16;
    let mut ports = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed)).take(1_000);
    ports.find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

impl Drop for Place {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
