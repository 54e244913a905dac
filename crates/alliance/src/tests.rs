//! The alliance as a conversation: what members say, and what follows.

use crate::{Alliance, Archive, Archived, Command, Entry, Event, Report, Setup};
use charter::{Charter, SignedCharter};
use model::{
    Batch, Behaviour, FindingState, MemberId, Observable, Opening, Retraction, Salt, Sighting, SignedRetraction,
    SigningKey, Timestamp,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An alliance with a memory instead of a journal.
pub struct World {
    pub alliance: Alliance,
    pub entries: Vec<Entry>,
    pub now: Timestamp,
    reports: RefCell<BTreeMap<u64, Arc<Archived>>>,
}

pub fn at(seconds: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap().plus(model::Span::seconds(seconds))
}

pub fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(model::Digest::of(&[name.as_bytes()]).as_bytes())
}

pub fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

/// Four founders and a newcomer; `extra` is added to the charter's text.
pub fn charter_text(extra: &str) -> String {
    let mut text = format!(
        "[alliance]\nname = \"test\"\nversion = 1\nmade = \"2026-01-01T00:00:00Z\"\nhub_key = \"{}\"\n{extra}\n",
        key("hub").public()
    );
    for (name, standing) in
        [("telecom", "vetted"), ("cloud", "vetted"), ("dns", "vetted"), ("device", "vetted"), ("newcomer", "probation")]
    {
        text.push_str(&format!(
            "[[member]]\nid = \"{name}\"\nname = \"{name}\"\nkind = \"full\"\nstanding = \"{standing}\"\n\
             segments = [\"infrastructure\"]\nroles = [\"reporter\", \"operator\", \"approver\"]\n\
             capabilities = [\"dns-filter\", \"packet-filter\"]\n\
             keys = [{{ public = \"{}\", from = \"2026-01-01T00:00:00Z\" }}]\n\
             [[member.person]]\nid = \"ada@{name}\"\nkeys = [{{ public = \"{}\", from = \"2026-01-01T00:00:00Z\" }}]\n",
            key(name).public(),
            key(&format!("ada@{name}")).public()
        ));
    }
    text
}

impl Archive for World {
    fn report(&self, position: u64) -> Option<Arc<Archived>> {
        let Event::SightingsReported(report) = &self.entries.get(position as usize)?.event else { return None };
        let mut cache = self.reports.borrow_mut();
        Some(Arc::clone(cache.entry(position).or_insert_with(|| Arc::new(Archived::new(report.clone())))))
    }
}

impl World {
    pub fn new(extra: &str) -> Self {
        let alliance = Alliance::new(Setup { seed: [7; 16] }).unwrap();
        let mut world = Self { alliance, entries: Vec::new(), now: at(0), reports: RefCell::default() };
        let text = charter_text(extra);
        Charter::parse(&text).unwrap();
        let consents = ["telecom", "cloud", "dns"]
            .map(|name| SignedCharter::consent(&text, &member(name), &key(name)).unwrap())
            .to_vec();
        world.run(Command::AdoptCharter(Box::new(SignedCharter::new(text, consents)))).unwrap();
        world
    }

    /// A command, and everything that follows from it.
    pub fn run(&mut self, command: Command) -> Result<Vec<&'static str>, model::Refusal> {
        let ticked = matches!(command, Command::Tick);
        let from = self.entries.len();
        let drafts = self.alliance.handle(command, self.now)?;
        self.take(drafts);
        self.follow(ticked);
        Ok(self.entries[from..].iter().map(|e| e.event.kind()).collect())
    }

    /// Everything that follows.
    pub fn follow(&mut self, ticked: bool) {
        loop {
            let followed = self.alliance.follow(self.now, ticked, self);
            self.take(followed.drafts.clone());
            self.alliance.settled(&followed);
            if !followed.more {
                break;
            }
        }
    }

    fn take(&mut self, drafts: Vec<crate::Drafted>) {
        for draft in drafts {
            let entry =
                Entry { v: 1, time: self.now, author: draft.author, handling: draft.handling, event: draft.event };
            let entry = Entry::from_bytes(&entry.to_bytes()).unwrap();
            let position = self.entries.len() as u64;
            self.entries.push(entry.clone());
            self.alliance.apply_typed(position, &entry, draft.sightings.as_deref());
        }
    }

    pub fn sighting(&self, observable: &str, grade: &str) -> Sighting {
        let time = self.now;
        Sighting::parse(&format!(
            r#"{{"observable":"{observable}","behaviour":"scan","first":"{time}","last":"{time}","sensor":"ids",
            "grade":"{grade}","handling":{{"tlp":"green"}}}}"#
        ))
        .unwrap()
    }

    pub fn report(&mut self, name: &str, sightings: Vec<Sighting>) -> Result<Vec<&'static str>, model::Refusal> {
        let command = self.reporting(name, &sightings);
        self.run(command)
    }

    /// A signed report of these.
    pub fn reporting(&self, name: &str, sightings: &[Sighting]) -> Command {
        let sequence = self.alliance.next_sequence(&member(name));
        let openings = sightings.iter().map(|s| Opening::seal(Salt([3; 16]), s)).collect();
        let batch = Batch::seal(member(name), &key(name), sequence, self.now, openings);
        let sightings = batch.verify(&key(name).public()).unwrap();
        Command::Report { report: Report::Signed(Box::new(batch)), sightings }
    }

    /// A report is taken in, and what follows waits.
    pub fn take_in(&mut self, name: &str, sightings: &[Sighting]) {
        let drafts = self.alliance.handle(self.reporting(name, sightings), self.now).unwrap();
        self.take(drafts);
    }

    pub fn saw(&mut self, name: &str, observable: &str) -> Vec<&'static str> {
        let sighting = self.sighting(observable, "handshake");
        self.report(name, vec![sighting]).unwrap()
    }

    /// A member takes back what it reported as a scan.
    pub fn took_back(&mut self, name: &str, observable: &str) -> Vec<&'static str> {
        let retraction = Retraction {
            author: member(name),
            key: key(name).public().id(),
            sequence: self.alliance.next_sequence(&member(name)),
            made: self.now,
            observable: observable.parse().unwrap(),
            behaviour: Behaviour::Scan,
            reason: "a test of ours".to_owned(),
        };
        self.run(Command::Retract(SignedRetraction::sign(retraction, &key(name)))).unwrap()
    }

    pub fn state(&self, observable: &str) -> Option<FindingState> {
        let observable: Observable = observable.parse().unwrap();
        let why = self.alliance.why(&observable, None, self.now, self);
        why.findings.first().map(|f| f.finding.state)
    }
}

#[test]
fn two_founders_corroborate_and_one_does_not() {
    let mut world = World::new("");
    assert_eq!(world.saw("telecom", "1.2.3.4"), ["sightings-reported"]);
    assert_eq!(world.state("1.2.3.4"), Some(FindingState::Observed));
    let followed = world.saw("cloud", "1.2.3.4");
    assert!(followed.contains(&"findings-changed"), "{followed:?}");
    assert_eq!(world.state("1.2.3.4"), Some(FindingState::Corroborated));
}

#[test]
fn lone_newcomer_is_heard_and_not_followed() {
    let mut world = World::new("");
    assert_eq!(world.saw("newcomer", "1.2.3.4"), ["sightings-reported"]);
}

mod alone;
mod amend;
mod bad_input;
mod collections;
mod contribution;
mod flow;
mod forgetting;
mod handling;
mod joining;
mod keys;
mod lines;
mod membership;
mod replay;
