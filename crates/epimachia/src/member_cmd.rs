//! `epimachia member`: who belongs, in what standing, last heard when; how companies come and go.

mod belong;
mod companies;
mod invite;
mod standing;

use crate::ask::{Change, Read};
use crate::exit::Outcome;
use clap::Subcommand;
use model::MemberId;
use model::membership::Say;

/// What to do with members.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List members and applicants, and where each stands
    List {
        #[command(flatten)]
        read: Read,
    },
    /// Show one of them, with what was claimed and said of an applicant
    Show {
        /// Its short name
        member: MemberId,
        #[command(flatten)]
        read: Read,
    },
    /// Show what members' reports were worth to the others, counted from the journal
    Standing(standing::Wish),
    /// Write what a company signs to become a member; nothing is sent
    Apply(belong::Apply),
    /// Write what an applicant claims to own, and why; nothing is sent
    Prove(belong::Prove),
    /// Hand in what an applicant signed
    HandIn(belong::HandIn),
    /// Stand for an applicant; the vote begins
    Sponsor(belong::Saying),
    /// Vote on an applicant; the last word of a member counts
    Vote(belong::Voting),
    /// Object to an applicant; who and why is shown to admins alone
    Object(belong::Saying),
    /// Have a member not heard for a time, at once
    Suspend(belong::Suspend),
    /// Take a suspension back, or a leave
    Restore(belong::Saying),
    /// Leave the alliance
    Leave(belong::Leave),
    /// Make a join token, with which one agent of a member joins
    Invite(invite::Invite),
    /// List the join tokens that are open, without their secrets
    Invites {
        #[command(flatten)]
        read: Read,
    },
    /// Revoke a join token that nobody has used
    Uninvite {
        /// The join token's identifier, or a beginning of it
        id: String,
        /// Do it without asking
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        change: Change,
    },
}

/// Runs the command.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::List { read } => companies::list(&read),
        Command::Show { member, read } => companies::show(&member, &read),
        Command::Standing(wish) => standing::run(&wish),
        Command::Apply(wish) => belong::apply(&wish),
        Command::Prove(wish) => belong::prove(&wish),
        Command::HandIn(wish) => belong::hand_in(&wish),
        Command::Sponsor(wish) => belong::say(&wish, Say::Sponsor),
        Command::Vote(wish) => belong::vote(&wish),
        Command::Object(wish) => belong::say(&wish, Say::Object),
        Command::Suspend(wish) => belong::suspend(&wish),
        Command::Restore(wish) => belong::say(&wish, Say::Restore),
        Command::Leave(wish) => belong::leave(&wish),
        Command::Invite(wish) => invite::invite(&wish),
        Command::Invites { read } => invite::list(&read),
        Command::Uninvite { id, yes, change } => invite::revoke(&id, yes, &change),
    }
}
