//! The OASIS corpus of the pattern language: what must parse, what must not, what must match.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use serde::Deserialize;
use serde_json::value::RawValue;
use share::pattern::{Pattern, Reduction, Undecided, matches, observations};
use share::stix::{SpecVersion, Split};
use share::{Limits, pattern};

#[derive(Deserialize)]
struct Validator {
    spec: Vec<String>,
    pass: Vec<String>,
    fail: Vec<String>,
}

fn validator() -> Validator {
    serde_json::from_str(include_str!("../testdata/oasis/validator.json")).unwrap()
}

#[test]
fn all_of_the_standards_examples_and_pass_cases_parse_and_print_to_themselves() {
    let Validator { spec, pass, .. } = validator();
    assert_eq!((spec.len(), pass.len()), (23, 37));
    for text in spec.iter().chain(&pass) {
        let pattern: Pattern = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        let printed = pattern.to_string();
        let again: Pattern = printed.parse().unwrap_or_else(|error| panic!("{printed}: {error}"));
        assert_eq!(again, pattern, "{text}\n{printed}");
    }
}

#[test]
fn all_fail_cases_are_refused_with_their_place() {
    let Validator { fail, .. } = validator();
    assert_eq!(fail.len(), 27);
    for text in &fail {
        let error = text.parse::<Pattern>().expect_err(text);
        assert!(error.field.starts_with("pattern at byte "), "{text}: {error}");
    }
}

#[derive(Deserialize)]
struct Matcher<'a> {
    #[serde(borrow)]
    data: Vec<Vec<&'a RawValue>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    module: String,
    test: String,
    pattern: String,
    data: usize,
    spec: String,
    expected: String,
}

/// Upstream's matcher takes a qualifier twice on one `[…]`, upstream's validator does not. We side with the validator;
/// with parentheses both agree.
fn twice_qualified(text: &str) -> Option<String> {
    let (head, tail) = text.split_once(" TIMES REPEATS ")?;
    Some(format!("({head} TIMES) REPEATS {tail}"))
}

fn observed(documents: &[&RawValue]) -> Vec<pattern::Observation> {
    let of = |document: &&RawValue| {
        let split = Split::read(document.get().as_bytes(), &Limits::ENVELOPE).unwrap();
        observations(&split.objects).unwrap()
    };
    documents.iter().flat_map(of).collect()
}

fn outcome(text: &str, spec: SpecVersion, documents: &[&RawValue]) -> &'static str {
    let Ok(pattern) = Pattern::parse(text, spec) else { return "refused" };
    match matches(&pattern, &observed(documents)) {
        Ok(Some(_)) => "match",
        Ok(None) => "nomatch",
        Err(_) => "undecided",
    }
}

#[test]
fn all_matcher_cases_come_out_as_the_corpus_says() {
    let matcher: Matcher<'_> = serde_json::from_str(include_str!("../testdata/oasis/matcher.json")).unwrap();
    assert_eq!(matcher.cases.len(), 423);
    let mut wrong = Vec::new();
    for case in &matcher.cases {
        let spec = if case.spec == "2.0" { SpecVersion::V20 } else { SpecVersion::V21 };
        let text = match twice_qualified(&case.pattern) {
            Some(parenthesised) => {
                assert!(case.pattern.parse::<Pattern>().is_err(), "{}", case.pattern);
                parenthesised
            }
            None => case.pattern.clone(),
        };
        let found = outcome(&text, spec, &matcher.data[case.data]);
        // Sets of mixed types and a length of 0 are found while matching there, while parsing here.
        let same = found == case.expected || (case.expected == "undecided" && found == "refused");
        if !same {
            wrong.push(format!("{}/{}: {}: {found}, not {}", case.module, case.test, case.pattern, case.expected));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_search_without_end_is_given_up() {
    let object = r#"{"type":"observed-data","first_observed":"2026-01-01T00:00:00Z",
        "last_observed":"2026-01-01T00:00:00Z","number_observed":1,"objects":{"0":{"type":"url","value":"http://a.example/"}}}"#;
    let raw: &RawValue = serde_json::from_str(object).unwrap();
    let seen = observations(&vec![raw; 30]).unwrap();
    let same = "[url:value = 'http://a.example/']";
    let pattern: Pattern = format!("({} AND [url:value = 'x'])", vec![same; 20].join(" AND ")).parse().unwrap();
    assert_eq!(matches(&pattern, &seen), Err(Undecided::TooMany));
}

#[test]
fn patterns_beyond_the_limits_are_refused_and_none_overflows_the_stack() {
    for text in [
        format!("{}[a:b = 1]{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("[{}a:b = 1{}]", "(".repeat(10_000), ")".repeat(10_000)),
        format!("[a:b = '{}']", "x".repeat(pattern::PATTERN_BYTES_MAX)),
        format!("[a:b IN ({}1)]", "1,".repeat(pattern::PARTS_MAX)),
        format!("[a:b{} = 1]", "[*]".repeat(pattern::PARTS_MAX)),
    ] {
        assert!(text.parse::<Pattern>().is_err(), "{}", &text[..40]);
    }
}

#[test]
fn every_pattern_of_the_corpus_reduces_without_losing_anything() {
    let Validator { spec, pass, .. } = validator();
    let mut reduced = 0;
    for text in spec.iter().chain(&pass) {
        let reduction = Reduction::of(&text.parse().unwrap());
        let something = !reduction.any_of.is_empty() || !reduction.all_of.is_empty() || !reduction.kept.is_empty();
        assert!(something, "{text}");
        reduced += usize::from(reduction.is_whole());
    }
    assert_eq!(reduced, 5, "single hashes, URLs, networks: any one of them satisfies the pattern");
}
