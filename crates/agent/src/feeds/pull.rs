//! One pull: from a TAXII collection to our hub's, or into this member's own signed sightings.

use super::deliver::deliver;
use super::remote::{Got, Remote, Trouble, now};
use super::sort::{Rules, Sorted, sort};
use super::{Around, open};
use crate::config::{Becomes, PullConfig};
use crate::control::{Answer, Request};
use crate::core::{FED_SIGHTINGS_MAX, FedNews, Input, Mark};
use crate::error::Error;
use crate::running::salted;
use crate::strip::Strip;
use model::{Sighting, Span};
use share::Defaults;
use share::stix::Markings;
use share::taxii::Walk;
use share::taxii::client::{Page, Quirk, Taken};

/// How far another's clock may go ahead of ours.
const SKEW_MAX: Span = Span::minutes(5);

/// A pull that is under way.
pub(super) struct Pull {
    config: PullConfig,
    remote: Remote,
    mark: Option<Mark>,
    around: Around,
}

impl Pull {
    /// A pull that goes on from `mark`.
    ///
    /// # Errors
    /// Broken: a file cannot be used.
    pub fn open(config: PullConfig, mark: Option<Mark>, around: Around) -> Result<Self, Error> {
        let remote = open(&config.from)?;
        Ok(Self { config, remote, mark, around })
    }

    /// Takes everything that is there now.
    ///
    /// # Errors
    /// It did not get through; what was taken before stays taken.
    pub async fn round(&mut self) -> Result<(), Trouble> {
        let alliance = alliance(&self.around).await?;
        let place = match &self.mark {
            Some(Mark::Taxii(place)) => place.clone(),
            None => share::taxii::Place::default(),
        };
        let (mut walk, mut markings) = (Walk::new(self.config.wish(), place), Markings::new(&alliance, []));
        loop {
            let got = page(&self.remote, &objects_path(&self.config), &mut walk, |quirk| self.quirk(quirk)).await?;
            let mut went = walk.clone();
            let (sorted, taken) = look(got, &mut went, &mut markings, &self.config, &self.around.strip, &alliance)?;
            if let Some(quirk) = taken.quirk {
                self.quirk(quirk);
                if quirk == Quirk::NoDates && self.config.becomes == Becomes::Own {
                    return Err(Trouble::later(format!("{}: as evidence that would count again", quirk.explains())));
                }
            }
            if sorted.sightings.len() > FED_SIGHTINGS_MAX && walk.ask_for_less() {
                continue;
            }
            let mark = Mark::Taxii(went.place().clone());
            self.hand_on(sorted, mark).await?;
            walk = went;
            if !taken.more {
                return Ok(());
            }
        }
    }

    fn quirk(&self, quirk: Quirk) {
        self.around.board.quirk(&self.config.name, quirk);
    }

    /// Hands on what a page came to, and has it written down.
    async fn hand_on(&mut self, mut sorted: Sorted, mark: Mark) -> Result<(), Trouble> {
        let objects = std::mem::take(&mut sorted.objects);
        if !objects.is_empty() {
            let (root, collection) = self.config.into.split_once('/').unwrap_or((&self.config.into, ""));
            let hub = Remote::Hub(self.around.client.clone());
            deliver(&hub, &format!("/taxii2/{root}/"), collection, &objects, &mut sorted).await?;
        }
        self.around.board.samples(&self.config.name, std::mem::take(&mut sorted.samples));
        let news = FedNews { feed: self.config.name.clone(), mark: mark.clone(), at: now(), counts: sorted.counts };
        hear(&self.around, news, sorted.sightings).await?;
        self.mark = Some(mark);
        Ok(())
    }
}

/// Has sightings and the place written down together.
pub(super) async fn hear(around: &Around, news: FedNews, sightings: Vec<Sighting>) -> Result<(), Trouble> {
    let Input::Sightings(sightings) = salted(sightings).map_err(|error| Trouble::later(error.to_string()))? else {
        return Err(Trouble::later("no random salts"));
    };
    give(around, Input::Fed { news: Box::new(news), sightings }).await
}

async fn give(around: &Around, input: Input) -> Result<(), Trouble> {
    match around.requests.give(input).await {
        Answer::Ok(_) => Ok(()),
        Answer::Refused(refusal) => Err(Trouble::later(refusal.to_string())),
    }
}

/// Our alliance's name, which the agent knows once it has a charter.
pub(super) async fn alliance(around: &Around) -> Result<String, Trouble> {
    match around.requests.ask(Request::Status).await {
        Answer::Ok(status) => {
            let name = status["alliance"].as_str().map(ToOwned::to_owned);
            name.ok_or_else(|| Trouble::later("the agent has no charter yet"))
        }
        Answer::Refused(refusal) => Err(Trouble::later(refusal.to_string())),
    }
}

fn objects_path(config: &PullConfig) -> String {
    format!("collections/{}/objects/", config.collection.as_deref().unwrap_or_default())
}

/// One page: smaller ones where one is too large, by time where the server has forgotten its own `next`.
pub(super) async fn page(remote: &Remote, path: &str, walk: &mut Walk, quirk: impl Fn(Quirk)) -> Result<Got, Trouble> {
    loop {
        match remote.taxii(path, &walk.ask()).await {
            Err(Trouble::TooLarge(_)) if walk.ask_for_less() => {}
            Err(Trouble::Refused(404, why)) => return Err(Trouble::later(format!("no such collection{why}"))),
            Err(Trouble::Refused(..)) if walk.forget_next() => quirk(Quirk::NextForgotten),
            other => return other,
        }
    }
}

/// Sorts one answer.
fn look(
    got: Got,
    walk: &mut Walk,
    markings: &mut Markings,
    config: &PullConfig,
    strip: &Strip,
    alliance: &str,
) -> Result<(Sorted, Taken), Trouble> {
    let page = Page::read(&got.bytes).map_err(|error| Trouble::later(format!("no envelope: {error}")))?;
    let taken = walk.take(&page, got.dates.0, got.dates.1);
    let PullConfig { becomes, tlp_max, .. } = *config;
    let defaults = Defaults {
        handling: config.handling.clone(),
        behaviour: config.behaviour,
        sensor: config.sensor,
        grade: config.grade,
    };
    let latest = now().plus(SKEW_MAX);
    let rules = Rules { alliance, becomes, defaults: &defaults, tlp_max, strip, latest };
    Ok((sort(&page, &taken.fresh, markings, &rules), taken))
}

/// What the first page comes to; nothing is handed on.
pub(super) async fn first_page(
    remote: &Remote,
    config: &PullConfig,
    strip: &Strip,
    alliance: &str,
) -> Result<(Sorted, bool, Option<Quirk>), Trouble> {
    let mut walk = Walk::new(config.wish(), share::taxii::Place::default());
    let got = page(remote, &objects_path(config), &mut walk, |_| ()).await?;
    let mut markings = Markings::new(alliance, []);
    let (sorted, taken) = look(got, &mut walk, &mut markings, config, strip, alliance)?;
    Ok((sorted, taken.more, taken.quirk))
}
