//! How a running hub or agent is asked to stop: Ctrl-C at a terminal, SIGTERM from a service manager.

use crate::exit::Failure;
use tokio::signal::unix::{SignalKind, signal};

/// Waits until somebody asks this process to stop.
///
/// # Errors
/// The system does not let signals be heard.
pub async fn stop() -> Result<(), Failure> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed?,
        _ = terminated.recv() => {}
    }
    Ok(())
}
