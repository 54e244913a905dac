//! Quotas: each member's rate of requests and sightings, and how much of its work is in hand at a time, class by class,
//! so that a member that floods with one kind of request keeps the others.

use crate::problem::Problem;
use model::{MemberId, Refusal, Rule, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Kinds of requests with quotas of their own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Class {
    /// Reports of what was seen.
    Sightings,
    /// What an agent did: heard also from a member whose sensors flood.
    Receipts,
    /// What persons state, and what admins do.
    Statements,
    /// Questions.
    Reads,
    /// Opening streams.
    Streams,
}

/// What a member may do in one class.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    pub(crate) per_minute: u32,
    pub(crate) at_once: u32,
}

/// Token buckets and counts, by member. Members come from tokens, so there are never more than the charter holds.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    members: Mutex<BTreeMap<MemberId, Usage>>,
}

#[derive(Clone, Debug, Default)]
struct Usage {
    requests: BTreeMap<Class, Requests>,
    sightings: Option<Bucket>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Requests {
    bucket: Option<Bucket>,
    at_once: u32,
}

/// A bucket that refills evenly and holds a minute's worth. Whatever comes while something is in it is let through
/// whole and may leave it owing; then nothing comes through until it is even.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Bucket {
    level: f64,
    at: Timestamp,
}

/// One request in hand; given back when dropped.
#[derive(Debug)]
pub(crate) struct InHand {
    quotas: Arc<Quotas>,
    member: MemberId,
    class: Class,
}

/// A quota that is used up.
#[derive(Debug)]
pub(crate) struct Exceeded {
    pub(crate) refusal: Refusal,
    /// Seconds until the same is let through.
    pub(crate) retry_after: u64,
}

impl From<Exceeded> for Problem {
    fn from(exceeded: Exceeded) -> Self {
        Self::refused(&exceeded.refusal).retry_after(exceeded.retry_after)
    }
}

impl Quotas {
    /// Takes one request of the member in hand.
    ///
    /// # Errors
    /// `quota_exceeded`.
    pub(crate) fn request(
        self: &Arc<Self>,
        member: &MemberId,
        class: Class,
        allowed: Allowed,
        now: Timestamp,
    ) -> Result<InHand, Exceeded> {
        let mut members = self.members();
        let requests = members.entry(member.clone()).or_default().requests.entry(class).or_default();
        if requests.at_once >= allowed.at_once {
            let value = format!("{} requests at once", requests.at_once + 1);
            let refusal = Refusal::new(Rule::QuotaExceeded, value, format!("{} at once", allowed.at_once));
            return Err(Exceeded { refusal, retry_after: 1 });
        }
        take(&mut requests.bucket, 1, allowed.per_minute, now, "requests")?;
        requests.at_once += 1;
        Ok(InHand { quotas: Arc::clone(self), member: member.clone(), class })
    }

    /// Takes this many sightings from the member's minute; none only asks, before a body is read, whether it is worth
    /// reading.
    ///
    /// # Errors
    /// `quota_exceeded`.
    pub(crate) fn sightings(
        &self,
        member: &MemberId,
        count: u32,
        per_minute: u32,
        now: Timestamp,
    ) -> Result<(), Exceeded> {
        take(&mut self.members().entry(member.clone()).or_default().sightings, count, per_minute, now, "sightings")
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<MemberId, Usage>> {
        // Each change is a few numbers: a thread that failed in the middle has left nothing half done that matters.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InHand {
    /// Whose request it is.
    pub(crate) const fn member(&self) -> &MemberId {
        &self.member
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        let mut members = self.quotas.members();
        if let Some(requests) = members.get_mut(&self.member).and_then(|usage| usage.requests.get_mut(&self.class)) {
            requests.at_once = requests.at_once.saturating_sub(1);
        }
    }
}

fn take(slot: &mut Option<Bucket>, count: u32, per_minute: u32, now: Timestamp, what: &str) -> Result<(), Exceeded> {
    let full = f64::from(per_minute);
    let bucket = slot.unwrap_or(Bucket { level: full, at: now });
    let refilled = bucket.level + full * now.since(bucket.at).as_millis().max(0) as f64 / 60_000.0;
    let level = refilled.min(full);
    let enough = level >= 1.0;
    *slot = Some(Bucket { level: if enough { level - f64::from(count) } else { level }, at: now });
    if enough {
        return Ok(());
    }
    let value = format!("{count} more {what}");
    let refusal = Refusal::new(Rule::QuotaExceeded, value, format!("{per_minute} {what} a minute"));
    let seconds = ((1.0 - level) * 60.0 / full.max(1.0)).ceil();
    Err(Exceeded { refusal, retry_after: (seconds as u64).max(1) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Span;

    fn at(ms: i64) -> Timestamp {
        Timestamp::MIN.plus(Span::millis(ms))
    }

    #[test]
    fn a_minutes_worth_may_come_at_once_and_then_refills_evenly() {
        let quotas = Quotas::default();
        let member = "telecom".parse().unwrap();
        quotas.sightings(&member, 600, 600, at(0)).unwrap();
        let refusal = quotas.sightings(&member, 1, 600, at(50)).unwrap_err();
        assert_eq!((refusal.refusal.rule, refusal.retry_after), (Rule::QuotaExceeded, 1));
        quotas.sightings(&member, 5, 600, at(500)).unwrap();
        assert!(quotas.sightings(&member, 1, 600, at(550)).is_err());
        quotas.sightings(&"cloud".parse().unwrap(), 600, 600, at(0)).unwrap();
    }

    #[test]
    fn a_clock_set_back_refills_nothing_and_takes_nothing() {
        let quotas = Quotas::default();
        let member = "telecom".parse().unwrap();
        quotas.sightings(&member, 60, 60, at(60_000)).unwrap();
        assert!(quotas.sightings(&member, 1, 60, at(0)).is_err());
        assert!(quotas.sightings(&member, 1, 60, at(999)).is_err());
        quotas.sightings(&member, 1, 60, at(2_100)).unwrap();
    }

    #[test]
    fn requests_in_hand_are_given_back() {
        let quotas = Arc::new(Quotas::default());
        let member = "telecom".parse().unwrap();
        let allowed = Allowed { per_minute: 100, at_once: 1 };
        let first = quotas.request(&member, Class::Reads, allowed, at(0)).unwrap();
        let exceeded = quotas.request(&member, Class::Reads, allowed, at(0)).unwrap_err();
        assert!(exceeded.refusal.limit.contains("1 at once"));
        drop(first);
        quotas.request(&member, Class::Reads, allowed, at(0)).unwrap();
    }

    #[test]
    fn one_class_used_up_leaves_the_others() {
        let quotas = Arc::new(Quotas::default());
        let member = "telecom".parse().unwrap();
        let allowed = Allowed { per_minute: 1, at_once: 9 };
        let _first = quotas.request(&member, Class::Sightings, allowed, at(0)).unwrap();
        let exceeded = quotas.request(&member, Class::Sightings, allowed, at(0)).unwrap_err();
        assert_eq!(exceeded.retry_after, 60);
        quotas.request(&member, Class::Receipts, allowed, at(0)).unwrap();
    }

    #[test]
    fn what_was_let_through_whole_is_owed() {
        let quotas = Quotas::default();
        let member = "telecom".parse().unwrap();
        quotas.sightings(&member, 599, 600, at(0)).unwrap();
        quotas.sightings(&member, 1_200, 600, at(0)).unwrap();
        let exceeded = quotas.sightings(&member, 0, 600, at(1_000)).unwrap_err();
        assert_eq!(exceeded.retry_after, 119);
        assert!(quotas.sightings(&member, 0, 600, at(119_500)).is_err());
        quotas.sightings(&member, 1, 600, at(121_000)).unwrap();
    }
}
