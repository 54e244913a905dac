//! What cargo knows of the packages that the program is built of.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{Failure, run};

/// The program whose packages count.
const PROGRAM: &str = "epimachia";

/// `cargo metadata`, and the check sums of `Cargo.lock`.
pub struct Metadata {
    packages: BTreeMap<String, Package>,
    /// From a package's id to those that it is built with, tests left out.
    needs: BTreeMap<String, Vec<String>>,
    sums: BTreeMap<(String, String), String>,
}

/// One package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// SPDX expression; empty: none is given.
    pub license: String,
    /// Where it comes from; none for our own.
    pub source: Option<String>,
    /// SHA-256 of the package file.
    pub sum: Option<String>,
}

impl Metadata {
    /// Asks cargo, for Linux on this processor, without the network.
    pub fn read() -> Result<Metadata, Failure> {
        let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let mut cargo = run::cargo(["metadata", "--format-version", "1", "--locked", "--filter-platform", &platform]);
        let text = super::output(&mut cargo)?;
        let lock = std::fs::read_to_string(run::root().join("Cargo.lock")).unwrap_or_default();
        let unfit = |what: &str| Failure::Failed(format!("cargo metadata: {what}"));
        let json: Value = serde_json::from_str(&text).map_err(|error| unfit(&error.to_string()))?;
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let sums = sums(&lock);
        let packages = list(&json["packages"]);
        let packages = packages.iter().map(|package| (text_of(&package["id"]), parse(package, &sums)));
        let needs = list(&json["resolve"]["nodes"]);
        let needs = needs.iter().map(|node| {
            let built_with = |dep: &Value| list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev");
            let deps = list(&node["deps"]).into_iter().filter(built_with);
            (text_of(&node["id"]), deps.map(|dep| text_of(&dep["pkg"])).collect())
        });
        let metadata = Metadata { packages: packages.collect(), needs: needs.collect(), sums };
        match metadata.sums.is_empty() || metadata.program().is_empty() {
            true => Err(unfit("no packages")),
            false => Ok(metadata),
        }
    }

    /// The program's version.
    pub fn version(&self) -> String {
        let program = self.packages.values().find(|package| package.name == PROGRAM);
        program.map(|package| package.version.clone()).unwrap_or_default()
    }

    /// Every package that the program is built of, by name and version.
    pub fn program(&self) -> Vec<&Package> {
        let mut wanted: Vec<&String> =
            self.packages.iter().filter(|(_, package)| package.name == PROGRAM).map(|(id, _)| id).collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = wanted.pop() {
            if seen.insert(id) {
                wanted.extend(self.needs.get(id).into_iter().flatten());
            }
        }
        let mut found: Vec<&Package> = seen.into_iter().filter_map(|id| self.packages.get(id)).collect();
        found.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
        found
    }

    /// Every package of the workspace's lock, those of tests included.
    pub fn all(&self) -> impl Iterator<Item = &Package> {
        self.packages.values()
    }
}

fn parse(package: &Value, sums: &BTreeMap<(String, String), String>) -> Package {
    let (name, version) = (text_of(&package["name"]), text_of(&package["version"]));
    Package {
        sum: sums.get(&(name.clone(), version.clone())).cloned(),
        license: text_of(&package["license"]),
        source: package["source"].as_str().map(str::to_owned),
        name,
        version,
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Name and version to check sum, from `Cargo.lock`.
fn sums(lock: &str) -> BTreeMap<(String, String), String> {
    let table: toml::Table = lock.parse().unwrap_or_default();
    let text = |package: &toml::Value, key: &str| package.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let row =
        |package: &toml::Value| Some(((text(package, "name")?, text(package, "version")?), text(package, "checksum")?));
    table.get("package").and_then(toml::Value::as_array).into_iter().flatten().filter_map(row).collect()
}
