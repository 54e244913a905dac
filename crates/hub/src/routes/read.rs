//! Reads: findings, plans, mitigations, members, and why something is blocked. Each viewer sees what it may.

use super::forgotten;
use super::query::{Asked, answer, page};
use crate::core::{Condition, Core};
use crate::gate::Caller;
use crate::problem::Problem;
use crate::wire::{List, NextSequence, PlanShown, View};
use alliance::Alliance;
use axum::extract::{Path, State};
use axum::response::Response;
use model::{FindingId, FindingState, MemberId, MitigationId, Observable, PlanId, Refusal, Rule, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The alliance in one screen, with how the hub is.
#[derive(Serialize)]
struct StatusShown {
    /// `serving`, `read-only` or `broken`.
    condition: &'static str,
    /// The hub's time.
    time: Timestamp,
    #[serde(flatten)]
    status: alliance::view::Status,
}

/// `GET /api/v1/status`
pub(crate) async fn status(State(core): State<Arc<Core>>) -> Result<Response, Problem> {
    let shown = core
        .work(|core| {
            let time = core.clock.now();
            let condition = match &*core.condition.borrow() {
                Condition::Serving => "serving",
                Condition::ReadOnly(_) => "read-only",
                Condition::Broken(_) => "broken",
            };
            core.read(|state| StatusShown { condition, time, status: state.status(time) })
        })
        .await?;
    Ok(answer(View::of(shown)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FindingsQuery {
    state: Option<FindingState>,
    limit: Option<usize>,
    after: Option<FindingId>,
}

/// `GET /api/v1/findings`
pub(crate) async fn findings(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Asked(asked): Asked<FindingsQuery>,
) -> Result<Response, Problem> {
    let limit = page(asked.limit)?;
    let view = move |state: &Alliance| state.findings(Some(&caller.member), asked.state, asked.after, limit + 1);
    let found = core.work(move |core| core.read(view)).await?;
    Ok(answer(cut(found, limit, |finding| finding.id.to_string())))
}

/// `GET /api/v1/findings/{id}`
pub(crate) async fn finding(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id: FindingId = id.parse()?;
    let found = core.work(move |core| forgotten::finding(core, &caller.member, id)).await?;
    let none = || Refusal::new(Rule::UnknownFinding, id, "a finding the alliance holds and this member may see");
    Ok(answer(found.ok_or_else(none)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery<T> {
    limit: Option<usize>,
    after: Option<T>,
}

/// `GET /api/v1/plans`
pub(crate) async fn plans(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Asked(asked): Asked<PageQuery<PlanId>>,
) -> Result<Response, Problem> {
    let limit = page(asked.limit)?;
    let view = move |state: &Alliance| state.plans(Some(&caller.member), usize::MAX);
    let all = core.work(move |core| core.read(view)).await?;
    let rest = all.into_iter().skip_while(|plan| asked.after.is_some_and(|after| plan.id != after));
    let rest = rest.skip(usize::from(asked.after.is_some())).take(limit + 1).collect();
    Ok(answer(cut(rest, limit, |plan| plan.id.to_string())))
}

/// `GET /api/v1/plans/{id}`
pub(crate) async fn plan(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id: PlanId = id.parse()?;
    let view = move |state: &Alliance| {
        state.plan(id, Some(&caller.member)).map(|record| PlanShown {
            view: state.plan_view(record),
            plan: (*record.plan).clone(),
            approvals: record.approvals.clone(),
        })
    };
    let found = core.work(move |core| core.read(view)).await?;
    let none = || Refusal::new(Rule::UnknownPlan, id, "a plan of the journal that this member may see");
    Ok(answer(found.ok_or_else(none)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MitigationsQuery {
    member: Option<MemberId>,
    limit: Option<usize>,
    after: Option<MitigationId>,
}

/// `GET /api/v1/mitigations`
pub(crate) async fn mitigations(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Asked(asked): Asked<MitigationsQuery>,
) -> Result<Response, Problem> {
    let limit = page(asked.limit)?;
    let found = core
        .work(move |core| {
            let now = core.clock.now();
            core.read(|state| state.mitigations(Some(&caller.member), asked.member.as_ref(), now))
        })
        .await?;
    let rest = found.into_iter().filter(|shown| asked.after.is_none_or(|after| shown.id > after));
    Ok(answer(cut(rest.take(limit + 1).collect(), limit, |shown| shown.id.to_string())))
}

/// `GET /api/v1/members`
pub(crate) async fn members(State(core): State<Arc<Core>>) -> Result<Response, Problem> {
    let members = core
        .work(|core| {
            let now = core.clock.now();
            core.read(|state| state.members(now))
        })
        .await?;
    Ok(answer(List::whole(members)))
}

/// `GET /api/v1/members/{member}/sequence`
pub(crate) async fn sequence(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Path(member): Path<String>,
) -> Result<Response, Problem> {
    let member: MemberId = member.parse()?;
    if member != caller.member {
        let limit = format!("{}, whose token this is", caller.member);
        return Err(Refusal::new(Rule::ScopeMissing, member, limit).into());
    }
    let next = core.work(move |core| core.read(|state| state.next_sequence(&member))).await?;
    Ok(answer(NextSequence { next }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhyQuery {
    value: String,
}

/// `GET /api/v1/why`
pub(crate) async fn why(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Asked(asked): Asked<WhyQuery>,
) -> Result<Response, Problem> {
    let value = asked.value;
    let shown = core
        .work(move |core| {
            let (now, viewer) = (core.clock.now(), Some(&caller.member));
            let observable = observable(core, &caller.member, &value)?;
            let mut why = core.read(|state| state.why(&observable, viewer, now, &core.reports))?;
            forgotten::recall(core, &caller.member, &mut why)?;
            Ok(why)
        })
        .await?;
    Ok(answer(View::of(shown)))
}

/// What a value means: an observable, or a finding that the viewer may see.
fn observable(core: &Core, viewer: &MemberId, value: &str) -> Result<Observable, Problem> {
    let Ok(id) = value.parse::<FindingId>() else { return Ok(value.parse()?) };
    let found = forgotten::finding(core, viewer, id)?.map(|finding| finding.observable);
    let none = || Refusal::new(Rule::UnknownFinding, id, "a finding the alliance holds and this member may see");
    Ok(found.ok_or_else(none)?)
}

/// A page of at most `limit` items; one more was asked for to know whether there is a next.
fn cut<T>(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> List<T> {
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(cursor);
    List { next, ..List::whole(items) }
}
