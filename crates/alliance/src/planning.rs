//! Findings into plans, and what persons say to them.

use crate::command::Proposal;
use crate::handle::Drafted;
use crate::judge::Judged;
use crate::state::Alliance;
use model::{Refusal, SignedApproval, Timestamp};

impl Alliance {
    pub(crate) fn automatic_plans(&self, _candidates: Vec<Judged>, _now: Timestamp) -> Vec<Drafted> {
        Vec::new()
    }
    pub(crate) fn approve(&self, _signed: SignedApproval, _now: Timestamp) -> Result<Vec<Drafted>, Refusal> {
        Ok(Vec::new())
    }
    pub(crate) fn propose(&self, _proposal: &Proposal, _now: Timestamp) -> Result<Vec<Drafted>, Refusal> {
        Ok(Vec::new())
    }
}
