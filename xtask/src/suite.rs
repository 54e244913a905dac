//! `cargo xtask test`: what the tests need, then all of them, doc tests included, from one build.
//!
//! There is no `cargo build` before the tests. Cargo builds the binaries that integration tests ask for
//! (`CARGO_BIN_EXE_…`) in the same build with the same features; a build before it would compile most crates twice.

use crate::{Failure, packages, run};

/// Help of `cargo xtask test`.
pub const HELP: &str = "\
cargo xtask test                      everything, as CI runs it
cargo xtask test -p model parse       only one crate's tests with `parse` in their name

Installs what the tests need as Debian packages (bind9, unbound, nftables, iproute2, bind9-dnsutils,
systemd, crowdsec, binutils, zstd) when run as root and something is missing; starts no service and registers
the machine nowhere. A plain user is told what to type.
Words after `test` go to the test runner in place of `--workspace`; doc tests run only without such words.
Uses cargo-nextest where it is installed, else `cargo test`.

Next: cargo xtask ci";

/// Runs the tests; `words` choose some of them.
pub fn run(words: &[String]) -> Result<(), Failure> {
    packages::ensure()?;
    let with_nextest = run::succeeds(&mut run::cargo(["nextest", "--version"]));
    plan(with_nextest, words).iter().try_for_each(|line| run::to_the_end(&mut run::cargo(line)))
}

/// The `cargo` commands to run, one after the other.
fn plan(with_nextest: bool, words: &[String]) -> Vec<Vec<String>> {
    let runner: &[&str] = if with_nextest { &["nextest", "run"] } else { &["test"] };
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    if !words.is_empty() {
        return vec![[owned(runner), words.to_vec()].concat()];
    }
    let everything = [owned(runner), owned(&["--workspace", "--no-fail-fast"])].concat();
    if with_nextest {
        // nextest runs no doc tests; `cargo test --workspace` does.
        return vec![everything, owned(&["test", "--workspace", "--doc", "--no-fail-fast"])];
    }
    vec![everything]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(with_nextest: bool, words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        plan(with_nextest, &words).iter().map(|line| line.join(" ")).collect()
    }

    #[test]
    fn doc_tests_run_with_either_runner() {
        let nextest = ["nextest run --workspace --no-fail-fast", "test --workspace --doc --no-fail-fast"];
        assert_eq!(lines(true, &[]), nextest);
        assert_eq!(lines(false, &[]), ["test --workspace --no-fail-fast"]);
    }

    #[test]
    fn words_take_the_place_of_the_whole_workspace() {
        assert_eq!(lines(true, &["-p", "model", "parse"]), ["nextest run -p model parse"]);
        assert_eq!(lines(false, &["-p", "model"]), ["test -p model"]);
    }
}
