//! The packet filter of Linux: one table of our own, `inet epimachia`, and nothing else touched.
//!
//! - Every element carries its finding and mitigation as comment, its end as kernel timeout, and counts what it met.
//! - What the member protects stands in `never4` and `never6` and is accepted first, whichever side of a packet it is.
//! - Every change is one transaction that also restores table and rules where somebody else removed them.
//!
//! Start with `script` (what is said to nft), then `slot` (where a measure lives), `listing` (what is read back).

pub mod enforcer;
mod listing;
mod run;
mod script;
mod slot;

pub use run::NetnsName;

use crate::point::{Effect, Point, PointError, Presence, Protection, Seen};
use ipnet::IpNet;
use listing::{Held, Listing};
use model::{Action, Measure, ParseError, PointName, Refusal, Rule, Span, Timestamp};
use run::Nft;
use script::{Element, Layout};
use serde::{Deserialize, Serialize};
use slot::{Set, Slot};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most entries of `protect`.
pub const PROTECT_MAX: usize = 4_096;
/// Elements a set holds unless the configuration says otherwise: the most automatic mitigations of a member.
pub const SIZE_DEFAULT: u32 = 10_000;
/// The largest `size`: beyond it nft's own listing takes more than its time limit.
pub const SIZE_MAX: u32 = 100_000;

/// Time for nft to do anything at all.
const CALL_MS: u64 = 5_000;
/// And for each element of a change or a listing: measured are 0.02 ms, on a busy machine several times that.
const ELEMENT_MICROS: u64 = 200;

/// Always protected: what a host needs to speak with itself and with its neighbours on the link.
const ALWAYS_PROTECTED: [&str; 5] = ["127.0.0.0/8", "169.254.0.0/16", "::1/128", "fe80::/10", "ff00::/8"];

/// The configuration of one such point.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The point's name.
    pub name: PointName,
    /// Addresses and prefixes that are never touched: own management, the hub, the resolvers. Who is hurt if one is
    /// missing: the member itself, which may lock itself out. At most 4,096.
    #[serde(default)]
    pub protect: Vec<Protected>,
    /// Most elements of one set; 1 to 100,000, default 10,000.
    #[serde(default = "size_default")]
    pub size: u32,
    /// The network namespace in which the table is kept; default: the agent's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netns: Option<NetnsName>,
    /// The socket of the enforcer, a process of its own that alone may change the packet filter. Then `protect`, `size`
    /// and `netns` stand in the enforcer's configuration. Default: this process changes the filter itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<PathBuf>,
}

pub(crate) fn size_default() -> u32 {
    SIZE_DEFAULT
}

impl Settings {
    /// Is everything said where it counts? With an enforcer, limits in the agent's file would be believed and not hold.
    ///
    /// # Errors
    /// Refused: `protect`, `size` or `netns` beside `via`.
    pub fn check(&self) -> Result<(), Refusal> {
        let apart = self.protect.is_empty() && self.size == SIZE_DEFAULT && self.netns.is_none();
        match self.via.is_none() || apart {
            true => Ok(()),
            false => {
                let value = format!("point {}: protect, size or netns beside via", self.name);
                Err(Refusal::new(Rule::Malformed, value, "these keys in the enforcer's own configuration"))
            }
        }
    }
}

/// An address or prefix that is never touched. Unlike a target it may be as wide as its owner likes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Protected(pub IpNet);

impl TryFrom<String> for Protected {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        let address = text.parse::<IpAddr>().map(|a| a.to_canonical().into());
        let net = address.or_else(|_| text.parse::<IpNet>());
        net.map(|n| Self(n.trunc())).map_err(|_| ParseError::new("protect", &text, "an IP address or prefix"))
    }
}

impl From<Protected> for String {
    fn from(protected: Protected) -> Self {
        protected.0.to_string()
    }
}

/// The point.
#[derive(Debug)]
pub struct Nftables {
    name: PointName,
    nft: Nft,
    never: Vec<IpNet>,
    layout: Layout,
    size: u32,
    /// The sets beside the common ones, once the kernel has been asked; locked while a change is made, so that changes
    /// follow each other.
    rare: Mutex<Option<BTreeSet<Set>>>,
}

impl Nftables {
    /// The point that `settings` describe; touches nothing yet.
    ///
    /// # Errors
    /// Too many entries of `protect`, or a `size` outside 1 to 100,000.
    pub fn new(settings: Settings) -> Result<Self, PointError> {
        let Settings { name, protect, size, netns, via: _ } = settings;
        if protect.len() > PROTECT_MAX {
            let limit = format!("at most {PROTECT_MAX} entries");
            return Err(Refusal::new(Rule::TooLarge, format_args!("protect: {} entries", protect.len()), limit).into());
        }
        if !(1..=SIZE_MAX).contains(&size) {
            return Err(Refusal::new(Rule::TooLarge, format_args!("size: {size}"), format!("1 to {SIZE_MAX}")).into());
        }
        let always = ALWAYS_PROTECTED.iter().filter_map(|text| text.parse().ok());
        let never: Vec<IpNet> = protect.into_iter().map(|p| p.0).chain(always).collect();
        let layout = Layout::new(&never, size);
        Ok(Self { name, nft: Nft { netns }, never, layout, size, rare: Mutex::new(None) })
    }

    /// The table without elements, as `nft -f` takes it, for whoever wants to read it or make it by hand.
    pub fn configuration(&self) -> String {
        let mut text = String::new();
        self.layout.write(&BTreeSet::new(), &mut text);
        text
    }

    /// The elements for `wanted`, one a target: of two protections of one target the one that lasts longer holds it, of
    /// two limits the one that lets less through.
    fn elements<'a>(&self, wanted: &'a [Protection], now: Timestamp) -> Result<Vec<Element<'a>>, Refusal> {
        let mut elements: BTreeMap<Slot, Element<'a>> = BTreeMap::new();
        for protection in wanted {
            let element = self.element(protection, now)?;
            let held = elements.entry(element.slot).or_insert_with(|| element.clone());
            let rank = |protection: &Protection| (Reverse(rate(protection)), protection.expires);
            if rank(held.protection) < rank(protection) {
                *held = element;
            }
        }
        match elements.len() <= self.size as usize {
            true => Ok(elements.into_values().collect()),
            false => Err(Refusal::new(Rule::BlastRadius, elements.len(), format!("`size` = {} elements", self.size))),
        }
    }

    fn element<'a>(&self, protection: &'a Protection, now: Timestamp) -> Result<Element<'a>, Refusal> {
        let measure = &protection.measure;
        let slot = Slot::of(measure)
            .ok_or_else(|| Refusal::new(Rule::CapabilityMissing, measure, "deny or limit an address or a prefix"))?;
        let network = slot.network();
        let overlaps = |never: &&IpNet| never.contains(&network) || network.contains(*never);
        if let Some(never) = self.never.iter().find(overlaps) {
            let limit = format!("nothing that overlaps {never}, which the member protects");
            return Err(Refusal::new(Rule::GuardNever, network, limit));
        }
        let timeout = script::timeout(protection.expires, now)
            .ok_or_else(|| Refusal::new(Rule::ExpiryRequired, protection.expires, format!("after {now}")))?;
        Ok(Element { slot, timeout, protection, counter: None })
    }

    /// What the kernel holds of ours, and until when.
    pub(crate) fn ends(&self, now: Timestamp) -> Result<BTreeMap<Slot, Timestamp>, PointError> {
        let end = |held: &Held| now.plus(Span::seconds(i64::try_from(held.seconds_left.unwrap_or(0)).unwrap_or(0)));
        Ok(self.listing()?.elements.iter().map(|(slot, held)| (*slot, end(held))).collect())
    }

    /// The whole table with `wanted` in it as a file for `nft -f`; touches nothing. What [`Point::replace`] would say.
    ///
    /// # Errors
    /// What this point cannot carry out, protects, or has no room for.
    pub fn whole(&self, wanted: &[Protection], now: Timestamp) -> Result<String, Refusal> {
        let elements = self.elements(wanted, now)?;
        let mut text = script::removal_of_table();
        self.layout.write(&rare_of(&elements), &mut text);
        script::write_add(&elements, &mut text);
        Ok(text)
    }

    /// Asks the kernel.
    fn listing(&self) -> Result<Listing, PointError> {
        // Twice: nft reads everything before it prints it.
        Listing::parse(self.nft.list(time_for(2 * self.size as usize))?.as_deref())
    }

    fn lock(&self) -> MutexGuard<'_, Option<BTreeSet<Set>>> {
        // What is behind the lock is only ever replaced as a whole: a panic elsewhere cannot leave it half done.
        self.rare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all_of<T>(&self, asked: &[Protection], one: impl Fn(&Listing, &Protection) -> T) -> Result<Vec<T>, PointError> {
        let listing = self.listing()?;
        self.lock().get_or_insert_default().extend(listing.rare());
        Ok(asked.iter().map(|protection| one(&listing, protection)).collect())
    }
}

impl Point for Nftables {
    fn name(&self) -> &PointName {
        &self.name
    }

    fn accepts(&self, measure: &Measure) -> bool {
        Slot::of(measure).is_some()
    }

    fn preview(&self, wanted: &[Protection], now: Timestamp) -> String {
        match self.elements(wanted, now) {
            Ok(elements) => text_of(&elements),
            Err(refusal) => format!("# {refusal}\n"),
        }
    }

    fn apply(&self, wanted: &[Protection], now: Timestamp) -> Result<(), PointError> {
        let elements = self.elements(wanted, now)?;
        let mut known = self.lock();
        let mut rare = match known.take() {
            Some(rare) => rare,
            None => self.listing()?.rare(),
        };
        rare.extend(rare_of(&elements));
        let mut text = String::new();
        self.layout.write(&rare, &mut text);
        script::write_put(&elements, &mut text);
        self.nft.change(&text, time_for(3 * elements.len()))?;
        *known = Some(rare);
        Ok(())
    }

    fn replace(&self, wanted: &[Protection], now: Timestamp) -> Result<(), PointError> {
        let mut elements = self.elements(wanted, now)?;
        let mut known = self.lock();
        // A table that cannot be read is no reason to leave it as it is: only the counters are lost.
        keep_counters(&mut elements, &self.listing().unwrap_or_default());
        let rare = rare_of(&elements);
        let mut text = script::removal_of_table();
        self.layout.write(&rare, &mut text);
        script::write_add(&elements, &mut text);
        *known = None;
        self.nft.change(&text, time_for(elements.len() + self.size as usize))?;
        *known = Some(rare);
        Ok(())
    }

    fn withdraw(&self, ended: &[Protection], _now: Timestamp) -> Result<(), PointError> {
        let _turn = self.lock();
        let listing = self.listing()?;
        let ours = |p: &Protection| {
            let slot = Slot::of(&p.measure)?;
            listing.elements.get(&slot).filter(|held| held.is_of(&p.mitigation)).map(|_| slot)
        };
        let slots: Vec<Slot> = ended.iter().filter_map(ours).collect();
        if slots.is_empty() {
            return Ok(());
        }
        let mut text = String::new();
        script::write_removal(&slots, &mut text);
        self.nft.change(&text, time_for(2 * slots.len()))?;
        Ok(())
    }

    fn read_back(&self, asked: &[Protection]) -> Result<Vec<Seen>, PointError> {
        self.all_of(asked, seen)
    }

    fn effect(&self, asked: &[Protection]) -> Result<Vec<Effect>, PointError> {
        self.all_of(asked, |listing, protection| {
            let held = held_for(listing, protection).filter(|held| held.is_of(&protection.mitigation));
            let counter = held.and_then(|held| held.counter);
            Effect { packets: counter.map(|(packets, _)| packets), bytes: counter.map(|(_, bytes)| bytes) }
        })
    }

    fn lift_all(&self) -> Result<(), PointError> {
        let mut known = self.lock();
        *known = None;
        self.nft.change(&script::removal_of_table(), time_for(self.size as usize))?;
        Ok(())
    }
}

/// The commands for a member who runs them by hand, beside a table that is there (docs/how-to/nftables.md).
pub(crate) fn preview_text(protection: &Protection, now: Timestamp) -> Option<String> {
    let slot = Slot::of(&protection.measure)?;
    let timeout = script::timeout(protection.expires, now)?;
    Some(text_of(&[Element { slot, timeout, protection, counter: None }]))
}

fn text_of(elements: &[Element<'_>]) -> String {
    let mut text = String::new();
    script::write_put(elements, &mut text);
    text
}

fn rare_of(elements: &[Element<'_>]) -> BTreeSet<Set> {
    elements.iter().map(|e| e.slot.set).filter(|set| !set.is_common()).collect()
}

/// What a mitigation has done so far is not forgotten because the agent started anew.
fn keep_counters(elements: &mut [Element<'_>], listing: &Listing) {
    for element in elements {
        let held = listing.elements.get(&element.slot);
        element.counter = held.filter(|held| held.is_of(&element.protection.mitigation)).and_then(|held| held.counter);
    }
}

pub(crate) fn time_for(elements: usize) -> Duration {
    Duration::from_millis(CALL_MS) + Duration::from_micros(ELEMENT_MICROS.saturating_mul(elements as u64))
}

/// What a limit lets through, in bytes a second.
fn rate(protection: &Protection) -> Option<u64> {
    match protection.measure.action() {
        Action::Limit { bits_per_second } => Some(script::bytes_per_second(*bits_per_second)),
        _ => None,
    }
}

fn held_for<'a>(listing: &'a Listing, protection: &Protection) -> Option<&'a Held> {
    listing.elements.get(&Slot::of(&protection.measure)?)
}

/// Enforced means: the element is there, and so is every rule that makes it count; nothing before it lets the target
/// through, and a limit is not above what was asked for. Who put it there does not matter to the packets, but is said.
fn seen(listing: &Listing, protection: &Protection) -> Seen {
    let let_through = Slot::of(&protection.measure).and_then(|slot| listing.let_through(slot.network()));
    let (presence, evidence) = match (&listing.fault, let_through, held_for(listing, protection)) {
        (Some(fault), _, _) => (Presence::Absent, fault.clone()),
        (None, _, None) => {
            (Presence::Absent, format!("{} is in no set of table inet epimachia", protection.measure.target()))
        }
        (None, Some((first, last)), Some(_)) => {
            (Presence::Absent, format!("{first} to {last} is let through first: it stands in a `never` set"))
        }
        (None, None, Some(held)) if held.bytes_per_second > rate(protection) => {
            let (lets, wanted) = (held.bytes_per_second.unwrap_or(0), rate(protection).unwrap_or(0));
            (Presence::Absent, format!("it lets {lets} bytes a second through, {wanted} were asked for"))
        }
        (None, None, Some(held)) => {
            let seconds = held.seconds_left.unwrap_or(0);
            let comment = model::parse::printable(&held.comment);
            let target = Slot::of(&protection.measure).map(|slot| format!("{}: {}", slot.set, slot.address));
            let text = format!("{}, {seconds} s left, {comment}", target.unwrap_or_default());
            (Presence::Enforced, text)
        }
    };
    let held = held_for(listing, protection).filter(|_| presence == Presence::Enforced);
    Seen {
        by_another: held.is_some_and(|held| !held.is_of(&protection.mitigation)),
        seconds_left: held.and_then(|held| held.seconds_left),
        ..Seen::new(protection.mitigation, presence, evidence)
    }
}
