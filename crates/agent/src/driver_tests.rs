//! The allow-list reaches every point before its next order, until it is taken; which jobs are one call, and in what
//! order they come.

use super::*;
use act::{PointError, Presence};
use model::{Measure, Timestamp};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Default)]
struct Recording {
    name: Option<PointName>,
    calls: Mutex<Vec<String>>,
    refusals: AtomicU32,
    /// Where given: told of each look, which then lasts until it is let go on.
    look: Mutex<Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>>,
}

impl Recording {
    fn call(&self, what: String) {
        self.calls.lock().unwrap().push(what);
    }
}

impl Point for Recording {
    fn name(&self) -> &PointName {
        self.name.as_ref().unwrap()
    }
    fn accepts(&self, _: &Measure) -> bool {
        true
    }
    fn preview(&self, _: &[Protection], _: Timestamp) -> String {
        String::new()
    }
    fn apply(&self, _: &[Protection], _: Timestamp) -> Result<(), PointError> {
        self.call("apply".into());
        Ok(())
    }
    fn replace(&self, _: &[Protection], _: Timestamp) -> Result<(), PointError> {
        self.call("replace".into());
        Ok(())
    }
    fn withdraw(&self, _: &[Protection], _: Timestamp) -> Result<(), PointError> {
        self.call("withdraw".into());
        Ok(())
    }
    fn read_back(&self, asked: &[Protection]) -> Result<Vec<Seen>, PointError> {
        self.call(format!("look at {}", asked.len()));
        if let Some((begun, go_on)) = &*self.look.lock().unwrap() {
            begun.send(()).unwrap();
            go_on.recv().unwrap();
        }
        let seen = |p: &Protection| Seen::new(p.mitigation, Presence::Absent, String::new());
        Ok(asked.iter().map(seen).collect())
    }
    fn effect(&self, asked: &[Protection]) -> Result<Vec<Effect>, PointError> {
        Ok(vec![Effect::default(); asked.len()])
    }
    fn lift_all(&self) -> Result<(), PointError> {
        self.call("lift all".into());
        Ok(())
    }
    fn set_allowed(&self, list: &[Observable]) -> Result<(), PointError> {
        if self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
            self.call("refused".into());
            return Err(PointError::Unavailable("the disk is full".into()));
        }
        let words: Vec<String> = list.iter().map(ToString::to_string).collect();
        self.call(format!("allow {}", words.join(" ")));
        Ok(())
    }
}

fn start(refusals: u32) -> (Arc<Recording>, Drivers, tokio::sync::mpsc::Receiver<Input>) {
    let point = Arc::new(Recording {
        name: Some("dns".parse().unwrap()),
        refusals: AtomicU32::new(refusals),
        ..Recording::default()
    });
    let (done, outcomes) = tokio::sync::mpsc::channel(16);
    let points: Vec<Arc<dyn Point>> = vec![point.clone()];
    let drivers = Drivers::start(&points, &done).unwrap();
    (point, drivers, outcomes)
}

fn list(words: &[&str]) -> Arc<[Observable]> {
    words.iter().map(|word| word.parse().unwrap()).collect()
}

#[test]
fn the_allow_list_is_given_before_the_next_order_and_anew_when_it_changes() {
    let (point, drivers, mut outcomes) = start(0);
    drivers.allow(&list(&["shop.example"]));
    drivers.give(point.name(), Job::new(Order::Replace, Vec::new(), Timestamp::MIN));
    assert!(matches!(outcomes.blocking_recv(), Some(Input::PointDone { .. })));
    assert_eq!(*point.calls.lock().unwrap(), ["allow shop.example", "replace"]);
    drivers.allow(&list(&["shop.example", "8.8.8.8"]));
    drivers.give(point.name(), Job::new(Order::Apply, Vec::new(), Timestamp::MIN));
    assert!(outcomes.blocking_recv().is_some());
    assert_eq!(point.calls.lock().unwrap()[2..], ["allow shop.example 8.8.8.8", "apply"]);
}

#[test]
fn a_point_that_does_not_take_the_list_is_told_of_and_given_it_again() {
    let (point, drivers, mut outcomes) = start(1);
    drivers.allow(&list(&["shop.example"]));
    let Some(Input::Trouble { kind: AlarmKind::PointFailed, text }) = outcomes.blocking_recv() else { panic!() };
    assert!(text.contains("the disk is full") && text.contains("allow-list"), "{text}");
    drivers.give(point.name(), Job::new(Order::Apply, Vec::new(), Timestamp::MIN));
    assert!(outcomes.blocking_recv().is_some());
    assert_eq!(*point.calls.lock().unwrap(), ["refused", "allow shop.example", "apply"]);
}

fn protection(n: u8, target: &str) -> Protection {
    Protection {
        mitigation: MitigationId::of(&model::Digest::of(&[&[n]])),
        finding: model::FindingId::of(&model::Digest::of(&[&[n]])),
        measure: Measure::deny(&target.parse().unwrap()).unwrap(),
        expires: Timestamp::MIN.plus(Span::hours(i64::from(n))),
    }
}

fn job(order: Order, protections: &[Protection]) -> Job {
    Job::new(order, protections.to_vec(), Timestamp::MIN)
}

/// The calls that these jobs become when all of them waited.
fn calls(jobs: Vec<Job>) -> Vec<(Order, usize)> {
    let mut queue = Queue::default();
    jobs.into_iter().for_each(|job| queue.push(job));
    std::iter::from_fn(|| queue.pop()).map(|job| (job.order, job.protections.len())).collect()
}

#[test]
fn later_order_about_one_target_is_a_call_of_its_own() {
    let (short, long, other) =
        (protection(1, "45.155.205.233"), protection(6, "45.155.205.233"), protection(2, "9.8.7.6"));
    // The longer one is withdrawn while the point is busy: the shorter one is given once more, to hold the target.
    let jobs = vec![
        job(Order::Apply, std::slice::from_ref(&other)),
        job(Order::Apply, &[short.clone(), long.clone()]),
        job(Order::Apply, std::slice::from_ref(&short)),
        job(Order::Withdraw, &[long]),
        job(Order::Withdraw, &[other]),
    ];
    assert_eq!(calls(jobs), [(Order::Apply, 3), (Order::Apply, 1), (Order::Withdraw, 2)]);
}

#[test]
fn thousands_of_orders_that_waited_are_one_call_up_to_the_first_that_comes_twice() {
    let of = |n: u16| protection(1, &format!("45.155.{}.{}", n >> 8, n & 0xff));
    let apply = |n: u16| job(Order::Apply, &[of(n)]);
    // What was withdrawn in between does not stand in the way of what is written after it.
    let again = [job(Order::Withdraw, &[of(7)]), apply(7), apply(8), apply(8)];
    let jobs = (0..3_000).map(apply).chain([apply(7), apply(9)]).chain(again);
    let expected =
        [(Order::Apply, 3_000), (Order::Apply, 2), (Order::Withdraw, 1), (Order::Apply, 2), (Order::Apply, 1)];
    assert_eq!(calls(jobs.collect()), expected);
}

#[test]
fn all_that_is_to_be_read_back_is_one_call_after_all_that_changes_something() {
    let [one, two] = [protection(1, "9.8.7.6"), protection(2, "9.8.7.5")];
    let jobs = vec![
        job(Order::ReadBack, std::slice::from_ref(&one)),
        job(Order::Apply, std::slice::from_ref(&one)),
        job(Order::ReadBack, &[one.clone(), two.clone()]),
        job(Order::Withdraw, &[two]),
        job(Order::ReadBack, &[one]),
    ];
    assert_eq!(calls(jobs), [(Order::Apply, 1), (Order::Withdraw, 1), (Order::ReadBack, 2)]);
}

#[test]
fn point_that_is_never_idle_is_read_back_all_the_same() {
    let one = protection(1, "9.8.7.6");
    let mut queue = Queue::default();
    queue.push(job(Order::ReadBack, std::slice::from_ref(&one)));
    let mut orders = Vec::new();
    for _ in 0..=OVERTAKEN_MAX {
        queue.push(job(Order::Apply, std::slice::from_ref(&one)));
        orders.push(queue.pop().unwrap().order);
    }
    assert_eq!(orders.iter().position(|order| *order == Order::ReadBack), Some(OVERTAKEN_MAX));
}

#[test]
fn protection_allow_list_and_kill_switch_wait_for_one_look_at_most() {
    let (point, drivers, mut outcomes) = start(0);
    let ((begun, begins), (go_on, goes_on)) = (mpsc::channel(), mpsc::channel());
    *point.look.lock().unwrap() = Some((begun, goes_on));
    let one = protection(1, "9.8.7.6");
    let look = || drivers.give(point.name(), job(Order::ReadBack, std::slice::from_ref(&one)));
    look();
    begins.recv().unwrap();
    // All of this comes while the first look lasts.
    look();
    drivers.give(point.name(), job(Order::Apply, std::slice::from_ref(&one)));
    look();
    drivers.allow(&list(&["shop.example"]));
    drivers.give(point.name(), job(Order::LiftAll, &[]));
    (0..2).for_each(|_| go_on.send(()).unwrap());
    // A third look would fail.
    drop(go_on);
    (0..4).for_each(|_| drop(outcomes.blocking_recv().unwrap()));
    let expected = ["look at 1", "allow shop.example", "apply", "lift all", "look at 1"];
    assert_eq!(*point.calls.lock().unwrap(), expected);
}
