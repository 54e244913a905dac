//! What may be in the build: licences on the list of docs/dependencies.md, packages of crates.io alone, none that is
//! banned. The same as `cargo deny check licenses bans sources` with deny.toml, from `cargo metadata`, in a second and
//! without building a tool of some 300 packages first.

use crate::Failure;
use crate::dist::Metadata;

/// Help of `cargo xtask licences`.
pub const HELP: &str = "\
cargo xtask licences                  licences, sources and bans of every package in Cargo.lock

deny.toml says the same to cargo-deny, which also knows advisories: cargo install --locked cargo-deny; cargo deny check

Next: docs/dependencies.md";

/// Licences that the program may hold (docs/dependencies.md, \"Licences\").
pub const ALLOWED: &[&str] = &[
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];
/// Packages that must not come in, and why.
pub const BANNED: &[(&str, &str)] = &[
    ("aws-lc-rs", "one provider of cryptography: ring"),
    ("native-tls", "one TLS: rustls"),
    ("openssl-sys", "one TLS: rustls"),
    ("rustables", "GPL-3"),
];
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Runs the verb.
pub fn run(words: &[String]) -> Result<(), Failure> {
    if !words.is_empty() {
        return Err(Failure::Usage(format!("licences takes no words, not {:?}", words.join(" "))));
    }
    let metadata = Metadata::read()?;
    let faults: Vec<String> = metadata.all().filter_map(fault).collect();
    if faults.is_empty() {
        println!("licences: {} packages, all as docs/dependencies.md has it", metadata.all().count());
        return Ok(());
    }
    faults.iter().for_each(|fault| println!("{fault}"));
    Err(Failure::Failed(format!("{} packages may not be in the build", faults.len())))
}

fn fault(package: &crate::dist::Package) -> Option<String> {
    let source = package.source.as_deref()?;
    let named = format!("{} {}", package.name, package.version);
    if source != CRATES_IO {
        return Some(format!("{named}: it comes from {source}, not from crates.io"));
    }
    if let Some((_, why)) = BANNED.iter().find(|(name, _)| *name == package.name) {
        return Some(format!("{named}: it is banned: {why}"));
    }
    match permits(&package.license) {
        true => None,
        false => Some(format!("{named}: no choice in its licence {:?} is on the list", package.license)),
    }
}

/// Does an SPDX expression offer a choice that is allowed?
pub fn permits(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    !words.is_empty() && any_of(&words, &mut at) && at == words.len()
}

/// `a OR b`; OR binds weaker than AND (SPDX 2.3, annex D.4.5).
fn any_of(words: &[&str], at: &mut usize) -> bool {
    let mut good = all_of(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        // Both sides are read, whatever the first was.
        let next = all_of(words, at);
        good = good || next;
    }
    good
}

fn all_of(words: &[&str], at: &mut usize) -> bool {
    let mut good = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        let next = one(words, at);
        good = good && next;
    }
    good
}

fn one(words: &[&str], at: &mut usize) -> bool {
    let Some(word) = words.get(*at) else {
        // An expression that ends too early is none: no reading of it ends where it should.
        *at = words.len() + 1;
        return false;
    };
    *at += 1;
    if *word == "(" {
        let good = any_of(words, at);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return good && closed;
    }
    if words.get(*at) == Some(&"WITH") {
        let exception = words.get(*at + 1).copied().unwrap_or_default();
        *at += 2;
        return ALLOWED.contains(&format!("{word} WITH {exception}").as_str());
    }
    ALLOWED.contains(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_must_be_on_the_list_and_everything_that_is_joined_too() {
        for good in [
            "MIT",
            "MIT OR GPL-3.0-only",
            "MIT/Apache-2.0",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "GPL-2.0-only OR (MIT AND BSD-3-Clause)",
            "Apache-2.0 WITH LLVM-exception OR GPL-3.0-only",
        ] {
            assert!(permits(good), "{good}");
        }
        for bad in [
            "",
            "GPL-3.0-only",
            "MIT AND GPL-3.0-only",
            "(MIT OR GPL-3.0-only) AND AGPL-3.0-only",
            "GPL-2.0-only WITH Classpath-exception-2.0",
            "MIT OR",
            "(MIT",
            "MIT)",
            "LicenseRef-mine",
        ] {
            assert!(!permits(bad), "{bad}");
        }
    }

    #[test]
    fn every_package_of_the_lock_may_be_in_the_build() {
        assert_eq!(run(&[]), Ok(()));
    }

    #[test]
    fn a_banned_a_foreign_and_an_unlicensed_package_are_named() {
        let package = |name: &str, license: &str, source: &str| crate::dist::Package {
            name: name.into(),
            version: "1.0.0".into(),
            license: license.into(),
            source: Some(source.into()),
            sum: None,
        };
        assert_eq!(fault(&package("serde", "MIT", CRATES_IO)), None);
        assert!(fault(&package("openssl-sys", "MIT", CRATES_IO)).unwrap().contains("banned"));
        assert!(fault(&package("serde", "MIT", "git+https://example.org/x")).unwrap().contains("crates.io"));
        assert!(fault(&package("x", "", CRATES_IO)).unwrap().contains("licence"));
    }

    #[test]
    fn deny_toml_and_the_page_say_the_same() {
        let deny: toml::Table = std::fs::read_to_string(crate::run::root().join("deny.toml")).unwrap().parse().unwrap();
        let list = |section: &str, key: &str| deny[section][key].as_array().unwrap().clone();
        let allowed: Vec<String> =
            list("licenses", "allow").iter().map(|word| word.as_str().unwrap().to_owned()).collect();
        assert_eq!(allowed, ALLOWED);
        let banned: Vec<String> =
            list("bans", "deny").iter().map(|row| row["crate"].as_str().unwrap().to_owned()).collect();
        assert_eq!(banned, BANNED.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        let page = std::fs::read_to_string(crate::run::root().join("docs/dependencies.md")).unwrap();
        for licence in ALLOWED.iter().filter(|licence| !licence.contains("WITH")) {
            assert!(page.contains(licence), "{licence}");
        }
    }
}
