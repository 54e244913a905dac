//! Reports that wait to have survived: first in, first due.

use std::collections::VecDeque;

/// A queue in the order of due times, which never decrease.
#[derive(Clone, Default, Debug)]
pub(crate) struct Survival {
    waiting: VecDeque<Waiting>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
struct Waiting {
    due: u32,
    record: u32,
    member: u16,
}

impl Survival {
    pub fn wait(&mut self, due: u32, record: u32, member: u16) {
        let due = self.waiting.back().map_or(due, |last| last.due.max(due));
        self.waiting.push_back(Waiting { due, record, member });
    }

    /// Takes the next (record, member) that is due at `now`.
    pub fn due(&mut self, now: u32) -> Option<(u32, u16)> {
        let next = self.waiting.front().filter(|next| next.due <= now)?;
        let due = (next.record, next.member);
        self.waiting.pop_front();
        Some(due)
    }

    /// Everything that waits as (due, record, member), in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32, u16)> {
        self.waiting.iter().map(|w| (w.due, w.record, w.member))
    }

    pub fn bytes(&self) -> usize {
        self.waiting.capacity() * size_of::<Waiting>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_in_order_and_the_rest_waits() {
        let mut survival = Survival::default();
        survival.wait(10, 1, 1);
        survival.wait(8, 2, 2); // a clock that went back: not before the one ahead
        survival.wait(20, 3, 3);
        assert_eq!(survival.due(9), None);
        assert_eq!((survival.due(10), survival.due(10), survival.due(10)), (Some((1, 1)), Some((2, 2)), None));
        assert_eq!(survival.iter().collect::<Vec<_>>(), [(20, 3, 3)]);
    }
}
