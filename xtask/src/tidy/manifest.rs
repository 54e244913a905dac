//! What the rules want to know of a `Cargo.toml`.

use toml::{Table, Value};

use super::tree::Tree;

/// A member's manifest, parsed.
pub struct Manifest<'a> {
    /// Its path in the repository.
    pub path: &'a str,
    text: &'a str,
    table: Table,
}

/// One line of a manifest's dependencies.
pub struct Dependency {
    pub name: String,
    /// From 1.
    pub line: usize,
    /// `workspace = true`.
    pub inherits: bool,
    /// Needed only by tests, benches and examples.
    pub is_dev: bool,
}

impl<'a> Manifest<'a> {
    /// Parses one; broken TOML counts as empty, for cargo itself says more about it than we could.
    pub fn parse(path: &'a str, text: &'a str) -> Manifest<'a> {
        Manifest { path, text, table: text.parse().unwrap_or_default() }
    }

    /// The manifests of all packages: every `Cargo.toml` but the root's and what stands outside the workspace.
    pub fn members(tree: &'a Tree) -> impl Iterator<Item = Manifest<'a>> {
        let manifests = tree.ending("/Cargo.toml").map(|(path, text)| Manifest::parse(path, text));
        manifests.filter(|manifest| !manifest.table.contains_key("workspace") && !manifest.path.starts_with("fuzz/"))
    }

    /// The workspace's own.
    pub fn root(tree: &'a Tree) -> Option<Manifest<'a>> {
        tree.text("Cargo.toml").map(|text| Manifest::parse("Cargo.toml", text))
    }

    /// The directory that it describes.
    pub fn dir(&self) -> &'a str {
        self.path.rsplit_once('/').map_or("", |(dir, _)| dir)
    }

    /// The package's name.
    pub fn name(&self) -> &str {
        self.at(&["package", "name"]).and_then(Value::as_str).unwrap_or_default()
    }

    /// The value at a path of keys.
    pub fn at(&self, keys: &[&str]) -> Option<&Value> {
        let (first, rest) = keys.split_first()?;
        rest.iter().try_fold(self.table.get(*first)?, |value, key| value.get(key))
    }

    /// Everything that it depends on, those of single platforms included.
    pub fn dependencies(&self) -> Vec<Dependency> {
        let platforms = self.table.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
        let tables = std::iter::once(&self.table).chain(platforms.filter_map(Value::as_table));
        let kinds = [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)];
        let mut found = Vec::new();
        for table in tables {
            for (kind, is_dev) in kinds {
                let rows = table.get(kind).and_then(Value::as_table).into_iter().flatten();
                found.extend(rows.map(|(name, value)| self.dependency(name, value, is_dev)));
            }
        }
        found
    }

    /// The line on which a key is set, from 1; the first line if it is set in a way that we do not see.
    pub fn line_of(&self, key: &str) -> usize {
        let sets =
            |line: &str| line.trim_start().strip_prefix(key).is_some_and(|rest| rest.starts_with([' ', '=', '.']));
        self.text.lines().position(sets).map_or(1, |n| n + 1)
    }

    fn dependency(&self, name: &str, value: &Value, is_dev: bool) -> Dependency {
        let inherits = value.get("workspace").and_then(Value::as_bool) == Some(true);
        Dependency { name: name.to_owned(), line: self.line_of(name), inherits, is_dev }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_of_every_kind_and_platform_are_seen() {
        let text = "[dependencies]\na.workspace = true\nb = \"1\"\n[dev-dependencies]\nc = { workspace = true }\n\
                    [target.'cfg(unix)'.dependencies]\nd = { version = \"1\" }\n";
        let manifest = Manifest::parse("x/Cargo.toml", text);
        let seen: Vec<_> =
            manifest.dependencies().into_iter().map(|d| (d.name, d.line, d.inherits, d.is_dev)).collect();
        let expected = [("a", 2, true, false), ("b", 3, false, false), ("c", 5, true, true), ("d", 7, false, false)];
        assert_eq!(seen, expected.map(|(name, line, inherits, dev)| (name.to_owned(), line, inherits, dev)));
    }

    #[test]
    fn a_key_is_not_taken_for_another_that_begins_like_it() {
        let manifest = Manifest::parse("x/Cargo.toml", "[dependencies]\ntokio-rustls = \"1\"\ntokio = \"1\"\n");
        assert_eq!(manifest.line_of("tokio"), 3);
    }
}
