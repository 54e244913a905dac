//! What a pattern says, as a tree; printed in one canonical form.

use crate::stix::StixTime;
use std::fmt;

/// A pattern.
#[derive(Clone, PartialEq, Debug)]
pub struct Pattern {
    /// Its observation expressions.
    pub root: Observations,
}

/// Observation expressions (STIX 2.1 §9.5). Lists have two entries or more.
#[derive(Clone, PartialEq, Debug)]
pub enum Observations {
    /// `[…]`: one observation that satisfies a comparison.
    One(Comparison),
    /// `AND`: all, in different observations.
    All(Vec<Observations>),
    /// `OR`: one of them.
    Any(Vec<Observations>),
    /// `FOLLOWEDBY`: all, in this order of time.
    Followed(Vec<Observations>),
    /// `WITHIN n SECONDS`: all of it in so many nanoseconds.
    Within(Box<Observations>, Seconds),
    /// `REPEATS n TIMES`: so often, in different observations.
    Repeats(Box<Observations>, u32),
    /// `START … STOP …`: from the first time until before the second.
    During(Box<Observations>, Instant, Instant),
}

/// Comparison expressions (STIX 2.1 §9.6). Lists have two entries or more.
#[derive(Clone, PartialEq, Debug)]
pub enum Comparison {
    /// One test.
    Test(Test),
    /// `AND`: all, of one and the same object.
    All(Vec<Comparison>),
    /// `OR`: one of them.
    Any(Vec<Comparison>),
}

/// One test of a property.
#[derive(Clone, PartialEq, Debug)]
pub struct Test {
    /// Where the property is.
    pub path: Path,
    /// Is `NOT` before the operator?
    pub negated: bool,
    /// What is asked.
    pub operator: Operator,
}

/// The comparison operators with what stands on their right (STIX 2.1 §9.6.1).
#[derive(Clone, PartialEq, Debug)]
pub enum Operator {
    /// `=`.
    Equal(Literal),
    /// `!=`.
    NotEqual(Literal),
    /// `>`.
    Greater(Literal),
    /// `>=`.
    AtLeast(Literal),
    /// `<`.
    Less(Literal),
    /// `<=`.
    AtMost(Literal),
    /// `IN (…)`: literals of one type; may be empty.
    In(Vec<Literal>),
    /// `LIKE`: `%` for any text, `_` for one character.
    Like(String),
    /// `MATCHES`: a regular expression.
    Matches(String),
    /// `ISSUBSET`: the property's network lies in this one.
    Subset(String),
    /// `ISSUPERSET`: the property's network holds this one.
    Superset(String),
    /// `EXISTS`.
    Exists,
}

/// An object path (STIX 2.1 §9.7): `type:step.step[2].step[*]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Path {
    /// The object type.
    pub kind: String,
    /// The steps from the object inwards; one at least.
    pub steps: Vec<Step>,
}

/// One step of an object path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// A property or key.
    Key(String),
    /// One entry of a list; below zero there is none.
    Index(i64),
    /// Any entry of a list.
    Any,
}

/// A literal (STIX 2.1 §9.2).
#[derive(Clone, PartialEq, Debug)]
pub enum Literal {
    /// A whole number.
    Integer(i64),
    /// A number with a decimal point.
    Float(f64),
    /// `'text'`.
    Text(String),
    /// `true` or `false`.
    Bool(bool),
    /// `h'…'` or `b'…'`.
    Bytes(Vec<u8>),
    /// `t'…'`.
    Time(Instant),
}

/// A timestamp as it was written, and the time that it means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instant {
    /// The text between the quotes.
    pub text: String,
    /// The time.
    pub time: StixTime,
}

/// A length of time: the number as it was written, and in nanoseconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seconds {
    /// The number of seconds as text.
    pub text: String,
    /// Nanoseconds, above 0.
    pub nanos: i128,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

/// Parentheses stand around every list inside another expression, and around what a qualifier covers unless that is
/// `[…]`.
impl fmt::Display for Observations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(comparison) => write!(f, "[{comparison}]"),
            Self::All(parts) => join(f, parts, " AND ", Self::inner),
            Self::Any(parts) => join(f, parts, " OR ", Self::inner),
            Self::Followed(parts) => join(f, parts, " FOLLOWEDBY ", Self::inner),
            Self::Within(part, seconds) => write!(f, "{} WITHIN {} SECONDS", Covered(part), seconds.text),
            Self::Repeats(part, times) => write!(f, "{} REPEATS {times} TIMES", Covered(part)),
            Self::During(part, start, stop) => {
                write!(f, "{} START t'{}' STOP t'{}'", Covered(part), start.text, stop.text)
            }
        }
    }
}

impl Observations {
    fn inner(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(_) | Self::Any(_) | Self::Followed(_) => write!(f, "({self})"),
            _ => fmt::Display::fmt(self, f),
        }
    }
}

struct Covered<'a>(&'a Observations);

impl fmt::Display for Covered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Observations::One(_) => self.0.fmt(f),
            other => write!(f, "({other})"),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = |part: &Self, f: &mut fmt::Formatter<'_>| match part {
            Self::Test(test) => test.fmt(f),
            list => write!(f, "({list})"),
        };
        match self {
            Self::Test(test) => test.fmt(f),
            Self::All(parts) => join(f, parts, " AND ", inner),
            Self::Any(parts) => join(f, parts, " OR ", inner),
        }
    }
}

fn join<T>(
    f: &mut fmt::Formatter<'_>,
    parts: &[T],
    between: &str,
    each: impl Fn(&T, &mut fmt::Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    for (i, part) in parts.iter().enumerate() {
        f.write_str(if i > 0 { between } else { "" })?;
        each(part, f)?;
    }
    Ok(())
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, not) = (&self.path, if self.negated { " NOT" } else { "" });
        let quoted = |text: &str| Literal::Text(text.to_owned());
        match &self.operator {
            Operator::Equal(literal) => write!(f, "{path}{not} = {literal}"),
            Operator::NotEqual(literal) => write!(f, "{path}{not} != {literal}"),
            Operator::Greater(literal) => write!(f, "{path}{not} > {literal}"),
            Operator::AtLeast(literal) => write!(f, "{path}{not} >= {literal}"),
            Operator::Less(literal) => write!(f, "{path}{not} < {literal}"),
            Operator::AtMost(literal) => write!(f, "{path}{not} <= {literal}"),
            Operator::In(literals) => {
                write!(f, "{path}{not} IN (")?;
                join(f, literals, ", ", |literal, f| literal.fmt(f))?;
                f.write_str(")")
            }
            Operator::Like(text) => write!(f, "{path}{not} LIKE {}", quoted(text)),
            Operator::Matches(text) => write!(f, "{path}{not} MATCHES {}", quoted(text)),
            Operator::Subset(text) => write!(f, "{path}{not} ISSUBSET {}", quoted(text)),
            Operator::Superset(text) => write!(f, "{path}{not} ISSUPERSET {}", quoted(text)),
            Operator::Exists => write!(f, "{}EXISTS {path}", if self.negated { "NOT " } else { "" }),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.kind)?;
        for (i, step) in self.steps.iter().enumerate() {
            match step {
                Step::Key(key) => {
                    f.write_str(if i > 0 { "." } else { "" })?;
                    match super::lex::is_plain_name(key) {
                        true => f.write_str(key)?,
                        false => Literal::Text(key.clone()).fmt(f)?,
                    }
                }
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Any => f.write_str("[*]")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(number) if number.fract() == 0.0 => write!(f, "{number:.1}"),
            Self::Float(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Bytes(bytes) => write!(f, "h'{}'", model::digest::hex(bytes)),
            Self::Time(instant) => write!(f, "t'{}'", instant.text),
        }
    }
}
