//! Policies held against a recorded checkpoint, and policy files that are none.

use super::*;
use crate::cosignature::tests::{RECORDED_LOG, RECORDED_WITNESSES, recorded};
use proptest::prelude::*;

/// Witnesses w1 to w4, who all cosigned the recorded checkpoint, and w5, who did not.
fn with(rest: &str) -> Result<Policy, ParseError> {
    let mut text = format!("log {RECORDED_LOG}\n");
    for (index, key) in RECORDED_WITNESSES.iter().enumerate() {
        text += &format!("witness w{} {key}\n", index + 1);
    }
    let silent = WitnessKey::new("silent.example", model::SigningKey::from_seed(&[3; 32]).public()).unwrap();
    text += &format!("witness w5 {silent}\n");
    Policy::parse(format!("{text}{rest}").as_bytes())
}

#[test]
fn a_quorum_is_counted_over_groups_of_groups() {
    for (rest, enough) in [
        ("quorum none", true),
        ("quorum w1", true),
        ("quorum w5", false),
        ("group g 4 w1 w2 w3 w4 w5\nquorum g", true),
        ("group g 5 w1 w2 w3 w4 w5\nquorum g", false),
        ("group g all w1 w5\nquorum g", false),
        ("group g any w5 w1\nquorum g", true),
        ("group x 2 w1 w2 w5\ngroup y any w3\ngroup both all x y\nquorum both", true),
        ("group x all w1 w5\ngroup y any w3\ngroup both all x y\nquorum both", false),
    ] {
        let found = with(rest).unwrap().check(&recorded(), None);
        match enough {
            true => assert_eq!(found.unwrap().witnesses.len(), 4, "{rest}"),
            false => assert!(matches!(found, Err(PolicyFault::Quorum { .. })), "{rest}"),
        }
    }
}

#[test]
fn what_is_missing_is_said_in_words() {
    let fault = with("group g 2 w1 w5\nquorum g").unwrap().check(&recorded(), None).unwrap_err().to_string();
    assert!(fault.contains("witness.stagemole.eu") && fault.ends_with("2 of w1, w5"), "{fault}");
}

#[test]
fn whitespace_comments_and_names_that_are_not_ascii_are_read_as_the_standard_says() {
    let text =
        format!("\t# a comment\n\n  witness  \u{fc}\t{}  https://w.example/ \n quorum \u{fc}", RECORDED_WITNESSES[0]);
    let policy = Policy::parse(text.as_bytes()).unwrap();
    assert_eq!(policy.witnesses()[0].url, "https://w.example/");
    // The name 0xFC alone is no UTF-8, and is a name all the same.
    let latin = [b"witness \xfc ".as_slice(), RECORDED_WITNESSES[0].as_bytes(), b"\nquorum \xfc\n"].concat();
    assert_eq!(Policy::parse(&latin).unwrap().witnesses()[0].name, [0xfc]);
}

#[test]
fn a_policy_without_logs_believes_the_one_it_is_given() {
    let policy = Policy::parse(b"quorum none\n").unwrap();
    let log: VerifierKey = RECORDED_LOG.parse().unwrap();
    assert_eq!(policy.check(&recorded(), Some(&log)).unwrap().log, log.name());
    assert!(matches!(policy.check(&recorded(), None), Err(PolicyFault::Log(_))));
    let stranger = crate::Signer::new("other.example", &[1; 32]).unwrap().verifier().clone();
    assert!(matches!(policy.check(&recorded(), Some(&stranger)), Err(PolicyFault::Log(_))));
}

#[test]
fn a_policy_is_made_printed_and_read_again() {
    let witnesses: Vec<(String, WitnessKey)> =
        RECORDED_WITNESSES.iter().enumerate().map(|(n, key)| (format!("w{n}"), key.parse().unwrap())).collect();
    for least in 0..=4 {
        let policy = Policy::of(RECORDED_LOG.parse().unwrap(), least, witnesses.clone()).unwrap();
        assert_eq!(Policy::parse(policy.to_string().as_bytes()).unwrap(), policy);
        assert!(policy.check(&recorded(), None).is_ok());
    }
    assert!(Policy::of(RECORDED_LOG.parse().unwrap(), 5, witnesses).is_err());
}

#[test]
fn a_false_line_in_a_known_witnesss_name_refuses_the_whole() {
    let text = crate::cosignature::tests::RECORDED.replace("AABqEiEgzgFI", "AABqEiEhzgFI");
    let signed = SignedCheckpoint::parse(text.as_bytes()).unwrap();
    let found = with("quorum w2").unwrap().check(&signed, None);
    assert!(matches!(found, Err(PolicyFault::Cosignature(NoteFault::BadSignature { .. }))), "{found:?}");
}

#[test]
fn files_that_are_no_policies_are_refused_with_their_line() {
    for (rest, named) in [
        ("", "no quorum line"),
        ("quorum none\nquorum none", "line 8"),
        ("quorum nobody", "nobody"),
        ("group none any w1\nquorum none", "none"),
        ("group w1 any w2\nquorum w1", "w1"),
        ("group g 0 w1\nquorum g", "from 1 to 1"),
        ("group g 3 w1 w2\nquorum g", "from 1 to 2"),
        ("group g -1 w1\nquorum g", "-1"),
        ("group g any\nquorum none", "group g any"),
        ("group g any later\nquorum g", "later"),
        ("group g any w1 w1\nquorum g", "once"),
        ("group g any w1\ngroup h any w1\nquorum g", "once"),
        ("sunflower\nquorum none", "sunflower"),
        ("quorum none\r", "0x0d"),
    ] {
        let error = with(rest).unwrap_err().to_string();
        assert!(error.contains(named), "{rest}: {error}");
    }
    let twice = format!("witness a {0}\nwitness b {0}\nquorum none", RECORDED_WITNESSES[0]);
    assert!(Policy::parse(twice.as_bytes()).is_err());
    assert!(Policy::parse(format!("log {RECORDED_LOG}\nlog {RECORDED_LOG}\nquorum none").as_bytes()).is_err());
    assert!(Policy::parse(&vec![b'#'; POLICY_BYTES_MAX + 1]).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_and_what_is_read_prints_what_reads_the_same(text in "[a-z0-9 \n\t#]{0,200}") {
        if let Ok(policy) = Policy::parse(text.as_bytes()) {
            prop_assert_eq!(Policy::parse(policy.to_string().as_bytes()).unwrap(), policy);
        }
    }
}
