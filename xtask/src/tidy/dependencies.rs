//! Rules about other people's packages: one place for versions, one page that says why each is here.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::manifest::Manifest;
use super::tree::Tree;

const PAGE: &str = "docs/dependencies.md";
const CRATES_IO: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

/// A member takes every dependency from the workspace.
pub fn versions(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for manifest in Manifest::members(tree) {
        for dependency in manifest.dependencies().iter().filter(|dependency| !dependency.inherits) {
            let name = &dependency.name;
            let fix = format!("write `{name}.workspace = true` and the version in Cargo.toml");
            found.push(Violation::new(manifest.path, dependency.line, format!("{name} has a version of its own"), fix));
        }
    }
    found
}

/// Every dependency of the root has a row in `docs/dependencies.md`, and every row there is one of them.
pub fn page(tree: &Tree) -> Vec<Violation> {
    let Some(root) = Manifest::root(tree) else { return Vec::new() };
    let theirs = theirs(&root);
    let rows = rows(tree.text(PAGE).unwrap_or_default());
    let without_row = theirs.iter().filter(|name| !rows.contains_key(name.as_str())).map(|name| {
        Violation::new("Cargo.toml", root.line_of(name), format!("{name} has no row in {PAGE}"), "say what it is for")
    });
    let without_use = rows.iter().filter(|(name, _)| !theirs.contains(**name)).map(|(name, line)| {
        Violation::new(PAGE, *line, format!("{name} is no dependency of Cargo.toml"), "remove its row")
    });
    without_row.chain(without_use).collect()
}

/// Every dependency of the root, ours or theirs, is used by some member or by the fuzz targets.
pub fn used(tree: &Tree) -> Vec<Violation> {
    let Some(root) = Manifest::root(tree) else { return Vec::new() };
    let fuzz = tree.text("fuzz/Cargo.toml").map(|text| Manifest::parse("fuzz/Cargo.toml", text));
    let members = Manifest::members(tree).chain(fuzz);
    let used: BTreeSet<String> = members.flat_map(|member| member.dependencies()).map(|d| d.name).collect();
    let unused = theirs(&root).into_iter().filter(|name| !used.contains(name));
    unused
        .map(|name| Violation::new("Cargo.toml", root.line_of(&name), format!("nobody uses {name}"), "remove it"))
        .collect()
}

/// Packages come from crates.io, each with its checksum: no other registry, no git, no replaced source.
pub fn registry(tree: &Tree) -> Vec<Violation> {
    let foreign = |line: &str| line.starts_with("source = ") && line != CRATES_IO;
    let lock = lines_where(tree, "Cargo.lock", foreign);
    let replaced = |line: &str| line.starts_with("[source") || line.starts_with("[registr");
    let config = lines_where(tree, ".cargo/config.toml", replaced);
    lock.into_iter().chain(config).collect()
}

fn lines_where(tree: &Tree, path: &str, wrong: fn(&str) -> bool) -> Vec<Violation> {
    let lines = tree.text(path).unwrap_or_default().lines().zip(1..).filter(|(line, _)| wrong(line));
    let fix = "take the package from crates.io, or do without it";
    lines.map(|(line, n)| Violation::new(path, n, format!("another source: {line}"), fix)).collect()
}

/// The workspace's dependencies that are not paths into it.
fn theirs(root: &Manifest) -> BTreeSet<String> {
    let all = root.at(&["workspace", "dependencies"]).and_then(toml::Value::as_table);
    let others = all.into_iter().flatten().filter(|(_, value)| value.get("path").is_none());
    others.map(|(name, _)| name.clone()).collect()
}

/// The name in the first column of every table row of the page, and its line. Names stand in backticks.
fn rows(page: &str) -> BTreeMap<&str, usize> {
    page.lines().zip(1..).filter_map(|(line, n)| Some((line.strip_prefix("| `")?.split_once('`')?.0, n))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_and_manifest_are_compared_both_ways() {
        let root = "[workspace.dependencies]\nmodel = { path = \"crates/model\" }\ntokio = \"1\"\nurl = \"2\"\n";
        let tree =
            Tree::of(&[("Cargo.toml", root), (PAGE, "| crate | for |\n|---|---|\n| `url` | x |\n| `gone` | y |\n")]);
        let found: Vec<_> = page(&tree).into_iter().map(|v| (v.path, v.line, v.what)).collect();
        let expected = [
            ("Cargo.toml", 3, "tokio has no row in docs/dependencies.md"),
            (PAGE, 4, "gone is no dependency of Cargo.toml"),
        ];
        assert_eq!(found, expected.map(|(path, line, what)| (path.to_owned(), line, what.to_owned())));
    }

    #[test]
    fn a_dependency_of_tests_alone_is_used() {
        let root = "[workspace]\n[workspace.dependencies]\na = \"1\"\nb = \"1\"\nc = \"1\"\n";
        let member = "[dev-dependencies]\na.workspace = true\n";
        let fuzz = "[workspace]\n[dependencies]\nb = \"1\"\n";
        let files = [("Cargo.toml", root), ("sim/Cargo.toml", member), ("fuzz/Cargo.toml", fuzz)];
        let found = used(&Tree::of(&files));
        assert_eq!(found.iter().map(|v| v.what.as_str()).collect::<Vec<_>>(), ["nobody uses c"]);
    }
}
