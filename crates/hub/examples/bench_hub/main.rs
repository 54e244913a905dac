//! Load on a hub: signed batches through mutual TLS until they are durable, fan-out to many streams, one member
//! that floods.
//!
//! `cargo xtask bench hub -- --help` says how. Without `--hub` it starts a hub of its own as a second process on a free
//! loopback port, so that processor time is told apart; with `--hub` it measures the hub of whoever runs it.
#![expect(clippy::print_stdout, reason = "it is a program whose result is printed")]

mod allocator;
mod batches;
mod client;
mod crowdsec;
mod fanout;
mod figures;
mod flood;
mod ingest;
mod joined;
mod stage;
mod start;
mod words;

use words::{Part, Words};

/// Why a run ends without figures: said once, at the end.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, directory] = words.as_slice()
        && flag == stage::SERVE
    {
        return stage::serve(directory);
    }
    let Some(words) = Words::parse(&words)? else {
        print!("{}", words::HELP);
        return Ok(());
    };
    // A second one finds the first in place.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match words.part {
            Part::Ingest => ingest::run(&words).await,
            Part::Flood => flood::run(&words).await,
            Part::Streams(count) => fanout::run(&words, count).await,
            Part::Start(observables) => start::run(&words, observables).await,
        }
    })
}
