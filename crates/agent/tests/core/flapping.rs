//! A point that falls silent and speaks again, while the hub is away: what waits has a bound, and nothing that counts
//! is lost.

use crate::common::*;
use crate::rig::Rig;
use act::{Effect, Presence, Seen};
use agent::Store;
use agent::core::{Input, Submission};
use model::MitigationState::*;
use model::{MitigationId, MitigationState, Receipt, Span, Timestamp};

const FLAPS: usize = 10_000;
/// As many receipts wait as they are.
const WHOLE_MAX: usize = 1_000;

/// The point can say of `other` that it is in force, and of `id` it says this.
fn answer(rig: &mut Rig, id: MitigationId, presence: Presence, other: MitigationId) {
    let seen = |id, presence| (Seen::new(id, presence, format!("it is {presence}")), Effect::default());
    let answer = Ok(vec![seen(id, presence), seen(other, Presence::Enforced)]);
    rig.now = rig.now.plus(Span::seconds(1));
    rig.give(Input::ReadBack { point: "edge".parse().unwrap(), asked: vec![id, other], answer });
}

/// What the hub makes of receipts of one mitigation: where it stands, and when it was first read back.
fn account(told: &[Receipt], id: MitigationId) -> (MitigationState, Option<Timestamp>) {
    told.iter().filter(|receipt| receipt.mitigation == id).fold((Due, None), |(stands, verified), receipt| {
        assert!(stands.may_be_followed_by(receipt.state), "{stands}, then {}", receipt.state);
        (receipt.state, verified.or_else(|| (receipt.state == Verified).then_some(receipt.at)))
    })
}

/// The receipts that reached the hub; every submission is signed, and none is missing.
fn told(rig: &Rig) -> Vec<Receipt> {
    let key = rig.world.agent_key(ME).public();
    let mut told = Vec::new();
    for (n, submission) in (1..).zip(&rig.sent) {
        let Submission::Receipts(signed) = submission else { panic!("{}", submission.kind()) };
        assert_eq!((signed.receipts.sequence, signed.verify(&key)), (n, Ok(())));
        told.extend(signed.receipts.receipts.clone());
    }
    told
}

#[test]
fn point_that_flaps_while_the_hub_is_away_leaves_a_bounded_outbox_and_the_same_account() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap().store;
    let mut rig = Rig::new();
    rig.acknowledges = false;
    let [flaps, other] =
        ["45.155.205.233", "9.8.7.6"].map(|bad| rig.part(part(&rig.world, ME, &[bad], 1, Span::hours(20))));
    let (mut written, mut waited, mut on_disk) = (0, 0, 0);
    for flap in 1..=FLAPS {
        answer(&mut rig, flaps, Presence::Unknown, other);
        answer(&mut rig, flaps, Presence::Enforced, other);
        waited = waited.max(rig.core.state().outbox.receipts.len());
        if flap % 100 == 0 {
            match store.wants_compaction() {
                true => store.compact(rig.core.state()).unwrap(),
                false => store.append(&rig.records[written..]).unwrap(),
            }
            written = rig.records.len();
            on_disk = on_disk.max(store.bytes());
        }
    }
    assert!(rig.reported(&flaps).len() > 2 * FLAPS, "each is a receipt: {}", rig.reported(&flaps).len());
    assert!((500..WHOLE_MAX).contains(&waited), "{waited} receipts wait");
    assert!(on_disk < 10 << 20, "{on_disk} bytes on disk");
    rig.give(Input::Lift { mitigation: flaps, reason: "done with".into() });
    store.append(&rig.records[written..]).unwrap();
    drop(store);
    let read = Store::open(dir.path()).unwrap().state.outbox;
    let outbox = serde_json::to_value(&rig.core.state().outbox).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), outbox, "a start finds what was left");

    rig.acknowledges = true;
    let sequence = rig.sent[0].sequence();
    rig.give(Input::Acknowledged { sequence });
    rig.pass(Span::minutes(1));
    assert!(rig.core.state().outbox.is_empty());
    let told = told(&rig);
    for (id, stands) in [(flaps, Withdrawn), (other, Verified)] {
        let first = rig.receipts.iter().find(|receipt| receipt.mitigation == id && receipt.state == Verified);
        assert_eq!(account(&told, id), (stands, first.map(|receipt| receipt.at)), "{id}");
        let last = |all: &[Receipt]| all.iter().rfind(|receipt| receipt.mitigation == id).cloned();
        assert_eq!(last(&told), last(&rig.receipts));
    }
    let mut made = rig.receipts.iter();
    assert!(told.iter().all(|told| made.any(|receipt| receipt == told)), "as they were made, in their order");
    assert!(told.len() < WHOLE_MAX, "{}", told.len());
}

#[test]
fn receipts_that_the_hub_takes_at_once_are_all_sent() {
    let mut rig = Rig::new();
    let flaps = rig.part(part(&rig.world, ME, &["45.155.205.233"], 1, Span::hours(20)));
    let other = rig.part(part(&rig.world, ME, &["9.8.7.6"], 1, Span::hours(20)));
    for _ in 0..WHOLE_MAX {
        answer(&mut rig, flaps, Presence::Unknown, other);
        answer(&mut rig, flaps, Presence::Enforced, other);
    }
    rig.pass(Span::minutes(1));
    assert_eq!(told(&rig), rig.receipts);
}
