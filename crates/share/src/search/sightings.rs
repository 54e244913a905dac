//! The latest sightings, one by one, as far as there is room: 64 bytes each.

use super::key::Key;
use super::lookup::{Ask, Found, Lookup};
use crate::taxii::Row;
use model::{Behaviour, Grade, Handling, MemberId, Sensor, Sighting, Timestamp};

/// What is kept of a sighting beside its observable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// When it was first seen.
    pub first: Timestamp,
    /// When it was last seen.
    pub last: Timestamp,
    /// How many times.
    pub count: u32,
    member: u16,
    handling: u16,
    /// What it did.
    pub behaviour: Behaviour,
    /// What saw it.
    pub sensor: Sensor,
    /// How hard it is to forge.
    pub grade: Grade,
    /// Did its reporter sign it?
    pub signed: bool,
}

/// A sighting that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Noted {
    /// The entry of the journal that holds it.
    pub position: u64,
    /// Who reported it.
    pub member: MemberId,
    /// Did its reporter sign it?
    pub signed: bool,
    /// The sighting.
    pub sighting: Sighting,
}

/// The latest sightings.
#[derive(Clone, Debug)]
pub struct Sightings {
    lookup: Lookup<Seen>,
    members: Vec<MemberId>,
    handlings: Vec<Handling>,
}

impl Sightings {
    /// Keeps at least the `most` latest ones.
    pub const fn keeping(most: usize) -> Self {
        Self { lookup: Lookup::keeping(most), members: Vec::new(), handlings: Vec::new() }
    }

    /// Takes a report's sightings, in the journal's order.
    pub fn add(&mut self, position: u64, member: &MemberId, signed: bool, sightings: &[Sighting]) {
        let Some(member) = interned(&mut self.members, member) else { return };
        for (at, sighting) in sightings.iter().enumerate() {
            let Some(handling) = interned(&mut self.handlings, &sighting.handling) else { return };
            let Sighting { first, last, count, behaviour, sensor, grade, .. } = *sighting;
            let seen = Seen { first, last, count, member, handling, behaviour, sensor, grade, signed };
            self.lookup.add(Key::of(&sighting.observable), Row::sequence_of(position, at), seen);
        }
    }

    /// How many are kept.
    pub const fn len(&self) -> usize {
        self.lookup.len()
    }

    /// Is there none?
    pub const fn is_empty(&self) -> bool {
        self.lookup.is_empty()
    }

    /// Sightings that are asked for and that `wanted` wants, the newest first.
    pub fn find(&self, ask: &Ask, wanted: impl Fn(&Seen, &MemberId, &Handling, &Key) -> bool) -> Found<Noted> {
        self.lookup.find(ask, |place, key, seen| {
            let member = self.members.get(usize::from(seen.member))?;
            let handling = self.handlings.get(usize::from(seen.handling))?;
            if !wanted(seen, member, handling, key) {
                return None;
            }
            let Seen { first, last, count, behaviour, sensor, grade, signed, .. } = *seen;
            let observable = key.observable()?;
            let handling = handling.clone();
            let sighting = Sighting { observable, behaviour, first, last, count, sensor, grade, handling };
            Some(Noted { position: Row::position_of(place), member: member.clone(), signed, sighting })
        })
    }
}

/// The number of a name in its table, which holds at most 65,535.
fn interned<T: Clone + PartialEq>(names: &mut Vec<T>, name: &T) -> Option<u16> {
    let at = names.iter().position(|known| known == name).unwrap_or(names.len());
    let number = u16::try_from(at).ok()?;
    if at == names.len() {
        names.push(name.clone());
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{Reach, ranges};
    use model::Tlp;

    fn sighting(observable: &str, behaviour: Behaviour) -> Sighting {
        Sighting {
            observable: observable.parse().unwrap(),
            behaviour,
            first: Timestamp::MIN,
            last: Timestamp::MIN.plus(model::Span::hours(1)),
            count: 7,
            sensor: Sensor::Ids,
            grade: Grade::Handshake,
            handling: Handling::alliance(Tlp::Amber),
        }
    }

    #[test]
    fn sightings_come_back_as_they_were_reported_to_whom_they_may_be_shown() {
        let mut sightings = Sightings::keeping(100);
        let (cloud, bank): (MemberId, MemberId) = ("cloud".parse().unwrap(), "bank".parse().unwrap());
        let reported = [sighting("80.1.1.1", Behaviour::Scan), sighting("80.1.2.0/24", Behaviour::C2)];
        sightings.add(5, &cloud, true, &reported);
        sightings.add(9, &bank, false, &[sighting("80.1.1.1", Behaviour::C2)]);
        let network = ranges(&"80.1.0.0/16".parse().unwrap(), Reach { below: true, above: false });
        let ask = Ask { ranges: Some(network), before: None, limit: 10 };
        let found = sightings.find(&ask, |seen, _, _, _| seen.behaviour == Behaviour::C2).things;
        assert_eq!(found.iter().map(|noted| noted.position).collect::<Vec<_>>(), [9, 5]);
        assert_eq!((&found[1].sighting, &found[1].member, found[1].signed), (&reported[1], &cloud, true));
        let own = sightings.find(&ask, |_, member, handling, _| *member == bank && handling.tlp == Tlp::Amber);
        assert_eq!(own.things.len(), 1);
        assert!(sightings.find(&ask, |_, _, _, _| false).things.is_empty());
        assert_eq!(std::mem::size_of::<Seen>(), 32);
    }
}
