//! The guard lists: what machines never block, and what they block with caution only.
//!
//! Three sources: what holds for every alliance (`builtin`), the charter's own `guards.never` and its members' assets,
//! and list files that the charter names by their digests (`lists`). [`GuardClass`] says how strict each class is and
//! how far a guarded name reaches.

mod builtin;
mod class;
mod lists;
mod names;
mod nets;

pub use class::GuardClass;
pub use lists::{GUARD_ENTRIES_MAX, GUARD_FILE_BYTES_MAX};

pub(crate) use lists::never_entry;

use crate::charter::{Charter, GuardFile};
use ipnet::IpNet;
use lists::{Entry, Listed};
use model::{Digest, Domain, GuardHit, MemberId, Observable, Refusal};
use names::Names;
use nets::Nets;
use std::collections::BTreeMap;

/// The guards of a charter, ready to be asked. Overlap is tested both ways: a guarded address inside a reported prefix,
/// and a reported address inside a guarded prefix; a guarded name below a reported one, and the reverse.
#[derive(Clone, Debug, Default)]
pub struct Guards {
    /// Names of lists, which entries refer to by number.
    sources: Vec<Box<str>>,
    /// Guarded networks of all classes: the one question that most observables need.
    any: Nets<()>,
    /// Guarded networks by class.
    nets: Vec<(GuardClass, Nets<u32>)>,
    names: Names<u32>,
    owned: Owned,
    set_aside: Vec<Refusal>,
}

/// Members' proven assets.
#[derive(Clone, Debug, Default)]
struct Owned {
    members: Vec<MemberId>,
    exact: BTreeMap<IpNet, u32>,
    nets: Nets<u32>,
    names: Names<u32>,
}

/// How many entries a class has, for `charter show`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClassSummary {
    /// The class.
    pub class: GuardClass,
    /// Networks, those inside others not counted.
    pub networks: usize,
    /// Names.
    pub names: usize,
}

impl Guards {
    /// Builds the guards of a charter from its own list, its members' assets, and the texts of its list files in the
    /// order of `charter.guards.list` (CSV with header: `cidr,class,list` or `domain,class,lists`).
    ///
    /// Rows that name nothing which could ever be blocked (`gw.example,example.org`) are set aside, at most one in a
    /// thousand of a file, since large public lists hold some; see [`Guards::set_aside`].
    ///
    /// # Errors
    /// `digest_mismatch` for a file that is not the one signed or is missing, `malformed` with file, line and field,
    /// `too_large` for a file of more than 64 MiB or more than 4 million rows in all.
    pub fn new(charter: &Charter, lists: &[Vec<u8>]) -> Result<Self, Refusal> {
        let mut listed = Listed::default();
        builtin::list(&mut listed);
        listed.charter(charter)?;
        listed.files(&charter.guards.list, lists)?;
        Ok(Self::of(listed, Owned::of(charter)))
    }

    /// Builds guards of list files alone, beside what holds for every alliance: for those who have no charter yet.
    ///
    /// # Errors
    /// As [`Guards::new`].
    pub fn of_files(names: &[String], lists: &[Vec<u8>]) -> Result<Self, Refusal> {
        let mut listed = Listed::default();
        builtin::list(&mut listed);
        let bound = |(name, text): (&String, &Vec<u8>)| GuardFile { file: name.clone(), sha256: Digest::of(&[text]) };
        let files: Vec<GuardFile> = names.iter().zip(lists).map(bound).collect();
        listed.files(&files, lists)?;
        Ok(Self::of(listed, Owned::default()))
    }

    fn of(listed: Listed, owned: Owned) -> Self {
        let (mut nets, mut names) = (Vec::new(), Vec::new());
        for Entry { subject, class, source } in listed.entries {
            match subject {
                lists::Subject::Net(net) => nets.push((net, class, source)),
                lists::Subject::Name(name) => names.push((name, class, source)),
            }
        }
        let any = Nets::new(nets.iter().map(|(net, _, _)| (*net, ())));
        let mut by_class: BTreeMap<GuardClass, Vec<(IpNet, u32)>> = BTreeMap::new();
        for (net, class, source) in nets {
            by_class.entry(class).or_default().push((net, source));
        }
        let nets = by_class.into_iter().map(|(class, nets)| (class, Nets::new(nets))).collect();
        Self { sources: listed.sources, any, nets, names: Names::new(names), owned, set_aside: listed.set_aside }
    }

    /// The strictest guard that applies, absolute before cautious; `None` if none does.
    ///
    /// A URL is guarded as its host is, except that names below the host are not touched by it. A file hash is not
    /// guarded by anything.
    pub fn verdict(&self, observable: &Observable) -> Option<GuardHit> {
        let hit = self.strictest(observable)?;
        let owner = if hit.class == GuardClass::MemberSpace.as_str() { self.owner(observable).cloned() } else { None };
        Some(GuardHit { owner, ..hit })
    }

    fn strictest(&self, observable: &Observable) -> Option<GuardHit> {
        match observable {
            Observable::Address(_) | Observable::Prefix(_) => self.network(&observable.network()?),
            Observable::Domain(domain) => match builtin::is_public_suffix(domain) {
                true => Some(hit(GuardClass::Never, domain, "public suffix list")),
                false => self.name(domain, true),
            },
            Observable::Url(url) => match (url.domain(), url.address()) {
                (Some(host), _) => self.name(&host, false),
                (None, Some(address)) => self.network(&IpNet::from(address)),
                (None, None) => Some(hit(GuardClass::Never, url.as_str(), "hosts without a public name")),
            },
            Observable::Hash(_) => None,
        }
    }

    /// The member who has proven `observable`, or something that overlaps it, to be its own: the owner of the
    /// narrowest asset that holds it, otherwise of the first one inside it.
    pub fn owner(&self, observable: &Observable) -> Option<&MemberId> {
        let network = observable.network().or_else(|| match observable {
            Observable::Url(url) => url.address().map(IpNet::from),
            _ => None,
        });
        let index = match (network, observable.domain()) {
            (Some(net), _) => self.owned.of_network(net),
            (None, Some(host)) => {
                let takes_below = matches!(observable, Observable::Domain(_));
                self.owned.names.strictest(&host, takes_below).map(|named| named.label)
            }
            (None, None) => None,
        };
        self.owned.members.get(index? as usize)
    }

    /// Rows of list files that were set aside, each with file, line and field.
    pub fn set_aside(&self) -> &[Refusal] {
        &self.set_aside
    }

    /// How many entries each class has, from the strictest class.
    pub fn classes_summary(&self) -> Vec<ClassSummary> {
        let networks = |class| self.nets.iter().find(|(c, _)| *c == class).map_or(0, |(_, nets)| nets.len());
        let names = |class| self.names.iter().filter(|named| named.class == class).count();
        let summary = |class| ClassSummary { class, networks: networks(class), names: names(class) };
        GuardClass::ALL.into_iter().map(summary).collect()
    }

    fn network(&self, net: &IpNet) -> Option<GuardHit> {
        self.any.overlapping(net)?;
        let (class, held) = self.nets.iter().find_map(|(class, nets)| Some((*class, nets.overlapping(net)?)))?;
        Some(hit(class, held.net, self.source(held.label)))
    }

    fn name(&self, host: &Domain, takes_below: bool) -> Option<GuardHit> {
        let named = self.names.strictest(host, takes_below)?;
        Some(hit(named.class, named.name(), self.source(named.label)))
    }

    fn source(&self, number: u32) -> &str {
        self.sources.get(number as usize).map_or("", |name| name)
    }
}

impl Owned {
    fn of(charter: &Charter) -> Self {
        let (mut members, mut nets, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for (index, member) in (0u32..).zip(&charter.members) {
            members.push(member.id.clone());
            nets.extend(member.assets.prefixes.iter().map(|prefix| (prefix.network(), index)));
            let named = |domain: &Domain| (domain.as_str().to_owned(), GuardClass::MemberSpace, index);
            names.extend(member.assets.domains.iter().map(named));
        }
        // Of two members who list the same network, the first of the charter owns it.
        let exact = nets.iter().rev().copied().collect();
        Self { members, exact, nets: Nets::new(nets), names: Names::new(names) }
    }

    fn of_network(&self, net: IpNet) -> Option<u32> {
        let overlapping = self.nets.overlapping(&net)?.label;
        let around = std::iter::successors(Some(net), IpNet::supernet);
        Some(around.into_iter().find_map(|net| self.exact.get(&net).copied()).unwrap_or(overlapping))
    }
}

fn hit(class: GuardClass, entry: impl std::fmt::Display, list: &str) -> GuardHit {
    GuardHit {
        class: class.as_str().to_owned(),
        entry: entry.to_string(),
        list: list.to_owned(),
        owner: None,
        absolute: class.is_absolute(),
    }
}

#[cfg(test)]
mod tests;
