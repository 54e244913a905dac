//! Who reports with whom and nobody else: the counts from which copying is suspected.

use crate::rules::Rules;
use hashbrown::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// E: for each pair, and for each member, the observables whose first two reporters were exactly a pair.
#[derive(Clone, Default, Debug)]
pub(crate) struct Pairs {
    /// Looked up only; where all are listed, they are sorted first.
    pairs: HashMap<u32, u32, BuildHasherDefault<Mix>>,
    members: Vec<u32>,
}

impl Pairs {
    /// One more observable first reported by exactly `a` and `b`.
    pub fn add(&mut self, a: u16, b: u16) {
        let most = usize::from(a.max(b)) + 1;
        if self.members.len() < most {
            self.members.resize(most, 0);
        }
        for member in [a, b] {
            self.members[usize::from(member)] += 1;
        }
        *self.pairs.entry(pair(a, b)).or_insert(0) += 1;
    }

    /// dep(a, b): 0 while unsuspicious, 1 where one seems to copy the other always.
    pub fn dependence(&self, a: u16, b: u16, rules: &Rules) -> f64 {
        let least = self.total(a).min(self.total(b));
        if least < rules.dependence_pairs {
            return 0.0;
        }
        let together = self.pairs.get(&pair(a, b)).copied().unwrap_or(0);
        if together < rules.dependence_pairs {
            return 0.0;
        }
        ((f64::from(together) / f64::from(least) - 0.5) / 0.5).clamp(0.0, 1.0)
    }

    /// (E of the pair, E of the less active of both).
    pub fn counts(&self, a: u16, b: u16) -> (u32, u32) {
        (self.pairs.get(&pair(a, b)).copied().unwrap_or(0), self.total(a).min(self.total(b)))
    }

    /// Every pair with its count, in order.
    pub fn sorted(&self) -> Vec<(u16, u16, u32)> {
        let mut all: Vec<_> = self.pairs.iter().map(|(k, n)| ((k >> 16) as u16, *k as u16, *n)).collect();
        all.sort_unstable();
        all
    }

    /// Puts a pair back as [`Pairs::sorted`] gave it.
    pub fn put(&mut self, a: u16, b: u16, count: u32) {
        let most = usize::from(a.max(b)) + 1;
        if self.members.len() < most {
            self.members.resize(most, 0);
        }
        for member in [a, b] {
            self.members[usize::from(member)] = self.total(member).saturating_add(count);
        }
        self.pairs.insert(pair(a, b), count);
    }

    /// Bytes allocated, about.
    pub fn bytes(&self) -> usize {
        self.pairs.capacity() * 9 + self.members.capacity() * 4
    }

    fn total(&self, member: u16) -> u32 {
        self.members.get(usize::from(member)).copied().unwrap_or(0)
    }
}

fn pair(a: u16, b: u16) -> u32 {
    u32::from(a.min(b)) << 16 | u32::from(a.max(b))
}

/// A fixed hasher for pairs; both halves come from our own member numbers, nobody outside chooses them.
#[derive(Clone, Default, Debug)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, n: u32) {
        let mixed = (self.0 ^ u64::from(n)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_exclusive_pairs_are_needed_before_anything_is_suspected() {
        let (rules, mut pairs) = (Rules::default(), Pairs::default());
        (0..19).for_each(|_| pairs.add(1, 0));
        assert_eq!(pairs.dependence(0, 1, &rules), 0.0);
        pairs.add(0, 1);
        assert_eq!(pairs.dependence(1, 0, &rules), 1.0);
        assert_eq!(pairs.counts(0, 1), (20, 20));
    }

    #[test]
    fn half_of_the_pairs_is_unsuspicious_and_three_quarters_half_suspicious() {
        let (rules, mut pairs) = (Rules::default(), Pairs::default());
        (0..30).for_each(|_| pairs.add(0, 1));
        (0..10).for_each(|_| pairs.add(0, 2));
        (0..30).for_each(|_| pairs.add(1, 3));
        assert!((pairs.dependence(0, 1, &rules) - 0.5).abs() < 1e-9);
        assert_eq!(pairs.dependence(1, 3, &rules), 1.0);
    }

    #[test]
    fn what_was_listed_can_be_put_back() {
        let (rules, mut pairs) = (Rules::default(), Pairs::default());
        (0..25).for_each(|i| pairs.add(i % 3, 7));
        (0..25).for_each(|_| pairs.add(5, 6));
        let mut again = Pairs::default();
        pairs.sorted().into_iter().for_each(|(a, b, n)| again.put(a, b, n));
        assert_eq!(again.sorted(), pairs.sorted());
        assert_eq!(again.dependence(5, 6, &rules), pairs.dependence(5, 6, &rules));
        assert_eq!(again.counts(0, 7), pairs.counts(0, 7));
    }
}
