//! `epimachia config`: what a key of the configuration does, its default, its limits, who is hurt if it is wrong.

use crate::exit::{Exit, Failure, Outcome};
use crate::out;
use clap::Subcommand;
use hub::config::Key;

/// What to do with configurations.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Say what a key of the hub's configuration does; without a name, list all keys
    Explain {
        /// The key, such as limits.connections_max
        key: Option<String>,
        /// A JSON list
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
pub fn run(command: Command) -> Outcome {
    let Command::Explain { key: name, json } = command;
    let keys: Vec<&Key> = hub::config::keys().filter(|key| name.as_ref().is_none_or(|name| key.name == name)).collect();
    if json {
        let item = |key: &&Key| {
            let (default, allowed) = ((key.default)(), (key.allowed)());
            serde_json::json!({"key": key.name, "default": default, "allowed": allowed, "says": key.explains.trim()})
        };
        let items: Vec<_> = keys.iter().map(item).collect();
        out::json_list(&items);
        return Ok(Exit::Done);
    }
    match (name, keys.as_slice()) {
        (Some(name), []) => {
            let name = model::parse::printable(&name);
            return Err(Failure::failed(
                format_args!("the hub's configuration has no key {name}"),
                "epimachia config explain",
            ));
        }
        (Some(_), [key]) => explain(key),
        _ => {
            let rows: Vec<Vec<String>> =
                keys.iter().map(|key| vec![key.name.to_owned(), (key.default)(), (key.allowed)()]).collect();
            out::table(&["KEY", "DEFAULT", "ALLOWED"], &rows);
            out::say("Next: epimachia config explain KEY");
        }
    }
    Ok(Exit::Done)
}

fn explain(key: &Key) {
    out::line(key.name);
    out::line(format_args!("  {}", key.explains.trim()));
    let default = (key.default)();
    out::line(format_args!("  default  {}", if default.is_empty() { "none" } else { &default }));
    out::line(format_args!("  allowed  {}", (key.allowed)()));
}
