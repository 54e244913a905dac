//! A hub in a process of its own, for tests that kill it: prints its URL and runs until then.

use hub::{Config, Hub};
use std::io::Write;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let Some(root) = std::env::args().nth(1) else {
        return told("give the hub's data directory");
    };
    let mut config = Config::new(root);
    config.listen.address.set_port(0);
    config.journal.snapshot_every = 200;
    // The one before was killed; its lock goes with it, perhaps a moment later.
    let running = match Hub::start(config).await {
        Ok(running) => running,
        Err(error) => return told(&error.to_string()),
    };
    if writeln!(std::io::stdout(), "{}", running.url()).is_err() {
        return ExitCode::FAILURE;
    }
    told(&running.broken().await)
}

fn told(reason: &str) -> ExitCode {
    // Nowhere else to say it.
    let _ = writeln!(std::io::stderr(), "{reason}");
    ExitCode::FAILURE
}
