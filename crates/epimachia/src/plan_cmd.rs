//! `epimachia plan`: read a plan as what it would change, propose one, say yes or no with one's own key.

mod propose;
mod second;

pub use propose::Wish;

use crate::ask::{Change, Read, confirm, connect};
use crate::client::answers::{PlanShown, PlanView, Written};
use crate::client::settings::Signer;
use crate::client::{Client, ITEMS_MAX, Settings};
use crate::clock::{now, short, told};
use crate::exit::{Exit, Failure, Outcome};
use crate::{ids, out};
use clap::{Args, Subcommand};
use model::{Approval, PlanId, SignedApproval, Span, Statement as _, Verdict};
use serde_json::Value;

/// Longest time that an approval may count.
const VALID_MAX: Span = Span::days(30);
/// Mitigations of a plan that are shown where nobody asks for all.
const MITIGATIONS_SHOWN_MAX: usize = 50;

/// What to do with plans.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List plans, the newest first
    List {
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=ITEMS_MAX as i64))]
        max: u32,
        /// Only those that wait for approvals
        #[arg(long)]
        waiting: bool,
        #[command(flatten)]
        read: Read,
    },
    /// Show a plan as what it would change, and check it here against the charter
    Show {
        /// Its identifier, or a beginning of it
        id: String,
        /// Show every mitigation
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        read: Read,
    },
    /// Propose measures for members; signed here with your own key
    Propose(Wish),
    /// Say yes to a plan; it is checked here first, and signed here with your own key
    Approve(Vote),
    /// Say no to a plan; signed here with your own key
    Reject(Vote),
}

/// A yes or no.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  epimachia plan show plan-3m9d
  epimachia plan approve plan-3m9d --person ada@telecom --key ada.key --ask-passphrase
Next: epimachia plan show")]
pub struct Vote {
    /// The plan's identifier, or a beginning of it
    id: String,
    /// How long the word counts
    #[arg(long, default_value = "24h")]
    valid: Span,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    signer: Signer,
    #[command(flatten)]
    change: Change,
}

/// Runs the command.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::List { max, waiting, read } => list(max as usize, waiting, &read),
        Command::Show { id, all, read } => show(&id, all, &read),
        Command::Propose(wish) => propose::run(&wish),
        Command::Approve(vote) => say(&vote, Verdict::Approve),
        Command::Reject(vote) => say(&vote, Verdict::Reject),
    }
}

fn list(max: usize, waiting: bool, read: &Read) -> Outcome {
    let client = connect(&read.connect)?;
    let mut plans: Vec<Value> = client.list("/api/v1/plans", &[], max)?;
    if waiting {
        plans.retain(|plan| plan["state"] == "proposed");
    }
    if read.json {
        out::json_list(&plans);
        return Ok(Exit::Done);
    }
    let rows = plans.into_iter().map(|plan| serde_json::from_value(plan).map(row)).collect::<Result<Vec<_>, _>>();
    let rows = rows.map_err(|e| Failure::failed(e, "epimachia version"))?;
    out::table(&["PLAN", "STATE", "CLASS", "MEASURES", "MEMBERS", "APPROVALS", "MADE", "WHY"], &rows);
    match rows.is_empty() {
        true => out::say("No plans: nothing was corroborated yet. Next: epimachia finding list"),
        false => out::say("Next: epimachia plan show ID"),
    }
    Ok(Exit::Done)
}

fn row(plan: PlanView) -> Vec<String> {
    vec![
        plan.id.to_string(),
        plan.state.clone(),
        plan.class.as_str().to_owned(),
        plan.blast_radius.mitigations.to_string(),
        plan.blast_radius.members.to_string(),
        approvals(&plan),
        short(plan.made),
        plan.reasons.first().map(|reason| model::parse::printable(reason)).unwrap_or_default(),
    ]
}

fn approvals(plan: &PlanView) -> String {
    match plan.approvals_needed {
        0 => "none needed".to_owned(),
        needed => format!("{} of {needed}", plan.approved_by.len()),
    }
}

fn show(id: &str, all: bool, read: &Read) -> Outcome {
    let client = connect(&read.connect)?;
    let id: PlanId = ids::resolve(&client, id)?;
    if read.json {
        out::pass(client.value(&format!("/api/v1/plans/{id}"), &[])?);
        return Ok(Exit::Done);
    }
    let shown: PlanShown = client.get(&format!("/api/v1/plans/{id}"), &[])?;
    print(&shown.view, all);
    let faults = second::look(&client, &shown)?;
    second::tell(&faults).iter().for_each(out::line);
    if shown.view.state == "proposed" {
        out::say(format_args!("Next: epimachia plan approve {id}, or: epimachia plan reject {id}"));
    }
    Ok(Exit::Done)
}

fn print(plan: &PlanView, all: bool) {
    let note = if plan.note.is_empty() { String::new() } else { format!(" ({})", model::parse::printable(&plan.note)) };
    out::line(format_args!("{}  {}{note}, class {}", plan.id, plan.state, plan.class.as_str()));
    out::line(format_args!("  digest     {}", plan.digest));
    out::line(format_args!("  made       {}, generation {}", short(plan.made), plan.generation));
    for reason in &plan.reasons {
        out::line(format_args!("  because    {}", model::parse::printable(reason)));
    }
    let blast = &plan.blast_radius;
    out::line(format_args!(
        "  touches    {} measures for {} members, at most {} for one; widest {} IPv4 addresses, {} IPv6 /64; {} names",
        blast.mitigations,
        blast.members,
        blast.most_for_one_member,
        blast.widest_v4_addresses,
        blast.widest_v6_networks,
        blast.names
    ));
    out::line(format_args!("  approvals  {}{}", approvals(plan), who(" yes", &plan.approved_by)));
    if !plan.rejected_by.is_empty() {
        out::line(format_args!("  rejected  {}", who(" by", &plan.rejected_by)));
    }
    let (shown, now) = (if all { usize::MAX } else { MITIGATIONS_SHOWN_MAX }, now());
    for planned in plan.mitigations.iter().take(shown) {
        let expires = told(planned.expires, now);
        out::line(format_args!("  + {}  {}  until {expires}  {}", planned.member, planned.measure, planned.id));
    }
    if plan.mitigations.len() > shown {
        out::line(format_args!("  and {} more: --all", plan.mitigations.len() - shown));
    }
}

fn who(word: &str, persons: &[String]) -> String {
    if persons.is_empty() { String::new() } else { format!("{word}: {}", persons.join(", ")) }
}

fn say(vote: &Vote, verdict: Verdict) -> Outcome {
    let change = &vote.change;
    if vote.valid <= Span::ZERO || vote.valid > VALID_MAX {
        return Err(Failure::Usage(format!("--valid {}: more than 0s, at most {VALID_MAX}", vote.valid)));
    }
    let settings = Settings::load(&change.connect)?;
    let (person, key) = settings.signer(&vote.signer)?;
    let client = Client::open(&settings)?;
    let id: PlanId = ids::resolve(&client, &vote.id)?;
    let shown: PlanShown = client.get(&format!("/api/v1/plans/{id}"), &[])?;
    second::require_same(id, &shown)?;
    if verdict == Verdict::Approve {
        second::require_lawful(&client, &shown)?;
    }
    let made = now();
    let plan = shown.plan.header.digest();
    let approval = Approval { plan, person, key: key.public().id(), verdict, made, expires: made.plus(vote.valid) };
    let signed = SignedApproval::sign(approval, &key);
    if change.dry_run {
        out::json(&signed);
        out::say("Nothing was sent.");
        return Ok(Exit::Done);
    }
    if !change.json {
        print(&shown.view, false);
    }
    let word = if verdict == Verdict::Approve { "approves" } else { "rejects" };
    confirm(&format!("{} {word} {id}.", signed.approval.person), vote.yes)?;
    let written: Written = client.post("/api/v1/approvals", &signed)?;
    match change.json {
        true => out::json(&written),
        false => {
            out::line(format_args!("{} {word} {id}, entry {}.", signed.approval.person, written.position));
            out::say(format_args!("Next: epimachia plan show {id}"));
        }
    }
    Ok(Exit::Done)
}
