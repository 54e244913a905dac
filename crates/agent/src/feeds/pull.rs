//! One pull: what a reader brings goes to our hub's collection, or becomes this member's own signed sightings.

use super::Around;
use super::deliver::deliver;
use super::reader::{Here, Reader};
use super::remote::{Remote, Trouble, now};
use super::sort::Sorted;
use crate::config::PullConfig;
use crate::control::{Answer, Request};
use crate::core::{FedNews, Input, Mark};
use crate::error::Error;
use crate::running::salted;
use model::Sighting;

/// A pull that is under way.
pub(super) struct Pull {
    name: String,
    into: String,
    reader: Reader,
    mark: Option<Mark>,
    around: Around,
}

impl Pull {
    /// A pull that goes on from `mark`.
    ///
    /// # Errors
    /// Broken: a file cannot be used.
    pub fn open(config: PullConfig, mark: Option<Mark>, around: Around) -> Result<Self, Error> {
        let (name, into) = (config.name.clone(), config.into.clone());
        Ok(Self { name, into, reader: Reader::open(config)?, mark, around })
    }

    /// Takes everything that is there now.
    ///
    /// # Errors
    /// It did not get through; what was taken before stays taken.
    pub async fn round(&mut self) -> Result<(), Trouble> {
        let alliance = alliance(&self.around).await?;
        self.reader.begin()?;
        loop {
            let here = Here { alliance: &alliance, strip: &self.around.strip };
            let step = self.reader.step(self.mark.as_ref(), &here).await?;
            step.odd.iter().for_each(|odd| self.around.board.odd(&self.name, odd));
            self.hand_on(step.sorted, step.mark).await?;
            if !step.more {
                return Ok(());
            }
        }
    }

    /// Hands on what a step came to, and has it written down.
    async fn hand_on(&mut self, mut sorted: Sorted, mark: Mark) -> Result<(), Trouble> {
        let objects = std::mem::take(&mut sorted.objects);
        if !objects.is_empty() {
            let (root, collection) = self.into.split_once('/').unwrap_or((&self.into, ""));
            let hub = Remote::Hub(self.around.client.clone());
            let odd = |odd| self.around.board.odd(&self.name, odd);
            deliver(&hub, &format!("/taxii2/{root}/"), collection, &objects, &mut sorted, odd).await?;
        }
        self.around.board.samples(&self.name, std::mem::take(&mut sorted.samples));
        let news = FedNews { feed: self.name.clone(), mark: mark.clone(), at: now(), counts: sorted.counts };
        hear(&self.around, news, sorted.sightings).await?;
        mark.follow(&mut self.mark);
        Ok(())
    }
}

/// Has sightings and the place written down together.
pub(super) async fn hear(around: &Around, news: FedNews, sightings: Vec<Sighting>) -> Result<(), Trouble> {
    let Input::Sightings(sightings) = salted(sightings).map_err(|error| Trouble::later(error.to_string()))? else {
        return Err(Trouble::later("no random salts"));
    };
    match around.requests.give(Input::Fed { news: Box::new(news), sightings }).await {
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
