//! Fair queueing: what waits goes in the order of what its member has had already, so that whoever asks for much waits
//! for itself. Within one member the order stays.

use model::MemberId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Whose turn it is; nobody's for what needs no token.
pub(crate) type Whose = Option<MemberId>;

/// Lines of waiting things, one a member. Start-time fair queueing: each line counts what it has had, the one that has
/// had least is next, and whoever comes back after a pause begins where the others are.
#[derive(Debug)]
pub(crate) struct Lines<T> {
    /// What the line that was served last had had.
    clock: u64,
    lines: BTreeMap<Whose, Line<T>>,
    waiting: BTreeSet<(u64, Whose)>,
    len: usize,
}

#[derive(Debug)]
struct Line<T> {
    had: u64,
    waiting: VecDeque<(u64, T)>,
}

impl<T> Default for Lines<T> {
    fn default() -> Self {
        Self { clock: 0, lines: BTreeMap::new(), waiting: BTreeSet::new(), len: 0 }
    }
}

impl<T> Lines<T> {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Puts something at the end of its line. The cost is in whatever unit all costs are.
    pub(crate) fn push(&mut self, whose: Whose, cost: u64, item: T) {
        let clock = self.clock;
        let line = self.lines.entry(whose.clone()).or_insert_with(|| Line { had: clock, waiting: VecDeque::new() });
        if line.waiting.is_empty() {
            line.had = line.had.max(clock);
            self.waiting.insert((line.had, whose));
        }
        line.waiting.push_back((cost, item));
        self.len += 1;
    }

    /// Takes the first of the line that has had least.
    pub(crate) fn pop(&mut self) -> Option<(Whose, T)> {
        let (had, whose) = self.waiting.pop_first()?;
        let line = self.lines.get_mut(&whose)?;
        let (cost, item) = line.waiting.pop_front()?;
        self.clock = had;
        line.had = had.saturating_add(cost);
        if !line.waiting.is_empty() {
            self.waiting.insert((line.had, whose.clone()));
        }
        self.len -= 1;
        Some((whose, item))
    }

    /// Something cost more than was said before.
    pub(crate) fn charge(&mut self, whose: &Whose, more: u64) {
        let clock = self.clock;
        let Some(line) = self.lines.get_mut(whose) else {
            self.lines.insert(whose.clone(), Line { had: clock.saturating_add(more), waiting: VecDeque::new() });
            return;
        };
        let before = (line.had, whose.clone());
        line.had = line.had.max(clock).saturating_add(more);
        if self.waiting.remove(&before) {
            self.waiting.insert((line.had, whose.clone()));
        }
    }
}

/// A bounded queue from many threads to one, fair between members.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    max: usize,
    inner: Mutex<(Lines<T>, bool)>,
    came: Condvar,
}

/// What a wait for the queue gave.
pub(crate) enum Next<T> {
    /// Something that waited.
    Item(T),
    /// Nothing came in time.
    Nothing,
    /// Nothing waits, and nothing will come.
    Ended,
}

impl<T> Queue<T> {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, inner: Mutex::new((Lines::default(), false)), came: Condvar::new() }
    }

    /// Puts something in; gives it back where the queue is full or has ended.
    pub(crate) fn push(&self, whose: Whose, cost: u64, item: T) -> Result<(), Turned> {
        let mut inner = self.inner();
        match (inner.1, inner.0.len() >= self.max) {
            (true, _) => Err(Turned::Ended),
            (false, true) => Err(Turned::Full),
            (false, false) => {
                inner.0.push(whose, cost, item);
                self.came.notify_one();
                Ok(())
            }
        }
    }

    /// Nothing more comes in; what waits still goes out.
    pub(crate) fn end(&self) {
        self.inner().1 = true;
        self.came.notify_one();
    }

    pub(crate) fn len(&self) -> usize {
        self.inner().0.len()
    }

    /// The next thing, waiting for it at most so long.
    pub(crate) fn next(&self, at_most: Duration) -> Next<T> {
        let until = Instant::now() + at_most;
        let mut inner = self.inner();
        loop {
            if let Some((_, item)) = inner.0.pop() {
                return Next::Item(item);
            }
            let left = until.saturating_duration_since(Instant::now());
            match (inner.1, left.is_zero()) {
                (true, _) => return Next::Ended,
                (false, true) => return Next::Nothing,
                (false, false) => {
                    inner = self.came.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    fn inner(&self) -> MutexGuard<'_, (Lines<T>, bool)> {
        // Pushing and taking leave the lines whole at every step that can fail.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why something was not taken in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turned {
    /// As many wait as may.
    Full,
    /// The queue has ended.
    Ended,
}

/// Lets so many work at a time, and those who wait in the order of the time that their member's work took before.
#[derive(Debug)]
pub(crate) struct Turnstile {
    waiting_max: usize,
    inner: Mutex<(usize, Lines<oneshot::Sender<Seat>>)>,
}

/// A place inside; given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    turnstile: Arc<Turnstile>,
    whose: Whose,
    since: Instant,
}

/// Microseconds that a piece of work is taken to cost before it is done; what it cost beyond is added then.
const EXPECTED_US: u64 = 100;

impl Turnstile {
    pub(crate) fn new(seats: usize, waiting_max: usize) -> Self {
        Self { waiting_max, inner: Mutex::new((seats, Lines::default())) }
    }

    /// Waits for a place; none if too many wait already.
    pub(crate) async fn enter(self: &Arc<Self>, whose: Whose) -> Option<Seat> {
        let answer = {
            let mut inner = self.inner();
            if inner.1.len() >= self.waiting_max {
                return None;
            }
            let (sender, answer) = oneshot::channel();
            inner.1.push(whose, EXPECTED_US, sender);
            answer
        };
        self.admit();
        answer.await.ok()
    }

    fn admit(self: &Arc<Self>) {
        loop {
            let (whose, sender) = {
                let mut inner = self.inner();
                if inner.0 == 0 {
                    return;
                }
                let Some(next) = inner.1.pop() else { return };
                inner.0 -= 1;
                next
            };
            // Whoever has gone meanwhile drops its place, which lets the next one in.
            let _ = sender.send(Seat { turnstile: Arc::clone(self), whose, since: Instant::now() });
        }
    }

    fn inner(&self) -> MutexGuard<'_, (usize, Lines<oneshot::Sender<Seat>>)> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let took = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        {
            let mut inner = self.turnstile.inner();
            inner.0 += 1;
            inner.1.charge(&self.whose, took.saturating_sub(EXPECTED_US));
        }
        self.turnstile.admit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn member(name: &str) -> Whose {
        Some(name.parse().unwrap())
    }

    #[test]
    fn one_that_has_a_thousand_waiting_delays_others_by_one() {
        let mut lines = Lines::default();
        (0..1_000).for_each(|n| lines.push(member("flood"), 10, n));
        assert_eq!(lines.pop(), Some((member("flood"), 0)));
        lines.push(member("quiet"), 10, -1);
        assert_eq!(lines.pop(), Some((member("quiet"), -1)));
        assert_eq!(lines.pop(), Some((member("flood"), 1)));
    }

    #[test]
    fn who_was_away_has_saved_nothing_up() {
        let mut lines = Lines::default();
        (0..100).for_each(|n| lines.push(member("busy"), 10, n));
        (0..50).for_each(|_| drop(lines.pop()));
        (0..100).for_each(|n| lines.push(member("late"), 10, n));
        let next: Vec<Whose> = (0..20).filter_map(|_| lines.pop()).map(|(whose, _)| whose).collect();
        let late = next.iter().filter(|whose| **whose == member("late")).count();
        assert!((9..=11).contains(&late), "{late} of 20");
    }

    #[test]
    fn what_cost_more_than_said_is_made_up_for() {
        let mut lines = Lines::default();
        for n in 0..10 {
            lines.push(member("dear"), 1, n);
            lines.push(member("cheap"), 1, n);
        }
        lines.charge(&member("dear"), 5);
        let next: Vec<Whose> = (0..5).filter_map(|_| lines.pop()).map(|(whose, _)| whose).collect();
        assert!(next.iter().all(|whose| *whose == member("cheap")), "{next:?}");
    }

    proptest! {
        #[test]
        fn everything_comes_out_once_and_in_its_members_order(
            pushes in prop::collection::vec((0_u8..4, 1_u64..50, any::<bool>()), 0..200),
        ) {
            let mut lines = Lines::default();
            let (mut out, mut count) = (Vec::new(), 0);
            for (n, (who, cost, pops)) in pushes.into_iter().enumerate() {
                lines.push(member(&format!("m{who}")), cost, n);
                count += 1;
                if pops {
                    out.extend(lines.pop());
                }
            }
            out.extend(std::iter::from_fn(|| lines.pop()));
            prop_assert_eq!((out.len(), lines.len()), (count, 0));
            for who in 0..4 {
                let whose = member(&format!("m{who}"));
                let of: Vec<usize> = out.iter().filter(|(w, _)| *w == whose).map(|(_, n)| *n).collect();
                prop_assert!(of.is_sorted());
            }
        }
    }

    #[test]
    fn a_full_queue_and_an_ended_one_turn_away() {
        let queue = Queue::new(2);
        assert_eq!(queue.push(member("a1"), 1, 'a'), Ok(()));
        assert_eq!(queue.push(None, 1, 'b'), Ok(()));
        assert_eq!(queue.push(member("a1"), 1, 'c'), Err(Turned::Full));
        queue.end();
        assert_eq!(queue.push(member("a1"), 1, 'c'), Err(Turned::Ended));
        assert!(matches!(queue.next(Duration::ZERO), Next::Item(_)));
        assert!(matches!(queue.next(Duration::ZERO), Next::Item(_)));
        assert!(matches!(queue.next(Duration::from_secs(9)), Next::Ended));
    }

    #[tokio::test]
    async fn places_are_given_back_also_by_those_who_stopped_waiting() {
        let turnstile = Arc::new(Turnstile::new(1, 2));
        let inside = turnstile.enter(member("a1")).await.unwrap();
        let mut gone = Box::pin(turnstile.enter(member("b1")));
        assert!(futures_util::FutureExt::now_or_never(gone.as_mut()).is_none());
        let mut waits = Box::pin(turnstile.enter(member("c1")));
        assert!(futures_util::FutureExt::now_or_never(waits.as_mut()).is_none());
        assert!(turnstile.enter(member("d1")).await.is_none());
        drop(gone);
        drop(inside);
        drop(waits.await.unwrap());
        assert!(turnstile.enter(member("d1")).await.is_some());
    }
}
