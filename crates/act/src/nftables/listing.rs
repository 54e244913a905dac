//! What the kernel holds, read from `nft -j list table` (libnftables-json(5)).

use super::script::{CHAINS, NEVER_SETS, rules};
use super::slot::{Set, Slot};
use crate::point::PointError;
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The table as it is.
#[derive(Default, Debug)]
pub struct Listing {
    /// The elements of our sets.
    pub elements: BTreeMap<Slot, Held>,
    /// The sets of ours that exist.
    pub sets: BTreeSet<Set>,
    /// The first difference between the rules that are there and those that must be; `None`: they enforce.
    pub fault: Option<String>,
    /// What the rules let through before anything else, from first to last address.
    pub never: Vec<(IpAddr, IpAddr)>,
}

/// One element as the kernel holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    /// Its comment: finding and mitigation.
    pub comment: String,
    /// Seconds until the kernel lifts it; `None`: never, hence not ours.
    pub seconds_left: Option<u64>,
    /// Packets and bytes that it matched; `None` where nft does not print it (elements of limit sets).
    pub counter: Option<(u64, u64)>,
    /// What a limit lets through, in bytes a second; `None`: it is no limit.
    pub bytes_per_second: Option<u64>,
}

impl Held {
    /// Does the comment name this mitigation?
    pub fn is_of(&self, mitigation: &model::MitigationId) -> bool {
        self.comment.split(' ').any(|word| word == mitigation.to_string())
    }
}

impl Listing {
    /// Reads the listing; `None` stands for a table that does not exist.
    ///
    /// # Errors
    /// JSON that is not what nft documents.
    pub fn parse(json: Option<&[u8]>) -> Result<Self, PointError> {
        let Some(json) = json else {
            let fault = Some("there is no table inet epimachia".to_owned());
            return Ok(Self { fault, ..Self::default() });
        };
        let output: Output = serde_json::from_slice(json)
            .map_err(|e| PointError::Unavailable(format!("nft's listing could not be read: {e}")))?;
        let mut listing = Self::default();
        let mut chains: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for object in output.nftables {
            if object.table.is_some_and(|table| table.flags.to_string().contains("dormant")) {
                listing.fault = Some("the table is dormant".to_owned());
            }
            if let Some(chain) = object.chain {
                let base = chain.hook.map(|hook| format!("{hook} {}", chain.prio.unwrap_or_default()));
                chains.entry(chain.name).or_default().extend(base);
            }
            if let Some(rule) = object.rule {
                chains.entry(rule.chain).or_default().push(mark(&rule.expr));
            }
            object.set.into_iter().for_each(|set| listing.take_set(set));
        }
        listing.fault = listing.fault.take().or_else(|| fault(&chains, &listing.rare()));
        Ok(listing)
    }

    /// The sets beside the common ones.
    pub fn rare(&self) -> BTreeSet<Set> {
        self.sets.iter().filter(|set| !set.is_common()).copied().collect()
    }

    /// What of this network is let through first, whatever stands in the other sets.
    pub fn let_through(&self, network: IpNet) -> Option<(IpAddr, IpAddr)> {
        let overlaps = |(first, last): &&(IpAddr, IpAddr)| *first <= network.broadcast() && network.network() <= *last;
        let same_family = |(first, _): &&(IpAddr, IpAddr)| first.is_ipv4() == network.network().is_ipv4();
        self.never.iter().filter(same_family).find(overlaps).copied()
    }

    fn take_never(&mut self, raw: &RawSet<'_>) {
        for text in &raw.elem {
            match serde_json::from_str(text.get()).ok().and_then(|value| range(&value)) {
                Some(range) => self.never.push(range),
                None => self.fault = Some(format!("set {} holds something that is not ours", raw.name)),
            }
        }
    }

    fn take_set(&mut self, raw: RawSet<'_>) {
        if NEVER_SETS.contains(&raw.name) {
            return self.take_never(&raw);
        }
        let Ok(set) = raw.name.parse::<Set>() else { return };
        self.sets.insert(set);
        for RawElement { elem } in raw.elem.iter().filter_map(|text| serde_json::from_str(text.get()).ok()) {
            let held = Held {
                comment: elem.comment,
                seconds_left: elem.expires,
                counter: elem.counter.map(|c| (c.packets, c.bytes)),
                bytes_per_second: elem.limit.map(|limit| limit.bytes_per_second()),
            };
            self.elements.insert(Slot { set, address: elem.val }, held);
        }
    }
}

/// An element of an interval set (libnftables-json(5)): an address, a prefix or a range, bare or with attributes.
fn range(value: &Value) -> Option<(IpAddr, IpAddr)> {
    let address = |value: &Value| value.as_str()?.parse::<IpAddr>().ok();
    if let Some(inner) = value.get("elem") {
        return range(inner.get("val")?);
    }
    if let Some(prefix) = value.get("prefix") {
        let length = u8::try_from(prefix.get("len")?.as_u64()?).ok()?;
        let network = IpNet::new(address(prefix.get("addr")?)?, length).ok()?;
        return Some((network.network(), network.broadcast()));
    }
    if let Some(ends) = value.get("range") {
        return Some((address(ends.get(0)?)?, address(ends.get(1)?)?));
    }
    address(value).map(|one| (one, one))
}

/// The first chain that is not as it must be.
fn fault(chains: &BTreeMap<String, Vec<String>>, rare: &BTreeSet<Set>) -> Option<String> {
    CHAINS.into_iter().find_map(|name| {
        let base = name.strip_suffix("_raw").map(|hook| format!("{hook} -300"));
        let wanted: Vec<String> = base.into_iter().chain(rules(name, rare).into_iter().map(|r| r.mark)).collect();
        match chains.get(name) {
            Some(seen) if *seen == wanted => None,
            Some(_) => Some(format!("the rules of chain {name} are not ours (any more)")),
            None => Some(format!("chain {name} is gone")),
        }
    })
}

/// A rule's mark, by the shape of its expressions: see [`super::script::Rule`].
fn mark(expressions: &[Value]) -> String {
    let words: Vec<String> = expressions.iter().map(word).collect();
    words.join(" ")
}

fn word(expression: &Value) -> String {
    if let Some(found) = expression.get("match") {
        let left = &found["left"];
        let field = [&left["payload"]["field"], &left["&"][0]["payload"]["field"], &left["meta"]["key"]];
        let field = field.iter().find_map(|v| v.as_str()).unwrap_or("?");
        return match found["right"].as_str() {
            Some(set) if set.starts_with('@') => format!("{field} {set}"),
            Some("lo") => field.to_owned(),
            _ => "?".to_owned(),
        };
    }
    if let Some(target) = expression["jump"]["target"].as_str() {
        return format!("jump {target}");
    }
    if let Some(pairs) = expression["vmap"]["data"]["set"].as_array() {
        let mut targets: Vec<_> = pairs.iter().filter_map(|pair| pair[1]["jump"]["target"].as_str()).collect();
        targets.sort_unstable();
        return format!("vmap {}", targets.join(" "));
    }
    ["drop", "accept"].into_iter().find(|verdict| expression.get(*verdict).is_some()).unwrap_or("?").to_owned()
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    nftables: Vec<Object<'a>>,
}

/// One of these at a time; whatever else nft prints is passed over.
#[derive(Deserialize)]
struct Object<'a> {
    table: Option<RawTable>,
    chain: Option<RawChain>,
    rule: Option<RawRule>,
    #[serde(borrow)]
    set: Option<RawSet<'a>>,
}

#[derive(Deserialize)]
struct RawTable {
    #[serde(default)]
    flags: Value,
}

#[derive(Deserialize)]
struct RawChain {
    name: String,
    hook: Option<String>,
    prio: Option<i64>,
}

#[derive(Deserialize)]
struct RawRule {
    chain: String,
    #[serde(default)]
    expr: Vec<Value>,
}

#[derive(Deserialize)]
struct RawSet<'a> {
    name: &'a str,
    /// Most of the listing: kept as text until it is known to be an element of ours.
    #[serde(borrow, default)]
    elem: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawElement {
    elem: RawElem,
}

#[derive(Deserialize)]
struct RawElem {
    val: IpAddr,
    expires: Option<u64>,
    #[serde(default)]
    comment: String,
    counter: Option<RawCounter>,
    limit: Option<RawLimit>,
}

#[derive(Deserialize)]
struct RawLimit {
    rate: u64,
    #[serde(default)]
    rate_unit: String,
    #[serde(default)]
    per: String,
}

impl RawLimit {
    /// Rounded up: what is let through at most. nft prints larger units where a rate divides evenly by them. A limit of
    /// packets, which we do not set, counts as none.
    fn bytes_per_second(&self) -> u64 {
        let unit = match self.rate_unit.as_str() {
            "bytes" => 1,
            "kbytes" => 1 << 10,
            "mbytes" => 1 << 20,
            _ => return u64::MAX,
        };
        let seconds = match self.per.as_str() {
            "second" => 1,
            "minute" => 60,
            "hour" => 3_600,
            "day" => 86_400,
            "week" => 604_800,
            _ => return u64::MAX,
        };
        self.rate.saturating_mul(unit).div_ceil(seconds)
    }
}

#[derive(Deserialize)]
struct RawCounter {
    packets: u64,
    bytes: u64,
}

#[cfg(test)]
mod tests;
