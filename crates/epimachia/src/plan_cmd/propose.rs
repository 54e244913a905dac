//! `epimachia plan propose`: measures that a person asks members to take.

use crate::ask::Change;
use crate::client::answers::Written;
use crate::client::settings::Signer;
use crate::client::{Client, Settings};
use crate::clock::now;
use crate::exit::{Exit, Outcome};
use crate::{ids, out};
use alliance::{Proposal, SignedProposal};
use clap::{Args, ValueEnum};
use model::{Action, Finding, FindingId, Measure, MemberId, Observable, ParseError, Scope, Span, Target};

/// What a person wishes.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  epimachia plan propose fin-7k2q --members telecom,cloud --lasts 6h --reason 'wave of logins'
  epimachia plan propose fin-7k2q --target 203.0.113.0/24 --members telecom --reason 'all of it is theirs'
Next: epimachia plan approve")]
pub struct Wish {
    /// The finding behind it: its identifier, or a beginning of it
    finding: String,
    /// Who is asked; several with commas
    #[arg(long, required = true, value_delimiter = ',')]
    members: Vec<MemberId>,
    /// deny, limit:BITS_PER_SECOND, redirect:NAME, contain, notify or investigate
    #[arg(long, default_value = "deny", value_parser = action)]
    action: Action,
    /// What it is done about; the narrowest that protects from the finding where nothing is said
    #[arg(long, value_parser = crate::ask::pasted)]
    target: Option<Observable>,
    /// On whose side of the traffic
    #[arg(long, value_enum, default_value = "border")]
    scope: Side,
    /// For how long
    #[arg(long, default_value = "6h")]
    lasts: Span,
    /// Why, in words, at most 200 characters
    #[arg(long)]
    reason: String,
    /// How long the hub may take it for; a second time it is refused anyway
    #[arg(long, default_value = "10m")]
    valid: Span,
    #[command(flatten)]
    signer: Signer,
    #[command(flatten)]
    change: Change,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Side {
    /// The destination is the member's own proven space
    ProtectOwn,
    /// The source is the member's own customer or asset
    ContainOwn,
    /// A remote source or destination, filtered at the member's own edge
    Border,
    /// The member's own systems only
    OwnAsset,
}

impl From<Side> for Scope {
    fn from(side: Side) -> Self {
        match side {
            Side::ProtectOwn => Self::ProtectOwn,
            Side::ContainOwn => Self::ContainOwn,
            Side::Border => Self::Border,
            Side::OwnAsset => Self::OwnAsset,
        }
    }
}

fn action(text: &str) -> Result<Action, ParseError> {
    let allowed = "deny, limit:BITS_PER_SECOND, redirect:NAME, contain, notify or investigate";
    let wrong = || ParseError::new("action", text, allowed);
    Ok(match text.split_once(':') {
        None => match text {
            "deny" => Action::Deny,
            "contain" => Action::Contain,
            "notify" => Action::Notify,
            "investigate" => Action::Investigate,
            _ => return Err(wrong()),
        },
        Some(("limit", rate)) => Action::Limit { bits_per_second: rate.parse().map_err(|_| wrong())? },
        Some(("redirect", name)) => Action::Redirect { to: name.parse()? },
        Some(_) => return Err(wrong()),
    })
}

/// Runs the command.
pub(super) fn run(wish: &Wish) -> Outcome {
    let change = &wish.change;
    let settings = Settings::load(&change.connect)?;
    let (person, key) = settings.signer(&wish.signer)?;
    let client = Client::open(&settings)?;
    let id: FindingId = ids::resolve(&client, &wish.finding)?;
    let finding: Finding = client.get(&format!("/api/v1/findings/{id}"), &[])?;
    let target = Target::protecting_from(wish.target.as_ref().unwrap_or(&finding.observable));
    let measure = Measure::new(wish.action.clone(), target, wish.scope.into())?;
    let (members, lasts, reason) = (wish.members.clone(), wish.lasts, wish.reason.clone());
    let made = now();
    let expires = made.plus(wish.valid);
    let proposal = Proposal { person, finding: id, measure, members, lasts, reason, made, expires };
    let signed = SignedProposal::sign(proposal, &key);
    if change.dry_run {
        out::json(&signed);
        out::say("Nothing was sent.");
        return Ok(Exit::Done);
    }
    let written: Written = client.post("/api/v1/plans", &signed)?;
    if change.json {
        out::json(&written);
        return Ok(Exit::Done);
    }
    let of = &signed.proposal;
    let names: Vec<&str> = of.members.iter().map(MemberId::as_str).collect();
    out::line(format_args!(
        "{} proposes: {} by {}, entry {}.",
        of.person,
        of.measure,
        names.join(", "),
        written.position
    ));
    out::say("Next: epimachia plan list --waiting");
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_defensive_actions_can_be_typed() {
        assert_eq!(action("deny").unwrap(), Action::Deny);
        assert_eq!(action("limit:64000").unwrap(), Action::Limit { bits_per_second: 64_000 });
        for bad in ["attack", "limit", "limit:fast", "redirect", "deny:all", ""] {
            assert!(action(bad).is_err(), "{bad}");
        }
    }
}
