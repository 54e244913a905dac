//! From a 64-bit key to a record's number: 4,096 shards of ordered linear probing, each growing alone by a quarter.
//!
//! A slot is `tag << 32 | id`. The key's top 12 bits choose the shard, the next 32 are the tag; the tag chooses the
//! home slot and slots stand in tag order, so that a miss ends early and growing a shard reads nothing but the shard
//! itself. The remaining 20 bits are compared in the record. Shards start with different sizes, so they do not all
//! grow at once.

const SHARD_BITS: u32 = 12;
const SHARDS: usize = 1 << SHARD_BITS;
/// Slots beyond the last home, so that no run wraps around; a run that would leave them makes the shard grow.
const PAD: usize = 24;
const EMPTY: u64 = u64::MAX;
/// Slots of most runs: a key stands within so many of its home.
const A_RUN: usize = 6;

/// The index. Ids must be below `u32::MAX`.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    shards: Vec<Shard>,
    len: usize,
}

#[derive(Clone, Default, Debug)]
struct Shard {
    slots: Vec<u64>,
    homes: u32,
    len: u32,
}

impl Index {
    pub fn new() -> Self {
        Self { shards: vec![Shard::default(); SHARDS], len: 0 }
    }

    /// The id under `key` for which `is_it` agrees.
    pub fn find(&self, key: u64, is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        self.shards[shard_of(key)].find(tag_of(key), is_it)
    }

    /// Adds `id` under `key`; the caller has made sure that it is not there.
    pub fn insert(&mut self, key: u64, id: u32) {
        let number = shard_of(key);
        self.shards[number].insert(tag_of(key), id, number);
        self.len += 1;
    }

    /// Takes `id` away from `key`; nothing happens if it is not there.
    pub fn remove(&mut self, key: u64, id: u32) {
        if self.shards[shard_of(key)].remove(slot(tag_of(key), id)) {
            self.len -= 1;
        }
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes allocated.
    pub fn bytes(&self) -> usize {
        let slots: usize = self.shards.iter().map(|shard| shard.slots.capacity() * 8).sum();
        slots + SHARDS * size_of::<Shard>()
    }

    /// Reads the slots where `key` would be, so that they are in the cache when they are needed; the value means
    /// nothing. A run of slots from its home on often goes on in the next line of the cache.
    pub fn touch(&self, key: u64) -> u64 {
        let shard = &self.shards[shard_of(key)];
        let home = shard.home(tag_of(key));
        let at = |place: usize| shard.slots.get(place).copied().unwrap_or(0);
        at(home).wrapping_add(at(home + A_RUN))
    }
}

fn shard_of(key: u64) -> usize {
    (key >> (64 - SHARD_BITS)) as usize
}

fn tag_of(key: u64) -> u32 {
    (key >> (32 - SHARD_BITS)) as u32
}

fn slot(tag: u32, id: u32) -> u64 {
    u64::from(tag) << 32 | u64::from(id)
}

impl Shard {
    fn home(&self, tag: u32) -> usize {
        ((u64::from(tag) * u64::from(self.homes)) >> 32) as usize
    }

    fn find(&self, tag: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let low = u64::from(tag) << 32;
        let run = self.slots.get(self.home(tag)..)?;
        for &slot in run.iter().skip_while(|slot| **slot < low) {
            if (slot >> 32) as u32 != tag || slot == EMPTY {
                return None;
            }
            if is_it(slot as u32) {
                return Some(slot as u32);
            }
        }
        None
    }

    fn insert(&mut self, tag: u32, id: u32, number: usize) {
        if self.len >= self.homes - self.homes / 8 {
            self.grow(number);
        }
        while !self.place(slot(tag, id)) {
            self.grow(number);
        }
        self.len += 1;
    }

    /// Puts `new` where the order wants it, moving the rest of the run up; false if the run reaches the end.
    fn place(&mut self, new: u64) -> bool {
        let home = self.home((new >> 32) as u32);
        let Some(gap) = self.slots[home..].iter().position(|slot| *slot == EMPTY) else { return false };
        let at = self.slots[home..home + gap].partition_point(|slot| *slot < new);
        self.slots.copy_within(home + at..home + gap, home + at + 1);
        self.slots[home + at] = new;
        true
    }

    fn grow(&mut self, number: usize) {
        self.homes = if self.homes == 0 { 8 + number as u32 % 8 } else { self.homes + self.homes / 4 };
        let slots = self.homes as usize + PAD;
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; slots]);
        let mut next = 0;
        for entry in old.into_iter().filter(|slot| *slot != EMPTY) {
            let at = self.home((entry >> 32) as u32).max(next);
            if at >= self.slots.len() {
                self.slots.resize(at + PAD, EMPTY);
            }
            self.slots[at] = entry;
            next = at + 1;
        }
    }

    fn remove(&mut self, gone: u64) -> bool {
        let home = self.home((gone >> 32) as u32);
        let Some(at) = self.slots.iter().skip(home).take_while(|slot| **slot != EMPTY).position(|slot| *slot == gone)
        else {
            return false;
        };
        let mut hole = home + at;
        while let Some(&next) = self.slots.get(hole + 1)
            && next != EMPTY
            && self.home((next >> 32) as u32) <= hole
        {
            self.slots[hole] = next;
            hole += 1;
        }
        self.slots[hole] = EMPTY;
        self.len -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Keys are drawn so that shards and tags collide often.
        #[test]
        fn behaves_like_a_map(steps in prop::collection::vec((any::<bool>(), 0_u64..400), 1..1500)) {
            let mut index = Index::new();
            let mut keys = Vec::new();
            let mut map = BTreeMap::new();
            for (add, n) in steps {
                let key = (n % 2) << 52 | (n % 50) << 47 | (n / 100) << 20 | n;
                match map.get(&key).copied() {
                    None if add => {
                        index.insert(key, keys.len() as u32);
                        map.insert(key, keys.len() as u32);
                        keys.push(key);
                    }
                    Some(id) if !add => {
                        index.remove(key, id);
                        map.remove(&key);
                    }
                    _ => (),
                }
                prop_assert_eq!(index.find(key, |id| keys[id as usize] == key), map.get(&key).copied());
            }
            prop_assert_eq!(index.len(), map.len());
            for (key, id) in &map {
                prop_assert_eq!(index.find(*key, |id| keys[id as usize] == *key), Some(*id));
            }
        }
    }

    #[test]
    fn removing_what_is_not_there_changes_nothing() {
        let mut index = Index::new();
        index.insert(7, 1);
        index.remove(7, 2);
        index.remove(8 << 52, 1);
        assert_eq!(index.find(7, |_| true), Some(1));
        assert_eq!(index.len(), 1);
    }

    #[test]
    fn a_million_random_keys_take_under_twelve_bytes_each() {
        let mut index = Index::new();
        let mut key = 1_u64;
        for id in 0..1_000_000 {
            key = key.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            index.insert(key ^ key >> 29, id);
        }
        assert!(index.bytes() < 12_500_000, "{} bytes", index.bytes());
    }
}
