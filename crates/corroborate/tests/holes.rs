//! The holes of the formula as first given, each shown closed: none of them may be found open again.
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

use corroborate::{
    Attestation, Engine, Guard, MemberIndex, MemberTrust, ObservableKey, Rules, Seed, Sight, Verdict, Verdicts,
};
use model::{Grade, Timestamp};

const DAY: i64 = 86_400;

struct Alliance {
    engine: Engine,
    now: i64,
}

impl Alliance {
    fn new(members: &[MemberTrust]) -> Self {
        let engine = Engine::new(Rules::default(), members, Seed([7; 16])).unwrap();
        Self { engine, now: 20_000 * DAY }
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.now * 1000)
    }

    fn key(&self, name: &str) -> ObservableKey {
        self.engine.keys().observable(name.as_bytes())
    }

    fn sight(&mut self, name: &str, member: u16, grade: Grade, attested: Attestation) {
        let sight = Sight {
            observable: self.key(name),
            neighbourhood: self.engine.keys().neighbourhood(name.as_bytes()),
            member: MemberIndex(member),
            at: self.at(),
            grade,
            attested,
        };
        self.engine.sight(&sight).unwrap();
    }

    fn report(&mut self, name: &str, member: u16) {
        self.sight(name, member, Grade::Handshake, Attestation::Signed);
    }

    /// Two of the founders 0, 1, 3, 4 report, in turns so that nobody seems to copy; a minute later member 2 does.
    fn founders_report_and_member_2_echoes(&mut self, i: usize) {
        let [a, b] = [[0, 1], [3, 4], [0, 3], [1, 4], [0, 4], [1, 3]][i % 6];
        let name = format!("echoed {i}");
        self.report(&name, a);
        self.report(&name, b);
        assert_eq!(self.inform(&name), Verdict::Corroborated);
        self.now += 60;
        self.report(&name, 2);
    }

    fn verdicts(&self, name: &str) -> Verdicts {
        self.engine.verdicts(self.key(name), self.at(), &Guard::None)
    }

    fn inform(&self, name: &str) -> Verdict {
        self.verdicts(name).inform
    }

    fn act(&self, name: &str) -> Verdict {
        self.verdicts(name).act
    }

    fn weight(&self, member: u16) -> f64 {
        self.engine.member_weight(MemberIndex(member), self.at()).unwrap()
    }
}

const VETTED: MemberTrust = MemberTrust::VETTED;
const NEW: MemberTrust = MemberTrust::PROBATION;

#[test]
fn two_founders_suffice() {
    let mut alliance = Alliance::new(&[VETTED, VETTED]);
    alliance.report("x", 0);
    assert_eq!(alliance.inform("x"), Verdict::NotYet);
    alliance.report("x", 1);
    assert_eq!(alliance.verdicts("x"), Verdicts { inform: Verdict::Corroborated, act: Verdict::Corroborated });
}

#[test]
fn a_founder_and_a_newcomer_suffice() {
    let mut alliance = Alliance::new(&[VETTED, NEW]);
    alliance.report("x", 0);
    alliance.report("x", 1);
    assert_eq!(alliance.inform("x"), Verdict::Corroborated);
}

#[test]
fn hole_1_echoes_of_published_observables_earn_a_newcomer_nothing() {
    let mut alliance = Alliance::new(&[VETTED, VETTED, NEW, VETTED, VETTED]);
    for i in 0..50 {
        alliance.founders_report_and_member_2_echoes(i);
    }
    assert!((alliance.weight(2) - 2_f64.ln()).abs() < 1e-9, "weighs {}", alliance.weight(2));
    alliance.report("its own", 2);
    assert_eq!(alliance.inform("its own"), Verdict::NotYet);
}

#[test]
fn hole_1_reports_made_before_publication_do_earn_credit() {
    let mut alliance = Alliance::new(&[VETTED, VETTED, NEW]);
    alliance.report("found first", 2);
    alliance.now += 60;
    alliance.report("found first", 0);
    assert!((alliance.weight(2) - 3_f64.ln()).abs() < 1e-9, "weighs {}", alliance.weight(2));
}

#[test]
fn hole_1_echoing_reports_do_not_survive_into_credit_either() {
    let mut alliance = Alliance::new(&[VETTED; 5]);
    for i in 0..100 {
        alliance.founders_report_and_member_2_echoes(i);
    }
    alliance.now += 8 * DAY;
    alliance.report("later", 2);
    assert!((alliance.weight(2) - 6_f64.ln()).abs() < 1e-9, "weighs {}", alliance.weight(2));
}

#[test]
fn hole_1_what_was_barred_earns_nobody_credit() {
    let mut alliance = Alliance::new(&[VETTED, VETTED]);
    for i in 0..20 {
        let name = format!("barred {i}");
        alliance.engine.bar(alliance.key(&name), alliance.at()).unwrap();
        alliance.report(&name, 0);
        alliance.report(&name, 1);
    }
    assert!((alliance.weight(0) - 6_f64.ln()).abs() < 1e-9);
}

#[test]
fn hole_2_two_confirmations_are_no_record_for_publishing_alone() {
    let mut alliance = Alliance::new(&[VETTED, VETTED, VETTED]);
    for (name, other) in [("a", 1), ("b", 2)] {
        alliance.report(name, 0);
        alliance.report(name, other);
    }
    assert!(alliance.weight(0) > 2.07);
    alliance.report("alone", 0);
    assert_eq!(alliance.inform("alone"), Verdict::NeedsSecondOpinion);
    alliance.report("alone", 1);
    assert_eq!(alliance.inform("alone"), Verdict::Corroborated);
}

#[test]
fn hole_2_a_real_record_lets_a_member_publish_alone() {
    let mut alliance = Alliance::new(&[VETTED, VETTED, VETTED]);
    for i in 0..20 {
        let name = format!("confirmed {i}");
        alliance.report(&name, 0);
        alliance.report(&name, 1 + i % 2);
    }
    alliance.report("alone", 0);
    assert_eq!(alliance.inform("alone"), Verdict::Corroborated);
}

#[test]
fn hole_2_a_forged_packet_is_no_second_opinion() {
    let mut alliance = Alliance::new(&[VETTED, VETTED, VETTED]);
    for (name, other) in [("a", 1), ("b", 2)] {
        alliance.report(name, 0);
        alliance.report(name, other);
    }
    alliance.report("alone", 0);
    alliance.sight("alone", 1, Grade::Spoofable, Attestation::Signed);
    assert_eq!(alliance.inform("alone"), Verdict::NeedsSecondOpinion);
}

#[test]
fn hole_3_newcomers_alone_never_publish_however_many() {
    let mut alliance = Alliance::new(&[NEW; 40]);
    for member in 0..40 {
        alliance.report("x", member);
        assert_eq!(alliance.inform("x"), Verdict::NotYet, "with {} newcomers", member + 1);
    }
    let sum = alliance.engine.truth(alliance.key("x"), alliance.at(), &Guard::None);
    assert!(sum.inform.weak > 20.0 && sum.inform.total == alliance.engine.rules().weak_max);
}

#[test]
fn hole_3_newcomers_with_forged_packets_at_founders_never_publish() {
    let mut alliance = Alliance::new(&[NEW, NEW, NEW, NEW, VETTED, VETTED]);
    (0..4).for_each(|member| alliance.report("x", member));
    (4..6).for_each(|member| alliance.sight("x", member, Grade::Spoofable, Attestation::Signed));
    assert_eq!(alliance.inform("x"), Verdict::NotYet);
}

#[test]
fn hole_4_forged_packets_block_no_stranger() {
    let mut alliance = Alliance::new(&[VETTED; 10]);
    for member in 0..10 {
        alliance.sight("a stranger", member, Grade::Spoofable, Attestation::Signed);
    }
    let never = Verdicts { inform: Verdict::NotYet, act: Verdict::NotYet };
    assert_eq!(alliance.verdicts("a stranger"), never);
}

#[test]
fn hole_4_forged_packets_never_act_even_beside_hard_evidence() {
    let mut alliance = Alliance::new(&[VETTED; 3]);
    alliance.report("x", 0);
    alliance.sight("x", 1, Grade::Spoofable, Attestation::Signed);
    alliance.sight("x", 2, Grade::Spoofable, Attestation::Signed);
    assert_eq!(alliance.act("x"), Verdict::NotYet);
}

#[test]
fn hole_4_forged_packets_neither_renew_nor_erase_hard_evidence() {
    let mut alliance = Alliance::new(&[VETTED; 2]);
    alliance.report("x", 0);
    alliance.report("x", 1);
    for _ in 0..5 {
        alliance.now += DAY;
        let member = (alliance.now / DAY % 2) as u16;
        alliance.sight("x", member, Grade::Spoofable, Attestation::Signed);
    }
    assert_eq!(alliance.act("x"), Verdict::Corroborated);
    for _ in 0..8 {
        alliance.now += DAY;
        (0..2).for_each(|member| alliance.sight("x", member, Grade::Spoofable, Attestation::Signed));
    }
    assert_eq!(alliance.verdicts("x"), Verdicts { inform: Verdict::NotYet, act: Verdict::NotYet });
}

#[test]
fn hole_4_forged_packets_confirm_nobody() {
    let mut alliance = Alliance::new(&[VETTED, NEW]);
    for i in 0..20 {
        let name = format!("forged {i}");
        alliance.report(&name, 1);
        alliance.sight(&name, 0, Grade::Spoofable, Attestation::Signed);
    }
    assert!((alliance.weight(1) - 2_f64.ln()).abs() < 1e-9);
}

#[test]
fn hole_5_what_nobody_signed_informs_and_does_not_act() {
    let mut alliance = Alliance::new(&[VETTED; 4]);
    (0..2).for_each(|member| alliance.sight("x", member, Grade::Payload, Attestation::ByHub));
    let informs = Verdicts { inform: Verdict::Corroborated, act: Verdict::NotYet };
    assert_eq!(alliance.verdicts("x"), informs);
    (2..4).for_each(|member| alliance.report("x", member));
    assert_eq!(alliance.act("x"), Verdict::Corroborated);
}

#[test]
fn hole_5_an_unsigned_repetition_does_not_renew_what_was_signed() {
    let mut alliance = Alliance::new(&[VETTED; 2]);
    (0..2).for_each(|member| alliance.report("x", member));
    for _ in 0..9 {
        alliance.now += DAY;
        (0..2).for_each(|member| alliance.sight("x", member, Grade::Payload, Attestation::ByHub));
    }
    assert_eq!(alliance.verdicts("x"), Verdicts { inform: Verdict::Corroborated, act: Verdict::NotYet });
}

#[test]
fn hole_6_lies_that_nobody_looked_at_are_no_record() {
    let mut alliance = Alliance::new(&[VETTED; 3]);
    for i in 0..300 {
        alliance.report(&format!("a lie {i}"), 0);
    }
    alliance.now += 8 * DAY;
    alliance.report("alone", 0);
    assert!(alliance.weight(0) > 2.0, "weighs {}", alliance.weight(0));
    assert_eq!(alliance.inform("alone"), Verdict::NeedsSecondOpinion);
}
