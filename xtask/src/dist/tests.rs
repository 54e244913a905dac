//! The package as somebody gets it: made twice, installed into a root of its own, its program run, its units judged.

use super::*;
use std::os::unix::fs::PermissionsExt;
use std::time::{SystemTime, UNIX_EPOCH};

/// The exposure level that no unit may exceed: 0 is best, 10 worst; times ten.
const EXPOSURE_TENTHS_MAX: u32 = 15;
const UNITS: [&str; 4] = ["hub", "agent", "enforcer", "watchdog"];

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let path = std::env::temp_dir().join(format!("xtask-{name}-{nanos}"));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program as the tests have built it; built here where they have not.
fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().parent().unwrap().join("epimachia");
    if !program.exists() {
        run::to_the_end(&mut run::cargo(["build", "--locked", "-p", "epimachia"])).unwrap();
    }
    program
}

fn packaged(name: &str) -> (Scratch, Vec<PathBuf>) {
    let scratch = Scratch::new(name);
    let made =
        package(&Order { binary: program(), out: scratch.0.clone(), epoch: 1_700_000_000, small: false }).unwrap();
    (scratch, made)
}

#[test]
fn the_same_program_makes_the_same_bytes_and_the_sums_say_so() {
    let ((first, made), (second, again)) = (packaged("one"), packaged("two"));
    for (one, two) in made.iter().zip(&again) {
        let (one_bytes, two_bytes) = (std::fs::read(one).unwrap(), std::fs::read(two).unwrap());
        assert!(one_bytes == two_bytes, "{} differs from {}", one.display(), two.display());
    }
    output(Command::new("sha256sum").args(["-c", "SHA256SUMS"]).current_dir(&first.0)).unwrap();
    let left: Vec<_> = std::fs::read_dir(&second.0).unwrap().map(|item| item.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "{left:?}");
}

#[test]
fn the_package_installs_into_a_root_of_its_own_and_its_program_runs() {
    let (scratch, made) = packaged("install");
    let root = scratch.0.join("root");
    for dir in ["var/lib/dpkg/updates", "var/lib/dpkg/info", "etc"] {
        std::fs::create_dir_all(root.join(dir)).unwrap();
    }
    std::fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    let mut dpkg = Command::new("dpkg");
    dpkg.arg(format!("--root={}", root.display()));
    dpkg.args(["--force-not-root", "--force-depends", "--force-script-chrootless", "--install"]).arg(&made[0]);
    output(&mut dpkg).unwrap();
    let users = std::fs::read_to_string(root.join("etc/passwd")).unwrap();
    for user in ["epimachia-hub:", "epimachia-agent:", "epimachia-enforcer:"] {
        assert!(users.contains(user), "{users}");
    }
    let program = root.join("usr/bin/epimachia");
    assert!(output(Command::new(&program).arg("version")).unwrap().contains(env!("CARGO_PKG_VERSION")));
    let check =
        Command::new(&program).args(["check", "--config"]).arg(root.join("etc/epimachia/enforcer.toml")).status();
    assert!(check.unwrap().success(), "the configuration that is shipped is one");
    for page in ["epimachia.1.gz", "epimachia-agent-watchdog.1.gz", "epimachia-enforcer.1.gz"] {
        assert!(root.join("usr/share/man/man1").join(page).is_file(), "{page}");
    }
    let mode = |path: &str| std::fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("usr/bin/epimachia"), mode("etc/epimachia/enforcer.toml")), (0o755, 0o644));
    let conffiles = std::fs::read_to_string(root.join("var/lib/dpkg/info/epimachia.conffiles")).unwrap();
    assert_eq!(conffiles, "/etc/epimachia/enforcer.toml\n");
}

#[test]
fn the_list_of_what_is_in_it_names_version_licence_and_sum() {
    let metadata = Metadata::read().unwrap();
    let bom: serde_json::Value = serde_json::from_str(&sbom::render(&metadata, 0)).unwrap();
    let components = bom["components"].as_array().unwrap();
    assert!(components.len() > 100, "{}", components.len());
    for component in components {
        let licence = component["licenses"][0]["expression"].as_str().unwrap();
        let sum = component["hashes"][0]["content"].as_str().unwrap();
        assert!(!licence.is_empty() && !licence.contains('/') && sum.len() == 64, "{component}");
    }
    let has = |name: &str| components.iter().any(|component| component["name"] == name);
    assert!(has("rustls") && has("ed25519-dalek"));
    assert!(!has("proptest"), "what only tests use is not in the program");
}

#[test]
fn no_unit_is_exposed_beyond_the_limit() {
    for unit in UNITS {
        let path = run::root().join(format!("dist/systemd/epimachia-{unit}.service"));
        let mut analyze = Command::new("systemd-analyze");
        let said = output(analyze.args(["security", "--offline=true", "--no-pager"]).arg(&path)).unwrap();
        let level = said.lines().rev().find_map(|line| line.split("exposure level for").nth(1)).unwrap();
        let level = level.split(':').nth(1).unwrap().split_whitespace().next().unwrap().replace('.', "");
        let tenths: u32 = level.parse().unwrap();
        assert!(tenths <= EXPOSURE_TENTHS_MAX, "{unit}: {tenths} tenths\n{said}");
    }
}

#[test]
fn only_the_enforcer_has_a_capability_and_it_has_no_ip() {
    for unit in UNITS {
        let text = std::fs::read_to_string(run::root().join(format!("dist/systemd/epimachia-{unit}.service"))).unwrap();
        let value = |key: &str| text.lines().rev().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let wanted = if unit == "enforcer" { "CAP_NET_ADMIN" } else { "" };
        assert_eq!(value("CapabilityBoundingSet"), Some(wanted), "{unit}");
        assert_eq!(value("AmbientCapabilities"), Some(wanted), "{unit}");
        let families = value("RestrictAddressFamilies").unwrap();
        assert_eq!(families.contains("AF_INET"), unit != "enforcer", "{unit}: {families}");
        assert!(value("MemoryMax").is_some() && value("TasksMax").is_some() && value("NoNewPrivileges") == Some("yes"));
        let program = value("ExecStart").unwrap();
        assert!(program.starts_with("/usr/bin/epimachia "), "{program}");
    }
}
