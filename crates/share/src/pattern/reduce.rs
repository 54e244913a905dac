//! What a pattern means in observables: any one of them, some only together, or something that observables cannot say.

use super::paths::{Property, is_type_of_reference, network};
use super::tree::{Comparison, Literal, Observations, Operator, Pattern, Test};
use model::{FileHash, Observable};
use std::collections::BTreeSet;

/// Most alternatives that are written out when `AND` stands over `OR`.
const PRODUCT_MAX: usize = 1_000;

/// A pattern in terms of observables. Nothing of the pattern is lost: what is in none of the first two is in `kept`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reduction {
    /// Each of these satisfies the pattern by itself.
    pub any_of: BTreeSet<Observable>,
    /// Each of these sets satisfies it, but none of its members alone.
    pub all_of: BTreeSet<BTreeSet<Observable>>,
    /// Named beside conditions that observables cannot express: to look for, not to act upon.
    pub mentioned: BTreeSet<Observable>,
    /// The parts that were not reduced, and why.
    pub kept: BTreeSet<Kept>,
}

/// A part of a pattern that is kept as it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Kept {
    /// The part, printed.
    pub text: String,
    /// Why it was not reduced.
    pub why: &'static str,
}

impl Reduction {
    /// Reduces `pattern`.
    pub fn of(pattern: &Pattern) -> Self {
        let mut reduction = Self::default();
        for alternative in of_observations(&pattern.root) {
            reduction.take(alternative);
        }
        reduction
    }

    /// All observables that it names, also those that say nothing alone.
    pub fn named(&self) -> BTreeSet<&Observable> {
        self.any_of.iter().chain(self.all_of.iter().flatten()).chain(&self.mentioned).collect()
    }

    /// Does `any_of` say all that the pattern says?
    pub fn is_whole(&self) -> bool {
        self.kept.is_empty() && self.all_of.is_empty()
    }

    fn take(&mut self, alternative: Alternative) {
        let Alternative { observables, conditions, implied } = alternative;
        if !conditions.is_empty() {
            self.mentioned.extend(observables);
            self.kept.extend(conditions);
        } else if observables.is_empty() {
            self.kept.extend(implied);
        } else if observables.len() == 1 {
            self.any_of.extend(observables);
        } else {
            self.all_of.insert(observables);
        }
    }
}

/// One way to satisfy a pattern: all of it must hold.
#[derive(Clone, Default)]
struct Alternative {
    observables: BTreeSet<Observable>,
    conditions: Vec<Kept>,
    /// What the observables say anyhow: counts only where there are none.
    implied: Vec<Kept>,
}

impl Alternative {
    fn seen(observable: Observable) -> Self {
        Self { observables: BTreeSet::from([observable]), ..Self::default() }
    }

    fn kept(text: impl ToString, why: &'static str) -> Self {
        Self { conditions: vec![Kept { text: text.to_string(), why }], ..Self::default() }
    }

    fn and(mut self, other: &Self) -> Self {
        self.observables.extend(other.observables.iter().cloned());
        self.conditions.extend(other.conditions.iter().cloned());
        self.implied.extend(other.implied.iter().cloned());
        self
    }
}

fn of_observations(expression: &Observations) -> Vec<Alternative> {
    match expression {
        Observations::One(comparison) => of_comparison(comparison),
        Observations::Any(parts) => parts.iter().flat_map(of_observations).collect(),
        Observations::All(parts) => product(parts.iter().map(of_observations), expression),
        Observations::Followed(parts) => {
            let order = Alternative::kept(expression, "an order in time");
            product(parts.iter().map(of_observations).chain([vec![order]]), expression)
        }
        // One observation is within any length of time.
        Observations::Within(part, _) if matches!(**part, Observations::One(_)) => of_observations(part),
        Observations::Within(part, _) => under(part, expression, "a length of time"),
        Observations::Repeats(part, 1) => of_observations(part),
        Observations::Repeats(part, _) => under(part, expression, "a number of times"),
        Observations::During(part, ..) => under(part, expression, "a span of time"),
    }
}

fn under(part: &Observations, whole: &Observations, why: &'static str) -> Vec<Alternative> {
    product([of_observations(part), vec![Alternative::kept(whole, why)]].into_iter(), whole)
}

fn of_comparison(comparison: &Comparison) -> Vec<Alternative> {
    match comparison {
        Comparison::Test(test) => of_test(test),
        Comparison::Any(parts) => parts.iter().flat_map(of_comparison).collect(),
        Comparison::All(parts) => {
            let mut alternatives = product(parts.iter().map(of_comparison), comparison);
            alternatives.iter_mut().for_each(|alternative| strongest(&mut alternative.observables));
            alternatives
        }
    }
}

/// Hashes joined by `AND` inside one pair of brackets are of one file: its SHA-256 alone tells it from all others.
fn strongest(observables: &mut BTreeSet<Observable>) {
    let all_hashes = observables.iter().all(|observable| matches!(observable, Observable::Hash(_)));
    let is_strong = |observable: &Observable| matches!(observable, Observable::Hash(FileHash::Sha256(_)));
    if all_hashes && observables.iter().filter(|observable| is_strong(observable)).count() == 1 {
        observables.retain(is_strong);
    }
}

/// All combinations of one alternative of each part.
fn product(parts: impl Iterator<Item = Vec<Alternative>>, whole: &impl ToString) -> Vec<Alternative> {
    let mut combined = vec![Alternative::default()];
    for part in parts {
        if combined.len() * part.len() > PRODUCT_MAX {
            return vec![Alternative::kept(whole.to_string(), "too many combinations")];
        }
        combined = combined.iter().flat_map(|left| part.iter().map(|right| left.clone().and(right))).collect();
    }
    combined
}

fn of_test(test: &Test) -> Vec<Alternative> {
    if is_type_of_reference(&test.path) && !test.negated && matches!(test.operator, Operator::Equal(_)) {
        let implied = vec![Kept { text: test.to_string(), why: "a type without a value" }];
        return vec![Alternative { implied, ..Alternative::default() }];
    }
    let Some(property) = Property::of(&test.path) else {
        return vec![Alternative::kept(test, "a property that is no observable")];
    };
    if test.negated {
        return vec![Alternative::kept(test, "a negation")];
    }
    let equal = |literal: &Literal| match literal {
        Literal::Text(text) => property.observable(text),
        _ => None,
    };
    match &test.operator {
        Operator::Equal(literal) => vec![known(equal(literal), test)],
        Operator::In(literals) if literals.is_empty() => vec![Alternative::kept(test, "an empty set")],
        Operator::In(literals) => literals
            .iter()
            .map(|literal| {
                let only = Test { operator: Operator::Equal(literal.clone()), ..test.clone() };
                known(equal(literal), &only)
            })
            .collect(),
        Operator::Like(text) if !text.contains(['%', '_']) => vec![known(property.observable(text), test)],
        Operator::Subset(text) if matches!(property, Property::Address | Property::Any) => {
            vec![known(text.parse().ok().and_then(network), test)]
        }
        _ => vec![Alternative::kept(test, "an operator that observables cannot express")],
    }
}

fn known(observable: Option<Observable>, test: &Test) -> Alternative {
    match observable {
        Some(observable) => Alternative::seen(observable),
        None => Alternative::kept(test, "a value that is no observable"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reduce(text: &str) -> Reduction {
        Reduction::of(&text.parse().unwrap())
    }

    fn texts(observables: &BTreeSet<Observable>) -> Vec<String> {
        observables.iter().map(ToString::to_string).collect()
    }

    const MD5: &str = "79054025255fb1a26e4bc422aef54eb4";
    const SHA256: &str = "aec070645fe53ee3b3763059376134f058cc337247c978add178b6ccdfb0019f";

    #[test]
    fn each_of_several_values_satisfies_by_itself() {
        let reduction = reduce(
            "[ipv4-addr:value = '198.51.100.1/32' OR ipv4-addr:value IN ('198.51.100.2', '198.51.100.0/24')] OR \
             [domain-name:value LIKE 'Evil.example'] OR [url:value = 'HTTP://evil.example:80/a'] OR \
             [ipv6-addr:value ISSUBSET '2001:db8::1/48'] OR [network-traffic:src_ref.value = '198.51.100.3']",
        );
        assert!(reduction.is_whole());
        let found = texts(&reduction.any_of);
        for wanted in [
            "198.51.100.1",
            "198.51.100.2",
            "198.51.100.0/24",
            "evil.example",
            "http://evil.example/a",
            "2001:db8::/48",
            "198.51.100.3",
        ] {
            assert!(found.iter().any(|text| text == wanted), "{wanted}: {found:?}");
        }
        assert_eq!(found.len(), 7);
    }

    #[test]
    fn what_holds_only_together_is_not_taken_apart() {
        let reduction =
            reduce("[domain-name:value = 'a.example' AND domain-name:resolves_to_refs[*].value = '198.51.100.1']");
        assert_eq!((reduction.any_of.len(), reduction.all_of.len(), reduction.kept.len()), (0, 1, 0));
        let reduction = reduce("[url:value = 'http://a.example/'] AND [ipv4-addr:value = '198.51.100.1']");
        assert_eq!((reduction.any_of.len(), reduction.all_of.len(), reduction.is_whole()), (0, 1, false));
    }

    #[test]
    fn hashes_of_one_file_are_told_by_the_strongest() {
        let both = format!("[file:hashes.MD5 = '{MD5}' AND file:hashes.'SHA-256' = '{SHA256}']");
        assert_eq!(texts(&reduce(&both).any_of), [format!("sha256:{SHA256}")]);
        let two_files = format!("[file:hashes.MD5 = '{MD5}'] AND [file:hashes.'SHA-256' = '{SHA256}']");
        assert_eq!(reduce(&two_files).all_of.len(), 1);
        assert_eq!(reduce(&format!("[file:hashes.'SHA3-256' = '{SHA256}']")).any_of.len(), 0);
    }

    #[test]
    fn conditions_that_observables_cannot_say_are_kept_and_named() {
        for (pattern, why) in [
            (
                "[ipv4-addr:value = '198.51.100.1' AND network-traffic:dst_port = 80]",
                "a property that is no observable",
            ),
            ("[ipv4-addr:value != '198.51.100.1']", "an operator that observables cannot express"),
            ("[ipv4-addr:value NOT = '198.51.100.1']", "a negation"),
            ("[domain-name:value LIKE '%.evil.example']", "an operator that observables cannot express"),
            ("[domain-name:value MATCHES 'evil']", "an operator that observables cannot express"),
            ("[ipv4-addr:value ISSUBSET '0.0.0.0/0']", "a value that is no observable"),
            ("[ipv4-addr:value = '198.51.100.1'] REPEATS 5 TIMES", "a number of times"),
            ("[url:value = 'http://a.example/'] FOLLOWEDBY [ipv4-addr:value = '198.51.100.1']", "an order in time"),
            ("[network-traffic:dst_ref.type = 'ipv4-addr']", "a type without a value"),
            ("[domain-name:value = 'localhost']", "a value that is no observable"),
        ] {
            let reduction = reduce(pattern);
            assert!(reduction.any_of.is_empty() && reduction.all_of.is_empty(), "{pattern}: {reduction:?}");
            assert_eq!(reduction.kept.iter().next().map(|kept| kept.why), Some(why), "{pattern}");
        }
        assert_eq!(texts(&reduce("[ipv4-addr:value = '198.51.100.1'] REPEATS 5 TIMES").mentioned), ["198.51.100.1"]);
    }

    #[test]
    fn types_of_references_and_times_of_single_observations_say_nothing_new() {
        let reduction = reduce(
            "[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '203.0.113.33/32'] \
             WITHIN 5 SECONDS",
        );
        assert_eq!((texts(&reduction.any_of), reduction.is_whole()), (vec!["203.0.113.33".to_owned()], true));
    }

    #[test]
    fn a_product_beyond_the_limit_is_kept_as_a_whole() {
        let side = |n: usize| -> String {
            let tests: Vec<String> = (0..40).map(|i| format!("ipv4-addr:value = '198.51.{n}.{i}'")).collect();
            format!("[{}]", tests.join(" OR "))
        };
        let reduction = reduce(&format!("{} AND {}", side(1), side(2)));
        assert_eq!(reduction.kept.iter().next().map(|kept| kept.why), Some("too many combinations"));
        assert!(reduction.any_of.is_empty());
    }
}
