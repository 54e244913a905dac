//! One page of a TAXII 2.1 collection; what to ask next is said by `share::taxii::client`.

use super::reader::Step;
use super::remote::{Got, Remote, Trouble};
use super::sort::{Rules, sort};
use crate::config::{Becomes, PullConfig};
use crate::core::{FED_SIGHTINGS_MAX, Mark};
use share::stix::Markings;
use share::taxii::client::{Page, Quirk};
use share::taxii::{Place, Walk};

/// The walk of this round, and the markings that were defined on the way.
#[derive(Default)]
pub(super) struct Walking(Option<Box<(Walk, Markings)>>);

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
    let begin = || Box::new((Walk::new(config.wish(), place), Markings::new(rules.alliance, [])));
    let (walk, markings) = &mut **walking.0.get_or_insert_with(begin);
    let path = format!("collections/{}/objects/", config.collection.as_deref().unwrap_or_default());
    loop {
        let mut odd = Vec::new();
        let got = page(remote, &path, walk, |quirk| odd.push(quirk.explains())).await?;
        let page = Page::read(&got.bytes).map_err(|error| Trouble::later(format!("no envelope: {error}")))?;
        let mut went = walk.clone();
        let taken = went.take(&page, got.dates.0, got.dates.1);
        odd.extend(taken.quirk.map(Quirk::explains));
        if taken.quirk == Some(Quirk::NoDates) && rules.becomes == Becomes::Own {
            let why = Quirk::NoDates.explains();
            return Err(Trouble::later(format!("{why}: as evidence it would count again and again")));
        }
        let sorted = sort(&page, &taken.fresh, markings, rules);
        if sorted.sightings.len() > FED_SIGHTINGS_MAX && walk.ask_for_less() {
            continue;
        }
        *walk = went;
        return Ok(Step { sorted, mark: Mark::Taxii(walk.place().clone()), more: taken.more, odd });
    }
}

/// One page: smaller ones where one is too large, by time where the server has forgotten its own `next`.
pub(super) async fn page(
    remote: &Remote,
    path: &str,
    walk: &mut Walk,
    mut quirk: impl FnMut(Quirk),
) -> Result<Got, Trouble> {
    loop {
        match remote.taxii(path, &walk.ask()).await {
            Err(Trouble::TooLarge(_)) if walk.ask_for_less() => {}
            Err(Trouble::Refused(404, why)) => return Err(Trouble::later(format!("no such collection{why}"))),
            Err(Trouble::Refused(..)) if walk.forget_next() => quirk(Quirk::NextForgotten),
            other => return other,
        }
    }
}
