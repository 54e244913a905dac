//! The hub's problems (RFC 9457) as failures of a command: a rule that said no, or something to try again.

use crate::exit::Failure;
use model::{Refusal, Rule};
use reqwest::{Response, StatusCode};
use serde::Deserialize;

/// Longest wait that a hub's word is taken for, in seconds.
const RETRY_SECONDS_MAX: u64 = 3_600;

/// Longest text of a problem that is shown, in characters.
const TEXT_CHARS_MAX: usize = 500;
/// Characters that are made safe to print at a time, none of which is cut.
const PRINTABLE_CHARS: usize = 60;

/// What of a problem this program uses; a newer hub may tell more.
#[derive(Deserialize)]
struct Told {
    kind: String,
    #[serde(default)]
    rule: Option<String>,
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    limit: String,
    #[serde(default)]
    next: String,
}

/// Seconds after which the hub wants to be asked again.
pub(super) fn retry_after(response: &Response) -> Option<u64> {
    let header = response.headers().get(reqwest::header::RETRY_AFTER)?.to_str().ok()?;
    header.parse().ok().filter(|seconds| *seconds <= RETRY_SECONDS_MAX)
}

/// What an answer other than success means.
pub(super) fn failure(status: StatusCode, retry: Option<u64>, body: &[u8]) -> Failure {
    let Ok(told) = serde_json::from_slice::<Told>(body) else {
        let what = format!("the hub answered {status} without saying why");
        return Failure::failed(what, "epimachia check   (is --hub really a hub?)");
    };
    let rule = told.rule.as_deref().and_then(|rule| rule.parse::<Rule>().ok());
    match (told.kind.as_str(), rule) {
        ("refused", Some(rule)) => {
            let refusal = Refusal { rule, value: printable(&told.value), limit: printable(&told.limit) };
            Failure::Refused { refusal, next: next(rule, &told.next) }
        }
        ("unavailable", _) => {
            let what = format!("the hub cannot do this now: {}; nothing was changed", printable(&told.detail));
            let wait = retry.map_or_else(String::new, |seconds| format!(" in {seconds} s"));
            Failure::failed(what, format_args!("type the same again{wait}"))
        }
        ("broken", _) => {
            let what = format!("the hub has stopped taking statements: {}", printable(&told.detail));
            Failure::failed(what, "tell the hub's operator; the reason stands in the hub's log")
        }
        _ => Failure::failed(format_args!("{status}: {} {}", printable(&told.title), printable(&told.detail)), ""),
    }
}

/// The hub's words made safe to print, at most 500 characters.
fn printable(text: &str) -> String {
    let chars: Vec<char> = text.chars().take(TEXT_CHARS_MAX).collect();
    chars.chunks(PRINTABLE_CHARS).map(|part| model::parse::printable(&part.iter().collect::<String>())).collect()
}

/// What to type next: better than the hub's own words where this program has a command for it.
fn next(rule: Rule, told: &str) -> String {
    match rule {
        Rule::UnknownFinding => "epimachia finding list".to_owned(),
        Rule::UnknownPlan => "epimachia plan list".to_owned(),
        Rule::CharterUnsigned => "epimachia charter adopt FILE   (an admin of the alliance)".to_owned(),
        Rule::TokenInvalid | Rule::ScopeMissing => {
            "epimachia token new   (an admin of the alliance), then give its file with --token-file".to_owned()
        }
        _ if told.contains("charter explain") || told.is_empty() => format!("epimachia charter explain {rule}"),
        Rule::Malformed => "epimachia help".to_owned(),
        _ => printable(told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &str, rule: &str) -> Failure {
        let body = format!(
            r#"{{"type":"x","title":"T.","status":422,"detail":"d","kind":"{kind}","rule":{rule},
            "value":"v","limit":"l","next":"n","more":1}}"#
        );
        failure(StatusCode::UNPROCESSABLE_ENTITY, Some(3), body.as_bytes())
    }

    #[test]
    fn a_rule_that_said_no_is_named_with_value_limit_and_next_step() {
        let Failure::Refused { refusal, next } = of("refused", "\"unknown_finding\"") else { panic!() };
        assert_eq!((refusal.rule, &*refusal.value, &*refusal.limit), (Rule::UnknownFinding, "v", "l"));
        assert_eq!(next, "epimachia finding list");
    }

    #[test]
    fn unavailable_says_when_to_try_again_and_that_nothing_changed() {
        let told = of("unavailable", "null").message();
        assert!(told.contains("in 3 s") && told.contains("nothing was changed"), "{told}");
    }

    #[test]
    fn a_rule_of_a_newer_hub_and_an_answer_of_something_else_are_told_too() {
        assert!(of("refused", "\"brand_new\"").message().contains("422"));
        assert!(failure(StatusCode::BAD_GATEWAY, None, b"<html>").message().contains("502"));
    }
}
