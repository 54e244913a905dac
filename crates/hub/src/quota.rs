//! Quotas: each member's rate of requests and sightings, and how much of its work is in hand at a time.

use model::{MemberId, Refusal, Rule, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Token buckets and counts, by member. Members come from tokens, so there are never more than the charter holds.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    members: Mutex<BTreeMap<MemberId, Usage>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    requests: Option<Bucket>,
    sightings: Option<Bucket>,
    at_once: u32,
}

/// A bucket that refills evenly and holds a minute's worth.
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
}

impl Quotas {
    /// Takes one request of the member in hand.
    ///
    /// # Errors
    /// `quota_exceeded`.
    pub(crate) fn request(
        self: &Arc<Self>,
        member: &MemberId,
        per_minute: u32,
        at_once_max: u32,
        now: Timestamp,
    ) -> Result<InHand, Refusal> {
        let mut members = self.members();
        let usage = members.entry(member.clone()).or_default();
        if usage.at_once >= at_once_max {
            let value = format!("{} requests at once", usage.at_once + 1);
            return Err(Refusal::new(Rule::QuotaExceeded, value, format!("{at_once_max} at once")));
        }
        take(&mut usage.requests, 1, per_minute, now, "requests")?;
        usage.at_once += 1;
        Ok(InHand { quotas: Arc::clone(self), member: member.clone() })
    }

    /// Takes this many sightings from the member's minute.
    ///
    /// # Errors
    /// `quota_exceeded`.
    pub(crate) fn sightings(
        &self,
        member: &MemberId,
        count: u32,
        per_minute: u32,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        take(&mut self.members().entry(member.clone()).or_default().sightings, count, per_minute, now, "sightings")
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<MemberId, Usage>> {
        // Each change is a few numbers: a thread that failed in the middle has left nothing half done that matters.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        if let Some(usage) = self.quotas.members().get_mut(&self.member) {
            usage.at_once = usage.at_once.saturating_sub(1);
        }
    }
}

fn take(slot: &mut Option<Bucket>, count: u32, per_minute: u32, now: Timestamp, what: &str) -> Result<(), Refusal> {
    let full = f64::from(per_minute);
    let bucket = slot.unwrap_or(Bucket { level: full, at: now });
    let refilled = bucket.level + full * now.since(bucket.at).as_millis().max(0) as f64 / 60_000.0;
    let level = refilled.min(full);
    let taken = f64::from(count);
    let enough = level >= taken;
    *slot = Some(Bucket { level: if enough { level - taken } else { level }, at: now });
    match enough {
        true => Ok(()),
        false => {
            let value = format!("{count} more {what}");
            Err(Refusal::new(Rule::QuotaExceeded, value, format!("{per_minute} {what} a minute")))
        }
    }
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
        assert_eq!(refusal.rule, Rule::QuotaExceeded);
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
        let first = quotas.request(&member, 100, 1, at(0)).unwrap();
        let refusal = quotas.request(&member, 100, 1, at(0)).unwrap_err();
        assert!(refusal.limit.contains("1 at once"));
        drop(first);
        quotas.request(&member, 100, 1, at(0)).unwrap();
    }
}
