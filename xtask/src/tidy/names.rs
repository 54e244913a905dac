//! Rules about what documents name: paths, commands, links. A page that names a thing that is gone is a wrong page.

use super::Violation;
use super::tree::Tree;
use crate::tasks::{BENCHES, SOAKS};

/// The program's commands, one `noun verb` a line; the program's own test keeps it true.
const COMMANDS: &str = "crates/epimachia/commands.txt";
/// What stands in for a part that the reader fills in: such words are not checked.
const PLACEHOLDERS: &[&str] = &["<", ">", "{", "}", "$", "…", "...", "NNNN"];

/// The file of every bench and soak exists.
pub fn tasks(tree: &Tree) -> Vec<Violation> {
    let missing = BENCHES.iter().chain(SOAKS).filter(|task| !tree.has(task.file));
    let path = "xtask/src/tasks.rs";
    let line = |name: &str| {
        let sets = format!("name: \"{name}\"");
        tree.text(path).and_then(|text| text.lines().position(|line| line.contains(&sets))).map_or(1, |n| n + 1)
    };
    missing
        .map(|task| {
            let what = format!("{} starts {}, which does not exist", task.name, task.file);
            Violation::new(path, line(task.name), what, "write it, or mend the row")
        })
        .collect()
}

/// A path in backticks exists: from the root, beside the document, or, for a file's name alone, anywhere.
pub fn paths(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (page, text) in pages(tree) {
        for span in spans(text).filter(|span| !span.is_block) {
            let gone = span.text.split_whitespace().filter_map(|word| named_path(tree, word));
            let gone = gone.filter(|path| !exists(tree, page, path));
            let fix = "name what is there now; what lies on the reader's machine begins with /";
            found.extend(gone.map(|path| Violation::new(page, span.line, format!("{path} does not exist"), fix)));
        }
    }
    found
}

/// A command in backticks or in a code block exists: `cargo xtask …`, `epimachia …`, `cargo run … -- …`.
pub fn commands(tree: &Tree) -> Vec<Violation> {
    let known = tree.text(COMMANDS).map(|text| text.lines().collect::<Vec<_>>());
    let mut found = Vec::new();
    for (page, text) in pages(tree) {
        for span in spans(text) {
            let line = span.text.trim_start_matches(['$', '#', ' ']);
            if let Some((what, fix)) = wrong_task(line).or_else(|| wrong_command(line, known.as_deref())) {
                found.push(Violation::new(page, span.line, what, fix));
            }
        }
    }
    found
}

/// A link to a file of ours leads to one.
pub fn links(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (page, text) in tree.ending(".md") {
        for (line, n) in text.lines().zip(1..) {
            let ours = link_ends(line).filter(|end| !end.contains(':') && !end.starts_with('#'));
            let gone = ours.filter(|end| !exists(tree, page, end.split('#').next().unwrap_or(end)));
            found.extend(gone.map(|end| Violation::new(page, n, format!("link to {end}"), "mend the link")));
        }
    }
    found
}

/// What a reader takes for the present state: every page but the changelog, which tells of the past.
fn pages(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    let read = |path: &str| path != "CHANGELOG.md" && (path.starts_with("docs/") || !path.contains('/'));
    tree.ending(".md").filter(move |(path, _)| read(path))
}

/// A piece of code in a page.
struct Span<'a> {
    text: &'a str,
    /// From 1.
    line: usize,
    /// A line of a fenced block, not a span in backticks.
    is_block: bool,
}

/// Spans in backticks and the lines of fenced blocks.
fn spans(text: &str) -> impl Iterator<Item = Span<'_>> {
    let mut fenced = false;
    text.lines().zip(1..).flat_map(move |(line, n)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        let span = move |text, is_block| Span { text, line: n, is_block };
        match (fence, fenced) {
            (true, _) => Vec::new(),
            (false, true) => vec![span(line, true)],
            (false, false) => line.split('`').skip(1).step_by(2).map(|text| span(text, false)).collect(),
        }
    })
}

/// The path that a word names: one below a directory of the repository's root, or a page, source or manifest.
fn named_path<'a>(tree: &Tree, word: &'a str) -> Option<&'a str> {
    let word = word.trim_matches(['(', ')', ',', ';', ':', '"', '\'']).split('#').next()?;
    let word = without_line_number(word.trim_end_matches('.'));
    if word.starts_with(['/', '~', '-', '.']) || word.contains("://") || word.contains('=') || has_placeholder(word) {
        return None;
    }
    let below_root = word.split_once('/').is_some_and(|(first, _)| !first.is_empty() && tree.has(&format!("{first}/")));
    let is_ours = |end: &&str| word.len() > end.len() && word.ends_with(*end);
    (below_root || [".md", ".rs", ".toml"].iter().any(is_ours)).then_some(word)
}

fn without_line_number(word: &str) -> &str {
    match word.rsplit_once(':') {
        Some((path, digits)) if digits.bytes().all(|b| b.is_ascii_digit()) => path,
        _ => word,
    }
}

fn exists(tree: &Tree, page: &str, path: &str) -> bool {
    if let Some((before, _)) = path.split_once('*') {
        let dir = before.rsplit_once('/').map_or("", |(dir, _)| dir);
        return dir.is_empty() || tree.has(dir);
    }
    let dir = page.rsplit_once('/').map_or("", |(dir, _)| dir);
    let inside = format!("/{path}");
    tree.has(path) || tree.has(&joined(dir, path)) || tree.paths().any(|other| other.ends_with(&inside))
}

/// A path from a directory, with `.` and `..` resolved.
fn joined(dir: &str, path: &str) -> String {
    let mut parts: Vec<&str> = dir.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

fn wrong_task(line: &str) -> Option<(String, String)> {
    let mut words = line.strip_prefix("cargo xtask")?.split_whitespace();
    let verb = words.next().filter(|word| is_name(word))?;
    let fix = || "cargo xtask help lists what there is".to_owned();
    if verb != "help" && crate::VERBS.iter().all(|known| known.name != verb) {
        return Some((format!("cargo xtask has no {verb}"), fix()));
    }
    let name = words.next().filter(|name| verb == "bench" && is_name(name))?;
    BENCHES.iter().all(|task| task.name != name).then(|| (format!("no bench is named {name}"), fix()))
}

fn wrong_command(line: &str, known: Option<&[&str]>) -> Option<(String, String)> {
    let known = known?;
    let words: Vec<&str> = program_words(line)?.split_whitespace().take_while(|word| is_name(word)).take(2).collect();
    let (noun, verb) = (words.first()?, words.get(1));
    if known.contains(noun) {
        return None;
    }
    let group = format!("{noun} ");
    let ok = match verb {
        Some(verb) => known.contains(&format!("{noun} {verb}").as_str()),
        None => known.iter().any(|command| command.starts_with(&group)),
    };
    (!ok).then(|| (format!("epimachia has no command {}", words.join(" ")), format!("see {COMMANDS}")))
}

/// What the program gets, whether it is called by its name or through cargo.
fn program_words(line: &str) -> Option<&str> {
    if let Some(rest) = line.strip_prefix("epimachia ") {
        return Some(rest);
    }
    let (cargo, rest) = line.strip_prefix("cargo run")?.split_once(" -- ")?;
    let other = ["--example", "--bin"].iter().any(|word| cargo.contains(word));
    let package = ["-p ", "--package "].iter().find_map(|flag| cargo.split_once(flag)).map(|(_, name)| name.trim());
    (!other && package.is_none_or(|name| name.starts_with("epimachia"))).then_some(rest)
}

/// A noun or verb of a command: not an option, a value, or something for the reader to fill in.
fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
}

fn has_placeholder(word: &str) -> bool {
    PLACEHOLDERS.iter().any(|mark| word.contains(mark))
}

/// Where the links of a line lead: `[words](end)`.
fn link_ends(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(end, _)| end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(check: fn(&Tree) -> Vec<Violation>, page: &str) -> Vec<String> {
        let files = [
            ("docs/a.md", page),
            ("docs/how-to/b.md", ""),
            ("crates/model/src/lib.rs", ""),
            (COMMANDS, "demo\nwhy\njournal verify\njournal show\n"),
        ];
        check(&Tree::of(&files)).into_iter().map(|v| v.what).collect()
    }

    #[test]
    fn paths_are_found_from_the_root_beside_the_page_and_by_name() {
        let page = "`crates/model` `crates/model/src/lib.rs:12` `how-to/b.md` `lib.rs` `crates/*/src` `docs/how-to/`\n";
        assert_eq!(found(paths, page), [""; 0]);
    }

    #[test]
    fn paths_that_are_gone_are_named() {
        let page = "see `crates/modle/src`, `gone.toml` and `docs/c.md`.\n";
        let gone = ["crates/modle/src does not exist", "gone.toml does not exist", "docs/c.md does not exist"];
        assert_eq!(found(paths, page), gone);
    }

    #[test]
    fn what_is_the_readers_own_or_no_path_is_left_alone() {
        let page = "`/etc/epimachia/hub.toml` `~/x.md` `application/json` `docs/decisions/NNNN-title.md` `.md` `a/b`\n";
        assert_eq!(found(paths, page), [""; 0]);
    }

    #[test]
    fn commands_are_checked_in_spans_and_blocks() {
        let page = "`epimachia journal verfy DIR`\n```\n$ epimachia wy 1\ncargo xtask tset\n```\n\
                    `cargo run --release -- demmo`\n";
        let wrong = [
            "epimachia has no command journal verfy",
            "epimachia has no command wy",
            "cargo xtask has no tset",
            "epimachia has no command demmo",
        ];
        assert_eq!(found(commands, page), wrong);
    }

    #[test]
    fn commands_that_exist_pass_whatever_follows_them() {
        let page = "`epimachia journal` `epimachia journal verify DIR` `epimachia why 192.0.2.1`\n\
                    `epimachia why example` `cargo xtask bench journal` `cargo xtask VERB`\n\
                    `epimachia <noun> <verb>` `cargo run -p sim -- wide` `cargo xtask help bench` `cargo run --release -- demo --seed 1`\n";
        assert_eq!(found(commands, page), [""; 0]);
        assert_eq!(found(commands, "`cargo xtask bench journl`\n"), ["no bench is named journl"]);
    }

    #[test]
    fn links_are_followed_from_the_page_and_not_onto_the_network() {
        let page = "[a](how-to/b.md#x) [b](../docs/a.md) [c](https://example.org/x) [d](#here)\n[e](how-to/c.md)\n";
        assert_eq!(found(links, page), ["link to how-to/c.md"]);
    }
}
