//! The nftables point against the real kernel: attacker - router - victim in network namespaces, real packets.
//! Needs root; says so instead of passing when it is missing.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use act::nftables::{NetnsName, Nftables, Protected, Settings};
use act::{Effect, Point, PointError, Presence, Protection};
use model::{Action, Digest, FindingId, Measure, MitigationId, Rule, Scope, Span, Target, Timestamp};
use testbed::netns::{ATTACKER, Netns, Path, VICTIM};

fn now() -> Timestamp {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(since_1970.as_millis() as i64)
}

fn point(netns: &Netns, protect: &[&str]) -> Nftables {
    let protect = protect.iter().map(|text| Protected::try_from((*text).to_owned()).unwrap()).collect();
    let netns = Some(NetnsName::try_from(netns.name().to_owned()).unwrap());
    Nftables::new(Settings { name: "nft".parse().unwrap(), protect, size: 10_000, netns, via: None }).unwrap()
}

/// `n` tells mitigations of one target apart.
fn protection_of(n: u32, target: Target, action: Action, lasts: Span) -> Protection {
    let digest = Digest::of(&[target.to_string().as_bytes(), &n.to_be_bytes()]);
    Protection {
        mitigation: MitigationId::of(&digest),
        finding: FindingId::of(&Digest::of(&[target.to_string().as_bytes()])),
        measure: Measure::new(action, target, Scope::Border).unwrap(),
        expires: now().plus(lasts),
    }
}

fn host(address: &str) -> Target {
    Target::Host(address.parse().unwrap())
}

fn net(prefix: &str) -> Target {
    Target::Net(prefix.parse().unwrap())
}

fn deny(target: Target) -> Protection {
    protection_of(0, target, Action::Deny, Span::hours(1))
}

fn presence(point: &Nftables, protection: &Protection) -> Presence {
    point.read_back(std::slice::from_ref(protection)).unwrap()[0].presence
}

fn refused_by(result: Result<(), PointError>) -> Rule {
    match result {
        Err(PointError::Refused(refusal)) => refusal.rule,
        other => panic!("not refused: {other:?}"),
    }
}

const VICTIM4: &str = VICTIM[0];
const VICTIM6: &str = VICTIM[1];
const A4: &str = ATTACKER[0];
const B4: &str = ATTACKER[1];
const A6: &str = ATTACKER[2];
const B6: &str = ATTACKER[3];
const OTHER6: &str = ATTACKER[4];

#[test]
fn a_blocked_host_passes_nothing_and_others_pass() {
    let path = Path::new().unwrap();
    let point = point(&path.router, &[]);
    assert!(path.udp_gets_through(A4, VICTIM4).unwrap() && path.udp_gets_through(A6, VICTIM6).unwrap());

    let wanted = [deny(host(A4)), deny(host(A6))];
    point.apply(&wanted, now()).unwrap();
    assert!(!path.udp_passes(A4, VICTIM4).unwrap());
    assert!(!path.udp_passes(A6, VICTIM6).unwrap());
    assert!(path.udp_gets_through(B4, VICTIM4).unwrap() && path.udp_gets_through(B6, VICTIM6).unwrap());
    assert!(point.read_back(&wanted).unwrap().iter().all(|seen| seen.presence == Presence::Enforced));

    point.withdraw(&wanted, now()).unwrap();
    assert!(path.udp_gets_through(A4, VICTIM4).unwrap() && path.udp_gets_through(A6, VICTIM6).unwrap());
    assert_eq!(presence(&point, &wanted[0]), Presence::Absent);
    point.withdraw(&wanted, now()).unwrap();
}

#[test]
fn the_members_own_host_is_covered_in_both_directions() {
    let path = Path::new().unwrap();
    assert!(path.own_host_gets_through(A4).unwrap() && path.own_host_gets_through(A6).unwrap());
    point(&path.router, &[]).apply(&[deny(host(A4)), deny(net("2001:db8:1::/64"))], now()).unwrap();
    assert!(!path.own_host_reaches(A4).unwrap() && !path.own_host_reaches(A6).unwrap());
    assert!(path.own_host_gets_through(B4).unwrap() && path.own_host_gets_through(OTHER6).unwrap());
}

#[test]
fn an_established_connection_is_cut() {
    let path = Path::new().unwrap();
    let mut connection = path.connect(VICTIM4).unwrap();
    assert!(connection.gets_through().unwrap());
    point(&path.router, &[]).apply(&[deny(host(A4))], now()).unwrap();
    assert!(!connection.passes().unwrap());
}

#[test]
fn prefixes_of_any_length_are_blocked_and_may_overlap() {
    let path = Path::new().unwrap();
    let point = point(&path.router, &[]);
    let narrow = deny(net("192.0.2.8/31"));
    point.apply(&[deny(net("2001:db8:1::/64")), narrow.clone()], now()).unwrap();
    assert!(!path.udp_passes(A6, VICTIM6).unwrap() && !path.udp_passes(B6, VICTIM6).unwrap());
    assert!(path.udp_gets_through(OTHER6, VICTIM6).unwrap(), "another /64");
    assert!(path.udp_gets_through(A4, VICTIM4).unwrap(), "outside the /31");

    let wide = deny(net("192.0.2.0/24"));
    let odd = deny(net("2001:db8:1::/57"));
    point.apply(&[wide.clone(), odd.clone()], now()).unwrap();
    assert!(!path.udp_passes(A4, VICTIM4).unwrap() && !path.udp_passes(OTHER6, VICTIM6).unwrap());
    point.withdraw(&[wide], now()).unwrap();
    assert!(path.udp_gets_through(A4, VICTIM4).unwrap());
    assert_eq!(presence(&point, &narrow), Presence::Enforced);
}

#[test]
fn a_limit_lets_little_through_and_ends() {
    let path = Path::new().unwrap();
    let point = point(&path.router, &[]);
    let limit = Action::Limit { bits_per_second: 1_000 };
    let limited = protection_of(0, host(A4), limit, Span::hours(1));
    point.apply(std::slice::from_ref(&limited), now()).unwrap();
    assert_eq!(presence(&point, &limited), Presence::Enforced);
    let socket = path.udp_socket(A4, VICTIM4).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    let passes = || socket.send(&[0; 500]).and_then(|_| socket.recv(&mut [0; 600])).is_ok();
    let answered = (0..20).take_while(|_| passes()).count();
    assert!((1..20).contains(&answered), "{answered} of 20 exchanges of 1,056 bytes with a burst of 3,000 bytes");
    assert!(path.udp_gets_through(B4, VICTIM4).unwrap());
    point.withdraw(&[limited], now()).unwrap();
    assert!(path.udp_gets_through(A4, VICTIM4).unwrap());
}

#[test]
fn the_kernel_lifts_at_expiry_with_no_agent() {
    let path = Path::new().unwrap();
    let short = protection_of(0, host(A4), Action::Deny, Span::seconds(10));
    {
        let point = point(&path.router, &[]);
        point.apply(std::slice::from_ref(&short), now()).unwrap();
    }
    assert!(!path.udp_passes(A4, VICTIM4).unwrap());
    // The kernel counts from when it was told, which is a moment after the point was.
    while now() < short.expires {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(path.udp_gets_through(A4, VICTIM4).unwrap());
    assert_eq!(presence(&point(&path.router, &[]), &short), Presence::Absent);
}

#[test]
fn a_renewal_replaces_the_timeout_both_ways() {
    let path = Path::new().unwrap();
    let point = point(&path.router, &[]);
    for (lasts, least, most) in [(60, 50, 60), (3_000, 2_990, 3_000), (30, 20, 30), (200_000, 86_390, 86_400)] {
        point.apply(&[protection_of(0, host(A4), Action::Deny, Span::seconds(lasts))], now()).unwrap();
        let listed = path.router.nft("list set inet epimachia deny4_32").unwrap();
        let seconds = expires_seconds(&listed);
        assert!((least..=most).contains(&seconds), "{lasts}: {seconds} in {listed}");
    }
}

/// `expires 1h2m3s4ms` of the first element, in whole seconds.
fn expires_seconds(listed: &str) -> i64 {
    let text = listed.split("expires ").nth(1).unwrap().split(' ').next().unwrap();
    let (mut seconds, mut number) = (0, String::new());
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        match c {
            'd' => seconds += 86_400 * std::mem::take(&mut number).parse::<i64>().unwrap(),
            'h' => seconds += 3_600 * std::mem::take(&mut number).parse::<i64>().unwrap(),
            'm' if letters.peek() == Some(&'s') => break,
            'm' => seconds += 60 * std::mem::take(&mut number).parse::<i64>().unwrap(),
            's' => seconds += std::mem::take(&mut number).parse::<i64>().unwrap(),
            digit => number.push(digit),
        }
    }
    seconds
}

#[test]
fn what_is_protected_wins_in_both_directions_also_over_elements_of_others() {
    let path = Path::new().unwrap();
    let point = point(&path.router, &[A4, "2001:db8:2::/64"]);
    for (target, by) in [(host(A4), "host"), (net("192.0.2.0/24"), "prefix around it"), (host(VICTIM6), "host within")]
    {
        assert_eq!(refused_by(point.apply(&[deny(target)], now())), Rule::GuardNever, "{by}");
    }
    point.apply(&[deny(host(B4)), deny(host(A6))], now()).unwrap();
    path.router.nft("add element inet epimachia deny4_32 { 192.0.2.10, 198.51.100.10 }").unwrap();
    assert!(
        path.udp_gets_through(A4, VICTIM4).unwrap(),
        "a protected source and destination, though somebody listed both"
    );
    assert!(path.udp_gets_through(A6, VICTIM6).unwrap(), "to a protected destination, from a blocked source");
    assert!(!path.udp_passes(B4, VICTIM4).unwrap());
    assert!(!path.own_host_reaches(A6).unwrap(), "a blocked target that is not protected");
}

#[test]
fn what_cannot_be_or_has_ended_is_refused_and_nothing_is_done() {
    let path = Path::new().unwrap();
    let point = point(&path.router, &[]);
    let good = deny(host(A4));
    let ended = protection_of(0, host(B4), Action::Deny, Span::millis(-1));
    assert_eq!(refused_by(point.apply(&[good.clone(), ended], now())), Rule::ExpiryRequired);
    let name = deny(Target::DomainName("evil.example".parse().unwrap()));
    assert!(!point.accepts(&name.measure) && point.accepts(&good.measure));
    assert_eq!(refused_by(point.apply(&[good.clone(), name], now())), Rule::CapabilityMissing);
    assert_eq!(presence(&point, &good), Presence::Absent);
    assert_eq!(refused_by(point.apply(&[deny(net("127.0.0.0/24"))], now())), Rule::GuardNever);
}

#[test]
fn effect_counts_packets_in_both_directions_for_their_own_mitigation_only() {
    let path = Path::new().unwrap();
    let point = point(&path.router, &[]);
    let wanted = deny(host(A4));
    point.apply(std::slice::from_ref(&wanted), now()).unwrap();
    for _ in 0..3 {
        path.udp_socket(A4, VICTIM4).unwrap().send(b"counted").unwrap();
    }
    assert!(!path.own_host_reaches(A4).unwrap());
    let older = protection_of(1, host(A4), Action::Deny, Span::hours(1));
    point.replace(std::slice::from_ref(&wanted), now()).unwrap();
    let effect = point.effect(&[wanted, older, deny(host(B4))]).unwrap();
    // Three datagrams of 7 bytes and one of 8, with 28 bytes of headers each.
    assert_eq!(effect[0], Effect { packets: Some(4), bytes: Some(3 * 35 + 36) });
    assert_eq!(effect[1..], [Effect::default(); 2]);
}

#[test]
fn the_comment_leads_from_the_router_to_finding_and_mitigation() {
    let path = Path::new().unwrap();
    let point = point(&path.router, &[]);
    let wanted = deny(host(A4));
    point.apply(std::slice::from_ref(&wanted), now()).unwrap();
    let listed = path.router.nft("list set inet epimachia deny4_32").unwrap();
    assert!(listed.contains(&format!("comment \"{} {}\"", wanted.finding, wanted.mitigation)), "{listed}");
    let evidence = &point.read_back(std::slice::from_ref(&wanted)).unwrap()[0].evidence;
    assert!(evidence.contains(&wanted.finding.to_string()) && evidence.chars().count() <= 200, "{evidence}");
}

#[test]
fn replace_leaves_exactly_what_is_wanted() {
    let path = Path::new().unwrap();
    let point = point(&path.router, &[]);
    let (old, kept, new) = (deny(host(A4)), deny(host(B4)), deny(net("2001:db8:1:1::/64")));
    let rare = deny(net("203.0.113.0/25"));
    point.apply(&[old.clone(), kept.clone(), rare.clone()], now()).unwrap();
    path.router.nft("add rule inet epimachia v4 accept").unwrap();
    point.replace(&[kept.clone(), new.clone()], now()).unwrap();
    let presences = point.read_back(&[old, kept, new, rare]).unwrap();
    let presences: Vec<Presence> = presences.into_iter().map(|seen| seen.presence).collect();
    assert_eq!(presences, [Presence::Absent, Presence::Enforced, Presence::Enforced, Presence::Absent]);
    assert!(path.udp_gets_through(A4, VICTIM4).unwrap() && !path.udp_passes(OTHER6, VICTIM6).unwrap());
    point.replace(&[], now()).unwrap();
    assert!(path.udp_gets_through(B4, VICTIM4).unwrap());
}

#[test]
fn withdrawing_the_older_of_two_leaves_the_newer() {
    let path = Path::new().unwrap();
    let point = point(&path.router, &[]);
    let older = deny(host(A4));
    let newer = protection_of(1, host(A4), Action::Deny, Span::hours(2));
    point.apply(std::slice::from_ref(&older), now()).unwrap();
    point.apply(std::slice::from_ref(&newer), now()).unwrap();
    point.withdraw(&[older], now()).unwrap();
    assert_eq!(presence(&point, &newer), Presence::Enforced);
    assert!(!path.udp_passes(A4, VICTIM4).unwrap());
}

#[test]
fn the_kill_switch_lifts_everything_and_touches_nothing_else() {
    let path = Path::new().unwrap();
    let point = point(&path.router, &[]);
    path.router.nft("add table inet other").unwrap();
    point.lift_all().unwrap();
    point.apply(&[deny(host(A4)), deny(net("192.0.2.0/25"))], now()).unwrap();
    assert!(!path.udp_passes(B4, VICTIM4).unwrap());
    point.lift_all().unwrap();
    assert!(path.udp_gets_through(A4, VICTIM4).unwrap() && path.udp_gets_through(B4, VICTIM4).unwrap());
    assert_eq!(path.router.nft("list tables").unwrap(), "table inet other\n");
}

#[test]
fn what_a_third_party_takes_away_is_read_back_as_absent_and_comes_back() {
    let path = Path::new().unwrap();
    let point = point(&path.router, &[]);
    let wanted = [deny(host(A4)), deny(net("192.0.2.8/29"))];
    for tampering in [
        "delete element inet epimachia deny4_32 { 192.0.2.10 }",
        "flush chain inet epimachia prerouting_raw",
        "flush chain inet epimachia more4",
        "insert rule inet epimachia v4 accept",
        "add element inet epimachia never4 { 192.0.2.10 }",
        "add element inet epimachia never4 { 192.0.2.8-192.0.2.12 }",
        "flush set inet epimachia deny4_32",
        "delete table inet epimachia",
        "flush ruleset",
    ] {
        point.apply(&wanted, now()).unwrap();
        assert_eq!(presence(&point, &wanted[0]), Presence::Enforced, "before: {tampering}");
        path.router.nft(tampering).unwrap();
        assert_eq!(presence(&point, &wanted[0]), Presence::Absent, "{tampering}");
    }
    point.apply(&wanted, now()).unwrap();
    assert!(!path.udp_passes(A4, VICTIM4).unwrap());
}

#[test]
fn what_was_protected_once_is_not_let_through_for_ever() {
    let path = Path::new().unwrap();
    let before = point(&path.router, &["192.0.2.0/24"]);
    before.apply(&[deny(host("11.0.0.1"))], now()).unwrap();
    let point = point(&path.router, &[]);
    let wanted = [deny(host(A4))];
    point.apply(&wanted, now()).unwrap();
    assert_eq!(presence(&point, &wanted[0]), Presence::Enforced);
    assert!(!path.udp_passes(A4, VICTIM4).unwrap());
    // And what is protected from now on does not count as blocked.
    before.apply(&[deny(host("11.0.0.2"))], now()).unwrap();
    assert_eq!(presence(&point, &wanted[0]), Presence::Absent);
    assert!(path.udp_gets_through(A4, VICTIM4).unwrap());
}

#[test]
fn of_two_limits_the_lower_one_counts_and_a_higher_one_is_not_what_was_asked_for() {
    let router = Netns::new("router").unwrap();
    let point = point(&router, &[]);
    let limit =
        |finding, bits_per_second, lasts| protection_of(finding, host(A4), Action::Limit { bits_per_second }, lasts);
    let (low, high) = (limit(1, 1_000_000, Span::hours(1)), limit(2, 100_000_000, Span::hours(6)));
    point.apply(&[low.clone(), high.clone()], now()).unwrap();
    assert_eq!((presence(&point, &low), presence(&point, &high)), (Presence::Enforced, Presence::Enforced));
    point.apply(std::slice::from_ref(&high), now()).unwrap();
    assert_eq!((presence(&point, &low), presence(&point, &high)), (Presence::Absent, Presence::Enforced));
}

#[test]
fn ten_thousand_elements_are_one_transaction_and_can_all_be_renewed() {
    let router = Netns::new("router").unwrap();
    let point = point(&router, &[]);
    let many = |lasts| -> Vec<Protection> {
        let address = |n: u32| host(&format!("11.{}.{}.7", n / 256, n % 256));
        (0..10_000).map(|n| protection_of(0, address(n), Action::Deny, lasts)).collect()
    };
    let wanted = many(Span::hours(1));
    // On a busy machine the change may be over only after the point has stopped waiting for it.
    let apply = |wanted: &[Protection]| {
        let begun = std::time::Instant::now();
        while let Err(error) = point.apply(wanted, now()) {
            assert!(matches!(error, PointError::Unavailable(_)) && begun.elapsed().as_secs() < 180, "{error}");
        }
    };
    apply(&wanted);
    assert!(point.read_back(&wanted).unwrap().iter().all(|seen| seen.presence == Presence::Enforced));
    let renewed = many(Span::hours(2));
    apply(&renewed);
    let seen = point.read_back(&renewed[9_999..]).unwrap().remove(0);
    assert!(seen.evidence.contains("s left"), "{}", seen.evidence);

    let one_more = [renewed, vec![deny(host("12.0.0.1"))]].concat();
    assert_eq!(refused_by(point.replace(&one_more, now())), Rule::BlastRadius);
}

#[test]
fn a_full_set_is_refused_by_the_kernel_and_named() {
    let router = Netns::new("router").unwrap();
    let netns = Some(NetnsName::try_from(router.name().to_owned()).unwrap());
    let settings = Settings { name: "nft".parse().unwrap(), protect: vec![], size: 2, netns, via: None };
    let point = Nftables::new(settings).unwrap();
    for n in [1, 3] {
        let two = [deny(host(&format!("11.0.0.{n}"))), deny(host(&format!("11.0.0.{}", n + 1)))];
        point.apply(&two, now()).unwrap();
    }
    let fifth = deny(host("11.0.0.5"));
    assert_eq!(refused_by(point.apply(std::slice::from_ref(&fifth), now())), Rule::BlastRadius);
    assert_eq!(presence(&point, &fifth), Presence::Absent);
}
