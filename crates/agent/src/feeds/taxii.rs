//! One page of a TAXII 2.1 collection; what to ask next is said by `share::taxii::client`.

use super::beside::Beside;
use super::reader::Step;
use super::remote::{Got, Remote, Trouble, now};
use super::sort::{Rules, sort};
use crate::config::{Becomes, PullConfig};
use crate::core::{FED_SIGHTINGS_MAX, Mark};
use model::Span;
use share::taxii::client::{Page, Quirk};
use share::taxii::{Place, Walk};

/// How far ahead of ours the clock of a server may go in its times of adding: a time zone taken for another is less.
const AHEAD_MAX: Span = Span::days(1);
/// A server that fails so often in a row where it goes on by its own `next` is asked by time.
const FAILURES_MAX: u32 = 3;

/// The walk of this round, and what is known of the collection beside it.
#[derive(Default)]
pub(super) struct Walking {
    walk: Option<Walk>,
    beside: Beside,
    /// Failures in a row with a `next`, also of earlier rounds.
    failures: u32,
}

impl Walking {
    /// A new round begins: from what was written down.
    pub fn begin(&mut self) {
        self.walk = None;
    }

    /// The next page, by time where the server fails with its own `next` again and again.
    async fn page(&mut self, remote: &Remote, path: &str, walk: &mut Walk, odd: &mut Vec<&'static str>) -> Asked {
        loop {
            match page(remote, path, walk, |quirk| odd.push(quirk.explains())).await {
                Err(Trouble::Answered(status, why)) if status >= 500 && walk.place().next.is_some() => {
                    self.failures += 1;
                    if self.failures < FAILURES_MAX {
                        return Err(Trouble::Answered(status, why));
                    }
                    walk.forget_next();
                    odd.push(Quirk::NextForgotten.explains());
                }
                Ok(got) => {
                    self.failures = 0;
                    return Ok(got);
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }
}

type Asked = Result<Got, Trouble>;

/// Reads one page.
pub(super) async fn step(
    remote: &Remote,
    config: &PullConfig,
    walking: &mut Walking,
    mark: Option<&Mark>,
    rules: &Rules<'_>,
) -> Result<Step, Trouble> {
    let place = match mark {
        Some(Mark::Taxii(place)) => place.clone(),
        _ => Place::default(),
    };
    walking.beside.turn_to(&place, rules.alliance);
    let mut odd = Vec::new();
    let mut walk = walking.walk.take().unwrap_or_else(|| Walk::new(config.wish(), place));
    if walk.believe_until(latest()) {
        odd.push(Quirk::Ahead.explains());
    }
    let path = format!("collections/{}/objects/", config.collection.as_deref().unwrap_or_default());
    loop {
        let got = walking.page(remote, &path, &mut walk, &mut odd).await?;
        let page = Page::read(&got.bytes).map_err(|error| Trouble::later(format!("no envelope: {error}")))?;
        let mut went = walk.clone();
        let taken = went.take(&page, got.dates.0, got.dates.1);
        if taken.quirks.contains(&Quirk::NoDates) && rules.becomes == Becomes::Own {
            let why = Quirk::NoDates.explains();
            return Err(Trouble::later(format!("{why}: as evidence it would count again and again")));
        }
        let beside = &mut walking.beside;
        beside.learn(&page, rules);
        if !beside.complete((remote, &path), &page, &taken.fresh, rules, true).await? {
            if walk.ask_for_less() {
                continue;
            }
            // One object refers to more than anybody asks for.
            beside.complete((remote, &path), &page, &taken.fresh, rules, false).await?;
        }
        let sorted = sort(&page, &taken.fresh, &beside.heads(), beside.markings(), rules);
        if sorted.sightings.len() > FED_SIGHTINGS_MAX && walk.ask_for_less() {
            continue;
        }
        if !taken.more {
            beside.end();
        }
        odd.extend(taken.quirks.into_iter().map(Quirk::explains));
        let mark = Mark::Taxii(went.place().clone());
        walking.walk = Some(went);
        return Ok(Step { sorted, mark, more: taken.more, odd });
    }
}

/// No object can have been added after this, in microseconds since 1970.
fn latest() -> i64 {
    now().plus(AHEAD_MAX).as_millis().saturating_mul(1_000)
}

/// One page: smaller ones where one is too large, by time where the server has forgotten its own `next`.
pub(super) async fn page(remote: &Remote, path: &str, walk: &mut Walk, mut quirk: impl FnMut(Quirk)) -> Asked {
    loop {
        match remote.taxii(path, &walk.ask()).await {
            Err(Trouble::TooLarge(_)) if walk.ask_for_less() => {}
            // Also one that says that there is nothing: its place has run out, and the collection may be there.
            Err(Trouble::Refused(..)) if walk.forget_next() => quirk(Quirk::NextForgotten),
            Err(Trouble::Refused(404, why)) => return Err(Trouble::later(format!("no such collection{why}"))),
            other => return other,
        }
    }
}
