//! The enforcement point: the primary's hot zone behind the common interface.

use super::entry::{Change, Entry, Policy, Trigger};
use super::owner::Owner;
use super::primary::{Primary, PrimarySettings};
use super::read_back::{Expected, lagging, read_back};
use super::show::{self, Following};
use super::zone::{Zone, ZoneLimits};
use crate::{Effect, Point, PointError, Protection, Seen};
use domain::base::{Name, Serial};
use model::{Action, Measure, Observable, PointName, Refusal, Rule, Scope, Target, Timestamp};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Most resolvers that are read back.
const RESOLVERS_MAX: usize = 64;

/// A member's RPZ point, as the configuration has it.
#[derive(Clone, Debug)]
pub struct RpzSettings {
    /// The point's name.
    pub name: PointName,
    /// The primary and its zones. The first zone is the hot one: small, of the alliance's mitigations, in force
    /// within milliseconds. Any other is for bulk lists.
    pub primary: PrimarySettings,
    /// The member's own resolvers, which are asked whether they enforce; never our own primary.
    pub resolvers: Vec<SocketAddr>,
    /// How long [`Point::read_back`] waits for them; 2 s is a good choice.
    pub read_back_limit: Duration,
    /// Also keep names from resolving to denied addresses (RPZ-IP triggers).
    pub addresses: bool,
}

/// The RPZ point. Stops serving when dropped; resolvers then keep their last version until it expires.
#[derive(Debug)]
pub struct RpzPoint {
    settings: RpzSettings,
    primary: Primary,
    allowed: Mutex<BTreeSet<Trigger>>,
}

impl RpzPoint {
    /// Opens the primary. The hot zone answers SERVFAIL until the first [`Point::replace`] has said what is in force
    /// (a bulk zone: [`RpzPoint::load_bulk`]), so that a restart lifts nothing.
    ///
    /// # Errors
    /// As [`Primary::start`]; or more than 64 resolvers to be read back.
    pub fn start(settings: RpzSettings) -> Result<Self, PointError> {
        if settings.resolvers.len() > RESOLVERS_MAX {
            return Err(PointError::Broken(format!("{}: more than 64 resolvers to be asked", settings.name)));
        }
        let primary = Primary::start(settings.primary.clone())?;
        Ok(Self { settings, primary, allowed: Mutex::default() })
    }

    /// Where the primary listens.
    pub fn address(&self) -> SocketAddr {
        self.primary.address()
    }

    /// Makes exactly these the member's own allow-list, in all zones: never blocked, at once, whatever else is listed.
    /// A domain stands for everything below it. URLs and hashes are no matter of the DNS and are passed over.
    ///
    /// # Errors
    /// Refused: a limit of a zone. Unavailable: the serial could not be made durable.
    pub fn set_allowed(&self, list: &[Observable]) -> Result<(), PointError> {
        let wanted: BTreeSet<Trigger> = list.iter().filter_map(allowed_trigger).collect();
        let mut known = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = known.difference(&wanted).cloned().map(Change::Disallow);
        let changes: Vec<Change> = gone.chain(wanted.difference(&known).cloned().map(Change::Allow)).collect();
        for zone in &self.settings.primary.zones {
            self.primary.commit(&zone.tag, &changes)?;
        }
        *known = wanted;
        Ok(())
    }

    /// Makes exactly `list` the contents of a bulk zone. Each pair is a trigger and the note for its marker.
    ///
    /// # Errors
    /// Refused: a limit of the zone. Broken: no zone has this tag.
    pub fn load_bulk(
        &self,
        tag: &str,
        list: impl IntoIterator<Item = (Trigger, String)>,
    ) -> Result<Serial, PointError> {
        let put = |(trigger, note)| {
            Change::Put(trigger, Entry { id: "bulk".to_owned(), policy: Policy::NxDomain, note, expires: None })
        };
        let changes: Vec<Change> = std::iter::once(Change::Clear).chain(list.into_iter().map(put)).collect();
        self.primary.commit(tag, &changes)
    }

    /// The primary, for what the common interface does not offer.
    pub fn primary(&self) -> &Primary {
        &self.primary
    }

    /// What a member puts into BIND's configuration. Holds no secret.
    pub fn bind_configuration(&self) -> String {
        Following::of(&self.settings.primary, self.address()).bind()
    }

    /// What a member puts into Unbound's configuration.
    pub fn unbound_configuration(&self) -> String {
        Following::of(&self.settings.primary, self.address()).unbound()
    }

    /// Resolvers that do not show the present version of the hot zone after `limit`, each with what it says instead.
    ///
    /// # Errors
    /// Broken: there is no hot zone.
    pub fn lagging(&self, limit: Duration) -> Result<Vec<(SocketAddr, String)>, PointError> {
        let expected = self.primary.look(self.hot(), |zone| Expected::new(zone, &[]))?;
        Ok(lagging(&self.settings.resolvers, &expected, limit))
    }

    fn hot(&self) -> &str {
        // `Primary::start` refuses settings without a zone.
        self.settings.primary.zones.first().map_or("", |zone| &zone.tag)
    }

    fn puts(&self, wanted: &[Protection]) -> Result<Vec<Change>, Refusal> {
        wanted.iter().map(|protection| self.put(protection)).collect()
    }

    fn put(&self, protection: &Protection) -> Result<Change, Refusal> {
        put(protection, self.settings.addresses)
    }

    fn policy(&self, measure: &Measure) -> Option<Policy> {
        policy(measure, self.settings.addresses)
    }

    /// The zone that `wanted` alone would make.
    fn draft(&self, wanted: &[Protection]) -> Result<Zone, PointError> {
        let changes = self.puts(wanted)?;
        let hot = self.settings.primary.zones.first();
        let hot = hot.ok_or_else(|| PointError::Broken("rpz: no zone".to_owned()))?;
        let apex: Name<Vec<u8>> =
            hot.name.to_ascii_lowercase().parse().map_err(|_| PointError::Broken("rpz: zone name".to_owned()))?;
        let mut zone = Zone::new(apex, &hot.tag, Serial(0), hot.limits.clone());
        let allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        let allow: Vec<Change> = allowed.iter().cloned().map(Change::Allow).collect();
        zone.commit(&[allow, changes].concat(), Serial(1))?;
        Ok(zone)
    }
}

/// The policy zone `name` with `wanted` in it as a zone file, without a server: what a member's people can read, and
/// their resolvers load. Addresses are left to the packet filter.
///
/// # Errors
/// A name that is no zone's, or the first of `wanted` that the DNS cannot express.
pub fn zone_file(name: &str, wanted: &[Protection]) -> Result<String, Refusal> {
    let apex = name.to_ascii_lowercase().parse::<Name<Vec<u8>>>();
    let apex = apex.map_err(|e| Refusal::new(Rule::Malformed, format_args!("zone {name}: {e}"), "a domain name"))?;
    let room = ZoneLimits { triggers_max: wanted.len(), allowed_max: 0 };
    let mut zone = Zone::new(apex, "shown", Serial(0), room);
    let changes: Vec<Change> = wanted.iter().map(|protection| put(protection, false)).collect::<Result<_, _>>()?;
    zone.commit(&changes, Serial(1))?;
    Ok(show::zone_file(&zone))
}

fn put(protection: &Protection, addresses: bool) -> Result<Change, Refusal> {
    let measure = &protection.measure;
    let refusal = || Refusal::new(Rule::CapabilityMissing, measure, "deny or redirect of a name or address");
    let policy = policy(measure, addresses).ok_or_else(refusal)?;
    let trigger = Trigger::of(measure.target()).ok_or_else(refusal)?;
    let Protection { mitigation, finding, expires, .. } = protection;
    let note = format!("finding={finding} mitigation={mitigation} expires={expires}");
    let entry = Entry { id: mitigation.to_string(), policy, note, expires: Some(*expires) };
    Ok(Change::Put(trigger, entry))
}

fn policy(measure: &Measure, addresses: bool) -> Option<Policy> {
    match (measure.action(), measure.target(), measure.scope()) {
        (Action::Deny, Target::DomainName(_), Scope::Border) => Some(Policy::NxDomain),
        (Action::Redirect { to }, Target::DomainName(_), Scope::Border) => Some(Policy::Redirect(to.clone())),
        (Action::Deny, Target::Host(_) | Target::Net(_), Scope::Border) if addresses => Some(Policy::NxDomain),
        _ => None,
    }
}

fn allowed_trigger(observable: &Observable) -> Option<Trigger> {
    match observable {
        Observable::Domain(domain) => Some(Trigger::Name(domain.clone())),
        other => other.network().map(Trigger::Network),
    }
}

fn removal(protection: &Protection) -> Option<Change> {
    let trigger = Trigger::of(protection.measure.target())?;
    // What could never be listed is not there: withdrawing it is no error.
    trigger.owner().ok()?;
    Some(Change::Remove(trigger, protection.mitigation.to_string()))
}

impl Point for RpzPoint {
    fn name(&self) -> &PointName {
        &self.settings.name
    }

    fn accepts(&self, measure: &Measure) -> bool {
        let readable = match measure.target() {
            Target::DomainName(domain) => Owner::name(domain).is_ok(),
            _ => true,
        };
        self.policy(measure).is_some() && readable
    }

    fn preview(&self, wanted: &[Protection], _now: Timestamp) -> String {
        match self.draft(wanted) {
            Ok(zone) => show::zone_lines(&zone),
            Err(error) => format!("; {error}\n"),
        }
    }

    fn apply(&self, wanted: &[Protection], now: Timestamp) -> Result<(), PointError> {
        let mut changes = self.puts(wanted)?;
        changes.push(Change::Expire(now));
        self.primary.commit(self.hot(), &changes).map(drop)
    }

    fn replace(&self, wanted: &[Protection], now: Timestamp) -> Result<(), PointError> {
        let mut changes = vec![Change::Clear];
        changes.extend(self.puts(wanted)?);
        changes.push(Change::Expire(now));
        self.primary.commit(self.hot(), &changes).map(drop)
    }

    fn withdraw(&self, ended: &[Protection], _now: Timestamp) -> Result<(), PointError> {
        let changes: Vec<Change> = ended.iter().filter_map(removal).collect();
        self.primary.commit(self.hot(), &changes).map(drop)
    }

    fn read_back(&self, asked: &[Protection]) -> Result<Vec<Seen>, PointError> {
        let expected = self.primary.look(self.hot(), |zone| Expected::new(zone, asked))?;
        Ok(read_back(&self.settings.resolvers, &expected, asked, self.settings.read_back_limit))
    }

    /// Resolvers count what they rewrite in their own logs (`rpz` lines), which are the member's: not counted here.
    fn effect(&self, asked: &[Protection]) -> Result<Vec<Effect>, PointError> {
        Ok(vec![Effect::default(); asked.len()])
    }

    fn set_allowed(&self, list: &[Observable]) -> Result<(), PointError> {
        Self::set_allowed(self, list)
    }

    fn lift_all(&self) -> Result<(), PointError> {
        let zones = self.settings.primary.zones.iter();
        let results: Vec<_> = zones.map(|zone| self.primary.commit(&zone.tag, &[Change::Clear])).collect();
        results.into_iter().try_for_each(|result| result.map(drop))
    }
}
