//! Load on the hub's TAXII server: objects in, paging, polls, answers' times, memory, following while writers write.
//!
//! `cargo xtask bench taxii -- --help` says how. The hub is a second process on a free loopback port, with TLS and real
//! tokens, so that its processor time is told apart.
#![expect(clippy::print_stdout, reason = "it is a program whose result is printed")]

#[path = "../bench_hub/allocator.rs"]
mod allocator;
#[path = "../bench_hub/client.rs"]
#[expect(dead_code, reason = "sightings are sent by the other bench")]
mod client;
#[path = "../bench_hub/figures.rs"]
mod figures;
mod floor;
mod follow;
#[path = "../bench_hub/joined.rs"]
mod joined;
mod objects;
mod stage;
mod steps;

/// Why a run ends without figures: said once, at the end.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

const HELP: &str = "\
cargo xtask bench taxii                            10,000 objects stored, 5 s a step, 30 s of following
cargo xtask bench taxii -- --objects 1000000       with so many objects stored
cargo xtask bench taxii -- --follow 600            following for so many seconds; 0 leaves it out
cargo xtask bench taxii -- --seconds 10            seconds a step
";

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// Objects that are stored before anything is asked.
    pub objects: u32,
    /// Seconds a step.
    pub seconds: u64,
    /// Seconds of following.
    pub follow: u64,
}

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.as_slice() {
        [flag, directory] if flag == stage::SERVE => return stage::serve(directory),
        [flag, directory] if flag == floor::SERVE => return floor::serve(directory),
        _ => {}
    }
    let Some(words) = parse(&words)? else {
        print!("{HELP}");
        return Ok(());
    };
    // A second one finds the first in place.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        floor::run(words).await?;
        let stage = stage::Stage::new().await?;
        steps::run(&stage, words).await?;
        if words.follow > 0 {
            follow::run(&stage, words).await?;
        }
        Ok(())
    })
}

fn parse(words: &[String]) -> Result<Option<Words>, Failure> {
    let mut parsed = Words { objects: 10_000, seconds: 5, follow: 30 };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut number = |low: u64, high: u64| -> Result<u64, Failure> {
            let value = words.next().ok_or_else(|| format!("{word} needs a number after it"))?;
            let number = value.replace('_', "").parse().ok().filter(|number| (low..=high).contains(number));
            number.ok_or_else(|| format!("{word} is {value:?}; {low} to {high} is allowed").into())
        };
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "--objects" => parsed.objects = u32::try_from(number(1_000, 10_000_000)?)?,
            "--seconds" => parsed.seconds = number(1, 3_600)?,
            "--follow" => parsed.follow = number(0, 86_400)?,
            _ => return Err(format!("there is no {word}\n{HELP}").into()),
        }
    }
    Ok(Some(parsed))
}
