//! The configuration as text: mistakes with their line and key, and the sample file.

use super::keys::{Wrong, keys};
use crate::error::Error;
use std::fmt::Write;
use std::path::Path;

/// toml's error with the line and the key it stands at.
pub(super) fn mistake(error: &toml::de::Error, text: &str) -> Error {
    let at = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    let key = text.lines().nth(line - 1).unwrap_or_default().split('=').next().unwrap_or_default().trim();
    Error::refused(format_args!("configuration line {line}: {key}"), error.message().replace('\n', " "))
}

/// A value outside its limits, with the line where it is set.
pub(super) fn out_of_range(wrong: &Wrong, text: &str) -> Error {
    let line = line_of(wrong.name, text);
    Error::refused(format_args!("configuration line {line}: {} = {}", wrong.name, wrong.value), &wrong.allowed)
}

/// Where `section.key` is set; the section's line, or the first, if it is not.
fn line_of(name: &str, text: &str) -> usize {
    let (section, key) = name.split_once('.').unwrap_or(("", name));
    let (mut within, mut header) = (false, 1);
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if let Some(title) = line.strip_prefix('[') {
            within = title.trim_end_matches(']').trim() == section;
            header = if within { number } else { header };
        } else if within && line.split('=').next().is_some_and(|left| left.trim() == key) {
            return number;
        }
    }
    header
}

/// Every key with its default behind `#= `, and what it does.
pub(super) fn sample(data: &Path) -> String {
    let mut text =
        "# The hub's configuration, in the order of the flow. `#= key = value` is the default.\n\n".to_owned();
    let data = toml::Value::String(data.display().to_string());
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# The data directory, made by `epimachia hub init`.\ndata = {data}");
    let mut section = "";
    for key in keys() {
        let (of, name) = key.name.split_once('.').unwrap_or(("", key.name));
        if of != section {
            let _ = writeln!(text, "\n[{of}]");
            section = of;
        }
        let default = (key.default)();
        let _ = writeln!(text, "#{} Allowed: {}.", key.explains, (key.allowed)());
        let _ = match default.is_empty() {
            true => writeln!(text, "# {name} = …"),
            false => writeln!(text, "#= {name} = {default}"),
        };
    }
    text
}
