//! Findings as what they would put in force: what is denied, from when until when, and how a log line meets it.

use charter::Guards;
use corroborate::Rules;
use ipnet::IpNet;
use model::{
    Action, Class, Domain, Finding, FindingId, FindingState, GuardHit, Measure, Observable, Scope, Span, Target,
    Timestamp,
};
use observe::Networks;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// One finding that a member's machine would have acted upon.
#[derive(Clone, Debug)]
pub struct Block {
    /// The finding.
    pub finding: FindingId,
    /// What it is about.
    pub observable: Observable,
    /// What would have been done.
    pub measure: Measure,
    /// From when on: when the alliance held it corroborated.
    pub from: Timestamp,
    /// Until when: its points have faded below the threshold.
    pub until: Timestamp,
    /// It lies in the member's own space.
    pub own: bool,
    /// A guard list holds it.
    pub guard: Option<GuardHit>,
}

/// How many findings of each kind there were.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Given.
    pub given: usize,
    /// Machines would have acted upon.
    pub blocks: usize,
    /// Not corroborated, faded, revoked, or held back by a guard of the alliance.
    pub not_in_force: usize,
    /// Corroborated for people's eyes only.
    pub for_people: usize,
    /// What a quorum of persons would have to approve: prefixes.
    pub needs_quorum: usize,
    /// What neither a resolver nor a packet filter can express: web addresses, files.
    pub not_enforceable: usize,
}

/// All blocks, and the ways to them.
#[derive(Debug, Default)]
pub struct Blocks {
    all: Vec<Block>,
    counts: Counts,
    numbers: HashMap<FindingId, usize>,
    hosts: HashMap<IpAddr, usize>,
    /// By length of prefix, IPv4 as it is, IPv6 from 1,000 on.
    nets: BTreeMap<u16, HashMap<IpNet, usize>>,
    names: HashMap<Domain, usize>,
}

impl Blocks {
    /// Takes in findings; of several versions of one the first and the last time count.
    pub fn add(&mut self, findings: Vec<Finding>, own: &Networks, guards: &Guards) {
        for finding in findings {
            if let Some(number) = self.numbers.get(&finding.id) {
                self.widen(*number, &finding);
                continue;
            }
            self.counts.given += 1;
            match measure(&finding) {
                Ok(measure) => self.put(finding, measure, own, guards),
                Err(kind) => *kind(&mut self.counts) += 1,
            }
        }
    }

    fn widen(&mut self, number: usize, finding: &Finding) {
        if let (Some(block), Ok(_)) = (self.all.get_mut(number), measure(finding)) {
            block.from = block.from.min(finding.made);
            block.until = block.until.max(until(finding));
        }
    }

    fn put(&mut self, finding: Finding, measure: Measure, own: &Networks, guards: &Guards) {
        let new = self.all.len();
        let number = match measure.target() {
            Target::Host(address) => *self.hosts.entry(*address).or_insert(new),
            Target::Net(prefix) => {
                let net = prefix.network();
                *self.nets.entry(length(net)).or_default().entry(net).or_insert(new)
            }
            Target::DomainName(domain) => *self.names.entry(domain.clone()).or_insert(new),
            Target::Uri(_) | Target::File(_) => return self.counts.not_enforceable += 1,
        };
        self.counts.blocks += 1;
        self.numbers.insert(finding.id, number);
        if number < new {
            return self.widen(number, &finding); // the same target for another family or address of one network
        }
        self.all.push(Block {
            finding: finding.id,
            own: measure.target().observable().network().is_some_and(|net| own.overlaps(net)),
            guard: guards.verdict(&measure.target().observable()),
            from: finding.made,
            until: until(&finding),
            observable: finding.observable,
            measure,
        });
    }

    /// How many there were of each kind.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// All of them, by number.
    pub fn all(&self) -> &[Block] {
        &self.all
    }

    /// The block that an address meets.
    pub fn of_address(&self, address: IpAddr) -> Option<usize> {
        let address = address.to_canonical();
        self.hosts
            .get(&address)
            .copied()
            .or_else(|| self.nets.iter().find_map(|(length, nets)| nets.get(&around(address, *length)?).copied()))
    }

    /// The block that a name meets: its own, or that of a name above it.
    pub fn of_name(&self, name: &Domain) -> Option<usize> {
        let mut rest = name.as_str();
        loop {
            if let Some(number) = rest.parse::<Domain>().ok().and_then(|name| self.names.get(&name).copied()) {
                return Some(number);
            }
            rest = rest.split_once('.').map(|(_, above)| above).filter(|above| above.contains('.'))?;
        }
    }

    /// The block that an observable of the log meets.
    pub fn of(&self, observable: &Observable) -> Option<usize> {
        match observable {
            Observable::Address(address) => self.of_address(*address),
            Observable::Domain(name) => self.of_name(name),
            Observable::Url(url) => match url.domain() {
                Some(host) => self.of_name(&host),
                None => self.of_address(url.address()?),
            },
            Observable::Prefix(_) | Observable::Hash(_) => None,
        }
    }
}

/// What a member's machine would do by itself about a finding; otherwise where it is counted.
fn measure(finding: &Finding) -> Result<Measure, fn(&mut Counts) -> &mut usize> {
    if finding.state != FindingState::Corroborated {
        return Err(|counts| &mut counts.not_in_force);
    }
    if !finding.actionable {
        return Err(|counts| &mut counts.for_people);
    }
    let target = Target::protecting_from(&finding.observable);
    let measure = Measure::new(Action::Deny, target, Scope::Border);
    match measure.ok().filter(|measure| measure.class() == Class::Automatic) {
        Some(measure) => Ok(measure),
        None => Err(|counts| &mut counts.needs_quorum),
    }
}

/// When the points of a finding that nothing renews have faded to the threshold.
fn until(finding: &Finding) -> Timestamp {
    let (total, threshold) = (finding.sum.total, finding.sum.threshold);
    let half_lives = if threshold > 0.0 { (total / threshold).log2().clamp(0.0, 10.0) } else { 0.0 };
    let days = half_lives * Rules::default().half_life_report;
    finding.made.plus(Span::millis((days * 86_400_000.0) as i64))
}

fn length(net: IpNet) -> u16 {
    u16::from(net.prefix_len()) + if net.addr().is_ipv6() { 1_000 } else { 0 }
}

fn around(address: IpAddr, length: u16) -> Option<IpNet> {
    let bits = if address.is_ipv6() { length.checked_sub(1_000)? } else { length };
    Some(IpNet::new(address, u8::try_from(bits).ok()?).ok()?.trunc())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A finding as the hub gives it; `more` replaces parts of it.
    pub fn finding(observable: &str, made: &str, more: &[(&str, serde_json::Value)]) -> Finding {
        let observable: Observable = observable.parse().unwrap();
        let id = model::finding_id(&observable, model::Family::Source);
        let mut value = serde_json::json!({
            "id": id, "observable": observable, "family": "source", "behaviours": ["scan"], "state": "corroborated",
            "actionable": true, "sum": {"lines": [], "total": 4.0, "threshold": 2.0}, "guard": null,
            "handling": {"tlp": "green"}, "first": made, "last": made, "made": made
        });
        for (key, part) in more {
            value[*key] = part.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    pub fn blocks(findings: Vec<Finding>) -> Blocks {
        let mut blocks = Blocks::default();
        let own = Networks::new(&["198.51.100.0/24".parse().unwrap(), "8.8.4.0/24".parse().unwrap()]);
        blocks.add(findings, &own, &Guards::of_files(&[], &[]).unwrap());
        blocks
    }

    const MADE: &str = "2026-01-01T00:00:00Z";

    #[test]
    fn only_what_a_machine_would_act_upon_blocks_and_the_rest_is_counted_by_reason() {
        let state = |word: &str| [("state", serde_json::json!(word))];
        let blocks = blocks(vec![
            finding("1.2.3.4", MADE, &[]),
            finding("1.2.3.5", MADE, &state("observed")),
            finding("1.2.3.6", MADE, &state("guarded")),
            finding("1.2.3.7", MADE, &[("actionable", serde_json::json!(false))]),
            finding("1.2.4.0/24", MADE, &[]),
            finding("http://bad.example.org/x", MADE, &[]),
        ]);
        let counts =
            Counts { given: 6, blocks: 1, not_in_force: 2, for_people: 1, needs_quorum: 1, not_enforceable: 1 };
        assert_eq!(blocks.counts(), counts);
    }

    #[test]
    fn points_twice_the_threshold_last_one_half_life() {
        let blocks = blocks(vec![finding("1.2.3.4", MADE, &[])]);
        assert_eq!(blocks.all()[0].until, MADE.parse::<Timestamp>().unwrap().plus(Span::days(7)));
    }

    #[test]
    fn an_ipv6_address_meets_by_its_64_and_a_name_by_what_stands_above_it() {
        let blocks = blocks(vec![finding("2600:1:2:3::1", MADE, &[]), finding("bad.example.org", MADE, &[])]);
        assert_eq!(blocks.of_address("2600:1:2:3:4::9".parse().unwrap()), Some(0));
        assert_eq!(blocks.of_address("2600:1:2:4::1".parse().unwrap()), None);
        assert_eq!(blocks.of_name(&"www.bad.example.org".parse().unwrap()), Some(1));
        assert_eq!(blocks.of_name(&"example.org".parse().unwrap()), None);
        assert_eq!(blocks.of(&"http://www.bad.example.org/y".parse().unwrap()), Some(1));
    }

    #[test]
    fn several_versions_of_one_finding_are_one_block_from_the_first_to_the_last() {
        let later = "2026-01-03T00:00:00Z";
        let blocks = blocks(vec![finding("1.2.3.4", later, &[]), finding("1.2.3.4", MADE, &[])]);
        assert_eq!((blocks.all().len(), blocks.counts().given), (1, 1));
        assert_eq!(blocks.all()[0].from, MADE.parse().unwrap());
        assert_eq!(blocks.all()[0].until, later.parse::<Timestamp>().unwrap().plus(Span::days(7)));
    }

    #[test]
    fn own_space_and_guards_are_seen() {
        let blocks = blocks(vec![finding("8.8.4.4", MADE, &[]), finding("10.0.0.1", MADE, &[])]);
        assert!(blocks.all()[0].own && !blocks.all()[1].own);
        assert_eq!(blocks.all()[1].guard.as_ref().map(|hit| hit.class.as_str()), Some("never"));
    }
}
