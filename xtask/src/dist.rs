//! `cargo xtask dist`: what is handed to others. A Debian package, an archive, the list of what is in it, check sums.
//!
//! Reproducible: of the same program and the same `SOURCE_DATE_EPOCH` come the same bytes. Nothing of this machine gets
//! in: no owner, no time, no path, no order of a directory.

mod metadata;
mod sbom;
mod stage;

pub use metadata::{Metadata, Package};

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Failure, run};

/// Help of `cargo xtask dist`.
pub const HELP: &str = "\
cargo xtask dist                      build in release, then package into target/dist
cargo xtask dist --binary FILE        package a program that is there
cargo xtask dist --out DIR

Makes epimachia_VERSION_ARCH.deb, epimachia-VERSION-ARCH.tar.gz, epimachia.cdx.json (what is in it, CycloneDX 1.5) and
SHA256SUMS. SOURCE_DATE_EPOCH (default: the last commit's time) is the time of everything in them. Needs dpkg-deb, tar, gzip.

Next: docs/how-to/install.md";

/// What is packaged, and where to.
pub struct Order {
    pub binary: PathBuf,
    pub out: PathBuf,
    /// Seconds since 1970.
    pub epoch: u64,
    /// Compress as well as can be; tests do not wait for that.
    pub small: bool,
}

/// Runs the verb.
pub fn run(words: &[String]) -> Result<(), Failure> {
    let (mut binary, mut out) = (None, run::root().join("target/dist"));
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| Failure::Usage(format!("{word} needs a path after it")))?;
        match word.as_str() {
            "--binary" => binary = Some(PathBuf::from(value)),
            "--out" => out = PathBuf::from(value),
            _ => return Err(Failure::Usage(format!("dist has no {word:?}; it takes --binary FILE and --out DIR"))),
        }
    }
    let binary = match binary {
        Some(binary) => binary,
        None => {
            run::to_the_end(&mut run::cargo(["build", "--release", "--locked", "-p", "epimachia"]))?;
            run::root().join("target/release/epimachia")
        }
    };
    let made = package(&Order { binary, out, epoch: epoch()?, small: true })?;
    made.iter().for_each(|path| println!("{}", path.display()));
    Ok(())
}

/// Makes everything; the files.
pub fn package(order: &Order) -> Result<Vec<PathBuf>, Failure> {
    let Order { binary, out, epoch, small } = order;
    let (deb_with, gzip): (&[&str], _) =
        if *small { (&["-Zxz"], "gzip -n9") } else { (&["-Zgzip", "-z1"], "gzip -n1") };
    std::fs::create_dir_all(out).map_err(|error| failed(out, error))?;
    let metadata = Metadata::read()?;
    let bom = out.join("epimachia.cdx.json");
    write(&bom, &sbom::render(&metadata, *epoch))?;
    let stage = stage::Stage::new(out, binary, &metadata.version(), &bom)?;
    let (version, architecture) = (metadata.version(), stage.architecture());
    let deb = out.join(format!("epimachia_{version}_{architecture}.deb"));
    let mut dpkg = Command::new("dpkg-deb");
    dpkg.arg("--root-owner-group").args(deb_with).arg("--build").arg(stage.root()).arg(&deb);
    with_epoch(&mut dpkg, *epoch)?;
    let archive = out.join(format!("epimachia-{version}-{architecture}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu", "--exclude=DEBIAN"])
        .arg(format!("--mtime=@{epoch}"))
        .arg(format!("--transform=s,^\\.,epimachia-{version},"))
        .arg(format!("--use-compress-program={gzip}"))
        .arg("-cf")
        .arg(&archive)
        .arg("-C")
        .arg(stage.root())
        .arg(".");
    with_epoch(&mut tar, *epoch)?;
    let made = vec![deb, archive, bom];
    let sums = out.join("SHA256SUMS");
    let names = made.iter().filter_map(|path| path.file_name());
    write(&sums, &output(Command::new("sha256sum").args(names).current_dir(out))?)?;
    Ok([made, vec![sums]].concat())
}

fn with_epoch(command: &mut Command, epoch: u64) -> Result<(), Failure> {
    output(command.env("SOURCE_DATE_EPOCH", epoch.to_string()).env("LC_ALL", "C")).map(drop)
}

/// From the environment, else the last commit's time.
fn epoch() -> Result<u64, Failure> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => output(Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(run::root()))?,
    };
    let wrong = || Failure::Usage(format!("SOURCE_DATE_EPOCH is {:?}; it must be seconds since 1970", text.trim()));
    text.trim().parse().map_err(|_| wrong())
}

/// What a program prints; a failure with what it said.
fn output(command: &mut Command) -> Result<String, Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| Failure::Failed(format!("`{name}` did not start: {error}")))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(Failure::Failed(format!("`{name}`: {}", String::from_utf8_lossy(&output.stderr).trim()))),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| failed(path, error))
}

fn failed(path: &Path, error: std::io::Error) -> Failure {
    Failure::Failed(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
