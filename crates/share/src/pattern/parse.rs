//! Tokens into the tree, by recursive descent along the standard's grammar (`STIXPattern.g4`).

use super::lex::{Token, What, fault, tokens};
use super::paths;
use super::tree::{Comparison, Instant, Literal, Observations, Operator, Path, Pattern, Seconds, Step, Test};
use super::{DEPTH_MAX, PARTS_MAX, PATTERN_BYTES_MAX};
use crate::stix::{SpecVersion, StixTime};
use model::ParseError;
use std::mem::discriminant;
use std::str::FromStr;

impl FromStr for Pattern {
    type Err = ParseError;

    /// Reads a pattern of STIX 2.1.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text, SpecVersion::V21)
    }
}

impl Pattern {
    /// Reads a pattern. STIX 2.0 writes the times of `START` and `STOP` as strings.
    ///
    /// # Errors
    /// Names the byte, what stands there and what should; a hash that is none; a qualifier given twice; what is too
    /// long,
    /// too deep or has too many parts.
    pub fn parse(text: &str, spec: SpecVersion) -> Result<Self, ParseError> {
        if text.len() > PATTERN_BYTES_MAX {
            let found = format!("{} bytes", text.len());
            return Err(ParseError::new("pattern", &found, format_args!("at most {PATTERN_BYTES_MAX} bytes")));
        }
        let mut parser = Parser { text, tokens: tokens(text)?, next: 0, depth: 0, parts: 0, spec };
        let root = parser.followed()?;
        match parser.what() {
            What::End => Ok(Self { root }),
            _ => Err(parser.wanted("FOLLOWEDBY, OR, AND, a qualifier, or the end")),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
    parts: usize,
    spec: SpecVersion,
}

type Parsed<T> = Result<T, ParseError>;

impl Parser<'_> {
    fn followed(&mut self) -> Parsed<Observations> {
        self.list("FOLLOWEDBY", Self::any, Observations::Followed)
    }

    fn any(&mut self) -> Parsed<Observations> {
        self.list("OR", Self::all, Observations::Any)
    }

    fn all(&mut self) -> Parsed<Observations> {
        self.list("AND", Self::qualified, Observations::All)
    }

    /// One part, or several with `word` between them.
    fn list<T>(&mut self, word: &'static str, part: fn(&mut Self) -> Parsed<T>, several: fn(Vec<T>) -> T) -> Parsed<T> {
        let first = part(self)?;
        if *self.what() != What::Word(word) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take_word(word) {
            parts.push(part(self)?);
        }
        Ok(several(parts))
    }

    /// An observation expression with its qualifiers. On `[…]` itself each kind of qualifier may stand once.
    fn qualified(&mut self) -> Parsed<Observations> {
        self.part()?;
        let mut expression = if self.take("[") {
            let comparison = self.comparison()?;
            self.expect("]")?;
            Observations::One(comparison)
        } else if self.take("(") {
            let inner = self.nested(Self::followed)?;
            self.expect(")")?;
            inner
        } else {
            return Err(self.wanted("[ or ("));
        };
        let simple = matches!(expression, Observations::One(_)) && self.tokens[self.next - 1].what == What::Sign("]");
        let mut seen = Vec::new();
        while let Some(word) = ["WITHIN", "REPEATS", "START"].into_iter().find(|word| *self.what() == What::Word(word))
        {
            if simple && seen.contains(&word) {
                return Err(self.wanted(format_args!("{word} once")));
            }
            seen.push(word);
            self.part()?;
            expression = self.qualifier(word, expression)?;
        }
        Ok(expression)
    }

    fn qualifier(&mut self, word: &'static str, inner: Observations) -> Parsed<Observations> {
        self.next += 1;
        let inner = Box::new(inner);
        match word {
            "WITHIN" => {
                let seconds = self.seconds()?;
                self.expect_word("SECONDS").map(|()| Observations::Within(inner, seconds))
            }
            "REPEATS" => {
                let times = self.times()?;
                self.expect_word("TIMES").map(|()| Observations::Repeats(inner, times))
            }
            _ => {
                let start = self.instant()?;
                self.expect_word("STOP")?;
                Ok(Observations::During(inner, start, self.instant()?))
            }
        }
    }

    fn seconds(&mut self) -> Parsed<Seconds> {
        let nanos = match self.what() {
            What::Literal(Literal::Integer(n), _) => i128::from(*n) * 1_000_000_000,
            What::Literal(Literal::Float(n), _) => (*n * 1e9).round() as i128,
            _ => 0,
        };
        match self.what().clone() {
            What::Literal(_, text) if nanos > 0 => {
                self.next += 1;
                Ok(Seconds { text, nanos })
            }
            _ => Err(self.wanted("a number above 0")),
        }
    }

    fn times(&mut self) -> Parsed<u32> {
        match self.what() {
            What::Literal(Literal::Integer(n), _) => match u32::try_from(*n) {
                Ok(times) if times > 0 => {
                    self.next += 1;
                    Ok(times)
                }
                _ => Err(self.wanted("a whole number above 0")),
            },
            _ => Err(self.wanted("a whole number above 0")),
        }
    }

    fn instant(&mut self) -> Parsed<Instant> {
        let instant = match self.what() {
            What::Literal(Literal::Time(instant), _) => Some(instant.clone()),
            What::Literal(Literal::Text(text), _) if self.spec == SpecVersion::V20 => {
                StixTime::parse("time", text).ok().map(|time| Instant { text: text.clone(), time })
            }
            _ => None,
        };
        let instant = instant.ok_or_else(|| self.wanted("a time such as t'2026-01-31T23:59:59Z'"))?;
        self.next += 1;
        Ok(instant)
    }

    fn comparison(&mut self) -> Parsed<Comparison> {
        self.list("OR", Self::comparison_all, Comparison::Any)
    }

    fn comparison_all(&mut self) -> Parsed<Comparison> {
        self.list("AND", Self::test, Comparison::All)
    }

    fn test(&mut self) -> Parsed<Comparison> {
        self.part()?;
        if self.take("(") {
            let inner = self.nested(Self::comparison)?;
            return self.expect(")").map(|()| inner);
        }
        let not_first = self.take_word("NOT");
        if not_first || *self.what() == What::Word("EXISTS") {
            self.expect_word("EXISTS")?;
            return Ok(Comparison::Test(Test { path: self.path()?, negated: not_first, operator: Operator::Exists }));
        }
        let path = self.path()?;
        let negated = self.take_word("NOT");
        let at = self.at();
        let operator = self.operator()?;
        paths::check_hash(&path, &operator).map_err(|allowed| fault(self.text, at, allowed))?;
        Ok(Comparison::Test(Test { path, negated, operator }))
    }

    fn operator(&mut self) -> Parsed<Operator> {
        let operator = self.what().clone();
        self.next += 1;
        match operator {
            What::Sign("=" | "==") => self.literal(true).map(Operator::Equal),
            What::Sign("!=" | "<>") => self.literal(true).map(Operator::NotEqual),
            What::Sign(">") => self.literal(false).map(Operator::Greater),
            What::Sign(">=") => self.literal(false).map(Operator::AtLeast),
            What::Sign("<") => self.literal(false).map(Operator::Less),
            What::Sign("<=") => self.literal(false).map(Operator::AtMost),
            What::Word("IN") => self.set().map(Operator::In),
            What::Word("LIKE") => self.string().map(Operator::Like),
            What::Word("MATCHES") => self.string().map(Operator::Matches),
            What::Word("ISSUBSET") => self.string().map(Operator::Subset),
            What::Word("ISSUPERSET") => self.string().map(Operator::Superset),
            _ => {
                self.next -= 1;
                Err(self.wanted("a comparison operator"))
            }
        }
    }

    /// Truth has no order.
    fn literal(&mut self, truth: bool) -> Parsed<Literal> {
        let fits =
            |what: &What| matches!(what, What::Literal(literal, _) if truth || !matches!(literal, Literal::Bool(_)));
        match self.grab(fits) {
            Some(What::Literal(literal, _)) => Ok(literal),
            _ => Err(self.wanted("a literal")),
        }
    }

    /// Literals of one type; whole and other numbers are one (STIX 2.1 §9.2, `set`).
    fn set(&mut self) -> Parsed<Vec<Literal>> {
        self.expect("(")?;
        let mut literals: Vec<Literal> = Vec::new();
        while !self.take(")") {
            if !literals.is_empty() {
                self.expect(",")?;
            }
            self.part()?;
            let at = self.at();
            let literal = self.literal(true)?;
            if literals.first().is_some_and(|first| type_of(first) != type_of(&literal)) {
                return Err(fault(self.text, at, "literals of one type"));
            }
            literals.push(literal);
        }
        Ok(literals)
    }

    fn string(&mut self) -> Parsed<String> {
        match self.grab(|what| matches!(what, What::Literal(Literal::Text(_), _))) {
            Some(What::Literal(Literal::Text(text), _)) => Ok(text),
            _ => Err(self.wanted("text in single quotes")),
        }
    }

    fn path(&mut self) -> Parsed<Path> {
        let Some(What::Name(kind)) = self.grab(|what| matches!(what, What::Name(_))) else {
            return Err(self.wanted("an object type"));
        };
        self.expect(":")?;
        let mut steps = vec![self.key()?];
        loop {
            if self.take(".") {
                steps.push(self.key()?);
            } else if self.take("[") {
                steps.push(self.index()?);
                self.expect("]")?;
            } else {
                return Ok(Path { kind, steps });
            }
            self.part()?;
        }
    }

    fn key(&mut self) -> Parsed<Step> {
        match self.grab(|what| matches!(what, What::Name(name) if !name.contains('-'))) {
            Some(What::Name(name)) => Ok(Step::Key(name)),
            _ if matches!(self.what(), What::Literal(Literal::Text(_), _)) => self.string().map(Step::Key),
            _ => Err(self.wanted("a property, in quotes if it has a hyphen")),
        }
    }

    fn index(&mut self) -> Parsed<Step> {
        let step = match self.what() {
            What::Sign("*") => Step::Any,
            What::Literal(Literal::Integer(index), _) => Step::Index(*index),
            _ => return Err(self.wanted("a whole number or *")),
        };
        self.next += 1;
        Ok(step)
    }

    fn nested<T>(&mut self, inner: fn(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.wanted(format_args!("at most {DEPTH_MAX} levels of parentheses")));
        }
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn part(&mut self) -> Parsed<()> {
        self.parts += 1;
        match self.parts > PARTS_MAX {
            true => Err(self.wanted(format_args!("at most {PARTS_MAX} parts"))),
            false => Ok(()),
        }
    }

    fn what(&self) -> &What {
        self.tokens.get(self.next).map_or(&What::End, |token| &token.what)
    }

    /// Takes the token out if it fits; nothing goes back to one that was read.
    fn grab(&mut self, fits: impl Fn(&What) -> bool) -> Option<What> {
        let token = self.tokens.get_mut(self.next).filter(|token| fits(&token.what))?;
        self.next += 1;
        Some(std::mem::replace(&mut token.what, What::End))
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.text.len(), |token| token.at)
    }

    fn take(&mut self, sign: &'static str) -> bool {
        let found = *self.what() == What::Sign(sign);
        self.next += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &'static str) -> bool {
        let found = *self.what() == What::Word(word);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &'static str) -> Parsed<()> {
        if self.take(sign) { Ok(()) } else { Err(self.wanted(sign)) }
    }

    fn expect_word(&mut self, word: &'static str) -> Parsed<()> {
        if self.take_word(word) { Ok(()) } else { Err(self.wanted(word)) }
    }

    fn wanted(&self, allowed: impl std::fmt::Display) -> ParseError {
        fault(self.text, self.at(), allowed)
    }
}

fn type_of(literal: &Literal) -> std::mem::Discriminant<Literal> {
    match literal {
        Literal::Float(_) => discriminant(&Literal::Integer(0)),
        other => discriminant(other),
    }
}
