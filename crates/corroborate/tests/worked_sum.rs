//! The sum worked by hand in `docs/why/corroboration.md` is the one the engine prints.
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

use corroborate::{Attestation, Engine, Guard, MemberIndex, MemberTrust, NeighbourhoodKey, Rules, Seed, Sight};
use model::{Grade, Timestamp};

const NAMES: [&str; 4] = ["acme-telecom", "borealis-cloud", "cumulus-dns", "newcomer"];

fn worked() -> String {
    let (vetted, new) = (MemberTrust::VETTED, MemberTrust::PROBATION);
    let mut engine = Engine::new(Rules::default(), &[vetted, vetted, vetted, new], Seed([1; 16])).unwrap();
    let observable = engine.keys().observable(b"198.51.100.7");
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    for (member, at, grade, attested) in [
        (0, "2026-03-01T12:00:00Z", Grade::Payload, Attestation::Signed),
        (3, "2026-03-01T18:00:00Z", Grade::Handshake, Attestation::Signed),
        (1, "2026-03-02T12:00:00Z", Grade::Handshake, Attestation::ByHub),
        (2, "2026-03-02T12:00:00Z", Grade::Spoofable, Attestation::Signed),
    ] {
        let (neighbourhood, at) = (NeighbourhoodKey::NONE, time(at));
        let sight = Sight { observable, neighbourhood, member: MemberIndex(member), at, grade, attested };
        engine.sight(&sight).unwrap();
    }
    let sum = engine.truth(observable, time("2026-03-02T12:00:00Z"), &Guard::None);
    sum.text(|member| NAMES[usize::from(member.0)].to_owned())
}

#[test]
fn the_sum_in_the_documentation_is_the_one_that_is_printed() {
    let document = include_str!("../../../docs/why/corroboration.md");
    let worked = worked();
    assert!(document.contains(&worked), "the document lacks:\n{worked}");
}
