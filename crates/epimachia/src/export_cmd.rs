//! `epimachia export`: findings in the formats of other tools, only those that their audience may see.

use crate::ask::connect;
use crate::client::answers::Status;
use crate::client::{Connect, ITEMS_MAX};
use crate::exit::{Exit, Outcome};
use crate::finding_cmd::State;
use crate::out;
use clap::{Args, ValueEnum};
use model::{Finding, FindingState};
use share::stix::Writer;
use share::{Terms, Viewer, list, may_see, table};

/// Print findings as STIX, as a table, or as a plain list
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  epimachia export --format stix > findings.json
  epimachia export --format list --for members --state corroborated > block.txt
Next: give the file to the tool that reads it")]
pub struct Export {
    /// As what
    #[arg(long, value_enum)]
    format: Format,
    /// Who is to read it: what they may not see is left out
    #[arg(long = "for", value_enum, default_value = "partner")]
    audience: Audience,
    /// Name the members that reported; else they are \"a member\"
    #[arg(long)]
    named: bool,
    /// Only those in this state
    #[arg(long, value_enum)]
    state: Option<State>,
    /// How many at most
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=ITEMS_MAX as i64))]
    max: u32,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A STIX 2.1 bundle
    Stix,
    /// A table with a header
    Csv,
    /// The observables that machines may act upon, one a line
    List,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Audience {
    /// Everybody: TLP:CLEAR
    Public,
    /// Another alliance: TLP:CLEAR and TLP:GREEN
    Partner,
    /// Members of this alliance: all that you see yourself, but for sharing groups
    Members,
}

/// Runs the command.
pub fn run(export: &Export) -> Outcome {
    let client = connect(&export.connect)?;
    let state = export.state.map(|state| ("state", FindingState::from(state).as_str().to_owned()));
    let query: Vec<(&str, String)> = state.into_iter().collect();
    let all: Vec<Finding> = client.list("/api/v1/findings", &query, export.max as usize)?;
    let (shown, hidden): (Vec<&Finding>, Vec<&Finding>) = all.iter().partition(|finding| export.may_hold(finding));
    match export.format {
        Format::Stix => {
            let status: Status = client.get("/api/v1/status", &[])?;
            let named = export.named && matches!(export.audience, Audience::Members);
            let writer = Writer { alliance: &status.alliance, hub: Some(client.hub()), named: &|_| named };
            out::line(writer.findings(shown.iter().map(|finding| (*finding, finding.first))));
        }
        Format::Csv => out::raw(&table::write(shown.iter().copied())),
        Format::List => out::raw(&list::write(shown.iter().copied())),
    }
    let (shown, hidden) = (out::count(shown.len(), "finding"), hidden.len());
    out::say(format_args!("{shown} exported, {hidden} left out: their marking is not for this audience."));
    Ok(Exit::Done)
}

impl Export {
    /// A sharing group's findings leave by no export: a file has no group.
    fn may_hold(&self, finding: &Finding) -> bool {
        let terms = Terms { handling: &finding.handling, group: None, author: None, unnamed: !self.named };
        let viewer = match self.audience {
            Audience::Public => Viewer::Public,
            Audience::Partner => Viewer::Partner,
            Audience::Members => Viewer::EveryMember,
        };
        may_see(viewer, &terms)
    }
}
