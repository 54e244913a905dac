//! `epimachia docs`: the reference of the command line and the list of commands, made from the same table as the help.

use crate::exit::{Exit, Failure, Outcome};
use crate::out;
use clap::{Arg, Command, Subcommand};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Which document to print.
#[derive(Subcommand, Debug)]
pub enum What {
    /// docs/reference/cli.md
    Cli,
    /// crates/epimachia/commands.txt
    Commands,
    /// Man pages, one a command, into a directory
    Man {
        /// The directory; made if it is not there
        dir: PathBuf,
    },
}

/// Runs the command.
pub fn run(what: &What, mut program: Command) -> Outcome {
    if !matches!(what, What::Man { .. }) {
        // Pages for `help` of `help` would come of it: the manual's maker does this by itself, without them.
        program.build();
    }
    match what {
        What::Cli => out::line(reference(&program).trim_end()),
        What::Commands => commands(&program).iter().for_each(out::line),
        What::Man { dir } => manual(program, dir)?,
    }
    Ok(Exit::Done)
}

/// `epimachia.1`, `epimachia-agent.1`, `epimachia-agent-watchdog.1`, …; no date stands in them.
fn manual(program: Command, dir: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(dir)?;
    Ok(clap_mangen::generate_to(program, dir)?)
}

/// Every command that does something, as it is typed after the program's name.
fn commands(program: &Command) -> Vec<String> {
    let mut found = Vec::new();
    walk(program, "", &mut |path, command| {
        if !command.is_subcommand_required_set() && !path.is_empty() {
            found.push(path.to_owned());
        }
    });
    found
}

fn walk<'c>(command: &'c Command, path: &str, visit: &mut dyn FnMut(&str, &'c Command)) {
    visit(path, command);
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help") {
        walk(verb, format!("{path} {}", verb.get_name()).trim_start(), visit);
    }
}

fn reference(program: &Command) -> String {
    let mut text = String::from(
        "# Command line\n\nMade from the program's own help; a test compares them. Results go to standard output, \
         talk to standard error.\n`NO_COLOR` and pipes are respected.\n\n| exit code | meaning \
         |\n|---|---|\n| 0 | done, or nothing to do |\n| 1 | failed |\n| 2 | wrong usage |\n| 3 | refused by a rule, \
         which is named |\n| 4 | done in part; the output says which part |\n| 5 | there is a difference |\n",
    );
    walk(program, "", &mut |path, command| {
        if !path.is_empty() && !command.is_subcommand_required_set() {
            section(&mut text, path, command);
        }
    });
    text
}

fn section(text: &mut String, path: &str, command: &Command) {
    // Writing into a String cannot fail.
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(text, "\n## epimachia {path}\n\n{about}.\n\n```text\nepimachia {path}{}\n```", usage(command));
    let rows: Vec<&Arg> = command.get_arguments().filter(|arg| !arg.is_hide_set() && arg.get_id() != "help").collect();
    if !rows.is_empty() {
        text.push_str("\n| argument | meaning |\n|---|---|\n");
        rows.iter().for_each(|arg| row(text, arg));
    }
    if let Some(examples) = command.get_after_help() {
        let _ = writeln!(text, "\n```text\n{}\n```", examples.to_string().trim_end());
    }
}

/// The usage without the program's name and path.
fn usage(command: &Command) -> String {
    let mut words = String::new();
    for arg in command.get_positionals() {
        let name = value(arg);
        let word = if arg.is_required_set() { format!(" {name}") } else { format!(" [{name}]") };
        words.push_str(&word);
    }
    for arg in command.get_opts().filter(|arg| arg.is_required_set()) {
        let _ = write!(words, " --{} {}", arg.get_long().unwrap_or_default(), value(arg));
    }
    if command.get_arguments().any(|arg| !arg.is_positional() && !arg.is_required_set() && arg.get_id() != "help") {
        words.push_str(" [OPTIONS]");
    }
    words
}

fn value(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    let name = names.first().map_or_else(|| arg.get_id().to_string().to_uppercase(), ToString::to_string);
    let many = arg.get_num_args().is_some_and(|range| range.max_values() > 1);
    format!("<{}>{}", name.replace('_', "-"), if many { "..." } else { "" })
}

fn row(text: &mut String, arg: &Arg) {
    let takes = arg.get_num_args().is_some_and(|range| range.takes_values());
    let name = match (arg.get_long(), takes) {
        (None, _) => value(arg),
        (Some(long), true) => format!("--{long} {}", value(arg)),
        (Some(long), false) => format!("--{long}"),
    };
    let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let words: Vec<String> = match takes {
        true => arg.get_possible_values().iter().map(|v| v.get_name().to_owned()).collect(),
        false => Vec::new(),
    };
    if !words.is_empty() {
        let _ = write!(help, "; one of: {}", words.join(", "));
    }
    let defaults: Vec<_> = arg.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
    if takes && !defaults.is_empty() {
        let _ = write!(help, "; default `{}`", defaults.join(" "));
    }
    if let Some(variable) = arg.get_env() {
        let _ = write!(help, "; environment `{}`", variable.to_string_lossy());
    }
    let _ = writeln!(text, "| `{}` | {} |", name, help.replace('|', "\\|"));
}
