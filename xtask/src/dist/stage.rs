//! The tree of files as it will stand on a member's machine.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{failed, output, write};
use crate::{Failure, run};

/// Files of the repository, where they go, and with which mode.
const FILES: &[(&str, &str, u32)] = &[
    ("dist/systemd/epimachia-hub.service", "usr/lib/systemd/system/epimachia-hub.service", 0o644),
    ("dist/systemd/epimachia-agent.service", "usr/lib/systemd/system/epimachia-agent.service", 0o644),
    ("dist/systemd/epimachia-enforcer.service", "usr/lib/systemd/system/epimachia-enforcer.service", 0o644),
    ("dist/systemd/epimachia-watchdog.service", "usr/lib/systemd/system/epimachia-watchdog.service", 0o644),
    ("dist/systemd/epimachia.sysusers", "usr/lib/sysusers.d/epimachia.conf", 0o644),
    ("dist/examples/enforcer.toml", "etc/epimachia/enforcer.toml", 0o644),
    ("dist/examples/agent.toml", "usr/share/doc/epimachia/examples/agent.toml", 0o644),
    ("dist/debian/copyright", "usr/share/doc/epimachia/copyright", 0o644),
    ("LICENSE", "usr/share/doc/epimachia/LICENSE", 0o644),
    ("dist/debian/conffiles", "DEBIAN/conffiles", 0o644),
    ("dist/debian/postinst", "DEBIAN/postinst", 0o755),
    ("dist/debian/prerm", "DEBIAN/prerm", 0o755),
    ("dist/debian/postrm", "DEBIAN/postrm", 0o755),
];
/// Completions: the shell, and where it looks for them.
const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "usr/share/bash-completion/completions/epimachia"),
    ("zsh", "usr/share/zsh/vendor-completions/_epimachia"),
    ("fish", "usr/share/fish/vendor_completions.d/epimachia.fish"),
];

/// A staged tree; removed when it goes out of scope.
pub struct Stage {
    root: PathBuf,
    architecture: String,
}

impl Stage {
    /// Puts everything in place.
    pub fn new(out: &Path, binary: &Path, version: &str, bom: &Path) -> Result<Stage, Failure> {
        let root = out.join(format!("stage-{}", std::process::id()));
        // What an interrupted run left has another number; what has ours is ours.
        let _ = std::fs::remove_dir_all(&root);
        let architecture = output(Command::new("dpkg").arg("--print-architecture"))?.trim().to_owned();
        let stage = Stage { root, architecture };
        let program = stage.copy(binary, "usr/bin/epimachia", 0o755)?;
        output(Command::new("strip").arg("--strip-debug").arg(&program))?;
        for (from, to, mode) in FILES {
            stage.copy(&run::root().join(from), to, *mode)?;
        }
        stage.copy(bom, "usr/share/doc/epimachia/epimachia.cdx.json", 0o644)?;
        stage.changelog()?;
        for (shell, to) in COMPLETIONS {
            stage.put(to, &output(Command::new(&program).args(["completions", shell]))?)?;
        }
        stage.manual(&program)?;
        stage.control(version, &program)?;
        stage.private_directories()?;
        Ok(stage)
    }

    /// The tree's root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Debian's name of the processor.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    fn copy(&self, from: &Path, to: &str, mode: u32) -> Result<PathBuf, Failure> {
        let path = self.place(to)?;
        std::fs::copy(from, &path).map_err(|error| failed(from, error))?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).map_err(|error| failed(&path, error))?;
        Ok(path)
    }

    fn put(&self, to: &str, text: &str) -> Result<PathBuf, Failure> {
        let path = self.place(to)?;
        write(&path, text)?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).map_err(|error| failed(&path, error))?;
        Ok(path)
    }

    fn place(&self, to: &str) -> Result<PathBuf, Failure> {
        let path = self.root.join(to);
        let parent = path.parent().unwrap_or(&self.root);
        std::fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
        Ok(path)
    }

    fn changelog(&self) -> Result<(), Failure> {
        let path = self.copy(&run::root().join("CHANGELOG.md"), "usr/share/doc/epimachia/changelog", 0o644)?;
        output(Command::new("gzip").arg("-n9").arg(path)).map(drop)
    }

    /// One page a command, made from the program's own help.
    fn manual(&self, program: &Path) -> Result<(), Failure> {
        let pages = self.place("usr/share/man/man1/page")?;
        let dir = pages.parent().unwrap_or(&self.root).to_owned();
        output(Command::new(program).args(["docs", "man"]).arg(&dir))?;
        let items = std::fs::read_dir(&dir).map_err(|error| failed(&dir, error))?;
        let mut paths: Vec<PathBuf> = items.filter_map(|item| Some(item.ok()?.path())).collect();
        paths.sort();
        output(Command::new("gzip").arg("-n9").args(paths)).map(drop)
    }

    fn control(&self, version: &str, program: &Path) -> Result<(), Failure> {
        let size = output(Command::new("du").args(["-sk", "--apparent-size"]).arg(&self.root))?;
        let glibc = needed_glibc(&std::fs::read(program).map_err(|error| failed(program, error))?);
        let path = run::root().join("dist/debian/control");
        let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
        let text = text
            .replace("@VERSION@", version)
            .replace("@ARCHITECTURE@", &self.architecture)
            .replace("@GLIBC@", &glibc)
            .replace("@SIZE@", size.split_whitespace().next().unwrap_or("0"));
        self.put("DEBIAN/control", &text)?;
        let mut find = Command::new("find");
        find.args(["usr", "etc", "-type", "f"]).current_dir(&self.root);
        let mut files: Vec<String> = output(&mut find)?.lines().map(str::to_owned).collect();
        files.sort();
        let sums = output(Command::new("md5sum").args(files).current_dir(&self.root))?;
        self.put("DEBIAN/md5sums", &sums).map(drop)
    }

    /// Whatever umask this machine has: directories are 0755.
    fn private_directories(&self) -> Result<(), Failure> {
        let mut find = Command::new("find");
        output(find.arg(&self.root).args(["-type", "d", "-exec", "chmod", "0755", "{}", "+"])).map(drop)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What is left is below target/dist, and says by its name what it was.
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// The newest `GLIBC_2.x` that the program asks its C library for.
fn needed_glibc(program: &[u8]) -> String {
    let mark = b"GLIBC_2.";
    let at = program.windows(mark.len()).enumerate().filter(|(_, window)| window == mark).map(|(at, _)| at);
    let number = |at: usize| {
        let rest = program.get(at + mark.len()..)?;
        let digits: String = rest.iter().take_while(|byte| byte.is_ascii_digit()).map(|b| char::from(*b)).collect();
        digits.parse::<u32>().ok()
    };
    format!("2.{}", at.filter_map(number).max().unwrap_or(31))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_c_library_that_is_asked_for_counts() {
        assert_eq!(needed_glibc(b"..GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0GLIBC_PRIVATE"), "2.34");
    }

    #[test]
    fn every_file_that_is_packaged_is_there() {
        for (from, _, _) in FILES {
            assert!(run::root().join(from).is_file(), "{from}");
        }
    }
}
