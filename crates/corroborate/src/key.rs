//! Keys: what the table knows of an observable or a neighbourhood, a keyed hash of the canonical form.
//!
//! 64 bits of SipHash-2-4 name an observable. Among 100 M observables the chance that any two share a key is
//! n²/2⁶⁵ = 0.03 %, and the secret seed keeps anybody from searching for such a pair. Should it happen, two observables
//! share their evidence; the alliance compares the observable itself before it plans, so a shared key can not turn into
//! a measure against the wrong one. 32 bits name a neighbourhood: among 4 M of them one in a thousand shares its
//! counter with another, which only shifts the order of a list a little.

use model::{Family, Observable};
use std::net::IpAddr;

/// The secret under which keys are made: random, drawn once by whoever owns the engine, kept with its state.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub [u8; 16]);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(secret)")
    }
}

/// An observable (and the family of its behaviour) as the table knows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObservableKey(pub(crate) u64);

impl ObservableKey {
    /// The key as a number, for a snapshot of whoever keeps keys.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// A key that [`ObservableKey::to_bits`] gave under the same seed.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// The /24, /48 or registered domain an observable lies in, as the table knows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NeighbourhoodKey(pub(crate) u32);

impl NeighbourhoodKey {
    /// What has no neighbours: file hashes, prefixes, and whatever the caller does not want to relate.
    pub const NONE: Self = Self(0);
}

/// Makes keys under one seed. Engines with the same seed agree on keys; results do not depend on the seed.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    seed: Seed,
}

impl Keys {
    /// Keys under `seed`.
    pub const fn new(seed: Seed) -> Self {
        Self { seed }
    }

    pub(crate) const fn seed(&self) -> Seed {
        self.seed
    }

    /// The key of a canonical form. Callers that keep several kinds apart put the kind into the bytes.
    pub fn observable(&self, canonical: &[u8]) -> ObservableKey {
        ObservableKey(sip24(&self.seed.0, canonical))
    }

    /// The key under which the alliance holds `observable` in behaviours of `family`.
    pub fn finding(&self, observable: &Observable, family: Family) -> ObservableKey {
        self.observable(format!("{} {} {observable}", family.as_str(), observable.kind()).as_bytes())
    }

    /// The key of a neighbourhood's canonical form; never [`NeighbourhoodKey::NONE`].
    pub fn neighbourhood(&self, canonical: &[u8]) -> NeighbourhoodKey {
        let mut seed = self.seed.0;
        seed[0] ^= 0xff; // another function than the one for observables
        NeighbourhoodKey((sip24(&seed, canonical) as u32).max(1))
    }

    /// The neighbourhood of an observable: /24 of an IPv4 address, /48 of an IPv6 address, the registered domain of a
    /// domain or URL (public suffix list); none for what is wider than one address, and for hashes.
    pub fn neighbourhood_of(&self, observable: &Observable) -> NeighbourhoodKey {
        if let Some(domain) = observable.domain() {
            let name = domain.as_str().as_bytes();
            return self.neighbourhood(psl::domain(name).map_or(name, |registered| registered.as_bytes()));
        }
        match observable.network() {
            Some(net) if net.prefix_len() == net.max_prefix_len() => self.neighbourhood_of_address(net.addr()),
            _ => NeighbourhoodKey::NONE,
        }
    }

    fn neighbourhood_of_address(&self, address: IpAddr) -> NeighbourhoodKey {
        match address {
            IpAddr::V4(v4) => self.neighbourhood(&v4.octets()[..3]),
            IpAddr::V6(v6) => self.neighbourhood(&v6.octets()[..6]),
        }
    }
}

/// A checksum that finds accidents, under a key everybody knows.
pub(crate) fn checksum(data: &[u8]) -> u64 {
    sip24(&[0; 16], data)
}

/// SipHash-2-4 (Aumasson and Bernstein 2012): a short keyed hash that needs no dependency.
fn sip24(seed: &[u8; 16], data: &[u8]) -> u64 {
    let (k0, k1) = (little_endian(&seed[..8]), little_endian(&seed[8..]));
    let mut v = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let mut words = data.chunks_exact(8);
    for word in &mut words {
        absorb(&mut v, little_endian(word));
    }
    absorb(&mut v, little_endian(words.remainder()) | (data.len() as u64) << 56);
    v[2] ^= 0xff;
    (0..4).for_each(|_| round(&mut v));
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

fn absorb(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    round(v);
    v[0] ^= word;
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[2] = v[2].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[1]);
    v[0] = v[0].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new(Seed(*b"0123456789abcdef"))
    }

    fn neighbourhood(text: &str) -> NeighbourhoodKey {
        keys().neighbourhood_of(&text.parse().unwrap())
    }

    #[test]
    fn siphash_agrees_with_its_published_vectors() {
        let seed: [u8; 16] = std::array::from_fn(|i| i as u8);
        let message: Vec<u8> = (0..15).collect();
        assert_eq!(sip24(&seed, &message), 0xa129_ca61_49be_45e5);
        assert_eq!(sip24(&seed, &[]), 0x726f_db47_dd0e_0e31);
    }

    #[test]
    fn addresses_of_one_24_or_48_are_neighbours() {
        assert_eq!(neighbourhood("198.51.100.7"), neighbourhood("198.51.100.200"));
        assert_ne!(neighbourhood("198.51.100.7"), neighbourhood("198.51.101.7"));
        assert_eq!(neighbourhood("2001:db8:1:2::3"), neighbourhood("2001:db8:1:9::9"));
        assert_ne!(neighbourhood("2001:db8:1::3"), neighbourhood("2001:db8:2::3"));
    }

    #[test]
    fn names_under_one_registered_domain_are_neighbours() {
        assert_eq!(neighbourhood("a.example.co.uk"), neighbourhood("http://b.example.co.uk/x"));
        assert_ne!(neighbourhood("example.co.uk"), neighbourhood("example2.co.uk"));
    }

    #[test]
    fn prefixes_and_hashes_have_no_neighbourhood() {
        assert_eq!(neighbourhood("198.51.100.0/25"), NeighbourhoodKey::NONE);
        assert_eq!(neighbourhood(&"ab".repeat(32)), NeighbourhoodKey::NONE);
    }

    #[test]
    fn one_observable_in_two_families_has_two_keys() {
        let address = "198.51.100.7".parse().unwrap();
        assert_ne!(keys().finding(&address, Family::Source), keys().finding(&address, Family::Destination));
    }

    #[test]
    fn a_seed_is_not_shown() {
        assert_eq!(format!("{:?}", keys()), "Keys { seed: Seed(secret) }");
    }
}
