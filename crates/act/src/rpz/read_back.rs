//! Read-back: what the member's own resolvers answer, never what we believe to have told them.
//!
//! Three questions decide. First the version marker, which only a resolver that works with our zone can answer: it says
//! which version it has. Then that version's fence: it acts upon all of it. Then each name itself: it may still be let
//! through by a policy of the member's own.
//!
//! A resolver that refuses, fails or cuts its answer off may enforce all the same: such an answer never shows that
//! something is gone.

use super::ask::{Asker, Question, Reply};
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
/// How long a fence is asked for without the RD bit alone. A resolver that applies policies only to questions with that
/// bit is then asked with it: such a question may leave it, and says no more than a zone's serial.
const FENCE_ALONE: Duration = Duration::from_millis(60);
/// How long a resolver that lags may take to say what it still has.
const LATE_LIMIT: Duration = Duration::from_secs(2);
/// Longest evidence, in characters ([`Seen::evidence`]).
const EVIDENCE_CHARS_MAX: usize = 200;

/// What to look for, taken from one version of the zone.
pub(super) struct Expected {
    tag: String,
    marker: String,
    serial: Serial,
    /// For each protection asked about: the question, and the policy if the zone enforces it.
    objects: Vec<Object>,
}

struct Object {
    question: Option<Question>,
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
            tag: zone.tag().to_owned(),
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
    let marker = Question::new(owner.marker(zone.marker_root()).to_string(), Rtype::TXT);
    let listed = zone.visible(&owner);
    // The first entry is the one that is served; another mitigation's stricter policy enforces this one as well.
    match (listed.first().filter(|_| listed.iter().any(|entry| entry.id == id)), trigger) {
        (None, _) => Object { question: Some(marker), wanted: Wanted::Gone(id) },
        (Some(_), Trigger::Network(_)) => Object { question: Some(marker), wanted: Wanted::Marker(id) },
        (Some(first), Trigger::Name(domain)) => {
            let question = Question::new(domain.to_string(), Rtype::A);
            Object { question: Some(question), wanted: Wanted::Policy(first.policy.clone()) }
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
    let all = asked.iter().zip(&expected.objects).enumerate().map(|(i, (protection, object))| {
        let (presence, evidence) = together(&object.wanted, by_resolver.iter().map(|seen| &seen[i]));
        Seen::new(protection.mitigation, presence, evidence)
    });
    all.collect()
}

/// What all resolvers together show; the one that is furthest from what is wanted is the evidence. Enforced is what
/// every resolver enforces, and gone what none does.
fn together<'a>(wanted: &Wanted, all: impl Iterator<Item = &'a (Presence, String)>) -> (Presence, String) {
    let all: Vec<_> = all.collect();
    let distance = |seen: &&&(Presence, String)| match (wanted, seen.0) {
        (Wanted::Policy(_) | Wanted::Marker(_), Presence::Absent) => 2,
        (Wanted::Gone(_) | Wanted::Nothing, Presence::Enforced) => 2,
        (_, Presence::Unknown) => 1,
        _ => 0,
    };
    // Of equals the first.
    let Some((presence, text)) = all.iter().rev().max_by_key(distance) else {
        return (Presence::Unknown, "no resolver is configured to be asked".to_owned());
    };
    let more = if all.len() > 1 { format!(" ({} resolvers asked)", all.len()) } else { String::new() };
    (*presence, format!("{text}{more}").chars().take(EVIDENCE_CHARS_MAX).collect())
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
        Err((Presence::Absent, text)) => look_at_older(resolver, expected, &text),
        Err(told) => vec![told; expected.objects.len()],
    }
}

/// Of a resolver that does not act upon the expected version: what was to go may be in the one that it has.
fn look_at_older(resolver: SocketAddr, expected: &Expected, text: &str) -> Vec<(Presence, String)> {
    let gone = |object: &&Object| matches!(object.wanted, Wanted::Gone(_));
    let questions: Vec<Question> =
        expected.objects.iter().filter(gone).filter_map(|object| object.question.clone()).collect();
    let replies = match Asker::new(resolver, Instant::now() + LATE_LIMIT) {
        Ok(asker) => asker.ask(&questions),
        Err(_) => vec![None; questions.len()],
    };
    // Whatever is to be gone has a marker to ask for.
    let mut replies = replies.into_iter();
    let one = |object: &Object| match object.wanted {
        Wanted::Gone(_) => {
            let (presence, seen) = judge(resolver, object, replies.next().flatten());
            (presence, format!("{seen}; {text}"))
        }
        _ => (Presence::Absent, text.to_owned()),
    };
    expected.objects.iter().map(one).collect()
}

/// Waits until a resolver acts upon the expected version; if it does not, what it says instead.
fn version(resolver: SocketAddr, expected: &Expected, deadline: Instant) -> Result<Asker, (Presence, String)> {
    let unasked = |error| (Presence::Unknown, format!("{resolver} cannot be asked: {error}"));
    let asker = Asker::new(resolver, deadline).map_err(unasked)?;
    match wait_for_version(&asker, expected) {
        Ok(Shown::ActsUpon) => Ok(asker),
        Ok(Shown::Records(serial)) => Err((
            Presence::Absent,
            format!(
                "{resolver} has serial {} and does not act upon it: no answer to `{}` (in BIND: recursive-only no)",
                serial.into_int(),
                Owner::fence(&expected.tag, serial)
            ),
        )),
        Ok(Shown::Older(serial)) => {
            let (has, wanted) = (serial.into_int(), expected.serial.into_int());
            Err((Presence::Absent, format!("{resolver} still has serial {has}, not {wanted}")))
        }
        Ok(Shown::Nothing) => {
            let text =
                format!("{resolver} does not show `{}`: it does not follow the zone, or overrides it", expected.marker);
            Err((Presence::Absent, text))
        }
        Ok(Shown::Unclear(reply)) => {
            let text =
                format!("{resolver} answers `{}` with {}: what it enforces is not known", expected.marker, reply);
            Err((Presence::Unknown, text))
        }
        Err(error) => Err((Presence::Unknown, format!("{resolver}: {error}"))),
    }
}

/// Asks until each object is as expected or time is over: an answer may get lost, and a policy of the member's own that
/// lets something through may just have ended.
fn look_at_objects(asker: &Asker, resolver: SocketAddr, expected: &Expected) -> Vec<(Presence, String)> {
    let mut seen: Vec<Option<(Presence, String)>> = vec![None; expected.objects.len()];
    let mut pause = PAUSE_FIRST;
    loop {
        let open: Vec<usize> = (0..seen.len()).filter(|i| !is_settled(&expected.objects[*i], &seen[*i])).collect();
        let question = |i: &usize| expected.objects[*i].question.clone();
        let questions: Vec<Question> = open.iter().filter_map(question).collect();
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

/// How far a resolver has come with a zone.
enum Shown {
    /// It says nothing of the zone.
    Nothing,
    /// Its answer, in words, shows neither that it has the zone nor that it has not.
    Unclear(String),
    /// It has an older version than is expected.
    Older(Serial),
    /// It has the records of the expected version or a later one, and does not act upon all of them.
    Records(Serial),
    /// It acts upon the expected version or a later one.
    ActsUpon,
}

fn wait_for_version(asker: &Asker, expected: &Expected) -> std::io::Result<Shown> {
    let mut pause = PAUSE_FIRST;
    let mut has_records = None;
    let mut last = None;
    loop {
        let reply = match (asker.version(&expected.marker), last) {
            (Ok(reply), _) => reply,
            // What was seen once is better evidence than silence at the deadline.
            (Err(_), Some(shown)) => return Ok(shown),
            (Err(error), None) => return Err(error),
        };
        let shown = match reply.serial() {
            None if reply.is_complete() => Shown::Nothing,
            None => Shown::Unclear(reply.summary()),
            Some(serial) if serial >= expected.serial => {
                let since: Instant = *has_records.get_or_insert_with(Instant::now);
                if acts_upon(asker, &expected.tag, serial, since.elapsed() >= FENCE_ALONE) {
                    return Ok(Shown::ActsUpon);
                }
                Shown::Records(serial)
            }
            Some(serial) => Shown::Older(serial),
        };
        std::thread::sleep(pause);
        pause = (pause * 2).min(PAUSE_MAX);
        if !asker.time_left() {
            return Ok(shown);
        }
        last = Some(shown);
    }
}

fn acts_upon(asker: &Asker, tag: &str, serial: Serial, also_recursive: bool) -> bool {
    let fence = || Owner::fence(tag, serial).to_string();
    asker.is_past(fence(), false) || (also_recursive && asker.is_past(fence(), true))
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
        _ if !reply.is_complete() => {
            (Presence::Unknown, format!("{summary} from {resolver}: whether it has it is not known"))
        }
        _ => (Presence::Absent, format!("not in the zone that {resolver} has")),
    }
}

fn follows(policy: &Policy, reply: &Reply) -> bool {
    match policy {
        Policy::NxDomain => reply.rcode == Rcode::NXDOMAIN,
        Policy::NoData => reply.rcode == Rcode::NOERROR && reply.records.is_empty() && !reply.truncated,
        Policy::Redirect(to) => {
            reply.records.first().is_some_and(|(rtype, name)| *rtype == Rtype::CNAME && name == to.as_str())
        }
    }
}
