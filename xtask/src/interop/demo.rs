//! The demo's alliance as a background process: started, waited for, asked for a token, ended as Ctrl-C ends it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::failed;
use crate::{Failure, run};

/// The demo's first founder: its operator's first token makes tokens.
pub const MEMBER: &str = "telecom";
/// Where the demo's hub listens.
pub const HOST: &str = "127.0.0.1";

/// What it prints, and what it says.
const PLAYED: &str = "played.json";
const SAID: &str = "said.txt";
/// Longest time until the alliance has played its scenes; some seconds on an idle machine.
const PLAYED_WITHIN: Duration = Duration::from_secs(900);
/// Longest time until it has ended.
const ENDED_WITHIN: Duration = Duration::from_secs(120);
/// How often we look.
const EVERY: Duration = Duration::from_millis(200);

/// A running demo. When dropped it is killed.
pub struct Demo {
    child: Child,
    dir: PathBuf,
}

impl Demo {
    /// Starts it and waits until it has played all scenes and keeps running.
    pub fn start(binary: &Path) -> Result<Demo, Failure> {
        // Sockets are in it, whose paths have at most 107 bytes: not below a repository that may lie deep.
        let dir = std::env::temp_dir().join(format!("epimachia-interop-{}", std::process::id()));
        std::fs::create_dir_all(&dir).map_err(|error| failed(&dir, error))?;
        let file = |name: &str| {
            let path = dir.join(name);
            std::fs::File::create(&path).map_err(|error| failed(&path, error))
        };
        let mut command = Command::new(binary);
        command.args(["demo", "--json", "--keep", "--dir"]).arg(&dir);
        command.stdin(Stdio::null()).stdout(file(PLAYED)?).stderr(file(SAID)?);
        eprintln!("+ {} demo --json --keep --dir {}", binary.display(), dir.display());
        let child = command.spawn().map_err(|error| failed(binary, error))?;
        let mut demo = Demo { child, dir };
        demo.await_scenes()?;
        Ok(demo)
    }

    /// The hub's address, as an agent's configuration names it.
    pub fn url(&self) -> Result<String, Failure> {
        let path = self.dir.join(MEMBER).join("agent.toml");
        let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
        let table: toml::Table = text.parse().unwrap_or_default();
        let url = table.get("hub").and_then(|hub| hub.get("url")).and_then(toml::Value::as_str);
        url.map(str::to_owned).ok_or_else(|| Failure::Failed(format!("{} names no hub", path.display())))
    }

    /// The authority's certificate, by which the hub is known.
    pub fn authority(&self) -> PathBuf {
        self.dir.join("hub/ca.pem")
    }

    /// A token for the member's tools, in a private file.
    pub fn token(&self, binary: &Path) -> Result<PathBuf, Failure> {
        let path = self.dir.join("interop.token");
        let mut command = Command::new(binary);
        command.args(["token", "new", "--member", MEMBER, "--scope", "report,read", "--label", "interop"]);
        command.args(["--valid", "1d", "--hub"]).arg(self.url()?).arg("--ca").arg(self.authority());
        command.arg("--token-file").arg(self.dir.join("hub/admin.token")).arg("--file").arg(&path);
        run::to_the_end(command.stdout(Stdio::null()))?;
        Ok(path)
    }

    /// Ends it in good order and removes its files.
    pub fn stop(mut self) -> Result<(), Failure> {
        run::to_the_end(Command::new("kill").arg("-INT").arg(self.child.id().to_string()))?;
        self.await_end()?;
        std::fs::remove_dir_all(&self.dir).map_err(|error| failed(&self.dir, error))
    }

    /// The one document that it prints is whole.
    fn has_played(&self) -> bool {
        let played = std::fs::read(self.dir.join(PLAYED)).unwrap_or_default();
        serde_json::from_slice::<serde_json::Value>(&played).is_ok()
    }

    /// The process has ended; None while it runs.
    fn ended(&mut self) -> Result<Option<ExitStatus>, Failure> {
        self.child.try_wait().map_err(|error| failed(&self.dir, error))
    }

    fn await_scenes(&mut self) -> Result<(), Failure> {
        let begin = Instant::now();
        while !self.has_played() {
            if let Some(status) = self.ended()? {
                return Err(self.told(&format!("ended with {status}")));
            }
            if begin.elapsed() > PLAYED_WITHIN {
                return Err(self.told(&format!("has not played its scenes within {} s", PLAYED_WITHIN.as_secs())));
            }
            std::thread::sleep(EVERY);
        }
        Ok(())
    }

    fn await_end(&mut self) -> Result<(), Failure> {
        let begin = Instant::now();
        loop {
            match self.ended()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(self.told(&format!("ended with {status}"))),
                None if begin.elapsed() > ENDED_WITHIN => {
                    return Err(self.told(&format!("has not ended within {} s", ENDED_WITHIN.as_secs())));
                }
                None => std::thread::sleep(EVERY),
            }
        }
    }

    fn told(&self, what: &str) -> Failure {
        let said = std::fs::read_to_string(self.dir.join(SAID)).unwrap_or_default();
        let last = said.trim().lines().last().unwrap_or("nothing");
        Failure::Failed(format!("the demo {what}; it said: {last}; its files are in {}", self.dir.display()))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It has ended already where all went well.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_ends_before_it_has_played_is_told_with_what_it_said() {
        let Err(Failure::Failed(text)) = Demo::start(Path::new("/bin/false")) else { panic!("started") };
        assert!(text.starts_with("the demo ended with exit status: 1; it said: nothing; its files are in "), "{text}");
        let dir = text.split("its files are in ").nth(1).unwrap();
        std::fs::remove_dir_all(dir).unwrap();
    }
}
