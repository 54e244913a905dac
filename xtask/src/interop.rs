//! `cargo xtask interop`: tools that people already have, unmodified, against our hub and what we write.
//!
//! A virtual environment with pinned tools, the demo's alliance, and `interop/clients.py` between them, which tries
//! everything and prints a line for each check. Not a part of `ci`: the tools come from PyPI, which may be away.

mod demo;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Failure, packages, run};
use demo::Demo;

/// Help of `cargo xtask interop`.
pub const HELP: &str = "\
cargo xtask interop                   build in release, then every check
cargo xtask interop --binary FILE --emit FILE
                                      with programs that are there: epimachia, and share's example `emit`
cargo xtask interop --bundle FILE...  also these STIX bundles: every object in, and out again byte for byte

Installs taxii2-client, stix2, stix2-validator and stix2-patterns, each in one version, from PyPI into target/interop/venv;
starts the demo's alliance; pushes into its hub, pulls out of it, and holds everything that we write against those tools.
Takes less than a minute once built. Exit code 1 when a check failed. Not a part of `cargo xtask ci`: PyPI may be away.

Next: docs/interop.md";

/// What is installed, from PyPI. stix2-validator 3.3.1 comes without its schemas and refuses every object.
const TOOLS: &[&str] = &["taxii2-client==2.3.0", "stix2==3.0.2", "stix2-validator==3.2.0", "stix2-patterns==2.1.2"];

/// What uses the tools.
const SCRIPT: &str = "xtask/src/interop/clients.py";

/// `requests` takes these before the authority that a program names; a hub has an authority of its own.
const AUTHORITIES: &[&str] = &["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];

/// What is tried; built where nothing is named.
#[derive(Debug, Default, PartialEq, Eq)]
struct Order {
    binary: Option<PathBuf>,
    emit: Option<PathBuf>,
    /// Other people's bundles, which go in and must come out.
    bundles: Vec<PathBuf>,
}

/// Runs the verb.
pub fn run(words: &[String]) -> Result<(), Failure> {
    let order = Order::parse(words)?;
    packages::ensure_python()?;
    let home = run::root().join("target/interop");
    std::fs::create_dir_all(&home).map_err(|error| failed(&home, error))?;
    let python = environment(&home)?;
    let (binary, emitted) = (order.binary()?, order.emitted(&home)?);
    if let Some(path) = order.bundles.iter().find(|path| !path.is_file()) {
        return Err(Failure::Usage(format!("{} is no file", path.display())));
    }
    let demo = Demo::start(&binary)?;
    let results = clients(&python, &demo, &binary, &[vec![emitted], order.bundles].concat());
    demo.stop()?;
    judge(&results?)
}

impl Order {
    fn parse(words: &[String]) -> Result<Order, Failure> {
        let mut order = Order::default();
        let mut words = words.iter().peekable();
        while let Some(word) = words.next() {
            let mut path = || words.next_if(|word| !word.starts_with("--")).map(PathBuf::from);
            let needed = || Failure::Usage(format!("{word} needs a path after it"));
            match word.as_str() {
                "--binary" => order.binary = Some(path().ok_or_else(needed)?),
                "--emit" => order.emit = Some(path().ok_or_else(needed)?),
                "--bundle" => {
                    order.bundles.push(path().ok_or_else(needed)?);
                    order.bundles.extend(std::iter::from_fn(path));
                }
                _ => {
                    let takes = "it takes --binary FILE, --emit FILE, --bundle FILE...";
                    return Err(Failure::Usage(format!("interop has no {word:?}; {takes}")));
                }
            }
        }
        Ok(order)
    }

    fn binary(&self) -> Result<PathBuf, Failure> {
        built(self.binary.as_ref(), &["-p", "epimachia"], "epimachia")
    }

    /// Everything that we write, as one bundle in a file.
    fn emitted(&self, home: &Path) -> Result<PathBuf, Failure> {
        let emit = built(self.emit.as_ref(), &["-p", "share", "--example", "emit"], "examples/emit")?;
        let path = home.join("emitted.json");
        let file = std::fs::File::create(&path).map_err(|error| failed(&path, error))?;
        run::to_the_end(Command::new(emit).stdout(file))?;
        Ok(path)
    }
}

/// The program that was named, else the one that cargo makes of these words.
fn built(named: Option<&PathBuf>, words: &[&str], program: &str) -> Result<PathBuf, Failure> {
    match named {
        Some(path) => std::path::absolute(path).map_err(|error| failed(path, error)),
        None => {
            // Looked for where it is put, whatever CARGO_TARGET_DIR says.
            let target = run::root().join("target");
            let mut build = run::cargo(["build", "--release", "--locked"]);
            run::to_the_end(build.args(words).arg("--target-dir").arg(&target))?;
            Ok(target.join("release").join(program))
        }
    }
}

/// Python with the tools, made once and again when their versions change here.
fn environment(home: &Path) -> Result<PathBuf, Failure> {
    let venv = home.join("venv");
    let (python, stamp, tools) = (venv.join("bin/python"), venv.join("tools.txt"), TOOLS.join("\n"));
    if std::fs::read_to_string(&stamp).is_ok_and(|text| text == tools) {
        return Ok(python);
    }
    run::to_the_end(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    run::to_the_end(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(TOOLS))?;
    std::fs::write(&stamp, tools).map_err(|error| failed(&stamp, error))?;
    Ok(python)
}

/// What one check came to: how much it looked at, or why it failed.
#[derive(Debug, PartialEq, Eq)]
struct Check {
    name: String,
    outcome: Result<u64, String>,
}

impl Check {
    /// A line of the script's; other lines are none.
    fn parse(line: &str) -> Option<Check> {
        let (word, rest) = line.split_once('\t')?;
        let (name, told) = rest.split_once('\t')?;
        let outcome = match word {
            "ok" => Ok(told.parse().ok()?),
            "FAILED" => Err(told.to_owned()),
            _ => return None,
        };
        Some(Check { name: name.to_owned(), outcome })
    }

    fn row(&self) -> String {
        match &self.outcome {
            Ok(count) => format!("{:<44} {count:>6}", self.name),
            Err(why) => format!("{:<44} FAILED {why}", self.name),
        }
    }
}

/// Runs the script against the alliance; the first of the bundles is what we write, the others are other people's.
fn clients(python: &Path, demo: &Demo, binary: &Path, bundles: &[PathBuf]) -> Result<Vec<Check>, Failure> {
    let token = demo.token(binary)?;
    let mut command = Command::new(python);
    command.arg(run::root().join(SCRIPT)).arg(demo.url()?).arg(demo.authority()).arg(token);
    command.arg(demo::MEMBER).args(bundles);
    // The hub is on this machine: no proxy leads to it.
    command.envs([("NO_PROXY", demo::HOST), ("no_proxy", demo::HOST)]);
    for name in AUTHORITIES {
        command.env_remove(name);
    }
    collect(&mut command)
}

/// Runs what prints checks, and prints the table while it grows. Its exit code must say the same as its lines.
fn collect(command: &mut Command) -> Result<Vec<Check>, Failure> {
    let broken = |error: std::io::Error| Failure::Failed(format!("{SCRIPT}: {error}"));
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(broken)?;
    let output = child.stdout.take().ok_or_else(silent)?;
    let mut checks = Vec::new();
    for line in BufReader::new(output).lines() {
        let line = line.map_err(broken)?;
        match Check::parse(&line) {
            Some(check) => {
                println!("{}", check.row());
                checks.push(check);
            }
            None => eprintln!("{line}"),
        }
    }
    let status = child.wait().map_err(broken)?;
    let all_well = checks.iter().all(|check| check.outcome.is_ok());
    if status.success() == all_well {
        Ok(checks)
    } else {
        Err(Failure::Failed(format!("{SCRIPT} ended with {status}")))
    }
}

fn silent() -> Failure {
    Failure::Failed(format!("{SCRIPT} has no output"))
}

/// The last line, and whether it is a good one.
fn judge(checks: &[Check]) -> Result<(), Failure> {
    let wrong: Vec<&str> =
        checks.iter().filter(|check| check.outcome.is_err()).map(|check| check.name.as_str()).collect();
    if checks.is_empty() {
        return Err(silent());
    }
    if !wrong.is_empty() {
        return Err(Failure::Failed(format!(
            "{} of {} checks failed: {}",
            wrong.len(),
            checks.len(),
            wrong.join(", ")
        )));
    }
    println!("\n{} checks, all well: {}", checks.len(), TOOLS.join(", ").replace("==", " "));
    Ok(())
}

fn failed(path: &Path, error: std::io::Error) -> Failure {
    Failure::Failed(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Order, Failure> {
        Order::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn programs_that_are_there_may_be_named() {
        assert_eq!(parse(""), Ok(Order::default()));
        let both = Order { binary: Some("a".into()), emit: Some("b".into()), bundles: Vec::new() };
        assert_eq!(parse("--emit b --binary a"), Ok(both));
        let bundles = ["x", "y", "z"].map(PathBuf::from).to_vec();
        let three = Order { emit: Some("b".into()), bundles, ..Order::default() };
        assert_eq!(parse("--bundle x y --emit b --bundle z"), Ok(three));
        let said = |line: &str| match parse(line) {
            Err(Failure::Usage(text)) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(said("--emit"), "--emit needs a path after it");
        assert_eq!(said("--bundle --emit b"), "--bundle needs a path after it");
        assert_eq!(said("--hub x"), "interop has no \"--hub\"; it takes --binary FILE, --emit FILE, --bundle FILE...");
    }

    #[test]
    fn lines_of_the_script_are_checks_and_other_lines_are_none() {
        let ok = Check::parse("ok\tpages of 100\t251").unwrap();
        assert_eq!(ok, Check { name: "pages of 100".into(), outcome: Ok(251) });
        assert_eq!(ok.row(), format!("{:<44} {:>6}", "pages of 100", 251));
        let failed = Check::parse("FAILED\tdeleted\tHTTPError: 500\tand more").unwrap();
        assert_eq!(failed.outcome, Err("HTTPError: 500\tand more".into()));
        assert!(failed.row().ends_with(" FAILED HTTPError: 500\tand more"));
        for none in ["", "ok", "ok\tdeleted", "ok\tdeleted\tmany", "good\tdeleted\t1", "a warning of a tool's"] {
            assert_eq!(Check::parse(none), None, "{none:?}");
        }
    }

    #[test]
    fn one_failed_check_fails_the_run_and_so_does_none_at_all() {
        let check = |name: &str, outcome| Check { name: name.to_owned(), outcome };
        assert_eq!(judge(&[check("a", Ok(1))]), Ok(()));
        let wrong = judge(&[check("a", Ok(1)), check("b", Err("why".into()))]);
        assert_eq!(wrong, Err(Failure::Failed("1 of 2 checks failed: b".into())));
        assert_eq!(judge(&[]), Err(silent()));
    }

    #[test]
    fn the_exit_code_must_say_what_the_lines_say() {
        let printing = |text: &str| collect(Command::new("/usr/bin/printf").arg(text));
        assert_eq!(printing("ok\ta\t1\na warning\nok\tb\t2\n").unwrap().len(), 2);
        let ended = |code: u8| Err(Failure::Failed(format!("{SCRIPT} ended with exit status: {code}")));
        assert_eq!(printing("ok\ta\t1\nFAILED\tb\twhy\n"), ended(0));
        assert_eq!(collect(&mut Command::new("/bin/false")), ended(1), "it died on its way");
    }

    /// The document tells what is tried: it names every check, and the tools in the versions that are installed.
    #[test]
    fn the_document_names_every_check_and_every_tool() {
        let document = std::fs::read_to_string(run::root().join("docs/interop.md")).unwrap();
        let script = std::fs::read_to_string(run::root().join(SCRIPT)).unwrap();
        let names: Vec<String> = script
            .split("@check\ndef ")
            .skip(1)
            .map(|text| text.split('(').next().unwrap().replace('_', " "))
            .collect();
        assert!(names.len() > 20, "{names:?}");
        for name in names {
            assert!(document.contains(&format!("\n{name} ")), "{name} is not in the document");
        }
        for tool in TOOLS {
            let (name, version) = tool.split_once("==").unwrap();
            assert!(document.contains(&format!("`{name}` {version}")), "{tool} is not in the document");
        }
    }
}
