//! The neighbourhood counters: one decayed number a /24, /48 or registered domain, in small shards that grow alone.

const SHARD_BITS: u32 = 10;
const SHARDS: usize = 1 << SHARD_BITS;
/// Slots of most runs: a key stands within so many of its home.
const A_RUN: usize = 4;

/// One counter: its value at its time.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Counter {
    /// Zero where the slot is empty.
    pub key: u32,
    /// Seconds of the engine at which `value` was right.
    pub at: u32,
    /// The count at that time.
    pub value: f32,
}

/// Counters by 32-bit key (never 0).
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    shards: Vec<Shard>,
    /// One over the half-life, per second.
    rate: f32,
    /// After so many seconds a counter has no weight left and its slot may be taken.
    stale: u32,
    /// While a snapshot is made: shards before this are in it, and those that changed since as they were.
    saving: Option<Saving>,
}

#[derive(Clone, Debug)]
struct Saving {
    next: usize,
    early: Vec<Option<Vec<Counter>>>,
}

#[derive(Clone, Default, Debug)]
struct Shard {
    slots: Vec<Counter>,
    len: usize,
}

impl Counters {
    /// Counters that halve in `half_life` seconds and are gone after 20 half-lives (a millionth).
    pub fn new(half_life: f64) -> Self {
        let rate = (1.0 / half_life) as f32;
        Self { shards: vec![Shard::default(); SHARDS], rate, stale: (half_life * 20.0) as u32, saving: None }
    }

    /// The counter's value at `now`.
    pub fn value(&self, key: u32, now: u32) -> f32 {
        if key == 0 {
            return 0.0;
        }
        self.shards[shard_of(key)].find(key).map_or(0.0, |c| c.value * self.decay(now, c.at))
    }

    /// Adds one at `now`.
    pub fn add(&mut self, key: u32, now: u32) {
        if key == 0 {
            return;
        }
        let number = shard_of(key);
        self.before_change(number);
        let counter = *self.shards[number].find_or_insert(key, now, self.stale, number);
        let value = counter.value * self.decay(now, counter.at) + 1.0;
        let counter = Counter { key, at: now.max(counter.at), value };
        *self.shards[number].find_or_insert(key, now, self.stale, number) = counter;
    }

    /// What is left after the time between, where time that went backwards counts as none and stale is exactly none:
    /// whether its slot was already taken cannot be seen.
    fn decay(&self, now: u32, at: u32) -> f32 {
        let elapsed = now.saturating_sub(at);
        if elapsed > self.stale { 0.0 } else { (-(elapsed as f32) * self.rate).exp2() }
    }

    /// The counters of one of `groups` equal parts of the keys, which `groups` divides.
    pub fn group(&self, group: usize, groups: usize) -> Vec<Counter> {
        let of = SHARDS / groups;
        let slots = self.shards[group * of..(group + 1) * of].iter().flat_map(|shard| &shard.slots);
        slots.filter(|c| c.key != 0).copied().collect()
    }

    /// From now on, shards are kept as they are until their group was asked for.
    pub fn begin_saving(&mut self) {
        self.saving = Some(Saving { next: 0, early: vec![None; SHARDS] });
    }

    /// Nothing is kept any more.
    pub fn end_saving(&mut self) {
        self.saving = None;
    }

    /// The counters of a group as they were when saving began. Groups are asked for in order.
    pub fn saved_group(&mut self, group: usize, groups: usize) -> Vec<Counter> {
        let Some(saving) = &mut self.saving else { return self.group(group, groups) };
        let of = SHARDS / groups;
        let mut counters = Vec::new();
        for number in group * of..(group + 1) * of {
            let early = saving.early[number].take();
            let slots = early.as_ref().unwrap_or(&self.shards[number].slots);
            counters.extend(slots.iter().filter(|c| c.key != 0));
        }
        saving.next = (group + 1) * of;
        counters
    }

    fn before_change(&mut self, number: usize) {
        if let Some(saving) = &mut self.saving
            && number >= saving.next
            && saving.early[number].is_none()
        {
            saving.early[number] = Some(self.shards[number].slots.clone());
        }
    }

    /// Puts a counter back as it was saved.
    pub fn put(&mut self, key: u32, at: u32, value: f32) {
        let number = shard_of(key);
        *self.shards[number].find_or_insert(key, at, u32::MAX, number) = Counter { key, at, value };
    }

    /// Bytes allocated.
    pub fn bytes(&self) -> usize {
        let slots: usize = self.shards.iter().map(|shard| shard.slots.capacity() * size_of::<Counter>()).sum();
        slots + SHARDS * size_of::<Shard>()
    }

    /// Reads the slots where `key` would be, so that they are in the cache when they are needed; the value means
    /// nothing.
    pub fn touch(&self, key: u32) -> u32 {
        let shard = &self.shards[shard_of(key)];
        let home = shard.home(key);
        let at = |place: usize| shard.slots.get(place).map_or(0, |c| c.at);
        at(home).wrapping_add(at(home + A_RUN))
    }
}

fn shard_of(key: u32) -> usize {
    (key >> (32 - SHARD_BITS)) as usize
}

impl Shard {
    fn home(&self, key: u32) -> usize {
        let spread = u64::from(key << SHARD_BITS);
        ((spread * self.slots.len() as u64) >> 32) as usize
    }

    fn find(&self, key: u32) -> Option<&Counter> {
        let home = self.home(key);
        let run = self.slots.get(home..)?.iter().chain(&self.slots[..home]);
        run.take_while(|c| c.key != 0).find(|c| c.key == key)
    }

    fn find_or_insert(&mut self, key: u32, now: u32, stale: u32, number: usize) -> &mut Counter {
        let mut at = self.probe(key);
        if self.slots.get(at).is_none_or(|c| c.key == 0) {
            if self.len >= self.slots.len() - self.slots.len() / 6 {
                self.grow(now, stale, number);
                at = self.probe(key);
            }
            self.slots[at] = Counter { key, at: now, value: 0.0 };
            self.len += 1;
        }
        &mut self.slots[at]
    }

    /// The slot of `key`, or the empty one where it belongs; growth keeps at least one empty.
    fn probe(&self, key: u32) -> usize {
        let mut at = self.home(key);
        while self.slots.get(at).is_some_and(|c| c.key != 0 && c.key != key) {
            at = if at + 1 == self.slots.len() { 0 } else { at + 1 };
        }
        at
    }

    /// Drops what has no weight left, then makes room by a quarter if that did not.
    fn grow(&mut self, now: u32, stale: u32, number: usize) {
        let mut kept: Vec<Counter> = std::mem::take(&mut self.slots);
        kept.retain(|c| c.key != 0 && now.saturating_sub(c.at) <= stale);
        let slots = (kept.len() + kept.len() / 2).max(8 + number % 8);
        self.slots = vec![Counter::default(); slots];
        self.len = kept.len();
        for counter in kept {
            let at = self.probe(counter.key);
            self.slots[at] = counter;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn agrees_with_a_plain_map(adds in prop::collection::vec((1_u32..300, 0_u32..5_000), 1..800)) {
            let mut counters = Counters::new(86_400.0);
            let mut plain = BTreeMap::<u32, (f64, u32)>::new();
            let mut now = 0;
            for (key, wait) in adds {
                now += wait;
                let key = key.wrapping_mul(0x0200_0101).max(1);
                counters.add(key, now);
                let entry = plain.entry(key).or_insert((0.0, now));
                *entry = (entry.0 * (-f64::from(now - entry.1) / 86_400.0).exp2() + 1.0, now);
            }
            for (key, (value, at)) in plain {
                let expected = value * (-f64::from(now - at) / 86_400.0).exp2();
                prop_assert!((f64::from(counters.value(key, now)) - expected).abs() < 1e-3);
            }
        }
    }

    #[test]
    fn no_neighbourhood_counts_nothing() {
        let mut counters = Counters::new(60.0);
        counters.add(0, 1);
        assert_eq!(counters.value(0, 1), 0.0);
        assert!(counters.group(0, 1).is_empty());
    }

    #[test]
    fn stale_counters_make_room_for_new_ones() {
        let mut counters = Counters::new(60.0);
        for round in 0..200_u32 {
            (1..=1000).for_each(|i| counters.add(i * 4_000_000 + round, round * 3600));
        }
        assert!(counters.bytes() < 1_000_000, "{} bytes", counters.bytes());
    }
}
