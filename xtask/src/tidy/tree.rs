//! The repository as the rules see it: every path, and the text of every file that is text.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::Failure;

/// Larger files are data, not text to be read by people.
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// Files by their path from the repository's root, with `/` between the parts.
#[derive(Default)]
pub struct Tree {
    texts: BTreeMap<String, String>,
    paths: BTreeSet<String>,
}

impl Tree {
    /// Reads a directory, leaving out `.git` and what its `.gitignore` names.
    pub fn read(root: &Path) -> Result<Tree, Failure> {
        let ignored = std::fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
        let mut tree = Tree::default();
        tree.walk(root, "", &Ignored::parse(&ignored))?;
        Ok(tree)
    }

    /// A tree in memory.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (path, text) in files {
            tree.paths.insert((*path).to_owned());
            tree.texts.insert((*path).to_owned(), (*text).to_owned());
        }
        tree
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// The text of one file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Every text file.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Every text file whose name ends like this.
    pub fn ending(&self, end: &str) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(move |(path, _)| path.ends_with(end))
    }

    /// Every path.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }

    /// Whether a file or directory has this path; a slash at its end is allowed.
    pub fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let inside = format!("{path}/");
        let next = self.paths.range(inside.clone()..).next();
        self.paths.contains(path) || next.is_some_and(|next| next.starts_with(&inside))
    }

    fn walk(&mut self, root: &Path, below: &str, ignored: &Ignored) -> Result<(), Failure> {
        let dir = root.join(below);
        let failed = |error| Failure::Failed(format!("{} cannot be read: {error}", dir.display()));
        for entry in std::fs::read_dir(&dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            if path == ".git" || ignored.holds(&path) {
                continue;
            }
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                self.walk(root, &path, ignored)?;
            } else if kind.is_file() {
                self.add(root, path);
            }
        }
        Ok(())
    }

    /// A file that vanishes meanwhile (an editor's, a test's) or is no text has a path and no text.
    fn add(&mut self, root: &Path, path: String) {
        let file = root.join(&path);
        let small = std::fs::metadata(&file).is_ok_and(|meta| meta.len() <= TEXT_BYTES_MAX);
        if small && let Ok(text) = std::fs::read_to_string(&file) {
            self.texts.insert(path.clone(), text);
        }
        self.paths.insert(path);
    }
}

/// The two forms of `.gitignore` that this repository uses: `/path` from the root and `*.end` anywhere.
struct Ignored {
    paths: Vec<String>,
    ends: Vec<String>,
}

impl Ignored {
    fn parse(text: &str) -> Ignored {
        let lines = || text.lines().map(str::trim);
        Ignored {
            paths: lines()
                .filter_map(|line| line.strip_prefix('/'))
                .map(|path| path.trim_end_matches('/').into())
                .collect(),
            ends: lines().filter_map(|line| line.strip_prefix('*')).map(str::to_owned).collect(),
        }
    }

    fn holds(&self, path: &str) -> bool {
        self.paths.iter().any(|ignored| ignored == path) || self.ends.iter().any(|end| path.ends_with(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_paths_are_taken_from_the_root_and_ends_from_anywhere() {
        let ignored = Ignored::parse("# comment\n/target\n/fuzz/corpus/\n*.profraw\n");
        assert!(ignored.holds("target") && ignored.holds("fuzz/corpus") && ignored.holds("a/b.profraw"));
        assert!(!ignored.holds("crates/target") && !ignored.holds("targets"));
    }

    #[test]
    fn directories_exist_when_a_file_lies_in_them() {
        let tree = Tree::of(&[("crates/model/src/lib.rs", ""), ("crates-extra", "")]);
        assert!(tree.has("crates") && tree.has("crates/model/") && tree.has("crates/model/src/lib.rs"));
        assert!(!tree.has("crates/mod") && !tree.has("crate"));
    }

    #[test]
    fn the_repository_itself_is_read_without_its_build_output() {
        let tree = Tree::read(&crate::run::root()).unwrap();
        assert!(tree.text("xtask/src/tidy/tree.rs").is_some_and(|text| text.starts_with("//!")));
        assert!(tree.paths().all(|path| !path.starts_with("target/") && !path.starts_with(".git/")));
    }
}
