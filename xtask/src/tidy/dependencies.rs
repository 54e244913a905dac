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

/// Every dependency of the root has a row in `docs/dependencies.md` with its version, and every row is one of them.
pub fn page(tree: &Tree) -> Vec<Violation> {
    let Some(root) = Manifest::root(tree) else { return Vec::new() };
    let theirs = theirs(&root);
    let rows = rows(tree.text(PAGE).unwrap_or_default());
    let mut found = Vec::new();
    for (name, version) in &theirs {
        match rows.get(name.as_str()) {
            None => {
                let what = format!("{name} has no row in {PAGE}");
                found.push(Violation::new("Cargo.toml", root.line_of(name), what, "say there what it is for"));
            }
            Some(row) if row.version != version => {
                let what = format!("{name} is {version} in Cargo.toml and {:?} here", row.version);
                found.push(Violation::new(PAGE, row.line, what, "write the version, and read the row again"));
            }
            Some(_) => {}
        }
    }
    let gone = rows.iter().filter(|(name, _)| !theirs.contains_key(**name));
    found.extend(gone.map(|(name, row)| {
        Violation::new(PAGE, row.line, format!("{name} is no dependency of Cargo.toml"), "remove its row")
    }));
    found
}

/// Every dependency of the root, ours or theirs, is used by some member or by the fuzz targets.
pub fn used(tree: &Tree) -> Vec<Violation> {
    let Some(root) = Manifest::root(tree) else { return Vec::new() };
    let fuzz = tree.text("fuzz/Cargo.toml").map(|text| Manifest::parse("fuzz/Cargo.toml", text));
    let members = Manifest::members(tree).chain(fuzz);
    let used: BTreeSet<String> = members.flat_map(|member| member.dependencies()).map(|d| d.name).collect();
    let unused = theirs(&root).into_keys().filter(|name| !used.contains(name));
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

/// The workspace's dependencies that are not paths into it, with their versions.
fn theirs(root: &Manifest) -> BTreeMap<String, String> {
    let all = root.at(&["workspace", "dependencies"]).and_then(toml::Value::as_table);
    let others = all.into_iter().flatten().filter(|(_, value)| value.get("path").is_none());
    let version = |value: &toml::Value| value.as_str().or_else(|| value.get("version")?.as_str()).map(str::to_owned);
    others.map(|(name, value)| (name.clone(), version(value).unwrap_or_default())).collect()
}

/// A row of the page's table: `` | `name` | version | … | ``.
struct Row<'a> {
    version: &'a str,
    /// From 1.
    line: usize,
}

fn rows(page: &str) -> BTreeMap<&str, Row<'_>> {
    page.lines().zip(1..).filter_map(|(text, line)| row(text, line)).collect()
}

fn row(text: &str, line: usize) -> Option<(&str, Row<'_>)> {
    let (name, rest) = text.strip_prefix("| `")?.split_once("` |")?;
    let version = rest.split('|').next()?.trim();
    Some((name, Row { version, line }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_and_manifest_are_compared_both_ways_and_by_version() {
        let root = "[workspace.dependencies]\nmodel = { path = \"crates/model\" }\ntokio = \"1\"\n\
                    url = { version = \"2\" }\nzstd = \"3\"\n";
        let rows = "| crate | version |\n|---|---|\n| `url` | 2 |\n| `gone` | 1 |\n| `zstd` | 0.3 |\n";
        let found = page(&Tree::of(&[("Cargo.toml", root), (PAGE, rows)]));
        let found: Vec<_> = found.iter().map(|v| (v.path.as_str(), v.line, v.what.as_str())).collect();
        let expected = [
            ("Cargo.toml", 3, "tokio has no row in docs/dependencies.md"),
            (PAGE, 5, "zstd is 3 in Cargo.toml and \"0.3\" here"),
            (PAGE, 4, "gone is no dependency of Cargo.toml"),
        ];
        assert_eq!(found, expected);
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
