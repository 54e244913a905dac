//! Rules about single documents: which must exist, how long, in which form.

use super::Violation;
use super::tree::Tree;

const ARCHITECTURE: &str = "ARCHITECTURE.md";
const ARCHITECTURE_LINES_MAX: usize = 199;
const CHANGELOG: &str = "CHANGELOG.md";
const CHANGELOG_HEADINGS: &[&str] = &["Security", "Breaking", "New", "Better", "Fixed"];
const DECISIONS: &str = "docs/decisions/";

/// What every reader looks for, and what it answers.
const PAGES: &[(&str, &str)] = &[
    ("README.md", "what it is, two commands, one picture"),
    (ARCHITECTURE, "the house and its invariants"),
    ("CONTRIBUTING.md", "how we work"),
    ("SECURITY.md", "how to report a weakness"),
    (CHANGELOG, "what changed"),
    ("LICENSE", "what one may do with it"),
    ("docs/dependencies.md", "other people's packages"),
    ("docs/journal.md", "the journal's files, byte by byte"),
    ("docs/performance.md", "what was measured and how"),
    ("docs/threat-model.md", "what is trusted, and what an attacker who owns it can do"),
];

/// The pages that every reader looks for exist.
pub fn pages(tree: &Tree) -> Vec<Violation> {
    let missing = PAGES.iter().filter(|(path, _)| !tree.has(path));
    missing.map(|(path, what)| Violation::new(path, 1, "missing", format!("write it: {what}"))).collect()
}

/// `ARCHITECTURE.md` can be read in one sitting.
pub fn architecture(tree: &Tree) -> Vec<Violation> {
    let lines = tree.text(ARCHITECTURE).map_or(0, |text| text.lines().count());
    if lines <= ARCHITECTURE_LINES_MAX {
        return Vec::new();
    }
    let what = format!("{lines} lines, at most {ARCHITECTURE_LINES_MAX}");
    vec![Violation::new(ARCHITECTURE, ARCHITECTURE_LINES_MAX + 1, what, "move detail into docs")]
}

/// Under each version stand at most five headings, in one order: what matters most comes first.
pub fn changelog(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut last = None;
    for (line, n) in tree.text(CHANGELOG).unwrap_or_default().lines().zip(1..) {
        let mut wrong = |what: String, fix: String| found.push(Violation::new(CHANGELOG, n, what, fix));
        if let Some(version) = line.strip_prefix("## ") {
            last = None;
            if !is_version(version) {
                wrong(format!("{version:?} is no version"), "write `## 1.2.3 (2026-01-31)` or `(unreleased)`".into());
            }
        } else if let Some(heading) = line.strip_prefix("### ") {
            let place = CHANGELOG_HEADINGS.iter().position(|known| *known == heading);
            if place.is_none() {
                wrong(format!("no heading {heading:?}"), format!("use {}", CHANGELOG_HEADINGS.join(", ")));
            } else if place <= last {
                wrong(format!("{heading} out of order"), format!("order: {}", CHANGELOG_HEADINGS.join(", ")));
            }
            last = place.or(last);
        }
    }
    found
}

/// `1.2.3 (2026-01-31)` or `1.2.3 (unreleased)`.
fn is_version(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let Some((number, day)) = text.strip_suffix(')').and_then(|text| text.split_once(" (")) else { return false };
    let is_day = day.len() == 10 && day.split('-').count() == 3 && day.split('-').all(is_number);
    number.split('.').count() == 3 && number.split('.').all(is_number) && (is_day || day == "unreleased")
}

/// Decisions are numbered from 0000 on, none missing, none twice.
pub fn decisions(tree: &Tree) -> Vec<Violation> {
    let files = tree.paths().filter_map(|path| Some((path, path.strip_prefix(DECISIONS)?)));
    let mut expected = 0;
    let mut found = Vec::new();
    for (path, name) in files.filter(|(_, name)| name.ends_with(".md")) {
        let number = name.split_once('-').filter(|(digits, _)| digits.len() == 4);
        let number = number.and_then(|(digits, _)| digits.parse::<u32>().ok());
        let Some(number) = number else {
            found.push(Violation::new(path, 1, "no number", "name it NNNN-title.md"));
            continue;
        };
        if number != expected {
            found.push(Violation::new(path, 1, format!("number {number:04}"), format!("the next is {expected:04}")));
        }
        expected = number + 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_three_numbers_and_a_day() {
        assert!(is_version("0.1.0 (unreleased)") && is_version("12.0.3 (2026-01-31)"));
        for wrong in
            ["Unreleased", "0.1 (unreleased)", "0.1.0", "0.1.0 (soon)", "0.1.0 (2026-1-3)", "v0.1.0 (unreleased)"]
        {
            assert!(!is_version(wrong), "{wrong}");
        }
    }

    #[test]
    fn headings_start_again_under_each_version() {
        let text =
            "# Changes\n\n## 0.2.0 (unreleased)\n### New\n### Fixed\n## 0.1.0 (2026-01-31)\n### New\n### Security\n";
        let found = changelog(&Tree::of(&[(CHANGELOG, text)]));
        assert_eq!(found.iter().map(|v| (v.line, v.what.as_str())).collect::<Vec<_>>(), [(8, "Security out of order")]);
    }

    #[test]
    fn gaps_doubles_and_unnumbered_decisions_are_found() {
        let names = ["0000-template.md", "0001-a.md", "0001-b.md", "0003-c.md", "0004-d.md", "notes.md"];
        let paths: Vec<String> = names.iter().map(|name| format!("{DECISIONS}{name}")).collect();
        let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "")).collect();
        let found: Vec<String> = decisions(&Tree::of(&files)).into_iter().map(|v| v.path).collect();
        assert_eq!(found, ["0001-b.md", "0003-c.md", "notes.md"].map(|name| format!("{DECISIONS}{name}")));
    }
}
