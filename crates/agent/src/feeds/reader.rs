//! What a pull reads, step by step, whatever the other side speaks. A step decides nothing about our side: it says
//! what it came to, and how far it is.

use super::remote::{Other, Remote, Trouble, now};
use super::sort::{Rules, Sorted};
use super::{crowdsec, misp, taxii};
use crate::config::{PullConfig, PullKind};
use crate::core::Mark;
use crate::error::Error;
use crate::strip::Strip;
use model::Span;
use share::Defaults;

/// How far another's clock may go ahead of ours.
const SKEW_MAX: Span = Span::minutes(5);

/// What is known of our side.
pub(super) struct Here<'a> {
    /// Our alliance's name.
    pub alliance: &'a str,
    /// What points to this member stays here.
    pub strip: &'a Strip,
}

/// What one step came to.
pub(super) struct Step {
    /// What is to be handed on.
    pub sorted: Sorted,
    /// How far it is then.
    pub mark: Mark,
    /// Is there more to be read now?
    pub more: bool,
    /// What is odd about the other side.
    pub odd: Vec<&'static str>,
}

/// Reads one feed.
pub(super) struct Reader {
    config: PullConfig,
    remote: Remote,
    state: State,
}

enum State {
    Taxii(Box<taxii::Walking>),
    CrowdSec(crowdsec::Session),
    Misp(misp::Waiting),
}

impl Reader {
    /// A reader of this feed.
    ///
    /// # Errors
    /// Broken: a file cannot be used.
    pub fn open(config: PullConfig) -> Result<Self, Error> {
        let remote = Remote::Other(Other::open(&config.from)?);
        let state = match config.kind {
            PullKind::Taxii => State::Taxii(Box::default()),
            PullKind::Crowdsec => State::CrowdSec(crowdsec::Session::default()),
            PullKind::Misp => State::Misp(misp::Waiting::default()),
        };
        Ok(Self { config, remote, state })
    }

    /// A new round begins: from what was written down.
    ///
    /// # Errors
    /// A file that was changed cannot be used.
    pub fn begin(&mut self) -> Result<(), Trouble> {
        self.remote.refresh()?;
        match &mut self.state {
            State::Taxii(walking) => walking.begin(),
            State::CrowdSec(_) => {}
            State::Misp(waiting) => *waiting = misp::Waiting::default(),
        }
        Ok(())
    }

    /// Reads on from `mark`.
    ///
    /// # Errors
    /// Nothing came through; nothing is lost.
    pub async fn step(&mut self, mark: Option<&Mark>, here: &Here<'_>) -> Result<Step, Trouble> {
        let config = &self.config;
        let defaults = Defaults {
            handling: config.handling.clone(),
            behaviour: config.behaviour,
            sensor: config.sensor,
            grade: config.grade,
        };
        let rules = Rules {
            alliance: here.alliance,
            becomes: config.becomes,
            defaults: &defaults,
            tlp_max: config.tlp_max,
            strip: here.strip,
            latest: now().plus(SKEW_MAX),
        };
        match &mut self.state {
            State::Taxii(walking) => taxii::step(&self.remote, config, walking, mark, &rules).await,
            State::CrowdSec(session) => crowdsec::step(&self.remote, config, session, mark, &rules).await,
            State::Misp(waiting) => misp::step(&self.remote, config, waiting, mark, &rules).await,
        }
    }
}
