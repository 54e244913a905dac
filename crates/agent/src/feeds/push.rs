//! One push: the alliance's findings, as this member sees them, to another TAXII 2.1 server.
//!
//! Every version goes, revocations included, in the order in which they came to be. Only what our own alliance
//! found goes, so nothing goes back to where it came from; beyond this member's own house no member is named.

use super::Around;
use super::deliver::deliver;
use super::pull::{alliance, hear};
use super::remote::{Other, Remote, Trouble, now};
use super::sort::Sorted;
use super::taxii::page;
use crate::config::{Audience, PushConfig};
use crate::core::{FedNews, Mark};
use crate::error::Error;
use model::{FindingId, Handling, Tlp};
use serde::Deserialize;
use serde_json::value::RawValue;
use share::stix::ours::EXTENSION;
use share::stix::{Class, Head, Kind, Markings, Writer, back};
use share::taxii::client::{Page, Quirk, Wish};
use share::taxii::{Place, Walk};
use std::collections::BTreeMap;

/// Where our hub shows its findings.
const FINDINGS: &str = "/taxii2/alliance/collections/findings/objects/";

/// A push that is under way.
pub(super) struct Push {
    config: PushConfig,
    remote: Remote,
    mark: Option<Mark>,
    around: Around,
    /// Does the other side have what findings refer to?
    introduced: bool,
}

impl Push {
    /// A push that goes on from `mark`.
    ///
    /// # Errors
    /// Broken: a file cannot be used.
    pub fn open(config: PushConfig, mark: Option<Mark>, around: Around) -> Result<Self, Error> {
        let remote = Remote::Other(Other::open(&config.to)?);
        Ok(Self { config, remote, mark, around, introduced: false })
    }

    /// Sends everything that is new.
    ///
    /// # Errors
    /// It did not get through; what was sent before stays sent.
    pub async fn round(&mut self) -> Result<(), Trouble> {
        self.remote.refresh()?;
        let alliance = alliance(&self.around).await?;
        self.introduce(&alliance).await?;
        let place = match &self.mark {
            Some(Mark::Taxii(place)) => place.clone(),
            _ => Place::default(),
        };
        let hub = Remote::Hub(self.around.client.clone());
        let wish = Wish { every_version: true, ..Wish::default() };
        let (mut walk, mut choice) = (Walk::new(wish, place), Choice::new(&self.config, &alliance));
        loop {
            let odd = |quirk: Quirk| self.around.board.odd(&self.config.name, quirk.explains());
            let got = page(&hub, FINDINGS, &mut walk, odd).await?;
            let found = Page::read(&got.bytes).map_err(|error| Trouble::later(format!("the hub: {error}")))?;
            let taken = walk.take(&found, got.dates.0, got.dates.1);
            let new = found.good.iter().zip(&taken.fresh).filter(|(_, fresh)| **fresh);
            let mut sorted = Sorted::default();
            let heads: Vec<&Head<'_>> = new.map(|(picked, _)| &picked.head).collect();
            let chosen = choice.of(&heads, &mut sorted);
            let odd = |odd| self.around.board.odd(&self.config.name, odd);
            deliver(&self.remote, "", &self.config.collection, &chosen, &mut sorted, odd).await?;
            self.around.board.samples(&self.config.name, std::mem::take(&mut sorted.samples));
            let mark = Mark::Taxii(walk.place().clone());
            let (feed, counts) = (self.config.name.clone(), sorted.counts);
            hear(&self.around, FedNews { feed, mark: mark.clone(), at: now(), counts }, Vec::new()).await?;
            self.mark = Some(mark);
            if !taken.more {
                return Ok(());
            }
        }
    }

    /// The alliance's identity, our extension, the markings: what findings refer to. Once a start; it knows them then.
    async fn introduce(&mut self, alliance: &str) -> Result<(), Trouble> {
        if self.introduced {
            return Ok(());
        }
        let objects = common(alliance, self.config.widest());
        // Whether the other side wants them is its own business: findings go all the same.
        deliver(&self.remote, "", &self.config.collection, &objects, &mut Sorted::default(), |_| {}).await?;
        self.introduced = true;
        Ok(())
    }
}

/// The objects that findings of these markings refer to.
fn common(alliance: &str, widest: Tlp) -> Vec<Box<RawValue>> {
    let writer = Writer { alliance, hub: None, named: &|_| false };
    let markings: Vec<Handling> =
        Tlp::ALL.iter().filter(|tlp| **tlp <= widest).map(|tlp| Handling::alliance(*tlp)).collect();
    let common = writer.common(&markings, []);
    common.iter().filter_map(|object| RawValue::from_string(object.to_string()).ok()).collect()
}

/// Which objects go.
pub(super) struct Choice<'a> {
    config: &'a PushConfig,
    alliance: &'a str,
    markings: Markings,
    /// The finding that was decided upon last: its objects follow its indicator.
    last: Option<(FindingId, bool)>,
}

impl<'a> Choice<'a> {
    pub fn new(config: &'a PushConfig, alliance: &'a str) -> Self {
        // Without its groups: what is for a sharing group stays in it.
        Self { config, alliance, markings: Markings::new(alliance, []), last: None }
    }

    /// Of objects in the hub's order those that go, byte for byte.
    pub fn of(&mut self, heads: &[&Head<'_>], sorted: &mut Sorted) -> Vec<Box<RawValue>> {
        let mut chosen = Vec::new();
        for head in heads {
            match self.why_not(head) {
                None => chosen.push(head.raw.to_owned()),
                Some(why) => sorted.count(why),
            }
        }
        chosen
    }

    /// Why an object stays.
    fn why_not(&mut self, head: &Head<'_>) -> Option<&'static str> {
        let finding = back::finding_of(self.alliance, &head.id);
        if finding.is_none() && head.kind.class() != Class::Observable {
            return Some("kept:not_ours");
        }
        let handling = self.markings.of(head, &Handling::alliance(Tlp::Red));
        if handling.map_or(true, |handling| handling.tlp > self.config.widest()) {
            return Some("kept:marking");
        }
        if let Some(finding) = finding.filter(|_| head.kind == Kind::Indicator) {
            self.last = Some((finding, self.is_wanted(head)));
        }
        // An observable follows its finding; the rest of one whose indicator went with an earlier page goes, too.
        let wanted = match (finding, self.last) {
            (Some(finding), Some((last, wanted))) if finding == last => wanted,
            (None, Some((_, wanted))) => wanted,
            _ => true,
        };
        if !wanted {
            return Some("kept:score");
        }
        let outside = self.config.audience != Audience::Organisation;
        (outside && names_members(head)).then_some("kept:names_members")
    }

    /// By its points and by whether machines act on it; what is over is always told.
    fn is_wanted(&self, head: &Head<'_>) -> bool {
        #[derive(Deserialize)]
        struct Indicator {
            #[serde(default)]
            extensions: BTreeMap<String, Said>,
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Said {
            points: f64,
            state: String,
            actionable: bool,
        }
        let Ok(mut indicator) = serde_json::from_str::<Indicator>(head.raw.get()) else { return false };
        let said = indicator.extensions.remove(EXTENSION).unwrap_or_default();
        let over = head.revoked || matches!(said.state.as_str(), "revoked" | "faded");
        let strong = self.config.points_least.is_none_or(|least| said.points >= least);
        over || (strong && (said.actionable || !self.config.actionable))
    }
}

/// Notes hold the sum, a line a reporter; a sighting may say where it was made.
fn names_members(head: &Head<'_>) -> bool {
    match head.kind {
        Kind::Note => true,
        Kind::Sighting => head.raw.get().contains("\"where_sighted_refs\""),
        _ => false,
    }
}
