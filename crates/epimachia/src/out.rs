//! Output: results to standard output, talk to standard error, tables for people, one JSON document for machines.

use serde::Serialize;
use std::io::{IsTerminal as _, Write as _};

/// Version of the JSON documents that the program prints.
pub const SCHEMA: u32 = 1;

/// Prints a line of the result. A reader that has gone away (`| head`) is no error.
pub fn line(text: impl std::fmt::Display) {
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}

/// Says something to the person at the terminal.
pub fn say(text: impl std::fmt::Display) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// One JSON document with its schema number.
pub fn json(value: &impl Serialize) {
    #[derive(Serialize)]
    struct Document<'a, T> {
        schema: u32,
        #[serde(flatten)]
        value: &'a T,
    }
    document(&Document { schema: SCHEMA, value });
}

/// A list as one JSON document; an empty one is `[]`.
pub fn json_list<T: Serialize>(items: &[T]) {
    document(&items);
}

fn document(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => line(text),
        Err(error) => say(format_args!("This cannot be written as JSON: {error}.")),
    }
}

/// A table: columns as wide as their widest cell, two blanks between, no lines.
pub fn table(head: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = head.iter().map(|h| h.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let print = |cells: Vec<&str>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        line(padded.join("  ").trim_end());
    };
    print(head.to_vec());
    for row in rows {
        print(row.iter().map(String::as_str).collect());
    }
}

/// A word in colour where a person looks at it and has not asked for none; the word itself always says it too.
pub fn coloured(text: &str, colour: Colour) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some() || !std::io::stdout().is_terminal();
    match plain {
        true => text.to_owned(),
        false => format!("\u{1b}[{}m{text}\u{1b}[0m", colour as u8),
    }
}

/// The few colours that mean something.
#[derive(Clone, Copy, Debug)]
pub enum Colour {
    /// Refused, failed.
    Red = 31,
    /// Read back as enforcing.
    Green = 32,
    /// Waits for a person.
    Yellow = 33,
}

/// One JSON document without a schema number: a file format of its own, such as a signature.
pub fn json_list_item(value: &impl Serialize) {
    document(value);
}

/// The hub's own document with a schema number, as it came.
pub fn pass(mut value: serde_json::Value) {
    if let Some(object) = value.as_object_mut() {
        object.entry("schema").or_insert_with(|| SCHEMA.into());
    }
    document(&value);
}

/// Prints a text as it is.
pub fn raw(text: &str) {
    drop(std::io::stdout().lock().write_all(text.as_bytes()));
}

/// `1 sighting`, `2 sightings`.
pub fn count(n: usize, one: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        n => format!("{n} {one}s"),
    }
}
