//! What several verbs share: what they are asked with, and the question before something dangerous.

use crate::client::{Client, Connect, Settings};
use crate::exit::Failure;
use crate::out;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use model::{Observable, ParseError};
use std::io::IsTerminal as _;
use std::str::FromStr;

/// Longest answer that is read from a person.
const ANSWER_BYTES_MAX: usize = 1_024;

/// A verb that reads from the hub.
#[derive(Args, Clone, Debug, Default)]
pub struct Read {
    /// One JSON document; an empty list is []
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub connect: Connect,
}

/// A verb that changes something on the hub.
#[derive(Args, Clone, Debug, Default)]
pub struct Change {
    /// Say what would be sent, and send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// One JSON document
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub connect: Connect,
}

/// Connects.
///
/// # Errors
/// As [`Client::open`].
pub fn connect(connect: &Connect) -> Result<Client, Failure> {
    Client::open(&Settings::load(connect)?)
}

/// Asks a person to type `yes`; scripts give `--yes`.
///
/// # Errors
/// No terminal to ask at, or another answer.
pub fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(format!("{question} Nobody can be asked here: give --yes")));
    }
    out::say(format_args!("{question} Type yes to go on."));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    match answer.len() <= ANSWER_BYTES_MAX && answer.trim() == "yes" {
        true => Ok(()),
        false => Err(Failure::failed("not confirmed; nothing was changed", "type the same again, and yes")),
    }
}

/// Reads an observable as people paste it, also defanged.
///
/// # Errors
/// What would have been accepted.
pub fn pasted(text: &str) -> Result<Observable, ParseError> {
    Observable::parse_pasted(text)
}

/// A parser of one word of a closed set, which help and completions list.
pub fn word<T>(all: &[T], text: fn(T) -> &'static str) -> impl TypedValueParser<Value = T> + use<T>
where
    T: Copy + FromStr<Err = ParseError> + Send + Sync + 'static,
{
    PossibleValuesParser::new(all.iter().map(|word| text(*word))).try_map(|text| text.parse())
}
