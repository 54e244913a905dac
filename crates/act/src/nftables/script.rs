//! The literal nft commands. Everything in them comes from a type (address, length, identifier, number): no text from
//! outside can get in.

use super::slot::{Set, Slot, Verdict};
use crate::point::Protection;
use ipnet::IpNet;
use model::{Action, Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The table, ours alone.
pub const TABLE: &str = "inet epimachia";

/// The sets of what is never touched, by family.
pub const NEVER_SETS: [&str; 2] = ["never4", "never6"];

/// Longest kernel timeout: whoever dies holding a protection cannot leave it behind for longer.
pub const TIMEOUT_MAX: Span = Span::days(1);

/// Least burst of a rate limit, in bytes: a bucket smaller than a packet would let nothing through at all.
const BURST_BYTES_MIN: u64 = 3_000;

/// Elements on one line: nft names the line that it refuses.
const LINE_ELEMENTS_MAX: usize = 256;

/// One element that is to be: its key, its end, what stands in its comment.
#[derive(Clone, Debug)]
pub struct Element<'a> {
    /// Where it goes.
    pub slot: Slot,
    /// How long from now; more than nothing, at most [`TIMEOUT_MAX`].
    pub timeout: Span,
    /// Whence it comes.
    pub protection: &'a Protection,
    /// Packets and bytes that its counter begins with, where the element was there before.
    pub counter: Option<(u64, u64)>,
}

impl Element<'_> {
    /// `198.51.100.10 timeout 3600000ms comment "fin-… mit-…"`. The comment is how a router's own output leads back to
    /// the finding.
    fn write(&self, out: &mut String) {
        let Protection { finding, mitigation, measure, .. } = self.protection;
        let _ = write!(out, "{} ", self.slot.address);
        if let Action::Limit { bits_per_second } = measure.action() {
            let rate = bytes_per_second(*bits_per_second);
            let burst = rate.max(BURST_BYTES_MIN).min(u64::from(u32::MAX));
            let _ = write!(out, "limit rate over {rate} bytes/second burst {burst} bytes counter ");
        }
        if let Some((packets, bytes)) = self.counter {
            let _ = write!(out, "counter packets {packets} bytes {bytes} ");
        }
        let _ = write!(out, "timeout {}ms comment \"{finding} {mitigation}\"", self.timeout.as_millis());
    }
}

/// The rate that is given to nft, which counts bytes.
pub const fn bytes_per_second(bits_per_second: u64) -> u64 {
    bits_per_second.div_ceil(8)
}

/// How long the kernel is to keep a protection that ends at `expires`; `None` if it has ended.
pub fn timeout(expires: Timestamp, now: Timestamp) -> Option<Span> {
    let left = expires.since(now);
    (left > Span::ZERO).then(|| left.min(TIMEOUT_MAX))
}

/// What the table looks like apart from its elements.
#[derive(Clone, Debug)]
pub struct Layout {
    never4: Vec<IpNet>,
    never6: Vec<IpNet>,
    /// Declared size of each set in the kernel, in elements.
    set_size: u32,
}

impl Layout {
    /// A table that never touches `never` and holds up to `size` elements a set. The kernel counts an element that is
    /// being replaced twice until the change is done, hence twice the size is declared.
    pub fn new(never: &[IpNet], size: u32) -> Self {
        let (v4, v6) = IpNet::aggregate(&never.to_vec()).into_iter().partition(|n| matches!(n, IpNet::V4(_)));
        Self { never4: v4, never6: v6, set_size: size.saturating_mul(2) }
    }

    /// The commands that make table, chains, sets and rules, and that change nothing if all are there. `rare` are the
    /// sets beside the common ones that need rules.
    pub fn write(&self, rare: &BTreeSet<Set>, out: &mut String) {
        let _ = writeln!(out, "add table {TABLE}");
        for hook in ["prerouting", "output"] {
            let spec = format!("{{ type filter hook {hook} priority raw; policy accept; }}");
            let _ = writeln!(out, "add chain {TABLE} {hook}_raw {spec}");
        }
        for chain in ["v4", "v6", "more4", "more6"] {
            let _ = writeln!(out, "add chain {TABLE} {chain}");
        }
        self.write_never(out);
        for set in Set::COMMON.iter().chain(rare) {
            self.write_set(set, out);
        }
        for chain in CHAINS {
            let _ = writeln!(out, "flush chain {TABLE} {chain}");
            for rule in rules(chain, rare) {
                let _ = writeln!(out, "add rule {TABLE} {chain} {}", rule.text);
            }
        }
    }

    fn write_never(&self, out: &mut String) {
        let [v4, v6] = NEVER_SETS;
        for (name, kind, nets) in [(v4, "ipv4_addr", &self.never4), (v6, "ipv6_addr", &self.never6)] {
            let _ = writeln!(out, "add set {TABLE} {name} {{ type {kind}; flags interval; }}");
            // What was protected once, or put there by somebody else, would be let through for ever.
            let _ = writeln!(out, "flush set {TABLE} {name}");
            for line in nets.chunks(LINE_ELEMENTS_MAX) {
                let list: Vec<String> = line.iter().map(IpNet::to_string).collect();
                let _ = writeln!(out, "add element {TABLE} {name} {{ {} }}", list.join(", "));
            }
        }
    }

    fn write_set(&self, set: &Set, out: &mut String) {
        let kind = if set.v6 { "ipv6_addr" } else { "ipv4_addr" };
        // A limit set declares what its elements carry; each element brings its own rate.
        let limit = if set.verdict == Verdict::Limit { "limit rate over 125 bytes/second; " } else { "" };
        let size = self.set_size;
        let _ = writeln!(out, "add set {TABLE} {set} {{ type {kind}; flags timeout; size {size}; {limit}counter; }}");
    }
}

/// The chains of the table, base chains first.
pub const CHAINS: [&str; 6] = ["prerouting_raw", "output_raw", "v4", "v6", "more4", "more6"];

/// One rule: how it is written, and by what it is recognised in a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// nft's text.
    pub text: String,
    /// The same as [`super::listing`] reads it back: `saddr @deny4_32 drop`, `jump more4`.
    pub mark: String,
}

impl Rule {
    fn new(text: &str, mark: &str) -> Self {
        Self { text: text.to_owned(), mark: mark.to_owned() }
    }
}

/// The rules of one chain, in order.
///
/// `prerouting` sees all that arrives, for this host and for others, before connection tracking: also packets of
/// established flows and of flows offloaded later. `output` sees what this host sends. Nothing else passes.
pub fn rules(chain: &str, rare: &BTreeSet<Set>) -> Vec<Rule> {
    let dispatch = Rule::new("meta nfproto vmap { ipv4 : jump v4, ipv6 : jump v6 }", "vmap v4 v6");
    match chain {
        "prerouting_raw" => vec![Rule::new("iif lo accept", "iif accept"), dispatch],
        "output_raw" => vec![Rule::new("oif lo accept", "oif accept"), dispatch],
        "v4" => family_rules(false),
        "v6" => family_rules(true),
        "more4" => rare.iter().filter(|s| !s.v6).flat_map(set_rules).collect(),
        _ => rare.iter().filter(|s| s.v6).flat_map(set_rules).collect(),
    }
}

/// What is never touched comes first and leaves the table at once, whichever side it stands on.
fn family_rules(v6: bool) -> Vec<Rule> {
    let (header, n) = if v6 { ("ip6", 6) } else { ("ip", 4) };
    let never = ["saddr", "daddr"].map(|field| {
        let mark = format!("{field} @never{n} accept");
        Rule { text: format!("{header} {mark}"), mark }
    });
    let common = Set::COMMON.iter().filter(|s| s.v6 == v6).flat_map(set_rules);
    let more = format!("jump more{n}");
    never.into_iter().chain(common).chain([Rule::new(&more, &more)]).collect()
}

/// Both directions: what comes from the target and what goes to it.
fn set_rules(set: &Set) -> Vec<Rule> {
    let header = if set.v6 { "ip6" } else { "ip" };
    let mask = set.mask().map(|m| format!("& {m} ")).unwrap_or_default();
    let rule =
        |field| Rule { text: format!("{header} {field} {mask}@{set} drop"), mark: format!("{field} @{set} drop") };
    ["saddr", "daddr"].map(rule).into()
}

/// Puts `elements` in place, whether or not they are there. nft has no such command in the versions in use: adding
/// what is there keeps its old timeout, deleting what is not there is an error. Hence add, delete, add, all at once.
pub fn write_put(elements: &[Element<'_>], out: &mut String) {
    write_removal(&elements.iter().map(|e| e.slot).collect::<Vec<_>>(), out);
    write_add(elements, out);
}

/// Adds `elements` to sets that do not hold them.
pub fn write_add(elements: &[Element<'_>], out: &mut String) {
    for (set, elements) in by_set(elements, |e| e.slot.set) {
        for line in elements.chunks(LINE_ELEMENTS_MAX) {
            let _ = write!(out, "add element {TABLE} {set} {{ ");
            for (i, element) in line.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                element.write(out);
            }
            out.push_str(" }\n");
        }
    }
}

/// Takes `slots` out, whether or not they are there; their sets must be.
pub fn write_removal(slots: &[Slot], out: &mut String) {
    for (set, slots) in by_set(slots, |s| s.set) {
        for line in slots.chunks(LINE_ELEMENTS_MAX) {
            let keys: Vec<String> = line.iter().map(|s| s.address.to_string()).collect();
            let keys = keys.join(", ");
            let _ = writeln!(out, "add element {TABLE} {set} {{ {keys} }}");
            let _ = writeln!(out, "delete element {TABLE} {set} {{ {keys} }}");
        }
    }
}

/// The kill switch; also right when there is no table.
pub fn removal_of_table() -> String {
    format!("add table {TABLE}\ndelete table {TABLE}\n")
}

fn by_set<T: Clone>(items: &[T], set: impl Fn(&T) -> Set) -> BTreeMap<Set, Vec<T>> {
    let mut sets: BTreeMap<Set, Vec<T>> = BTreeMap::new();
    for item in items {
        sets.entry(set(item)).or_default().push(item.clone());
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Measure, Observable, Scope};
    use proptest::prelude::*;
    use std::net::IpAddr;

    fn protection(target: &str, action: Action) -> Protection {
        let target = model::Target::protecting_from(&target.parse::<Observable>().unwrap());
        Protection {
            mitigation: "mit-0123456789ab".parse().unwrap(),
            finding: "fin-0123456789ab".parse().unwrap(),
            measure: Measure::new(action, target, Scope::Border).unwrap(),
            expires: Timestamp::MIN.plus(Span::hours(1)),
        }
    }

    fn element(protection: &Protection) -> Element<'_> {
        Element { slot: Slot::of(&protection.measure).unwrap(), timeout: Span::seconds(90), protection, counter: None }
    }

    #[test]
    fn timeouts_end_with_the_protection_and_last_a_day_at_most() {
        let now = Timestamp::MIN.plus(Span::days(1));
        assert_eq!(timeout(now, now), None);
        assert_eq!(timeout(now.minus(Span::millis(1)), now), None);
        assert_eq!(timeout(now.plus(Span::millis(1)), now), Some(Span::millis(1)));
        assert_eq!(timeout(now.plus(Span::days(3)), now), Some(TIMEOUT_MAX));
    }

    #[test]
    fn putting_is_add_delete_add() {
        let protection = protection("8.8.8.8", Action::Deny);
        let mut text = String::new();
        write_put(&[element(&protection)], &mut text);
        let set = "element inet epimachia deny4_32";
        let full = "8.8.8.8 timeout 90000ms comment \"fin-0123456789ab mit-0123456789ab\"";
        assert_eq!(text, format!("add {set} {{ 8.8.8.8 }}\ndelete {set} {{ 8.8.8.8 }}\nadd {set} {{ {full} }}\n"));
    }

    #[test]
    fn a_bucket_always_holds_a_packet() {
        for (rate, written) in [
            (1_000, "rate over 125 bytes/second burst 3000 bytes"),
            (8_000_000, "rate over 1000000 bytes/second burst 1000000 bytes"),
            (u64::MAX, "rate over 2305843009213693952 bytes/second burst 4294967295 bytes"),
        ] {
            let protection = protection("8.8.8.8", Action::Limit { bits_per_second: rate });
            let mut text = String::new();
            write_add(&[element(&protection)], &mut text);
            assert!(text.contains(written), "{text}");
        }
    }

    #[test]
    fn overlapping_protected_networks_are_written_once() {
        let nets: Vec<IpNet> = ["10.0.0.0/8", "10.1.0.0/16", "10.0.0.1/32"].map(|n| n.parse().unwrap()).into();
        let mut text = String::new();
        Layout::new(&nets, 10).write(&BTreeSet::new(), &mut text);
        assert!(text.contains("add element inet epimachia never4 { 10.0.0.0/8 }\n"), "{text}");
        assert!(text.contains("set inet epimachia deny4_32 { type ipv4_addr; flags timeout; size 20; counter; }"));
    }

    proptest! {
        /// Whatever the target: nothing but our own words, addresses, numbers and identifiers gets into the text.
        #[test]
        fn no_text_from_outside_gets_in(bits: u128, v4: bool, rate in 1_000u64.., seconds in 1i64..90_000) {
            let address: IpAddr = if v4 { (bits as u32).to_be_bytes().into() } else { bits.to_be_bytes().into() };
            let measure = Measure::new(
                Action::Limit { bits_per_second: rate }, model::Target::Host(address), Scope::Border).unwrap();
            let protection = Protection { measure, ..protection("8.8.8.8", Action::Deny) };
            let timeout = Span::seconds(seconds);
            let mut text = String::new();
            let slot = Slot::of(&protection.measure).unwrap();
            let element = Element { slot, timeout, protection: &protection, counter: None };
            write_put(&[element], &mut text);
            let allowed = |c: char| c.is_ascii_alphanumeric() || " \n{}\":.-_/".contains(c);
            prop_assert!(text.chars().all(allowed), "{}", text);
            prop_assert_eq!(text.lines().count(), 3);
        }
    }
}
