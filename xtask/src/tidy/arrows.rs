//! Rules about the crates: which row each stands in, which way the arrows point, what keeps the pure ones pure.

use super::Violation;
use super::manifest::{Dependency, Manifest};
use super::tree::Tree;

/// The rows of the house, from the ground up. A crate may depend on lower rows only; none knows another of its row.
const ROWS: &[(&str, u8)] = &[
    ("model", 0),
    ("charter", 1),
    ("observe", 2),
    ("share", 2),
    ("corroborate", 2),
    ("decide", 2),
    ("act", 2),
    ("account", 2),
    ("journal", 2),
    ("alliance", 3),
    ("hub", 4),
    ("agent", 4),
    ("epimachia", 5),
];

/// Values in, values out.
const PURE: &[&str] = &["model", "charter", "observe", "share", "corroborate", "decide", "account", "alliance"];

/// Packages that bring a clock, randomness, files, sockets, threads or tasks.
const DOORS: &[&str] = &[
    "axum",
    "domain",
    "futures-util",
    "getrandom",
    "hyper",
    "hyper-util",
    "indicatif",
    "metrics-exporter-prometheus",
    "rand",
    "rayon",
    "reqwest",
    "rustls",
    "tempfile",
    "tokio",
    "tokio-rustls",
    "tower",
    "tower-http",
    "tracing-subscriber",
];

/// Packages beside the house: they use it, it does not use them.
const BESIDE: &[&str] = &["sim", "testbed", "xtask"];

/// The pure crates carry one and the same `clippy.toml`: a crate's own replaces the root's, so each needs all of it.
pub fn pure_clippy(tree: &Tree) -> Vec<Violation> {
    let path = |name: &str| format!("crates/{name}/clippy.toml");
    let pattern = tree.text(&path(PURE[0]));
    let existing = PURE.iter().filter(|name| tree.has(&format!("crates/{name}")));
    let found = existing.filter_map(|name| match tree.text(&path(name)) {
        None => Some(Violation::new(&path(name), 1, "missing", format!("copy {}", path(PURE[0])))),
        Some(own) => {
            let line = first_difference(pattern?, own)?;
            let fix = format!("copy one over the other, here {} over it", path(PURE[0]));
            Some(Violation::new(&path(name), line, format!("differs from {}", path(PURE[0])), fix))
        }
    });
    found.collect()
}

fn first_difference(a: &str, b: &str) -> Option<usize> {
    if a == b {
        return None;
    }
    let same = a.lines().zip(b.lines()).take_while(|(a, b)| a == b).count();
    Some(same + 1)
}

/// A pure crate does not depend on what has a clock, randomness, files, sockets or tasks.
pub fn pure_doors(tree: &Tree) -> Vec<Violation> {
    house_dependencies(tree, |name, dependency| {
        let breaks = PURE.contains(&name) && DOORS.contains(&dependency.name.as_str());
        breaks.then(|| {
            let what = format!("pure crate {name} depends on {}", dependency.name);
            (what, "let a door (journal, act, hub, agent) do it and pass the value in".to_owned())
        })
    })
}

/// A crate depends only on crates of lower rows.
pub fn arrows(tree: &Tree) -> Vec<Violation> {
    house_dependencies(tree, |name, dependency| {
        let above = row(&dependency.name).is_some_and(|below| Some(below) >= row(name));
        // The program's demo shows real resolvers and packet filters, which the test bed knows how to start.
        let shown = name == "epimachia" && dependency.name == "testbed";
        let beside = BESIDE.contains(&dependency.name.as_str()) && !shown;
        (above || beside).then(|| {
            let what = format!("{name} depends on {}, which does not stand below it", dependency.name);
            (what, "pass the value in from above, or move the shared word down into model".to_owned())
        })
    })
}

/// Every crate is a member, has a row, and inherits the workspace's lints.
pub fn members(tree: &Tree) -> Vec<Violation> {
    let listed = Manifest::root(tree).and_then(|root| root.at(&["workspace", "members"])?.as_array().cloned());
    let listed: Vec<&str> = listed.iter().flatten().filter_map(toml::Value::as_str).collect();
    let mut found = Vec::new();
    for manifest in Manifest::members(tree) {
        let mut wrong = |what: &str, fix: &str| found.push(Violation::new(manifest.path, 1, what, fix));
        if !listed.contains(&manifest.dir()) {
            wrong("not a member of the workspace", "add it to `members` in Cargo.toml, with a comment");
        }
        if manifest.dir().starts_with("crates/") && row(manifest.name()).is_none() {
            wrong("stands in no row of the house", "give it one in xtask/src/tidy/arrows.rs and ARCHITECTURE.md");
        }
        if manifest.at(&["lints", "workspace"]).and_then(toml::Value::as_bool) != Some(true) {
            wrong("does not inherit the lints", "add `[lints]` with `workspace = true`");
        }
    }
    found
}

fn row(name: &str) -> Option<u8> {
    ROWS.iter().find(|(crate_name, _)| *crate_name == name).map(|(_, row)| *row)
}

/// Asks about every dependency of every crate of the house; what only tests need is free.
fn house_dependencies(tree: &Tree, wrong: impl Fn(&str, &Dependency) -> Option<(String, String)>) -> Vec<Violation> {
    let mut found = Vec::new();
    for manifest in Manifest::members(tree).filter(|manifest| manifest.dir().starts_with("crates/")) {
        for dependency in manifest.dependencies().iter().filter(|dependency| !dependency.is_dev) {
            if let Some((what, fix)) = wrong(manifest.name(), dependency) {
                found.push(Violation::new(manifest.path, dependency.line, what, fix));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depends(name: &str, section: &str, on: &str) -> Vec<Violation> {
        let text = format!("[package]\nname = \"{name}\"\n[{section}]\n{on}.workspace = true\n");
        let tree = Tree::of(&[(&format!("crates/{name}/Cargo.toml"), &text)]);
        [arrows(&tree), pure_doors(&tree)].concat()
    }

    #[test]
    fn arrows_point_down_and_never_along_a_row() {
        for (name, on) in [("charter", "model"), ("act", "charter"), ("hub", "alliance"), ("epimachia", "agent")] {
            assert_eq!(depends(name, "dependencies", on), [], "{name} -> {on}");
        }
        for (name, on) in [("model", "charter"), ("share", "observe"), ("agent", "hub"), ("decide", "alliance")] {
            assert_eq!(depends(name, "dependencies", on).len(), 1, "{name} -> {on}");
        }
    }

    #[test]
    fn tests_may_depend_on_anything() {
        assert_eq!(depends("model", "dev-dependencies", "alliance"), []);
        assert_eq!(depends("act", "dev-dependencies", "testbed"), []);
        assert_eq!(depends("act", "dependencies", "testbed").len(), 1);
    }

    #[test]
    fn doors_may_have_sockets_and_pure_crates_may_not() {
        assert_eq!(depends("hub", "dependencies", "tokio"), []);
        assert_eq!(depends("decide", "dependencies", "tokio").len(), 1);
        assert_eq!(depends("decide", "build-dependencies", "getrandom").len(), 1);
    }

    #[test]
    fn every_pure_crate_stands_in_a_row() {
        assert!(PURE.iter().all(|name| row(name).is_some()));
    }
}
