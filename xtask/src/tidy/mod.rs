//! `cargo xtask tidy`: the house rules that no compiler checks. One table of rules, one file a family of them.
//!
//! A rule reads a [`Tree`] and returns what it found; it touches nothing else, so each one is tested on samples in
//! memory. Every rule of the table has a good and a bad sample in `samples.rs`, and a test that insists on both.

mod arrows;
mod dependencies;
mod documents;
mod functions;
mod lex;
mod manifest;
mod names;
#[cfg(test)]
mod samples;
mod text;
mod tree;

use crate::{Failure, run};
use tree::Tree;

/// Help of `cargo xtask tidy`.
pub const HELP: &str = "\
cargo xtask tidy                      check every rule; prints `file:line: rule: what: how to fix`
cargo xtask tidy rules                list the rules

Reads the files as they lie there, committed or not, except what .gitignore names. Exit code 1 when a rule is broken.

Next: cargo xtask ci";

/// A house rule.
struct Rule {
    name: &'static str,
    /// The rule as one sentence.
    what: &'static str,
    check: fn(&Tree) -> Vec<Violation>,
}

/// Every rule, in the order in which a reader meets them: files, code, crates, documents.
const RULES: &[Rule] = &[
    rule("head", "a .rs file begins with //! and says what lives there", text::head),
    rule("file-length", "a .rs file has at most 500 lines", text::file_length),
    rule("line-length", "a line of Rust has at most 120 characters", text::line_length),
    rule("line-end", "no blanks at the end of a line", text::line_end),
    rule("file-end", "a text file ends with one line end", text::file_end),
    rule("local-path", "nothing names a path of one developer's machine", text::local_path),
    rule("unfinished", "no macro or mark of unfinished work", text::unfinished),
    rule("function-length", "a function has at most 70 lines", functions::length),
    rule("pure-clippy", "the pure crates carry one and the same clippy.toml", arrows::pure_clippy),
    rule("pure-doors", "a pure crate depends on no clock, socket or task", arrows::pure_doors),
    rule("arrows", "a crate depends only on crates of lower rows", arrows::arrows),
    rule("members", "every crate is a member and inherits the lints", arrows::members),
    rule("versions", "versions stand in the root Cargo.toml only", dependencies::versions),
    rule("dependency-page", "the root's dependencies and their page agree", dependencies::page),
    rule("dependency-use", "every dependency of the root is used", dependencies::used),
    rule("registry", "packages come from crates.io and nowhere else", dependencies::registry),
    rule("tasks", "every bench and soak of xtask exists", names::tasks),
    rule("named-paths", "a path that a document names exists", names::paths),
    rule("named-commands", "a command that a document names exists", names::commands),
    rule("links", "a link between documents leads somewhere", names::links),
    rule("pages", "the pages that every reader looks for exist", documents::pages),
    rule("architecture", "ARCHITECTURE.md has fewer than 200 lines", documents::architecture),
    rule("changelog", "the changelog has five headings, in order", documents::changelog),
    rule("decisions", "decisions are numbered without gap or double", documents::decisions),
];

const fn rule(name: &'static str, what: &'static str, check: fn(&Tree) -> Vec<Violation>) -> Rule {
    Rule { name, what, check }
}

/// One place where a rule is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Violation {
    path: String,
    /// Counted from 1.
    line: usize,
    what: String,
    fix: String,
}

impl Violation {
    fn new(path: &str, line: usize, what: impl Into<String>, fix: impl Into<String>) -> Violation {
        Violation { path: path.to_owned(), line, what: what.into(), fix: fix.into() }
    }
}

/// Checks every rule on the repository.
pub fn run(words: &[String]) -> Result<(), Failure> {
    match words {
        [] => {}
        [word] if word == "rules" => return list(),
        _ => return Err(Failure::Usage(format!("tidy takes only `rules`, not {:?}", words.join(" ")))),
    }
    let tree = Tree::read(&run::root())?;
    let found = check(&tree);
    for line in &found {
        println!("{line}");
    }
    if found.is_empty() {
        eprintln!("tidy: {} rules hold in {} files", RULES.len(), tree.len());
        return Ok(());
    }
    Err(Failure::Failed(format!("{} places break a rule of the house", found.len())))
}

fn list() -> Result<(), Failure> {
    for rule in RULES {
        println!("{:<16} {}", rule.name, rule.what);
    }
    Ok(())
}

/// What is wrong, as lines to print, in the order of the rules.
fn check(tree: &Tree) -> Vec<String> {
    let line = |rule: &Rule, v: Violation| format!("{}:{}: {}: {}: {}", v.path, v.line, rule.name, v.what, v.fix);
    RULES.iter().flat_map(|rule| (rule.check)(tree).into_iter().map(move |found| line(rule, found))).collect()
}
