//! The zone as resolvers see it: the nearest listed name decides, versions differ by what their delta says.

use super::*;
use crate::rpz::entry::Policy;
use proptest::prelude::*;

const TAG: &str = "hot";

fn zone() -> Zone {
    let limits = ZoneLimits { triggers_max: 100, allowed_max: 10 };
    Zone::new("rpz.alliance.example".parse().unwrap(), TAG, Serial(1), limits)
}

fn name(text: &str) -> Trigger {
    Trigger::Name(text.parse().unwrap())
}

fn net(text: &str) -> Trigger {
    Trigger::Network(text.parse().unwrap())
}

fn entry(id: &str, policy: Policy) -> Entry {
    Entry { id: id.to_owned(), policy, note: format!("mitigation={id}"), expires: None }
}

fn deny(text: &str) -> Change {
    Change::Put(name(text), entry("m1", Policy::NxDomain))
}

fn network(text: &str) -> Change {
    let network: ipnet::IpNet = text.parse().unwrap();
    Change::Put(Trigger::Network(network), entry("m1", Policy::NxDomain))
}

fn commit(zone: &mut Zone, changes: &[Change]) -> Option<Arc<Delta>> {
    let next = zone.serial().add(1);
    zone.commit(changes, next).unwrap()
}

/// What a resolver that follows RFC 4592 finds for a name.
fn resolve(served: &BTreeMap<Owner, Data>, text: &str) -> Option<Data> {
    let owner = Owner::name(&text.parse().unwrap()).unwrap();
    let exists = |o: &Owner| served.range(o..&o.range_end()).next().is_some();
    if exists(&owner) {
        return served.get(&owner).cloned();
    }
    let encloser = owner.ancestors().find(exists)?;
    served.get(&encloser.wildcard()).cloned()
}

#[test]
fn listed_name_and_everything_below_is_blocked_and_marked() {
    let mut zone = zone();
    commit(&mut zone, &[deny("bad.test")]);
    let served = zone.snapshot();
    assert_eq!(resolve(&served, "bad.test"), Some(Data::NxDomain));
    assert_eq!(resolve(&served, "a.b.bad.test"), Some(Data::NxDomain));
    assert_eq!(resolve(&served, "good.test"), None);
    let marker = Owner::name(&"bad.test".parse().unwrap()).unwrap().marker(&Owner::marker_root(TAG));
    assert_eq!(served[&marker], Data::Notes(["mitigation=m1".to_owned()].into()));
}

#[test]
fn listing_a_deeper_name_opens_no_hole_above_it() {
    let mut zone = zone();
    commit(&mut zone, &[deny("bad.test")]);
    commit(&mut zone, &[deny("b.c.bad.test")]);
    for text in ["c.bad.test", "z.c.bad.test", "b.c.bad.test", "y.b.c.bad.test"] {
        assert_eq!(resolve(&zone.snapshot(), text), Some(Data::NxDomain), "{text}");
    }
    commit(&mut zone, &[Change::Remove(name("bad.test"), "m1".to_owned())]);
    for (text, blocked) in [("bad.test", false), ("c.bad.test", false), ("b.c.bad.test", true)] {
        assert_eq!(resolve(&zone.snapshot(), text).is_some(), blocked, "{text}");
    }
}

#[test]
fn own_allow_list_wins_at_once_at_below_and_beside() {
    let mut zone = zone();
    commit(&mut zone, &[deny("bad.test"), deny("x.good.bad.test"), deny("other.test")]);
    commit(&mut zone, &[Change::Allow(name("good.bad.test"))]);
    for text in ["good.bad.test", "x.good.bad.test", "z.good.bad.test"] {
        assert_eq!(resolve(&zone.snapshot(), text), Some(Data::Passthru), "{text}");
    }
    assert_eq!(resolve(&zone.snapshot(), "bad.test"), Some(Data::NxDomain));
    assert_eq!(resolve(&zone.snapshot(), "z.bad.test"), Some(Data::NxDomain));
    commit(&mut zone, &[Change::Disallow(name("good.bad.test"))]);
    assert_eq!(resolve(&zone.snapshot(), "x.good.bad.test"), Some(Data::NxDomain));
}

#[test]
fn what_two_mitigations_list_stays_until_both_have_ended() {
    let mut zone = zone();
    commit(&mut zone, &[deny("bad.test")]);
    commit(&mut zone, &[Change::Put(name("bad.test"), entry("m2", Policy::NoData))]);
    assert_eq!(resolve(&zone.snapshot(), "bad.test"), Some(Data::NxDomain));
    commit(&mut zone, &[Change::Remove(name("bad.test"), "m1".to_owned())]);
    assert_eq!(resolve(&zone.snapshot(), "bad.test"), Some(Data::NoData));
    commit(&mut zone, &[Change::Remove(name("bad.test"), "m2".to_owned())]);
    assert_eq!(resolve(&zone.snapshot(), "bad.test"), None);
    assert!(zone.is_empty());
}

#[test]
fn address_inside_an_allowed_network_is_not_served() {
    let mut zone = zone();
    commit(&mut zone, &[Change::Put(net("192.0.2.7/32"), entry("m1", Policy::NxDomain))]);
    let owner = net("192.0.2.7/32").owner().unwrap();
    assert_eq!(zone.snapshot()[&owner], Data::NxDomain);
    assert!(!zone.snapshot().contains_key(&owner.wildcard()));
    commit(&mut zone, &[Change::Allow(net("192.0.2.0/24"))]);
    assert_eq!(zone.snapshot().get(&owner), None);
    assert_eq!(zone.snapshot()[&net("192.0.2.0/24").owner().unwrap()], Data::Passthru);
}

#[test]
fn applying_twice_makes_no_new_version() {
    let mut zone = zone();
    assert!(commit(&mut zone, &[deny("bad.test")]).is_some());
    let serial = zone.serial();
    assert!(commit(&mut zone, &[deny("bad.test")]).is_none());
    assert_eq!(zone.serial(), serial);
}

#[test]
fn clear_lifts_everything_and_keeps_the_allow_list() {
    let mut zone = zone();
    commit(&mut zone, &[deny("a.bad.test"), deny("other.test"), Change::Allow(name("own.test"))]);
    commit(&mut zone, &[Change::Clear]);
    assert_eq!(resolve(&zone.snapshot(), "a.bad.test"), None);
    assert_eq!(resolve(&zone.snapshot(), "own.test"), Some(Data::Passthru));
}

#[test]
fn entry_ends_at_its_time_and_not_before() {
    let mut zone = zone();
    let end = Timestamp::from_millis(1_800_000_000_000);
    let short = Entry { expires: Some(end), ..entry("m1", Policy::NxDomain) };
    commit(&mut zone, &[Change::Put(name("bad.test"), short), deny("other.test")]);
    assert_eq!(zone.earliest_end(), Some(end));
    assert!(commit(&mut zone, &[Change::Expire(end.minus(model::Span::millis(1)))]).is_none());
    commit(&mut zone, &[Change::Expire(end)]);
    assert_eq!(resolve(&zone.snapshot(), "bad.test"), None);
    assert_eq!(resolve(&zone.snapshot(), "other.test"), Some(Data::NxDomain));
    assert_eq!(zone.earliest_end(), None);
}

#[test]
fn refused_batch_changes_nothing() {
    let mut zone = zone();
    let before = zone.snapshot();
    let long = entry("m", Policy::NxDomain);
    let long = Entry { note: "x".repeat(256), ..long };
    let too_many: Vec<Change> = (0..101).map(|i| deny(&format!("a{i}.test"))).collect();
    let batches = [
        (vec![deny("bad.test"), deny("x.rpz-ip")], Rule::Malformed),
        (vec![deny("bad.test"), Change::Put(name("b.test"), long)], Rule::TooLarge),
        (vec![deny("bad.test"), deny("www.rpz.alliance.example")], Rule::GuardNever),
        (too_many, Rule::TooLarge),
    ];
    for (batch, rule) in batches {
        assert_eq!(zone.commit(&batch, Serial(9)).unwrap_err().rule, rule);
        assert_eq!(zone.snapshot(), before);
        assert_eq!(zone.serial(), Serial(1));
    }
}

#[test]
fn fence_of_a_version_is_its_only_one_and_stands_after_every_name() {
    let mut zone = zone();
    commit(&mut zone, &[deny("zz.zzzz"), network("192.0.2.7/32"), deny("a.xn--zckzah")]);
    let served = zone.snapshot();
    let fences: Vec<&Owner> = served.keys().filter(|owner| owner.is_fence()).collect();
    assert_eq!(fences, [&Owner::fence(zone.tag(), zone.serial())]);
    assert_eq!(served.keys().next_back(), Some(fences[0]));
    assert!(fences[0].ancestors().all(|above| !served.contains_key(&above.wildcard())));
}

#[test]
fn versions_too_old_for_the_kept_differences_are_answered_with_the_whole_zone() {
    let mut zone = zone();
    for i in 0..1_100u32 {
        let change = if i % 2 == 0 { deny("bad.test") } else { Change::Clear };
        commit(&mut zone, &[change]);
    }
    assert!(zone.since(Serial(5)).is_none());
    assert_eq!(zone.since(Serial(1_099)).unwrap().len(), 2);
    assert!(zone.since(Serial(5_000)).is_none());
}

fn any_name() -> impl Strategy<Value = String> {
    "[ab](\\.[ab]){0,3}\\.test"
}

fn any_change() -> impl Strategy<Value = Change> {
    let policy = prop_oneof![Just(Policy::NxDomain), Just(Policy::NoData)];
    prop_oneof![
        4 => (any_name(), "[12]", policy).prop_map(|(n, id, policy)| Change::Put(name(&n), entry(&id, policy))),
        3 => (any_name(), "[12]").prop_map(|(n, id)| Change::Remove(name(&n), id)),
        1 => any_name().prop_map(|n| Change::Allow(name(&n))),
        1 => any_name().prop_map(|n| Change::Disallow(name(&n))),
    ]
}

/// The rule in one sentence, without a zone: the nearest listed or allowed name at or above decides, allowed first.
fn decide(changes: &[Change], text: &str) -> Option<Data> {
    let mut listed: BTreeMap<(Trigger, String), Policy> = BTreeMap::new();
    let mut allowed = BTreeSet::new();
    for change in changes.iter().cloned() {
        match change {
            Change::Put(trigger, entry) => drop(listed.insert((trigger, entry.id), entry.policy)),
            Change::Remove(trigger, id) => drop(listed.remove(&(trigger, id))),
            Change::Allow(trigger) => drop(allowed.insert(trigger)),
            Change::Disallow(trigger) => drop(allowed.remove(&trigger)),
            Change::Expire(_) | Change::Clear => listed.clear(),
        }
    }
    let chain: Vec<Trigger> = std::iter::successors(Some(text), |t| t.split_once('.').map(|(_, up)| up))
        .filter(|t| t.contains('.'))
        .map(name)
        .collect();
    if chain.iter().any(|at| allowed.contains(at)) {
        return Some(Data::Passthru);
    }
    let at = |at: &Trigger| listed.iter().filter(|((t, _), _)| t == at).map(|(_, policy)| policy).min().cloned();
    chain.iter().find_map(at).as_ref().map(Data::from)
}

proptest! {
    #[test]
    fn nearest_listed_name_decides(
        batches in prop::collection::vec(prop::collection::vec(any_change(), 1..6), 1..6),
        asked in prop::collection::vec("[abc](\\.[abc]){0,4}\\.test", 20),
    ) {
        let mut zone = Zone { limits: ZoneLimits { triggers_max: 100, allowed_max: 100 }, ..zone() };
        batches.iter().for_each(|batch| drop(commit(&mut zone, batch)));
        for text in asked {
            prop_assert_eq!(resolve(&zone.snapshot(), &text), decide(&batches.concat(), &text), "{}", text);
        }
    }

    #[test]
    fn differences_lead_from_any_version_to_the_last(
        batches in prop::collection::vec(prop::collection::vec(any_change(), 1..4), 1..8),
    ) {
        let mut zone = Zone { limits: ZoneLimits { triggers_max: 100, allowed_max: 100 }, ..zone() };
        let mut versions = vec![(zone.serial(), zone.snapshot())];
        for batch in &batches {
            commit(&mut zone, batch);
            versions.push((zone.serial(), zone.snapshot()));
        }
        for (serial, served) in versions {
            let mut map = (*served).clone();
            for delta in zone.since(serial).unwrap_or_default() {
                for (owner, data) in &delta.removed {
                    let was = map.remove(owner);
                    prop_assert_eq!(was.as_ref(), Some(data));
                }
                for (owner, data) in &delta.added {
                    prop_assert!(map.insert(owner.clone(), data.clone()).is_none());
                }
            }
            prop_assert_eq!(&map, &*zone.snapshot());
        }
    }
}
