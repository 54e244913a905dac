//! What a request asks for: `limit`, `next`, `added_after`, and the `match[…]` filters (TAXII 2.1 §3.4).

use super::cursor::{Next, micros};
use crate::stix::{SpecVersion, StixTime, id};
use model::ParseError;
use std::collections::BTreeSet;

/// Most values of one filter.
pub const VALUES_MAX: usize = 1_000;
/// Most objects of one page, whatever a client asks for.
pub const LIMIT_MAX: usize = 1_000;

/// The parameters that the standard has.
const NAMES: [&str; 7] =
    ["added_after", "limit", "next", "match[id]", "match[type]", "match[version]", "match[spec_version]"];

/// A request's filters: between them AND, inside of one OR.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    /// Only what was added after this, in microseconds since 1970.
    pub added_after: Option<i64>,
    /// Most objects of the page, 1 to [`LIMIT_MAX`].
    pub limit: usize,
    /// Go on here.
    pub next: Option<Next>,
    /// Only these identifiers; empty: all.
    pub ids: BTreeSet<String>,
    /// Only these types; empty: all.
    pub types: BTreeSet<String>,
    /// Which versions of each object.
    pub versions: Versions,
    /// Only these versions of the standard; empty: of each object the latest.
    pub specs: BTreeSet<SpecVersion>,
}

/// Which versions of an object are asked for (§3.4.1.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Versions {
    /// Every version.
    pub all: bool,
    /// The first.
    pub first: bool,
    /// The last.
    pub last: bool,
    /// Those of these times.
    pub times: BTreeSet<StixTime>,
}

impl Default for Versions {
    /// The last.
    fn default() -> Self {
        Self { all: false, first: false, last: true, times: BTreeSet::new() }
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            added_after: None,
            limit: LIMIT_MAX,
            next: None,
            ids: BTreeSet::new(),
            types: BTreeSet::new(),
            versions: Versions::default(),
            specs: BTreeSet::new(),
        }
    }
}

/// One version of an object, as far as filters ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Version {
    /// When this version was made; for objects without versions when it was added.
    pub time: StixTime,
    /// Which standard it follows.
    pub spec: SpecVersion,
}

/// What filters ask of all versions of one object together: of each standard the first and the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ends {
    old: Option<(StixTime, StixTime)>,
    new: Option<(StixTime, StixTime)>,
}

impl Ends {
    /// Takes one more version.
    pub fn add(&mut self, Version { time, spec }: Version) {
        let ends = match spec {
            SpecVersion::V20 => &mut self.old,
            SpecVersion::V21 => &mut self.new,
        };
        *ends = Some(ends.map_or((time, time), |(first, last)| (first.min(time), last.max(time))));
    }

    /// Takes all versions that `other` has taken.
    pub fn merge(&mut self, other: &Self) {
        for (ends, spec) in [(other.old, SpecVersion::V20), (other.new, SpecVersion::V21)] {
            if let Some((first, last)) = ends {
                self.add(Version { time: first, spec });
                self.add(Version { time: last, spec });
            }
        }
    }

    /// The last of all, whichever standard it follows.
    pub fn latest(&self) -> Option<StixTime> {
        [self.old, self.new].into_iter().flatten().map(|(_, last)| last).max()
    }

    const fn of(&self, spec: SpecVersion) -> Option<(StixTime, StixTime)> {
        match spec {
            SpecVersion::V20 => self.old,
            SpecVersion::V21 => self.new,
        }
    }

    const fn is_latest(&self, spec: SpecVersion) -> bool {
        matches!(spec, SpecVersion::V21) || self.new.is_none()
    }
}

impl FromIterator<Version> for Ends {
    fn from_iter<I: IntoIterator<Item = Version>>(versions: I) -> Self {
        let mut ends = Self::default();
        versions.into_iter().for_each(|version| ends.add(version));
        ends
    }
}

impl Filter {
    /// Reads the pairs of a query, already decoded. Pairs that the standard does not have are passed over.
    ///
    /// # Errors
    /// Names the parameter, the value and what is allowed: the answer is 400. So is a parameter that comes twice.
    pub fn read<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, ParseError> {
        let mut filter = Self::default();
        let mut seen = BTreeSet::new();
        for (name, value) in pairs {
            if NAMES.contains(&name) && !seen.insert(name) {
                return Err(ParseError::new(name, value, "once in a request"));
            }
            match name {
                "added_after" => filter.added_after = Some(micros(name, value)?),
                "limit" => filter.limit = limit(value)?,
                "next" => filter.next = Some(value.parse()?),
                "match[id]" => {
                    for text in values(name, value)? {
                        id::split(name, text)?;
                        filter.ids.insert(text.to_owned());
                    }
                }
                "match[type]" => filter.types.extend(values(name, value)?.into_iter().map(ToOwned::to_owned)),
                "match[version]" => {
                    filter.versions = Versions { last: false, ..Versions::default() };
                    filter.versions.add(&values(name, value)?)?;
                }
                "match[spec_version]" => {
                    for text in values(name, value)? {
                        filter.specs.insert(spec(text)?);
                    }
                }
                _ => {}
            }
        }
        Ok(filter)
    }

    /// Does an object with this identifier and type pass?
    pub fn wants(&self, id: &str, kind: &str) -> bool {
        (self.ids.is_empty() || self.ids.contains(id)) && (self.types.is_empty() || self.types.contains(kind))
    }

    /// Does this version of an object pass, of all the versions that the collection has of it?
    pub fn keeps(&self, version: Version, of: &Ends) -> bool {
        let spec = match self.specs.is_empty() {
            true => of.is_latest(version.spec),
            false => self.specs.contains(&version.spec),
        };
        let Versions { all, first, last, times: wanted } = &self.versions;
        let (time, ends) = (version.time, of.of(version.spec));
        let right = *all
            || wanted.contains(&time)
            || (*first && ends.is_some_and(|(first, _)| first == time))
            || (*last && ends.is_some_and(|(_, last)| last == time));
        spec && right
    }
}

impl Versions {
    fn add(&mut self, values: &[&str]) -> Result<(), ParseError> {
        let mut seen = BTreeSet::new();
        for value in values {
            let alone = *value != "all" || values.len() == 1;
            if !alone || !seen.insert(*value) {
                return Err(ParseError::new("match[version]", value, "each value once, and `all` by itself"));
            }
            match *value {
                "all" => self.all = true,
                "first" => self.first = true,
                "last" => self.last = true,
                time => drop(self.times.insert(version_time(time)?)),
            }
        }
        Ok(())
    }
}

fn version_time(text: &str) -> Result<StixTime, ParseError> {
    StixTime::parse("match[version]", text)
        .map_err(|_| ParseError::new("match[version]", text, "first, last, all, or a time"))
}

fn spec(text: &str) -> Result<SpecVersion, ParseError> {
    match text {
        "2.0" => Ok(SpecVersion::V20),
        "2.1" => Ok(SpecVersion::V21),
        other => Err(ParseError::new("match[spec_version]", other, "2.0 or 2.1")),
    }
}

/// A page may be smaller than asked for, never larger (§3.4).
fn limit(text: &str) -> Result<usize, ParseError> {
    let digits = !text.is_empty() && text.len() <= 18 && text.bytes().all(|b| b.is_ascii_digit());
    let number = if digits { text.parse::<usize>().ok().filter(|limit| *limit > 0) } else { None };
    number.map(|limit| limit.min(LIMIT_MAX)).ok_or_else(|| ParseError::new("limit", text, "a whole number above 0"))
}

fn values<'a>(name: &str, text: &'a str) -> Result<Vec<&'a str>, ParseError> {
    let values: Vec<&str> = text.split(',').take(VALUES_MAX + 1).map(str::trim).collect();
    if values.len() > VALUES_MAX {
        return Err(ParseError::new(name, text, format_args!("at most {VALUES_MAX} values")));
    }
    match values.iter().any(|value| value.is_empty()) {
        true => Err(ParseError::new(name, text, "values with commas between them")),
        false => Ok(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &'static str)]) -> Result<Filter, ParseError> {
        Filter::read(pairs.iter().copied())
    }

    fn version(day: u8, spec: SpecVersion) -> Version {
        let time = StixTime::parse("t", &format!("2026-01-{day:02}T00:00:00Z")).unwrap();
        Version { time, spec }
    }

    /// Which of these days pass.
    fn kept(pairs: &[(&'static str, &'static str)], of: &[Version]) -> Vec<usize> {
        let filter = read(pairs).unwrap();
        let ends = of.iter().copied().collect();
        (0..of.len()).filter(|at| filter.keeps(of[*at], &ends)).collect()
    }

    #[test]
    fn of_each_object_the_last_version_of_the_latest_standard_passes_where_nothing_is_asked() {
        use SpecVersion::{V20, V21};
        let of = [version(1, V21), version(3, V21), version(2, V21), version(9, V20), version(8, V20)];
        assert_eq!(kept(&[], &of), [1]);
        assert_eq!(kept(&[("match[version]", "all")], &of), [0, 1, 2]);
        assert_eq!(kept(&[("match[version]", "first,last")], &of), [0, 1]);
        assert_eq!(kept(&[("match[version]", "first,2026-01-02T00:00:00.000Z")], &of), [0, 2]);
        assert_eq!(kept(&[("match[spec_version]", "2.0")], &of), [3]);
        assert_eq!(kept(&[("match[spec_version]", "2.0,2.1")], &of), [1, 3]);
        assert_eq!(kept(&[("match[spec_version]", "2.0,2.1"), ("match[version]", "all")], &of), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn identifiers_and_types_are_or_inside_and_and_between() {
        let id = "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f";
        let filter = read(&[("match[id]", id), ("match[type]", "indicator, x-own")]).unwrap();
        assert!(filter.wants(id, "indicator") && !filter.wants(id, "malware") && !filter.wants("other", "indicator"));
        assert!(read(&[]).unwrap().wants("anything", "x-own"));
    }

    #[test]
    fn malformed_parameters_are_refused_by_name_and_unknown_ones_passed_over() {
        for (name, value) in [
            ("limit", "0"),
            ("limit", "-1"),
            ("limit", "+5"),
            ("limit", ""),
            ("limit", "99999999999999999999"),
            ("next", "x"),
            ("added_after", "yesterday"),
            ("match[id]", "nonsense"),
            ("match[type]", ""),
            ("match[type]", "a,,b"),
            ("match[version]", "newest"),
            ("match[spec_version]", "1.0"),
            ("match[version]", "all,last"),
            ("match[version]", "first,first"),
        ] {
            assert_eq!(read(&[(name, value)]).unwrap_err().field, name, "{name}={value}");
        }
        for name in ["limit", "match[type]", "added_after"] {
            let value = if name == "limit" { "1" } else { "2026-01-01T00:00:00Z" };
            assert_eq!(read(&[(name, value), (name, value)]).unwrap_err().allowed, "once in a request");
        }
        assert_eq!(read(&[("x", "y"), ("match[x]", "")]).unwrap(), Filter::default());
        assert_eq!(read(&[("limit", "100000")]).unwrap().limit, LIMIT_MAX);
        let many = vec!["a"; VALUES_MAX + 1].join(",");
        assert!(Filter::read([("match[type]", many.as_str())]).is_err());
    }
}
