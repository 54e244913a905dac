//! A good and a bad sample for every rule, and the test that insists on both.

use std::collections::BTreeSet;

use super::tree::Tree;
use super::{RULES, check};

/// Files in memory: path and text.
type Files = Vec<(&'static str, String)>;

/// What a rule must let pass, what it must find, and where.
struct Sample {
    rule: &'static str,
    good: Files,
    bad: Files,
    /// `path:line` of everything that the rule must find in the bad sample.
    places: &'static [&'static str],
}

#[test]
fn every_rule_passes_its_good_sample_and_finds_its_bad_one() {
    for sample in samples() {
        let rule = RULES.iter().find(|rule| rule.name == sample.rule).unwrap();
        let places = |files: &Files| -> Vec<String> {
            let found = (rule.check)(&tree(files));
            found.into_iter().map(|v| format!("{}:{}", v.path, v.line)).collect()
        };
        assert_eq!(places(&sample.good), [""; 0], "{}: good sample", sample.rule);
        assert_eq!(places(&sample.bad), sample.places, "{}: bad sample", sample.rule);
    }
}

#[test]
fn every_rule_has_a_sample_and_a_name_of_its_own() {
    let sampled: BTreeSet<&str> = samples().iter().map(|sample| sample.rule).collect();
    let named: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(sampled, named);
    assert_eq!(named.len(), RULES.len());
}

#[test]
fn a_broken_rule_is_printed_with_place_rule_fault_and_remedy() {
    let bad = files(&[("crates/model/src/a.rs", "fn a() {}\n")]);
    let line = "crates/model/src/a.rs:1: head: no head: begin with a line `//! …` that says what lives there";
    assert!(check(&tree(&bad)).iter().any(|found| found == line));
}

fn tree(files: &Files) -> Tree {
    let borrowed: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    Tree::of(&borrowed)
}

fn files(files: &[(&'static str, &str)]) -> Files {
    files.iter().map(|(path, text)| (*path, (*text).to_owned())).collect()
}

fn samples() -> Vec<Sample> {
    [of_files(), of_code(), of_crates(), of_packages(), of_names(), of_documents()].into_iter().flatten().collect()
}

fn sample(rule: &'static str, good: Files, bad: Files, places: &'static [&'static str]) -> Sample {
    Sample { rule, good, bad, places }
}

fn of_files() -> Vec<Sample> {
    let rust = |text: &str| files(&[("a.rs", text)]);
    let lines = |n: usize| rust(&format!("//! A.\n{}", "\n".repeat(n - 1)));
    let long = concat!("see /wo", "rk/main\n");
    vec![
        sample(
            "head",
            rust("//! A thing.\n"),
            files(&[("a.rs", "//!\n"), ("b.rs", "use x;\n")]),
            &["a.rs:1", "b.rs:1"],
        ),
        sample("file-length", lines(500), lines(501), &["a.rs:501"]),
        sample("line-end", rust("//! A.\n\nfn a() {}\n"), rust("//! A. \nfn a() {}\t\n"), &["a.rs:1", "a.rs:2"]),
        sample("file-end", rust("//! A.\n"), files(&[("a.md", "no end"), ("b.md", "two\n\n")]), &["a.md:1", "b.md:2"]),
        sample("local-path", files(&[("a.txt", "works/ a library\n")]), files(&[("a.txt", long)]), &["a.txt:1"]),
    ]
}

fn of_code() -> Vec<Sample> {
    let rust = |text: &str| files(&[("a.rs", text)]);
    let wide = |n: usize| rust(&format!("//! A.\n// {}\n", "é".repeat(n - 3)));
    let function = |n: usize| rust(&format!("//! A.\n\nfn a() {{\n{}}}\n", "    x();\n".repeat(n - 2)));
    vec![
        sample("line-length", wide(120), wide(121), &["a.rs:2"]),
        sample("unfinished", rust("//! A.\nlet to_do = \"todo!\";\n"), rust("//! A.\nlet a = dbg!(b);\n"), &["a.rs:2"]),
        sample("function-length", function(70), function(71), &["a.rs:3"]),
    ]
}

fn of_crates() -> Vec<Sample> {
    let manifest = |path, text: &str| (path, format!("{text}[lints]\nworkspace = true\n"));
    let package = "[package]\nname = \"decide\"\n";
    let decide = |on: &str| vec![manifest("crates/decide/Cargo.toml", &format!("{package}[dependencies]\n{on}\n"))];
    let clippy = |model: &str, decide: &str| {
        files(&[("crates/model/clippy.toml", model), ("crates/decide/clippy.toml", decide), ("crates/hub/a.rs", "")])
    };
    let root = |members: &str| files(&[("Cargo.toml", &format!("[workspace]\nmembers = [{members}]\n"))]);
    let member = |root: Files, text: &str| [root, files(&[("crates/decide/Cargo.toml", text)])].concat();
    let inherits = format!("{package}[lints]\nworkspace = true\n");
    vec![
        sample("pure-clippy", clippy("a\nb\n", "a\nb\n"), clippy("a\nb\n", "a\nc\n"), &["crates/decide/clippy.toml:2"]),
        sample(
            "pure-doors",
            decide("serde.workspace = true"),
            decide("tokio.workspace = true"),
            &["crates/decide/Cargo.toml:4"],
        ),
        sample(
            "arrows",
            decide("charter.workspace = true"),
            decide("share.workspace = true"),
            &["crates/decide/Cargo.toml:4"],
        ),
        sample(
            "members",
            member(root("\"crates/decide\""), &inherits),
            member(root(""), "[package]\nname = \"decides\"\n"),
            &["crates/decide/Cargo.toml:1", "crates/decide/Cargo.toml:1", "crates/decide/Cargo.toml:1"],
        ),
    ]
}

fn of_packages() -> Vec<Sample> {
    let root = ("Cargo.toml", "[workspace]\n[workspace.dependencies]\nurl = \"2\"\n");
    let member = |text| files(&[root, ("sim/Cargo.toml", text)]);
    let inherits = "[dependencies]\nurl.workspace = true\n";
    let lock = |source: &str| files(&[("Cargo.lock", &format!("name = \"a\"\nsource = \"{source}\"\n"))]);
    let page = |text| files(&[root, ("docs/dependencies.md", text)]);
    vec![
        sample("versions", member(inherits), member("[dependencies]\nurl = \"2\"\n"), &["sim/Cargo.toml:2"]),
        sample(
            "dependency-page",
            page("| `url` | 2 |\n"),
            page("| `uri` | 2 |\n"),
            &["Cargo.toml:3", "docs/dependencies.md:1"],
        ),
        sample("dependency-use", member(inherits), member("[dependencies]\n"), &["Cargo.toml:3"]),
        sample(
            "registry",
            lock("registry+https://github.com/rust-lang/crates.io-index"),
            lock("git+https://example.org/a"),
            &["Cargo.lock:2"],
        ),
    ]
}

fn of_names() -> Vec<Sample> {
    let tasks = crate::tasks::BENCHES.iter().chain(crate::tasks::SOAKS);
    let every: Files = tasks.map(|task| (task.file, String::new())).collect();
    let but_one = every[1..].to_vec();
    let page = |text: &str| files(&[("docs/a.md", text), ("crates/epimachia/commands.txt", "demo\nplan show\n")]);
    vec![
        sample("tasks", every, but_one, &["xtask/src/tasks.rs:1"]),
        sample("named-paths", page("`docs/a.md`\n"), page("x\n`docs/b.md`\n"), &["docs/a.md:2"]),
        sample(
            "named-commands",
            page("`epimachia plan show ID`\n"),
            page("`epimachia plan shout`\n"),
            &["docs/a.md:1"],
        ),
        sample("links", page("[a](a.md)\n"), page("[b](b.md)\n"), &["docs/a.md:1"]),
    ]
}

fn of_documents() -> Vec<Sample> {
    let every: Files = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "LICENSE",
        "docs/dependencies.md",
        "docs/journal.md",
        "docs/performance.md",
        "docs/threat-model.md",
    ]
    .map(|path| (path, String::new()))
    .to_vec();
    let but_one = every[1..].to_vec();
    let architecture = |lines: usize| files(&[("ARCHITECTURE.md", &"a\n".repeat(lines))]);
    let changes = |text: &str| files(&[("CHANGELOG.md", text)]);
    let numbered = |second| files(&[("docs/decisions/0000-a.md", ""), (second, "")]);
    vec![
        sample("pages", every, but_one, &["README.md:1"]),
        sample("architecture", architecture(199), architecture(200), &["ARCHITECTURE.md:200"]),
        sample(
            "changelog",
            changes("## 0.1.0 (unreleased)\n### New\n### Fixed\n"),
            changes("## next\n### Added\n### Fixed\n### New\n"),
            &["CHANGELOG.md:1", "CHANGELOG.md:2", "CHANGELOG.md:4"],
        ),
        sample(
            "decisions",
            numbered("docs/decisions/0001-b.md"),
            numbered("docs/decisions/0002-b.md"),
            &["docs/decisions/0002-b.md:1"],
        ),
    ]
}
