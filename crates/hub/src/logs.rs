//! Log lines on stderr: for people or, one JSON object a line, for machines.

use crate::config::{LogForm, Logs};
use crate::error::Error;
use tracing_subscriber::EnvFilter;

/// Starts writing log lines, once a process.
///
/// # Errors
/// Refused: the filter is none, or lines are written already.
pub fn start(logs: &Logs) -> Result<(), Error> {
    let filter = EnvFilter::try_new(&logs.filter).map_err(|error| {
        Error::refused(format_args!("logs.filter = {}: {error}", logs.filter), "a level or target=level")
    })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match logs.form {
        LogForm::Text => lines.try_init(),
        LogForm::Json => lines.json().try_init(),
    };
    started.map_err(|error| Error::refused(error, "one start a process"))
}
