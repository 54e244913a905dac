//! The real peers that tests talk to, as Debian packages: found by their programs, installed where we are root.
//!
//! Installing must not start anything: Debian's own switch for that is `/usr/sbin/policy-rc.d` (exit code 101 = start
//! nothing). It is written for the time of the installation where the machine has none of its own, and removed after.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Failure, run};

/// A Debian package and the program by which we see that it is there, whoever installed it.
struct Package {
    name: &'static str,
    program: &'static str,
    /// Why tests need it; printed before installing.
    purpose: &'static str,
}

/// What `cargo xtask test` needs beyond Rust. One line each.
const PACKAGES: &[Package] = &[
    Package { name: "bind9", program: "named", purpose: "a real BIND takes our RPZ zone" },
    Package { name: "unbound", program: "unbound", purpose: "a real Unbound takes our RPZ zone" },
    Package { name: "nftables", program: "nft", purpose: "packet filter sets in a network namespace" },
    Package { name: "iproute2", program: "ip", purpose: "network namespaces" },
    Package { name: "bind9-dnsutils", program: "dig", purpose: "queries by another hand than ours" },
    Package { name: "systemd", program: "systemd-analyze", purpose: "how exposed our units are" },
    Package { name: "crowdsec", program: "crowdsec", purpose: "a real CrowdSec whose alerts an agent pulls" },
    Package { name: "binutils", program: "strip", purpose: "the Debian package" },
    Package { name: "zstd", program: "zstd", purpose: "recorded data, packed and unpacked by another hand than ours" },
];

/// What `cargo xtask interop` needs: Debian keeps a part of Python's virtual environments in a package of its own.
const PYTHON: Package =
    Package { name: "python3-venv", program: "python3", purpose: "other people's tools for STIX and TAXII" };

/// Where programs of the system stand even when a plain user's `PATH` leaves them out.
const SYSTEM_DIRS: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// Debian's crowdsec registers the machine with the company's central service when it is installed, unless this file
/// is there and holds anything.
const CENTRAL_PATH: &str = "/etc/crowdsec/online_api_credentials.yaml";
const CENTRAL_TEXT: &str = "# This machine is not registered with CrowdSec's central service.";

const POLICY_PATH: &str = "/usr/sbin/policy-rc.d";
const POLICY_MARK: &str = "# written by cargo xtask test";

/// Makes sure that every package is there. Installs what is missing as root; otherwise says what to type.
pub fn ensure() -> Result<(), Failure> {
    supply(|| missing(&search_dirs()))
}

/// Makes sure that Python can make virtual environments, in the same way.
pub fn ensure_python() -> Result<(), Failure> {
    let whole = || run::succeeds(Command::new(PYTHON.program).args(["-c", "import ensurepip, venv"]));
    supply(|| if whole() { Vec::new() } else { vec![&PYTHON] })
}

fn supply(missing: impl Fn() -> Vec<&'static Package>) -> Result<(), Failure> {
    let found = missing();
    if found.is_empty() {
        return Ok(());
    }
    for package in &found {
        eprintln!("missing: {} ({})", package.name, package.purpose);
    }
    if !has_program("apt-get", &search_dirs()) {
        return Err(Failure::Failed(without_apt(&found)));
    }
    if !is_root() {
        return Err(Failure::Failed(what_to_type(&found)));
    }
    install(&found)?;
    match missing().first() {
        None => Ok(()),
        Some(package) => {
            Err(Failure::Failed(format!("{} is installed but has no {:?}", package.name, package.program)))
        }
    }
}

fn install(missing: &[&Package]) -> Result<(), Failure> {
    eprintln!("installing {} with apt-get; no service is started", names(missing));
    let _no_services = NoServices::begin(Path::new(POLICY_PATH))?;
    if missing.iter().any(|package| is_crowdsec(package)) {
        register_nowhere(Path::new(CENTRAL_PATH))?;
    }
    run::to_the_end(&mut apt(&["update"]))?;
    let mut words = vec!["install", "--yes", "--no-install-recommends"];
    words.extend(missing.iter().map(|package| package.name));
    run::to_the_end(&mut apt(&words))
}

fn is_crowdsec(package: &Package) -> bool {
    package.program == "crowdsec"
}

/// Leaves a file that is there as it is: a machine that is registered stays so.
fn register_nowhere(path: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::Failed(format!("{} cannot be written: {error}", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut options = std::fs::OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => writeln!(file, "{CENTRAL_TEXT}").map_err(failed),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

fn apt(words: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(["--quiet=2", "-o", "Acquire::Retries=3"]).args(words).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn what_to_type(missing: &[&Package]) -> String {
    let crowdsec = missing.iter().any(|package| is_crowdsec(package));
    let before = match crowdsec {
        // Without it the installation would register the machine.
        true => format!("echo \"{CENTRAL_TEXT}\" | sudo install -D -m 0600 /dev/stdin {CENTRAL_PATH}\n  "),
        false => String::new(),
    };
    let mut text = format!(
        "this needs programs that only root can install. Type:\n\n  {before}sudo apt-get update && sudo apt-get \
         install --yes --no-install-recommends {}",
        names(missing)
    );
    let services: Vec<&str> = (missing.iter().map(|package| package.program))
        .filter(|program| matches!(*program, "named" | "unbound" | "crowdsec"))
        .collect();
    if !services.is_empty() {
        text.push_str(&format!(
            "\n\nDebian starts {} when installed. If you do not want that:\n\n  sudo systemctl disable --now {}",
            services.join(" and "),
            services.join(" ")
        ));
    }
    text
}

fn without_apt(missing: &[&Package]) -> String {
    let programs: Vec<&str> = missing.iter().map(|package| package.program).collect();
    format!("this machine has no apt-get. Install, in its own way, what gives these programs: {}", programs.join(", "))
}

fn names(packages: &[&Package]) -> String {
    packages.iter().map(|package| package.name).collect::<Vec<_>>().join(" ")
}

fn missing(dirs: &[PathBuf]) -> Vec<&'static Package> {
    PACKAGES.iter().filter(|package| !has_program(package.program, dirs)).collect()
}

fn has_program(program: &str, dirs: &[PathBuf]) -> bool {
    dirs.iter().any(|dir| is_executable(&dir.join(program)))
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn search_dirs() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(SYSTEM_DIRS.iter().map(PathBuf::from)).collect()
}

/// Whether our effective user is root, as the kernel tells it.
fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| effective_user(&status) == Some(0))
}

/// The second number of the `Uid:` line (real, effective, saved, file system): proc(5).
fn effective_user(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// While this lives, Debian starts no service. A policy of the machine's own is left alone.
struct NoServices {
    /// The file to remove at the end; nothing where the machine has a policy of its own.
    ours: Option<PathBuf>,
}

impl NoServices {
    fn begin(path: &Path) -> Result<NoServices, Failure> {
        match std::fs::read_to_string(path) {
            // A run that was interrupted left it; it is ours to remove.
            Ok(text) if text.contains(POLICY_MARK) => return Ok(NoServices { ours: Some(path.to_path_buf()) }),
            Ok(_) => {
                eprintln!("this machine has its own {}: it decides which services start", path.display());
                return Ok(NoServices { ours: None });
            }
            Err(_) => {}
        }
        let failed = |error| Failure::Failed(format!("{} cannot be written: {error}", path.display()));
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o755).open(path).map_err(failed)?;
        write!(file, "#!/bin/sh\n{POLICY_MARK}: start no service\nexit 101\n").map_err(failed)?;
        Ok(NoServices { ours: Some(path.to_path_buf()) })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(path) = &self.ours
            && let Err(error) = std::fs::remove_file(path)
        {
            eprintln!("{} could not be removed ({error}); remove it, or services will not start", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty directory of this test's own, removed at its end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_package_is_there_when_its_program_can_be_run() {
        let dir = Scratch::new("programs");
        let dirs = vec![dir.0.clone()];
        assert_eq!(missing(&dirs).len(), PACKAGES.len());
        let program = dir.0.join("named");
        std::fs::write(&program, "").unwrap();
        assert_eq!(missing(&dirs).len(), PACKAGES.len(), "a file that cannot be run is no program");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let still: Vec<&str> = missing(&dirs).iter().map(|package| package.name).collect();
        assert_eq!(
            still,
            ["unbound", "nftables", "iproute2", "bind9-dnsutils", "systemd", "crowdsec", "binutils", "zstd"]
        );
    }

    #[test]
    fn a_plain_user_gets_the_exact_line_with_only_what_is_missing() {
        let by = |name: &str| PACKAGES.iter().find(|package| package.name == name).unwrap();
        let text = what_to_type(&[by("unbound"), by("zstd")]);
        assert!(text.contains("apt-get install --yes --no-install-recommends unbound zstd\n"), "{text}");
        assert!(text.ends_with("disable --now unbound") && !text.contains("crowdsec"), "{text}");
        let text = what_to_type(&[by("bind9"), by("crowdsec")]);
        let (registers, installs) = (text.find(CENTRAL_PATH).unwrap(), text.find("apt-get install").unwrap());
        assert!(registers < installs && text.ends_with("disable --now named crowdsec"), "{text}");
        let text = what_to_type(&[&PYTHON]);
        assert!(text.ends_with("apt-get install --yes --no-install-recommends python3-venv"), "{text}");
    }

    #[test]
    fn the_effective_user_decides_and_not_the_real_one() {
        assert_eq!(effective_user("Name:\tx\nUid:\t1000\t0\t0\t0\n"), Some(0));
        assert_eq!(effective_user("Name:\tx\nUid:\t0\t1000\t0\t0\n"), Some(1000));
        assert_eq!(effective_user("Name:\tx\n"), None);
    }

    #[test]
    fn the_policy_forbids_every_start_and_goes_when_the_installation_ends() {
        let dir = Scratch::new("policy");
        let path = dir.0.join("policy-rc.d");
        let guard = NoServices::begin(&path).unwrap();
        let status = Command::new(&path).args(["named", "start"]).status().unwrap();
        assert_eq!(status.code(), Some(101));
        drop(guard);
        assert!(!path.exists());
    }

    #[test]
    fn a_machine_is_registered_with_no_central_service_and_one_that_is_stays_so() {
        let dir = Scratch::new("central");
        let path = dir.0.join("crowdsec").join("online_api_credentials.yaml");
        register_nowhere(&path).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().starts_with(CENTRAL_TEXT));
        std::fs::write(&path, "login: mine\n").unwrap();
        register_nowhere(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "login: mine\n");
    }

    #[test]
    fn a_policy_of_the_machines_own_is_left_alone() {
        let dir = Scratch::new("own-policy");
        let path = dir.0.join("policy-rc.d");
        std::fs::write(&path, "#!/bin/sh\nexit 0\n").unwrap();
        drop(NoServices::begin(&path).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "#!/bin/sh\nexit 0\n");
    }

    #[test]
    fn a_policy_left_by_an_interrupted_run_is_removed() {
        let dir = Scratch::new("left-policy");
        let path = dir.0.join("policy-rc.d");
        std::mem::forget(NoServices::begin(&path).unwrap());
        drop(NoServices::begin(&path).unwrap());
        assert!(!path.exists());
    }
}
