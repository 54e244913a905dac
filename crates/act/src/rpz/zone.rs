//! What one policy zone holds: who listed what, what is served for it, and the changes between its versions. No I/O.
//!
//! The rule for a queried name is: the nearest listed name at or above it decides. A DNS zone alone does not give
//! that: a wildcard `*.bad.test` no longer covers `z.c.bad.test` once `b.c.bad.test` exists, because `c.bad.test` then
//! exists too (RFC 4592 §2.2.2; BIND and Unbound both let such names through). So every name that exists only because
//! of one below it is served with the decision of the nearest listed name above it.

use super::entry::{Change, Data, Entry, NOTE_BYTES_MAX, Trigger};
use super::owner::Owner;
use domain::base::{Name, Serial};
use ipnet::IpNet;
use model::{Refusal, Rule, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Versions for which the difference to the next is kept.
const DELTAS_MAX: usize = 1_000;
/// Records in all kept differences together.
const DELTA_RECORDS_MAX: usize = 200_000;
/// Mitigations on one trigger.
const ENTRIES_PER_TRIGGER_MAX: usize = 16;

/// A record set that came or went.
pub type Served = (Owner, Data);

/// The difference between two versions of a zone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delta {
    /// The version before.
    pub from: Serial,
    /// The version after.
    pub to: Serial,
    /// What the version before had and this one has not.
    pub removed: Vec<Served>,
    /// What this version has and the one before had not.
    pub added: Vec<Served>,
}

impl Delta {
    /// Record sets on both sides.
    pub fn records(&self) -> usize {
        self.removed.len() + self.added.len()
    }
}

/// A zone's name, and how much it may hold.
#[derive(Clone, Debug)]
pub struct ZoneLimits {
    /// Most triggers listed.
    pub triggers_max: usize,
    /// Most entries on the member's own allow-list.
    pub allowed_max: usize,
}

/// One policy zone in memory.
#[derive(Debug)]
pub struct Zone {
    apex: Name<Vec<u8>>,
    tag: String,
    marker_root: Owner,
    limits: ZoneLimits,
    serial: Serial,
    entries: BTreeMap<Owner, Vec<Entry>>,
    networks: BTreeMap<Owner, IpNet>,
    allowed: BTreeSet<Owner>,
    allowed_networks: BTreeMap<Owner, IpNet>,
    served: Arc<BTreeMap<Owner, Data>>,
    deltas: VecDeque<Arc<Delta>>,
    delta_records: usize,
    /// No entry ends before this; it may lie before the end of all.
    earliest_end: Option<Timestamp>,
}

impl Zone {
    /// A zone without entries whose first served version is `serial`.
    pub fn new(apex: Name<Vec<u8>>, tag: &str, serial: Serial, limits: ZoneLimits) -> Self {
        let mut zone = Self {
            apex,
            tag: tag.to_owned(),
            marker_root: Owner::marker_root(tag),
            limits,
            serial,
            entries: BTreeMap::new(),
            networks: BTreeMap::new(),
            allowed: BTreeSet::new(),
            allowed_networks: BTreeMap::new(),
            served: Arc::default(),
            deltas: VecDeque::new(),
            delta_records: 0,
            earliest_end: None,
        };
        let root = zone.marker_root.clone();
        let served = Arc::make_mut(&mut zone.served);
        served.insert(root.wildcard(), Data::NoData);
        served.insert(root, Data::NoData);
        served.insert(Owner::version(tag), version_data(serial));
        served.insert(Owner::fence(tag, serial), version_data(serial));
        zone
    }

    /// The zone's name.
    pub fn apex(&self) -> &Name<Vec<u8>> {
        &self.apex
    }

    /// Below this stand the markers ([`Owner::marker`]).
    pub fn marker_root(&self) -> &Owner {
        &self.marker_root
    }

    /// The label that keeps this zone's markers apart from another's.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The version now served.
    pub fn serial(&self) -> Serial {
        self.serial
    }

    /// Everything served beside SOA and NS; cheap to take, and not changed by later versions.
    pub fn snapshot(&self) -> Arc<BTreeMap<Owner, Data>> {
        Arc::clone(&self.served)
    }

    /// Triggers listed.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is listed at a trigger and not hidden by the allow-list.
    pub fn visible(&self, owner: &Owner) -> &[Entry] {
        match self.is_shadowed(owner) {
            true => &[],
            false => self.entries.get(owner).map_or(&[], Vec::as_slice),
        }
    }

    /// No entry ends by itself before this.
    pub fn earliest_end(&self) -> Option<Timestamp> {
        self.earliest_end
    }

    /// [`differences`] of what is kept now.
    pub fn since(&self, serial: Serial) -> Option<Vec<Arc<Delta>>> {
        differences(&self.deltas, self.served.len(), serial)
    }

    /// Differences that are kept.
    pub(super) fn kept(&self) -> usize {
        self.deltas.len()
    }

    /// Record sets that are served.
    pub(super) fn served_len(&self) -> usize {
        self.served.len()
    }

    /// Checks a batch without doing anything.
    ///
    /// # Errors
    /// The first change that a rule refuses.
    pub fn check(&self, changes: &[Change]) -> Result<(), Refusal> {
        let mut new_triggers = BTreeSet::new();
        let mut new_allowed = BTreeSet::new();
        for change in changes {
            match change {
                Change::Put(trigger, entry) => {
                    let owner = self.place(trigger)?;
                    self.check_entry(&owner, entry)?;
                    new_triggers.insert(owner);
                }
                Change::Allow(trigger) => {
                    new_allowed.insert(self.place(trigger)?);
                }
                Change::Remove(trigger, _) | Change::Disallow(trigger) => {
                    trigger.owner()?;
                }
                Change::Expire(_) | Change::Clear => {}
            }
        }
        let kept = if changes.contains(&Change::Clear) { 0 } else { self.entries.len() };
        new_triggers.retain(|owner| kept == 0 || !self.entries.contains_key(owner));
        new_allowed.retain(|owner| !self.allowed.contains(owner) && !self.allowed_networks.contains_key(owner));
        let allowed = self.allowed.len() + self.allowed_networks.len() + new_allowed.len();
        self.check_counts(kept + new_triggers.len(), allowed)
    }

    /// Makes a batch of changes one new version, `next` its serial. Nothing is served differently: no new version.
    ///
    /// # Errors
    /// The first change that a rule refuses; then nothing has changed.
    pub fn commit(&mut self, changes: &[Change], next: Serial) -> Result<Option<Arc<Delta>>, Refusal> {
        self.check(changes)?;
        let mut touched = BTreeSet::new();
        for change in changes {
            self.edit(change, &mut touched)?;
        }
        let (removed, added) = self.render(touched);
        if removed.is_empty() && added.is_empty() {
            return Ok(None);
        }
        let mut delta = Delta { from: self.serial, to: next, removed, added };
        self.set_version(next, &mut delta);
        let delta = Arc::new(delta);
        self.keep(Arc::clone(&delta));
        Ok(Some(delta))
    }

    fn place(&self, trigger: &Trigger) -> Result<Owner, Refusal> {
        let owner = trigger.owner()?;
        owner.fits(&self.apex, &self.tag)?;
        let Trigger::Name(name) = trigger else { return Ok(owner) };
        let apex = self.apex.to_string();
        let above = name.as_str().strip_suffix(apex.as_str());
        match above.is_some_and(|above| above.is_empty() || above.ends_with('.')) {
            false => Ok(owner),
            true => Err(Refusal::new(Rule::GuardNever, trigger, "no name of the policy zone itself")),
        }
    }

    fn check_entry(&self, owner: &Owner, entry: &Entry) -> Result<(), Refusal> {
        if entry.note.len() > NOTE_BYTES_MAX {
            return Err(Refusal::new(
                Rule::TooLarge,
                format!("a note of {} bytes", entry.note.len()),
                "at most 255 bytes",
            ));
        }
        let here = self.entries.get(owner).map_or(0, Vec::len);
        match here < ENTRIES_PER_TRIGGER_MAX || self.entries[owner].iter().any(|old| old.id == entry.id) {
            true => Ok(()),
            false => Err(Refusal::new(Rule::TooLarge, owner, "at most 16 mitigations on one trigger")),
        }
    }

    fn check_counts(&self, triggers: usize, allowed: usize) -> Result<(), Refusal> {
        if triggers > self.limits.triggers_max {
            let limit = format!("at most {} triggers in this zone", self.limits.triggers_max);
            return Err(Refusal::new(Rule::TooLarge, triggers, limit));
        }
        if allowed > self.limits.allowed_max {
            let limit = format!("at most {} entries on the allow-list", self.limits.allowed_max);
            return Err(Refusal::new(Rule::TooLarge, allowed, limit));
        }
        Ok(())
    }

    fn edit(&mut self, change: &Change, touched: &mut BTreeSet<Owner>) -> Result<(), Refusal> {
        match change {
            Change::Put(trigger, entry) => self.put(trigger, entry.clone(), touched),
            Change::Remove(trigger, id) => self.remove(trigger, id, touched),
            Change::Allow(trigger) => self.set_allowed(trigger, true, touched),
            Change::Disallow(trigger) => self.set_allowed(trigger, false, touched),
            Change::Expire(now) => {
                self.expire(*now, touched);
                Ok(())
            }
            Change::Clear => {
                self.entries.keys().for_each(|owner| self.touch(owner, touched));
                self.entries.clear();
                self.networks.clear();
                Ok(())
            }
        }
    }

    fn put(&mut self, trigger: &Trigger, entry: Entry, touched: &mut BTreeSet<Owner>) -> Result<(), Refusal> {
        let owner = trigger.owner()?;
        if let Trigger::Network(network) = trigger {
            self.networks.insert(owner.clone(), network.trunc());
        }
        self.earliest_end = [self.earliest_end, entry.expires].into_iter().flatten().min();
        let entries = self.entries.entry(owner.clone()).or_default();
        entries.retain(|old| old.id != entry.id);
        entries.push(entry);
        entries.sort_by(|a, b| (&a.policy, &a.id).cmp(&(&b.policy, &b.id)));
        self.touch(&owner, touched);
        Ok(())
    }

    fn remove(&mut self, trigger: &Trigger, id: &str, touched: &mut BTreeSet<Owner>) -> Result<(), Refusal> {
        let owner = trigger.owner()?;
        // Before it goes: what lies below is found through what is listed.
        self.touch(&owner, touched);
        self.retain(&owner, |old| old.id != id);
        Ok(())
    }

    fn expire(&mut self, now: Timestamp, touched: &mut BTreeSet<Owner>) {
        let ended = |entry: &Entry| entry.expires.is_some_and(|end| end <= now);
        let owners = self.entries.iter().filter(|(_, entries)| entries.iter().any(ended)).map(|(owner, _)| owner);
        for owner in owners.cloned().collect::<Vec<_>>() {
            self.touch(&owner, touched);
            self.retain(&owner, |entry| !ended(entry));
        }
        self.earliest_end = self.entries.values().flatten().filter_map(|entry| entry.expires).min();
    }

    fn retain(&mut self, owner: &Owner, keep: impl Fn(&Entry) -> bool) {
        let Some(entries) = self.entries.get_mut(owner) else { return };
        entries.retain(keep);
        if entries.is_empty() {
            self.entries.remove(owner);
            self.networks.remove(owner);
        }
    }

    fn set_allowed(&mut self, trigger: &Trigger, allowed: bool, touched: &mut BTreeSet<Owner>) -> Result<(), Refusal> {
        let owner = trigger.owner()?;
        match (trigger, allowed) {
            (Trigger::Name(_), true) => {
                self.allowed.insert(owner.clone());
            }
            (Trigger::Name(_), false) => {
                self.allowed.remove(&owner);
            }
            (Trigger::Network(network), true) => {
                self.allowed_networks.insert(owner.clone(), network.trunc());
            }
            (Trigger::Network(_), false) => {
                self.allowed_networks.remove(&owner);
            }
        }
        if let Trigger::Network(network) = trigger {
            let inside = self.networks.iter().filter(|(_, listed)| network.contains(*listed));
            inside.for_each(|(listed, _)| self.touch(listed, touched));
        }
        self.touch(&owner, touched);
        Ok(())
    }

    /// Collects every place whose rendering may change when `owner` does: itself, what is above, what is below, and the
    /// same places in the marker tree.
    fn touch(&self, owner: &Owner, touched: &mut BTreeSet<Owner>) {
        let mut add = |place: Owner| {
            touched.insert(place.marker(&self.marker_root));
            touched.insert(place)
        };
        // Whatever is in already has brought in everything above it.
        let _ = std::iter::once(owner.clone()).chain(owner.ancestors()).try_for_each(|place| match add(place) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        });
        if owner.is_network() {
            return;
        }
        let below = self.entries.range(owner..&owner.range_end()).map(|(place, _)| place);
        let below_allowed = self.allowed.range(owner..&owner.range_end());
        for place in below.chain(below_allowed) {
            let mut between =
                std::iter::once(place.clone()).chain(place.ancestors().take_while(|above| above != owner));
            let _ = between.try_for_each(|above| match add(above) {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            });
        }
    }

    fn render(&mut self, touched: BTreeSet<Owner>) -> (Vec<Served>, Vec<Served>) {
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        let wanted: Vec<(Owner, Option<Data>)> = touched
            .into_iter()
            .flat_map(|place| {
                let data = self.decided(&place);
                let below = data.clone().filter(|data| !place.is_network() && !matches!(data, Data::Notes(_)));
                [(place.wildcard(), below), (place, data)]
            })
            .collect();
        let served = Arc::make_mut(&mut self.served);
        for (place, data) in wanted {
            let old = match &data {
                Some(data) if served.get(&place) == Some(data) => continue,
                Some(data) => served.insert(place.clone(), data.clone()),
                None => served.remove(&place),
            };
            removed.extend(old.map(|old| (place.clone(), old)));
            added.extend(data.map(|data| (place, data)));
        }
        (removed, added)
    }

    /// What a place is served with: its own decision, or that of the nearest listed name above if it exists at all.
    fn decided(&self, place: &Owner) -> Option<Data> {
        let own = self.own_decision(place);
        if own.is_some() || place.is_network() || !self.has_below(place) {
            return own;
        }
        place.ancestors().find_map(|above| self.own_decision(&above).filter(|data| !matches!(data, Data::Notes(_))))
    }

    fn own_decision(&self, place: &Owner) -> Option<Data> {
        if *place == self.marker_root {
            return Some(Data::NoData);
        }
        if let Some(listed) = place.marked(&self.marker_root) {
            let notes: Vec<String> = self.visible(&listed).iter().map(|entry| entry.note.clone()).collect();
            return (!notes.is_empty()).then(|| Data::Notes(notes.into()));
        }
        if self.allowed.contains(place) || self.allowed_networks.contains_key(place) {
            return Some(Data::Passthru);
        }
        self.visible(place).first().map(|entry| Data::from(&entry.policy))
    }

    fn has_below(&self, place: &Owner) -> bool {
        let place = place.marked(&self.marker_root).unwrap_or_else(|| place.clone());
        let end = place.range_end();
        self.entries.range(&place..&end).next().is_some() || self.allowed.range(&place..&end).next().is_some()
    }

    fn is_shadowed(&self, owner: &Owner) -> bool {
        match self.networks.get(owner) {
            Some(listed) => self.allowed_networks.values().any(|allowed| allowed.contains(listed)),
            None => {
                !self.allowed.is_empty()
                    && (self.allowed.contains(owner) || owner.ancestors().any(|above| self.allowed.contains(&above)))
            }
        }
    }

    fn set_version(&mut self, next: Serial, delta: &mut Delta) {
        let served = Arc::make_mut(&mut self.served);
        for place in [Owner::version(&self.tag), Owner::fence(&self.tag, self.serial)] {
            delta.removed.extend(served.remove(&place).map(|old| (place, old)));
        }
        // The fence comes last also where differences are taken in one by one.
        for place in [Owner::version(&self.tag), Owner::fence(&self.tag, next)] {
            served.insert(place.clone(), version_data(next));
            delta.added.push((place, version_data(next)));
        }
        self.serial = next;
    }

    fn keep(&mut self, delta: Arc<Delta>) {
        self.delta_records += delta.records();
        self.deltas.push_back(delta);
        while self.deltas.len() > DELTAS_MAX || self.delta_records > DELTA_RECORDS_MAX {
            let Some(oldest) = self.deltas.pop_front() else { break };
            self.delta_records -= oldest.records();
        }
    }
}

/// The differences that lead from `serial` to the last version, oldest first; `None` when they are no longer kept, or
/// would be larger than the zone itself with its `served` record sets.
pub(super) fn differences(deltas: &VecDeque<Arc<Delta>>, served: usize, serial: Serial) -> Option<Vec<Arc<Delta>>> {
    let start = deltas.iter().position(|delta| delta.from == serial)?;
    let wanted: Vec<_> = deltas.range(start..).cloned().collect();
    let records: usize = wanted.iter().map(|delta| delta.records()).sum();
    (records <= served.max(DELTAS_MAX)).then_some(wanted)
}

fn version_data(serial: Serial) -> Data {
    Data::Notes([format!("serial={}", serial.into_int())].into())
}

#[cfg(test)]
#[path = "zone_tests.rs"]
mod tests;
