//! The agent's judgement of its part of a plan. The hub is not trusted: what counts is what members and persons signed,
//! the charter that this member pinned, and the member's own orders.

use crate::allow::AllowList;
use crate::approvals::{self, Tally};
use crate::check::mitigation::check_mitigation;
use crate::check::{CheckContext, Faults, check_header};
use crate::evidence::Verifier;
use crate::orders::{StandingOrders, Then};
use charter::{Charter, Guards};
use model::{
    Class, LineageId, Measure, MemberId, Mitigation, MitigationId, PartItem, PlanPart, PointName, Refusal, Rule,
    Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

/// Longest part that is read, in bytes.
pub const PART_BYTES_MAX: usize = 64 << 20;

/// What an agent knows when it judges.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Whose agent it is.
    pub member: &'a MemberId,
    /// The charter in force, which followed from the pinned one.
    pub charter: &'a Charter,
    /// Its guards.
    pub guards: &'a Guards,
    /// The member's standing orders.
    pub orders: &'a StandingOrders,
    /// The member's own allow-list.
    pub allow: &'a AllowList,
    /// The last generation seen of each lineage.
    pub generations: &'a BTreeMap<LineageId, u64>,
    /// Which lineages are held now: what goes on with one of them renews it. That a lineage's generation is still known
    /// does not say so.
    pub held: &'a BTreeSet<LineageId>,
    /// How many mitigations are in force here.
    pub in_force: usize,
    /// Which enforcement points would carry a measure out.
    pub points: &'a dyn Fn(&Measure) -> BTreeSet<PointName>,
    /// When it judges.
    pub now: Timestamp,
}

/// What is decided about one mitigation of a part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judgement {
    /// The mitigation.
    pub mitigation: MitigationId,
    /// The decision.
    pub answer: Answer,
}

/// The agent's decision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Carry it out.
    Accept,
    /// It is sound, but a person of this member is to say yes first.
    Ask {
        /// Why a person is asked.
        why: String,
    },
    /// It is not carried out.
    Refuse(Refusal),
}

/// Reads a part as it came over the wire.
///
/// # Errors
/// `too_large`; the rule that a measure breaks which the vocabulary does not hold (`defensive_vocabulary`,
/// `target_too_wide`, `rate_too_low`); `malformed` for everything else.
pub fn read_part(json: &[u8]) -> Result<PlanPart, Refusal> {
    if json.len() > PART_BYTES_MAX {
        let value = format!("{} bytes", json.len());
        return Err(Refusal::new(Rule::TooLarge, value, format!("at most {PART_BYTES_MAX} bytes")));
    }
    serde_json::from_slice(json).map_err(|error| {
        let text = error.to_string();
        let named = text.strip_prefix("refused by ").and_then(|rest| rest.split_once(':'));
        let rule = named.and_then(|(rule, _)| rule.parse().ok()).unwrap_or(Rule::Malformed);
        Refusal::new(rule, text, "a part of a plan in the documented form")
    })
}

/// Judges each mitigation of a part, in the order of its items.
pub fn judge(part: &PlanPart, context: &Context<'_>) -> Vec<Judgement> {
    let trust_alone = BTreeMap::from([(context.member.clone(), context.orders.trust_alone.clone())]);
    let checked = CheckContext {
        charter: context.charter,
        guards: context.guards,
        trust_alone: &trust_alone,
        head: None,
        now: context.now,
    };
    let mut bench = Bench {
        part,
        context,
        verifier: Verifier::new(context.charter, context.now),
        tally: approvals::count_when_made(
            &part.header,
            Some(context.member),
            &part.approvals,
            context.charter,
            context.now,
        ),
        whole: whole(part, &checked),
        accepted: context.in_force,
        checked,
    };
    part.items.iter().map(|item| bench.judgement(item)).collect()
}

/// What the part shows as a whole; a fault here refuses all of it.
fn whole(part: &PlanPart, checked: &CheckContext<'_>) -> Option<Refusal> {
    let mut faults = Faults::default();
    check_header(&part.header, checked, &mut faults);
    if part.items.len() > part.header.count as usize {
        faults.refuse(Rule::DigestMismatch, format_args!("{} items", part.items.len()), part.header.count);
    }
    if part.items.len() > part.header.blast_radius.most_for_one_member as usize {
        let limit = part.header.blast_radius.most_for_one_member;
        faults.refuse(Rule::BlastRadius, format_args!("{} items", part.items.len()), limit);
    }
    faults.first_refusal().cloned()
}

struct Bench<'a> {
    part: &'a PlanPart,
    context: &'a Context<'a>,
    checked: CheckContext<'a>,
    verifier: Verifier<'a>,
    tally: Tally,
    whole: Option<Refusal>,
    /// In force, with what was accepted of this part.
    accepted: usize,
}

impl Bench<'_> {
    fn judgement(&mut self, item: &PartItem) -> Judgement {
        let answer = match self.decide(item) {
            Ok(answer) => answer,
            Err(refusal) => Answer::Refuse(refusal),
        };
        if answer == Answer::Accept && !self.context.held.contains(&item.mitigation.lineage()) {
            self.accepted += 1;
        }
        Judgement { mitigation: item.mitigation.id(), answer }
    }

    /// Sound by itself first, then signed for, then as the owner wishes.
    fn decide(&mut self, item: &PartItem) -> Result<Answer, Refusal> {
        if let Some(refusal) = &self.whole {
            return Err(refusal.clone());
        }
        let mitigation = &item.mitigation;
        item.verify(&self.part.header)?;
        self.for_us(mitigation)?;
        self.rules(mitigation)?;
        if self.part.header.class != Class::Automatic {
            self.tally.require()?;
        }
        self.as_ordered(mitigation)
    }

    fn for_us(&mut self, mitigation: &Mitigation) -> Result<(), Refusal> {
        if mitigation.member != *self.context.member {
            return Err(Refusal::new(Rule::NotForUs, &mitigation.member, self.context.member));
        }
        let last = self.context.generations.get(&mitigation.lineage()).copied().unwrap_or(0);
        if mitigation.generation < last {
            let limit = format!("at least {last} for {}", mitigation.measure.target());
            return Err(Refusal::new(Rule::OldGeneration, mitigation.generation, limit));
        }
        Ok(())
    }

    /// The checker's rules on this mitigation alone, evidence included.
    fn rules(&mut self, mitigation: &Mitigation) -> Result<(), Refusal> {
        let evidence = self.part.evidence.get(&mitigation.finding).map_or(&[][..], Vec::as_slice);
        let mut faults = Faults::default();
        let header = &self.part.header;
        check_mitigation(header, mitigation, evidence, &self.checked, &mut self.verifier, &mut faults);
        faults.first_refusal().cloned().map_or(Ok(()), Err)
    }

    fn as_ordered(&mut self, mitigation: &Mitigation) -> Result<Answer, Refusal> {
        let touched = mitigation.measure.target().observable();
        if self.context.allow.covers(&touched) || self.context.allow.covers(&mitigation.observable) {
            return Err(Refusal::new(Rule::OwnAllowList, touched, "nothing that this member allows"));
        }
        let orders = self.context.orders;
        let lasts = mitigation.expires.since(self.context.now);
        if lasts > orders.longest {
            return Err(Refusal::new(Rule::StandingOrder, format_args!("lasts {lasts}"), orders.longest));
        }
        let renews = self.context.held.contains(&mitigation.lineage());
        let limit = orders.max_in_force.min(self.context.charter.limits.in_force_per_member_max) as usize;
        if !renews && self.accepted >= limit {
            let value = format!("{} in force", self.accepted);
            return Err(Refusal::new(Rule::StandingOrder, value, format!("at most {limit} (max_in_force)")));
        }
        let points = (self.context.points)(&mitigation.measure);
        match orders.say(&self.part.header, mitigation, &points) {
            (Then::Accept, _) => Ok(Answer::Accept),
            (Then::Ask, why) => Ok(Answer::Ask { why }),
            (Then::Refuse, why) => Err(Refusal::new(Rule::StandingOrder, &mitigation.measure, why)),
        }
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
