//! What is played: the recorded sightings with the lies of one scenario mixed in, and who takes part.

use super::Cast;
use crate::engine::Attestation;
use crate::error::Error;
use crate::evaluate::history::{DAY_MS, History};
use crate::evaluate::mersenne::Mersenne;
use crate::rules::MemberTrust;
use model::Grade;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::Range;

/// Harmless addresses that are lied about, at most.
const BENIGN: u32 = 5000;
/// Lies a day.
const LIES: u32 = 200;

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Scenario {
    /// So many newcomers report the same harmless addresses, always in the same order.
    Newcomers(u16),
    /// The same, in an order of their own for each address, so that none seems to copy another.
    RandomOrder(u16),
    /// So many repeat everything that is published for the credit, and lie together from the sixth day on.
    EchoFarmers(u16, MemberTrust),
    /// A member adds harmless addresses to its reports.
    Sloppy,
    /// A member lies.
    Compromised,
    /// Packets with the sender's address of somebody harmless arrive at every member.
    Forged,
    /// The same, and so many newcomers swear that they were attacked too.
    ForgedAndNewcomers(u16),
}

impl Scenario {
    /// All of them. The first five come first and draw the same random numbers as the reference script.
    pub const ALL: [(&'static str, Self); 16] = [
        ("1 new liar", Self::Newcomers(1)),
        ("2 colluding new liars", Self::Newcomers(2)),
        ("4 colluding new liars", Self::Newcomers(4)),
        ("sloppy vetted member (20% benign)", Self::Sloppy),
        ("compromised vetted member", Self::Compromised),
        ("6 colluding new liars", Self::Newcomers(6)),
        ("2 new liars, random order", Self::RandomOrder(2)),
        ("3 new liars, random order", Self::RandomOrder(3)),
        ("4 new liars, random order", Self::RandomOrder(4)),
        ("5 new liars, random order", Self::RandomOrder(5)),
        ("6 new liars, random order", Self::RandomOrder(6)),
        ("2 new echo farmers", Self::EchoFarmers(2, MemberTrust::PROBATION)),
        ("6 new echo farmers", Self::EchoFarmers(6, MemberTrust::PROBATION)),
        ("1 vetted echo farmer", Self::EchoFarmers(1, MemberTrust::VETTED)),
        ("forged packets at every member", Self::Forged),
        ("forged packets and 4 new liars", Self::ForgedAndNewcomers(4)),
    ];

    /// The worst of each kind: enough to compare rules by.
    pub const HARDEST: [Self; 8] = [
        Self::Newcomers(4),
        Self::RandomOrder(6),
        Self::EchoFarmers(6, MemberTrust::PROBATION),
        Self::EchoFarmers(1, MemberTrust::VETTED),
        Self::Forged,
        Self::ForgedAndNewcomers(4),
        Self::Sloppy,
        Self::Compromised,
    ];

    /// Whether a member with a record of its own does the harm. All others are to do none at all.
    pub const fn is_by_insider(self) -> bool {
        matches!(self, Self::Sloppy | Self::Compromised)
    }
}

/// One report.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Event {
    /// Days since 1970 with their fraction.
    pub at: f64,
    /// Harmless ones are negative.
    pub value: i64,
    /// Who reports.
    pub member: u16,
    /// A lone packet that anybody could have sent.
    pub forged: bool,
}

impl Event {
    /// How hard its evidence is to forge, and who vouches for it.
    pub fn evidence(&self) -> (Grade, Attestation) {
        (if self.forged { Grade::Spoofable } else { Grade::Handshake }, Attestation::Signed)
    }
}

/// Everything that happens in one scenario.
pub(crate) struct Stage {
    pub events: Vec<Event>,
    pub members: Vec<MemberTrust>,
    /// Those who repeat what is published.
    pub farmers: Range<u16>,
    /// Harmless addresses reported.
    pub reported: usize,
    pub start: f64,
    pub attack: f64,
    pub end: f64,
}

impl Stage {
    pub fn new(history: &History, scenario: Scenario, cast: &Cast, random: &mut Mersenne) -> Result<Self, Error> {
        let days = |at: i64| at as f64 / DAY_MS as f64;
        let event = |e: &crate::evaluate::history::Event| report(days(e.at), i64::from(e.value), e.member);
        let mut events: Vec<Event> = history.events.iter().map(event).collect();
        let (start, end) = (history.start as f64, events.last().map_or(0.0, |event| event.at));
        let attack = start + 6.0;
        let span = attack as i64..end as i64;
        let veterans = history.members.len() as u16;
        let mut members = vec![MemberTrust::VETTED; history.members.len()];
        let mut join = |count: u16, trust| members.extend(vec![trust; usize::from(count)]);
        let mut farmers = 0..0;
        let lies = match scenario {
            Scenario::Newcomers(count) => {
                join(count, MemberTrust::PROBATION);
                colluding(span, veterans, count, random)
            }
            Scenario::RandomOrder(count) => {
                join(count, MemberTrust::PROBATION);
                in_any_order(span, veterans..veterans + count, random)
            }
            Scenario::EchoFarmers(count, trust) => {
                join(count, trust);
                farmers = veterans..veterans + count;
                in_any_order(span, farmers.clone(), random)
            }
            Scenario::Sloppy => sloppy(&events, member(history, cast.sloppy.as_deref(), 3)?, start, random),
            Scenario::Compromised => lying(span, member(history, cast.compromised.as_deref(), 1)?, random),
            Scenario::Forged => forged(span, 0..veterans, 0..0, random),
            Scenario::ForgedAndNewcomers(count) => {
                join(count, MemberTrust::PROBATION);
                forged(span, 0..veterans, veterans..veterans + count, random)
            }
        };
        let reported = lies.iter().map(|lie| lie.value).collect::<BTreeSet<_>>().len();
        events.extend(lies);
        events.sort_by(|a, b| a.at.total_cmp(&b.at).then((a.value, a.member).cmp(&(b.value, b.member))));
        Ok(Self { events, members, farmers, reported, start, attack, end })
    }
}

fn report(at: f64, value: i64, member: u16) -> Event {
    Event { at, value, member, forged: false }
}

fn harmless(random: &mut Mersenne) -> i64 {
    -1 - i64::from(random.below(BENIGN))
}

/// Newcomers that report the same harmless addresses.
fn colluding(days: Range<i64>, first: u16, count: u16, random: &mut Mersenne) -> Vec<Event> {
    let mut lies = Vec::new();
    for day in days {
        for _ in 0..LIES {
            let value = harmless(random);
            for j in 0..count {
                lies.push(report(day as f64 + random.random() * 0.5 + f64::from(j) * 0.02, value, first + j));
            }
        }
    }
    lies
}

/// The same by `liars`, each at a time of its own.
fn in_any_order(days: Range<i64>, liars: Range<u16>, random: &mut Mersenne) -> Vec<Event> {
    let mut lies = Vec::new();
    for day in days {
        for _ in 0..LIES {
            let value = harmless(random);
            lies.extend(liars.clone().map(|liar| report(day as f64 + random.random(), value, liar)));
        }
    }
    lies
}

/// Packets in the name of the harmless at all of `members`; `liars` swear to have had connections.
fn forged(days: Range<i64>, members: Range<u16>, liars: Range<u16>, random: &mut Mersenne) -> Vec<Event> {
    let mut lies = in_any_order(days, members.start..members.end.max(liars.end), random);
    lies.iter_mut().for_each(|lie| lie.forged = !liars.contains(&lie.member));
    lies
}

/// A member that adds a harmless address to every fourth report.
fn sloppy(events: &[Event], member: u16, start: f64, random: &mut Mersenne) -> Vec<Event> {
    let mut lies = Vec::new();
    for event in events.iter().filter(|event| event.member == member && event.at >= start) {
        if random.random() < 0.25 {
            lies.push(report(event.at, harmless(random), member));
        }
    }
    lies
}

/// A member that lies all day.
fn lying(days: Range<i64>, member: u16, random: &mut Mersenne) -> Vec<Event> {
    let mut lies = Vec::new();
    for day in days {
        for _ in 0..LIES {
            let at = day as f64 + random.random();
            lies.push(report(at, harmless(random), member));
        }
    }
    lies
}

/// The member of that name, or the one at `rank` by sightings.
fn member(history: &History, name: Option<&str>, rank: usize) -> Result<u16, Error> {
    if let Some(name) = name {
        let found = history.members.iter().position(|member| member == name);
        return found.map(|at| at as u16).ok_or_else(|| Error::refused("member", name, "a member of the history"));
    }
    let mut counts = vec![0_usize; history.members.len()];
    history.events.iter().for_each(|event| counts[usize::from(event.member)] += 1);
    let mut by_count: Vec<u16> = (0..counts.len() as u16).collect();
    by_count.sort_by_key(|member| Reverse(counts[usize::from(*member)]));
    Ok(by_count.get(rank).or(by_count.last()).copied().unwrap_or_default())
}
