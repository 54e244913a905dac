//! A large change of one zone does not hold up another: while a bulk list is taken in, the hot zone answers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod rpz_support;

use act::rpz::{Primary, Trigger};
use domain::base::iana::Rtype;
use rpz_support::*;
use std::sync::mpsc;
use testbed::ask;

#[test]
fn hot_zone_is_served_while_the_bulk_zone_is_locked_by_a_change() {
    let dir = tempfile::tempdir().unwrap();
    let point = point(dir.path(), Vec::new());
    point.load_bulk("bulk", [(Trigger::Name("n.test".parse().unwrap()), "list=x".to_owned())]).unwrap();
    let primary: &Primary = point.primary();
    let (hold, held) = (mpsc::channel::<()>(), mpsc::channel::<()>());
    std::thread::scope(|scope| {
        // A look at the zone holds the same lock as a change does, for as long as we like.
        let (release, holding) = (hold.1, held.0);
        scope.spawn(move || {
            primary.look("bulk", |_| {
                holding.send(()).unwrap();
                release.recv().unwrap();
            })
        });
        held.1.recv().unwrap();
        let answer = |name: &str, rtype| ask(point.address(), name, rtype, std::time::Duration::from_secs(2));
        // What needs the whole bulk zone waits; nothing else does.
        assert_eq!(answer(&format!("n.test.{BULK}"), Rtype::TXT), None);
        assert_eq!(answer(HOT, Rtype::SOA).unwrap().rcode, "NOERROR");
        assert_eq!(answer(BULK, Rtype::SOA).unwrap().rcode, "NOERROR");
        assert_eq!(answer(&format!("version.hot._epimachia.{HOT}"), Rtype::TXT).unwrap().rcode, "NOERROR");
        hold.0.send(()).unwrap();
    });
    let answer = ask(point.address(), &format!("n.test.{BULK}"), Rtype::A, LONG).unwrap();
    assert_eq!(answer.records, ["CNAME ."]);
}
