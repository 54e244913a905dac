//! Read-back: what the member's own resolvers answer, never what we believe to have told them.
//!
//! Two questions decide. First the version marker, which only a resolver that works with our zone can answer: it says
//! which version it has. Then each name itself: it may still be let through by a policy of the member's own.

use super::ask::{Asker, Reply};
use super::entry::{Policy, Trigger};
use super::owner::Owner;
use super::zone::Zone;
use crate::{Presence, Protection, Seen};
use domain::base::Serial;
use domain::base::iana::{Rcode, Rtype};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The first pause between two looks at the version; each next one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(50);
/// Longest evidence, in characters ([`Seen::evidence`]).
const EVIDENCE_CHARS_MAX: usize = 200;

/// What to look for, taken from one version of the zone.
pub(super) struct Expected {
    marker: String,
    serial: Serial,
    /// For each protection asked about: the question, and the policy if the zone enforces it.
    objects: Vec<Object>,
}

struct Object {
    question: Option<(String, Rtype)>,
    wanted: Wanted,
}

/// What the answer is to be.
enum Wanted {
    /// As this policy makes it.
    Policy(Policy),
    /// The marker of a trigger on addresses, with this mitigation: no name is known to resolve to them.
    Marker(String),
    /// The marker without this mitigation.
    Gone(String),
    /// Nothing of this kind can be in a policy zone.
    Nothing,
}

impl Expected {
    pub(super) fn new(zone: &Zone, asked: &[Protection]) -> Self {
        Self {
            marker: Owner::version(zone.tag()).to_string(),
            serial: zone.serial(),
            objects: asked.iter().map(|protection| object(zone, protection)).collect(),
        }
    }
}

fn object(zone: &Zone, protection: &Protection) -> Object {
    let nothing = Object { question: None, wanted: Wanted::Nothing };
    let Some(trigger) = Trigger::of(protection.measure.target()) else { return nothing };
    let Ok(owner) = trigger.owner() else { return nothing };
    let id = protection.mitigation.to_string();
    let marker = (owner.marker(zone.marker_root()).to_string(), Rtype::TXT);
    let listed = zone.visible(&owner);
    // The first entry is the one that is served; another mitigation's stricter policy enforces this one as well.
    match (listed.first().filter(|_| listed.iter().any(|entry| entry.id == id)), trigger) {
        (None, _) => Object { question: Some(marker), wanted: Wanted::Gone(id) },
        (Some(_), Trigger::Network(_)) => Object { question: Some(marker), wanted: Wanted::Marker(id) },
        (Some(first), Trigger::Name(domain)) => {
            Object { question: Some((domain.to_string(), Rtype::A)), wanted: Wanted::Policy(first.policy.clone()) }
        }
    }
}

/// Asks all resolvers at once, each until it shows what is expected or `limit` has passed.
pub(super) fn read_back(
    resolvers: &[SocketAddr],
    expected: &Expected,
    asked: &[Protection],
    limit: Duration,
) -> Vec<Seen> {
    let deadline = Instant::now() + limit;
    let by_resolver: Vec<Vec<(Presence, String)>> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            resolvers.iter().map(|resolver| scope.spawn(move || look(*resolver, expected, deadline))).collect();
        let broken = || vec![(Presence::Unknown, "the asking thread failed".to_owned()); asked.len()];
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| broken())).collect()
    });
    asked
        .iter()
        .enumerate()
        .map(|(i, protection)| {
            let (presence, evidence) = together(by_resolver.iter().map(|seen| &seen[i]));
            Seen { mitigation: protection.mitigation, presence, evidence }
        })
        .collect()
}

/// Enforced only where every resolver enforces; the first that does not is the evidence.
fn together<'a>(mut all: impl Iterator<Item = &'a (Presence, String)>) -> (Presence, String) {
    let Some(first) = all.next() else {
        return (Presence::Unknown, "no resolver is configured to be asked".to_owned());
    };
    let mut worst = first;
    let mut count = 1;
    for seen in all {
        count += 1;
        if rank(seen.0) < rank(worst.0) {
            worst = seen;
        }
    }
    let more = if count > 1 { format!(" ({count} resolvers asked)") } else { String::new() };
    (worst.0, format!("{}{more}", worst.1).chars().take(EVIDENCE_CHARS_MAX).collect())
}

fn rank(presence: Presence) -> u8 {
    match presence {
        Presence::Absent => 0,
        Presence::Unknown => 1,
        Presence::Enforced => 2,
    }
}

/// Which resolvers do not show the expected version when `limit` is over, and what they say.
pub(super) fn lagging(resolvers: &[SocketAddr], expected: &Expected, limit: Duration) -> Vec<(SocketAddr, String)> {
    let deadline = Instant::now() + limit;
    let one = |resolver: SocketAddr| match version(resolver, expected, deadline) {
        Ok(_) => None,
        Err((_, told)) => Some((resolver, told)),
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = resolvers.iter().map(|resolver| scope.spawn(move || one(*resolver))).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap_or(None)).collect()
    })
}

fn look(resolver: SocketAddr, expected: &Expected, deadline: Instant) -> Vec<(Presence, String)> {
    match version(resolver, expected, deadline) {
        Ok(asker) => look_at_objects(&asker, resolver, expected),
        Err(told) => vec![told; expected.objects.len()],
    }
}

/// Waits until a resolver shows the expected version; if it does not, what it says instead.
fn version(resolver: SocketAddr, expected: &Expected, deadline: Instant) -> Result<Asker, (Presence, String)> {
    let unasked = |error| (Presence::Unknown, format!("{resolver} cannot be asked: {error}"));
    let asker = Asker::new(resolver, deadline).map_err(unasked)?;
    match wait_for_version(&asker, expected) {
        Ok(Some(serial)) if serial >= expected.serial => Ok(asker),
        Ok(Some(serial)) => {
            let (has, wanted) = (serial.into_int(), expected.serial.into_int());
            Err((Presence::Absent, format!("{resolver} still has serial {has}, not {wanted}")))
        }
        Ok(None) => {
            let text =
                format!("{resolver} does not show `{}`: it does not follow the zone, or overrides it", expected.marker);
            Err((Presence::Absent, text))
        }
        Err(error) => Err((Presence::Unknown, format!("{resolver}: {error}"))),
    }
}

/// Asks until each object is as expected or time is over: BIND shows the new version's records some milliseconds before
/// it acts upon them.
fn look_at_objects(asker: &Asker, resolver: SocketAddr, expected: &Expected) -> Vec<(Presence, String)> {
    let mut seen: Vec<Option<(Presence, String)>> = vec![None; expected.objects.len()];
    let mut pause = PAUSE_FIRST;
    loop {
        let open: Vec<usize> = (0..seen.len()).filter(|i| !is_settled(&expected.objects[*i], &seen[*i])).collect();
        let question = |i: &usize| expected.objects[*i].question.clone();
        let questions: Vec<(String, Rtype)> = open.iter().filter_map(question).collect();
        let mut replies = asker.ask(&questions).into_iter();
        for i in open {
            let object = &expected.objects[i];
            let reply = object.question.as_ref().and_then(|_| replies.next().flatten());
            // What was seen once is better evidence than silence at the deadline.
            if reply.is_some() || seen[i].is_none() {
                seen[i] = Some(judge(resolver, object, reply));
            }
        }
        let settled = expected.objects.iter().zip(&seen).all(|(object, seen)| is_settled(object, seen));
        if settled || !asker.time_left() {
            let nothing = || (Presence::Unknown, format!("{resolver} was not asked"));
            return seen.into_iter().map(|seen| seen.unwrap_or_else(nothing)).collect();
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn is_settled(object: &Object, seen: &Option<(Presence, String)>) -> bool {
    let expected = match object.wanted {
        Wanted::Policy(_) | Wanted::Marker(_) => Presence::Enforced,
        Wanted::Gone(_) | Wanted::Nothing => Presence::Absent,
    };
    seen.as_ref().is_some_and(|(presence, _)| *presence == expected)
}

fn wait_for_version(asker: &Asker, expected: &Expected) -> std::io::Result<Option<Serial>> {
    let mut pause = PAUSE_FIRST;
    loop {
        let version = asker.version(&expected.marker)?;
        if version.is_some_and(|serial| serial >= expected.serial) || !asker.time_left() {
            return Ok(version);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(PAUSE_MAX);
        if !asker.time_left() {
            return Ok(version);
        }
    }
}

fn judge(resolver: SocketAddr, object: &Object, reply: Option<Reply>) -> (Presence, String) {
    if let Wanted::Nothing = object.wanted {
        return (Presence::Absent, "nothing that a policy zone can hold".to_owned());
    }
    let Some(reply) = reply else { return (Presence::Unknown, format!("no answer from {resolver}")) };
    let summary = reply.summary();
    let marked = |id: &str| reply.records.iter().any(|(rtype, text)| *rtype == Rtype::TXT && text.contains(id));
    match &object.wanted {
        Wanted::Policy(policy) if follows(policy, &reply) => (Presence::Enforced, format!("{summary} from {resolver}")),
        Wanted::Policy(_) => {
            (Presence::Absent, format!("{summary} from {resolver}: a policy of its own lets it through"))
        }
        Wanted::Marker(id) if marked(id) => (Presence::Enforced, format!("{resolver} has the trigger: {summary}")),
        Wanted::Gone(id) if marked(id) => (Presence::Enforced, format!("{resolver} still has it: {summary}")),
        _ => (Presence::Absent, format!("not in the zone that {resolver} has")),
    }
}

fn follows(policy: &Policy, reply: &Reply) -> bool {
    match policy {
        Policy::NxDomain => reply.rcode == Rcode::NXDOMAIN,
        Policy::NoData => reply.rcode == Rcode::NOERROR && reply.records.is_empty(),
        Policy::Redirect(to) => {
            reply.records.first().is_some_and(|(rtype, name)| *rtype == Rtype::CNAME && name == to.as_str())
        }
    }
}
