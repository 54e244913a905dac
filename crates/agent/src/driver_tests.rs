//! The allow-list reaches every point before its next order, until it is taken; which jobs are one call.

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
        Ok(())
    }
    fn read_back(&self, asked: &[Protection]) -> Result<Vec<Seen>, PointError> {
        let seen = |p: &Protection| Seen { mitigation: p.mitigation, presence: Presence::Absent, evidence: "".into() };
        Ok(asked.iter().map(seen).collect())
    }
    fn effect(&self, asked: &[Protection]) -> Result<Vec<Effect>, PointError> {
        Ok(vec![Effect::default(); asked.len()])
    }
    fn lift_all(&self) -> Result<(), PointError> {
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

#[test]
fn later_order_about_one_target_is_a_call_of_its_own() {
    let of = |n: u8, target: &str| Protection {
        mitigation: MitigationId::of(&model::Digest::of(&[&[n]])),
        finding: model::FindingId::of(&model::Digest::of(&[&[n]])),
        measure: Measure::deny(&target.parse().unwrap()).unwrap(),
        expires: Timestamp::MIN.plus(Span::hours(i64::from(n))),
    };
    let job = |order, protections: &[Protection]| Job::new(order, protections.to_vec(), Timestamp::MIN);
    let (short, long, other) = (of(1, "45.155.205.233"), of(6, "45.155.205.233"), of(2, "9.8.7.6"));
    // The longer one is withdrawn while the point is busy: the shorter one is given once more, to hold the target.
    let jobs = vec![
        job(Order::Apply, std::slice::from_ref(&other)),
        job(Order::Apply, &[short.clone(), long.clone()]),
        job(Order::Apply, std::slice::from_ref(&short)),
        job(Order::Withdraw, &[long]),
        job(Order::Withdraw, &[other]),
    ];
    let calls: Vec<(Order, usize)> = coalesced(jobs).iter().map(|j| (j.order, j.protections.len())).collect();
    assert_eq!(calls, [(Order::Apply, 3), (Order::Apply, 1), (Order::Withdraw, 2)]);
}
