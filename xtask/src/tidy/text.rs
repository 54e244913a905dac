//! Rules about files and their lines.

use super::Violation;
use super::lex::{Source, is_word};
use super::tree::Tree;

const FILE_LINES_MAX: usize = 500;
const LINE_CHARS_MAX: usize = 120;
/// Files whose blanks and ends are ours: source and prose, not samples of data.
const TEXT_ENDS: &[&str] = &[".rs", ".md", ".toml", ".sh", ".yml", ".yaml", ".html", ".css", ".js", ".ci/run"];
/// Marks that a file or function may be long, in the words that follow it.
pub const LONG: &str = "Long because:";

/// A `.rs` file begins with `//!`.
pub fn head(tree: &Tree) -> Vec<Violation> {
    let bare = tree.ending(".rs").filter(|(_, text)| !says_something(text));
    let fix = "begin with a line `//! …` that says what lives there";
    bare.map(|(path, _)| Violation::new(path, 1, "no head", fix)).collect()
}

fn says_something(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("//!").is_some_and(|words| !words.trim().is_empty())
}

/// A `.rs` file has at most 500 lines, unless its head says why not.
pub fn file_length(tree: &Tree) -> Vec<Violation> {
    let excused = |text: &str| text.lines().take_while(|line| line.starts_with("//!")).any(|line| line.contains(LONG));
    let long = tree.ending(".rs").filter(|(_, text)| text.lines().count() > FILE_LINES_MAX && !excused(text));
    long.map(|(path, text)| {
        let what = format!("{} lines, at most {FILE_LINES_MAX}", text.lines().count());
        Violation::new(path, FILE_LINES_MAX + 1, what, format!("split it by idea, or say `//! {LONG} …` in its head"))
    })
    .collect()
}

/// A line of Rust has at most 120 characters; samples within a literal and addresses that cannot be cut are left alone.
pub fn line_length(tree: &Tree) -> Vec<Violation> {
    let too_long = |line: &str| line.chars().count() > LINE_CHARS_MAX && !line.contains("https://");
    each_code_line(tree, |line| {
        too_long(line).then(|| {
            let what = format!("{} characters, at most {LINE_CHARS_MAX}", line.chars().count());
            (what, "break the line".to_owned())
        })
    })
}

/// No blanks at the end of a line. Markdown's line break by two blanks is not used here.
pub fn line_end(tree: &Tree) -> Vec<Violation> {
    let ends_blank = |line: &str| line.ends_with([' ', '\t', '\r']);
    let fix = || ("blanks at the end".to_owned(), "remove them".to_owned());
    let mut found = each_code_line(tree, |line| ends_blank(line).then(fix));
    for (path, text) in prose_files(tree).filter(|(path, _)| !path.ends_with(".rs")) {
        let lines = text.split('\n').zip(1..).filter(|(line, _)| ends_blank(line));
        found.extend(lines.map(|(_, n)| Violation::new(path, n, fix().0, fix().1)));
    }
    found
}

/// A text file ends with exactly one line end.
pub fn file_end(tree: &Tree) -> Vec<Violation> {
    let wrong = |text: &str| !text.is_empty() && (!text.ends_with('\n') || text.ends_with("\n\n"));
    let found = prose_files(tree).filter(|(_, text)| wrong(text));
    found
        .map(|(path, text)| Violation::new(path, text.lines().count(), "wrong end of file", "end with one line end"))
        .collect()
}

/// Nothing names a place that exists on one developer's machine only.
pub fn local_path(tree: &Tree) -> Vec<Violation> {
    // Put together here, so that this file does not break its own rule.
    let patterns = [concat!("/wo", "rk/"), concat!(".lib", "rary")];
    let mut found = Vec::new();
    for (path, text) in tree.texts() {
        for (line, n) in text.lines().zip(1..) {
            if let Some(pattern) = patterns.iter().find(|pattern| line.contains(**pattern)) {
                let what = format!("names {pattern:?}");
                found.push(Violation::new(path, n, what, "name the thing itself, or a path within the repository"));
            }
        }
    }
    found
}

/// No macro of unfinished work in code, no mark of it in comments. Literals may hold the words.
pub fn unfinished(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.ending(".rs") {
        let source = Source::read(text);
        for ((code, prose), n) in source.code.lines().zip(source.prose.lines()).zip(1..) {
            if let Some(mark) = unfinished_mark(code, prose) {
                found.push(Violation::new(
                    path,
                    n,
                    format!("{mark} is unfinished work"),
                    "finish it, or open an issue",
                ));
            }
        }
    }
    found
}

fn unfinished_mark(code: &str, prose: &str) -> Option<&'static str> {
    let begins_word = |at: usize| !code[..at].ends_with(is_word);
    let called = |name: &&str| code.match_indices(*name).any(|(at, _)| begins_word(at));
    let called = ["todo!", "unimplemented!", "dbg!"].into_iter().find(called);
    called.or_else(|| ["FIXME", "XXX"].into_iter().find(|mark| prose.contains(mark)))
}

fn prose_files(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    tree.texts().filter(|(path, _)| TEXT_ENDS.iter().any(|end| path.ends_with(end)))
}

/// Asks about every line of Rust that does not begin within a literal; the answer is what is wrong and how to fix it.
fn each_code_line(tree: &Tree, wrong: impl Fn(&str) -> Option<(String, String)>) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.ending(".rs") {
        // Reading a source costs more than looking at its lines: most files have nothing to tell apart.
        if text.split('\n').all(|line| wrong(line).is_none()) {
            continue;
        }
        let within = Source::read(text).continues_literal;
        for ((line, within), n) in text.split('\n').zip(within).zip(1..) {
            if !within && let Some((what, fix)) = wrong(line) {
                found.push(Violation::new(path, n, what, fix));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_may_say_why() {
        let body = "\n".repeat(600);
        let plain = Tree::of(&[("a.rs", &format!("//! A table.\n{body}"))]);
        let excused =
            Tree::of(&[("a.rs", &format!("//! A table.\n//!\n//! Long because: one row a code point.\n{body}"))]);
        let later = Tree::of(&[("a.rs", &format!("//! A table.\n\n// Long because: no head says so.\n{body}"))]);
        assert_eq!(file_length(&plain).len(), 1);
        assert_eq!(file_length(&excused), []);
        assert_eq!(file_length(&later).len(), 1);
    }

    #[test]
    fn samples_within_a_literal_may_be_wide_and_end_in_blanks() {
        let wide = "x".repeat(130);
        let tree = Tree::of(&[("a.rs", &format!("//! A.\nconst A: &str = \"\n{wide} \n\";\n"))]);
        assert_eq!((line_length(&tree), line_end(&tree)), (vec![], vec![]));
        let tree = Tree::of(&[("a.rs", &format!("//! A.\n// {wide} \n"))]);
        assert_eq!((line_length(&tree).len(), line_end(&tree).len()), (1, 1));
    }

    #[test]
    fn width_is_counted_in_characters_and_not_in_bytes() {
        let tree = Tree::of(&[("a.rs", &format!("//! {}\n", "é".repeat(116)))]);
        assert_eq!(line_length(&tree), []);
    }

    #[test]
    fn marks_of_unfinished_work_count_in_code_and_comments_only() {
        let tree = Tree::of(&[("a.rs", "//! A.\nlet a = \"todo!() FIXME\"; my_todo!();\n// not dbg!(x) either\n")]);
        assert_eq!(unfinished(&tree), []);
        let tree = Tree::of(&[("a.rs", "//! A.\nstd::todo!();\n// FIXME: later\n")]);
        assert_eq!(unfinished(&tree).iter().map(|v| v.line).collect::<Vec<_>>(), [2, 3]);
    }
}
