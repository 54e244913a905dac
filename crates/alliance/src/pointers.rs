//! Where in the journal the latest report of each (observable, member) stands, so that evidence can be shown.

use corroborate::ObservableKey;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::hash::{BuildHasherDefault, Hasher};

/// A place in the journal: the entry of a report and the sighting's number in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Place {
    /// The entry's position.
    pub position: u64,
    /// The sighting's number in the report, from 0.
    pub index: u32,
}

/// The table of places. Its keys are hashes already, made under a secret seed, so they are used as they are.
#[derive(Clone, Debug, Default)]
pub struct Pointers {
    places: HashMap<(ObservableKey, u16), Place, BuildHasherDefault<Fold>>,
}

impl Pointers {
    /// Remembers the latest report of `member` on `key`.
    pub fn set(&mut self, key: ObservableKey, member: u16, place: Place) {
        self.places.insert((key, member), place);
    }

    /// The latest report of `member` on `key`.
    pub fn get(&self, key: ObservableKey, member: u16) -> Option<Place> {
        self.places.get(&(key, member)).copied()
    }

    /// Forgets a report.
    pub fn remove(&mut self, key: ObservableKey, member: u16) {
        self.places.remove(&(key, member));
    }

    /// Forgets everything before `position`: what it spoke of is older than the alliance remembers.
    pub fn forget_before(&mut self, position: u64) {
        self.places.retain(|_, place| place.position >= position);
    }

    /// All of them in order, for a snapshot.
    pub fn sorted(&self) -> Vec<(ObservableKey, u16, Place)> {
        let mut all: Vec<_> = self.places.iter().map(|((key, member), place)| (*key, *member, *place)).collect();
        all.sort_unstable();
        all
    }
}

/// Keys are uniformly distributed hashes: folding them is hashing enough.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.write_u64(u64::from(*b)));
    }

    fn write_u16(&mut self, n: u16) {
        self.write_u64(u64::from(n));
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(26) ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Bytes of one place in a snapshot: key, member, position, index.
const PLACE_BYTES: usize = 8 + 2 + 8 + 4;

impl Pointers {
    /// For a snapshot: every place, in order.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.places.len() * PLACE_BYTES);
        for (key, member, place) in self.sorted() {
            bytes.extend(key.to_bits().to_le_bytes());
            bytes.extend(member.to_le_bytes());
            bytes.extend(place.position.to_le_bytes());
            bytes.extend(place.index.to_le_bytes());
        }
        bytes
    }

    /// From a snapshot; `None` if the length does not fit.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let places = bytes.chunks_exact(PLACE_BYTES);
        if !places.remainder().is_empty() {
            return None;
        }
        let mut pointers = Self::default();
        for place in places {
            let (key, rest) = place.split_first_chunk::<8>()?;
            let (member, rest) = rest.split_first_chunk::<2>()?;
            let (position, rest) = rest.split_first_chunk::<8>()?;
            let (index, _) = rest.split_first_chunk::<4>()?;
            let key = ObservableKey::from_bits(u64::from_le_bytes(*key));
            let (position, index) = (u64::from_le_bytes(*position), u32::from_le_bytes(*index));
            pointers.set(key, u16::from_le_bytes(*member), Place { position, index });
        }
        Some(pointers)
    }
}
