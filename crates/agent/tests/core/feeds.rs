//! What pulls bring, and how far they are: remembered together, or not at all.

use crate::common::observable;
use crate::rig::Rig;
use agent::core::{FedNews, Input, Mark, Output};
use model::{Behaviour, Rule, Salt, Span, Timestamp};

/// What came of a feed, and how far it is then.
fn fed(last: i64, sightings: Vec<(Salt, model::Sighting)>, at: Timestamp) -> Input {
    let mark = Mark::Taxii(share::taxii::Place { last: Some(last), ..Default::default() });
    let counts = [("echo".to_owned(), 2)].into();
    Input::Fed { news: Box::new(FedNews { feed: "isac".to_owned(), mark, at, counts }), sightings }
}

#[test]
fn what_a_feed_brought_and_how_far_it_is_are_remembered_together_or_not_at_all() {
    let mut rig = Rig::new();
    rig.acknowledges = false;
    let (salt, mut long) = (Salt([1; 16]), rig.world.sighting(&observable("9.8.7.1"), Behaviour::Scan));
    long.first = rig.now.minus(Span::days(300));
    let inner = rig.world.sighting(&observable("printer.lan"), Behaviour::C2);
    rig.give(fed(7, vec![(salt, long), (salt, inner)], rig.now));
    rig.restart();
    let remembered = rig.core.state().feeds["isac"].clone();
    let counts: Vec<(&str, u64)> = remembered.counts.iter().map(|(what, n)| (what.as_str(), *n)).collect();
    assert_eq!(counts, [("echo", 2), ("refused:victim_data", 1), ("sightings", 1)]);
    let sent = rig.core.state().outbox.len();
    assert_eq!(sent, 1, "what is said to hold since long ago holds since as long as a charter lets a report reach");
    // A thousand fit, and then there is no room for all of these: nothing of them is taken, the mark stays.
    let many = |from: u16| -> Vec<_> {
        let value = |n: u16| observable(&format!("9.9.{}.{}", n / 250, n % 250));
        (from..from + 600).map(|n| (Salt([1; 16]), rig.world.sighting(&value(n), Behaviour::Scan))).collect()
    };
    let (first, second) = (many(0), many(600));
    rig.give(fed(8, first, rig.now));
    let outputs = rig.give(fed(9, second, rig.now));
    let full = |output: &Output| matches!(output, Output::Refused(refusal) if refusal.rule == Rule::QuotaExceeded);
    assert!(outputs.iter().any(full), "{outputs:?}");
    let Some(Mark::Taxii(place)) = &rig.core.state().feeds["isac"].mark else { panic!("no mark") };
    assert_eq!(place.last, Some(8));
    assert_eq!(rig.core.state().feeds["isac"].counts["sightings"], 601);
}

#[test]
fn what_a_misp_feed_has_taken_is_remembered_whole_and_written_down_by_what_changed() {
    use share::misp::feed::{Change, Place};
    let mut rig = Rig::new();
    let news = |rig: &Rig, mark: Mark| {
        let news = FedNews { feed: "misp".to_owned(), mark, at: rig.now, counts: [].into() };
        Input::Fed { news: Box::new(news), sightings: Vec::new() }
    };
    let change = |gone: u64, taken: [u64; 2]| Mark::MispChange(Change { gone: [gone].into(), taken: taken.into() });
    rig.give(news(&rig, change(9, [1, 2])));
    rig.give(news(&rig, change(1, [3, 4])));
    rig.restart();
    assert_eq!(rig.core.state().feeds["misp"].mark, Some(Mark::Misp(Place([2, 3, 4].into()))));
    // As agents of before wrote it.
    let whole: Mark = serde_json::from_str(r#"{"misp":[7,8]}"#).unwrap();
    rig.give(news(&rig, whole));
    rig.give(news(&rig, change(7, [5, 6])));
    rig.restart();
    assert_eq!(rig.core.state().feeds["misp"].mark, Some(Mark::Misp(Place([5, 6, 8].into()))));
}
