//! `epimachia agent witness`: the member's witness, for the charter and for those who configure it.

use super::{Look, shown};
use crate::exit::{Exit, Outcome};
use crate::member_side::MemberSide;
use crate::out;
use agent::Request;

/// Runs the command.
pub(super) fn run(look: &Look) -> Outcome {
    let witness = MemberSide::open(&look.beside)?.value(&Request::Witness)?;
    if look.json {
        out::pass(witness);
        return Ok(Exit::Done);
    }
    out::line(format_args!("witness = \"{}\"", shown(&witness["public"])));
    out::line(format_args!("verifier key  {}", shown(&witness["vkey"])));
    out::line(format_args!("cosigned      {} entries", shown(&witness["cosigned"])));
    let wanted = witness["cosignatures_wanted"].as_u64().unwrap_or(0);
    let waiting = shown(&witness["plans_waiting"]);
    out::line(format_args!("plans         ask for {wanted} other members' cosignatures; {waiting} wait"));
    if witness["silent"] == true {
        out::line("It has fallen silent: a person accepted a history that contradicts it.");
        out::say("Next: move witness.key away, start the agent again, put the new key into the charter");
    } else if witness["named_by_charter"] == false {
        out::line("The charter does not name it, so nobody counts it.");
        out::say("Next: put the first line into this member's entry of the next charter");
    }
    Ok(Exit::Done)
}
