//! Callers that have shown nothing yet, and what they get: a nonce, and few requests a minute from one address.

use crate::directory::random;
use crate::error::Error;
use model::{Digest, Refusal, Rule, Span, Timestamp};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How long a nonce is taken.
pub(crate) const NONCE_VALID: Span = Span::minutes(1);
/// Addresses that are counted at a time; when there are more, all strangers share what is left.
const ADDRESSES_MAX: usize = 16_384;
/// Requests of all strangers together are this many times those of one address.
const ALL: u32 = 20;

/// Nonces that need no memory until they are used: a time and random bytes under a secret of this process.
pub(crate) struct Nonces {
    secret: [u8; 32],
    used: Mutex<BTreeMap<Digest, Timestamp>>,
}

impl Nonces {
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self { secret: random()?, used: Mutex::default() })
    }

    /// A new nonce: eight bytes of time, eight random ones, sixteen that only this process can make.
    pub(crate) fn draw(&self, now: Timestamp) -> Result<Digest, Error> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&now.as_millis().to_be_bytes());
        bytes[8..16].copy_from_slice(&random::<8>()?);
        let mark = self.mark(&bytes);
        bytes[16..].copy_from_slice(&mark);
        Ok(Digest::from_bytes(bytes))
    }

    /// Is it one of this hub's, not over? Gives when it is.
    ///
    /// # Errors
    /// `nonce_invalid`.
    pub(crate) fn check(&self, nonce: Digest, now: Timestamp) -> Result<Timestamp, Refusal> {
        let bytes = nonce.as_bytes();
        let mut made = [0; 8];
        made.copy_from_slice(&bytes[..8]);
        if self.mark(bytes) != bytes[16..] {
            return Err(refused("a nonce that this hub did not make"));
        }
        let expires = Timestamp::from_millis(i64::from_be_bytes(made)).plus(NONCE_VALID);
        if now < expires { Ok(expires) } else { Err(refused("a nonce that is over")) }
    }

    /// Takes a nonce, once. Only called for signatures that hold, so strangers cannot fill the memory of used ones.
    ///
    /// # Errors
    /// `nonce_invalid`.
    pub(crate) fn take(&self, nonce: Digest, now: Timestamp) -> Result<(), Refusal> {
        let expires = self.check(nonce, now)?;
        let mut used = self.used();
        used.retain(|_, expires| *expires > now);
        match used.insert(nonce, expires) {
            None => Ok(()),
            Some(_) => Err(refused("a nonce that was used")),
        }
    }

    /// Two rounds, so that nobody can lengthen what is marked.
    fn mark(&self, bytes: &[u8; 32]) -> [u8; 16] {
        let inner = Digest::of(&[&self.secret, b"nonce", &bytes[..16]]);
        let outer = Digest::of(&[&self.secret, b"outer", inner.as_bytes()]);
        std::array::from_fn(|i| outer.as_bytes()[i])
    }

    fn used(&self) -> MutexGuard<'_, BTreeMap<Digest, Timestamp>> {
        // A set of nonces: one more or less after a failed thread does no harm.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(what: &str) -> Refusal {
    Refusal::new(Rule::NonceInvalid, what, format!("a new one, within {NONCE_VALID}"))
}

/// Counts the requests of strangers, by address and minute.
#[derive(Debug, Default)]
pub(crate) struct Strangers(Mutex<Minute>);

#[derive(Debug, Default)]
struct Minute {
    number: i64,
    all: u32,
    addresses: BTreeMap<IpAddr, u32>,
}

impl Strangers {
    /// Takes one request of this address from its minute.
    ///
    /// # Errors
    /// `quota_exceeded`.
    pub(crate) fn take(&self, address: IpAddr, per_minute: u32, now: Timestamp) -> Result<(), Refusal> {
        let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = now.as_millis().div_euclid(60_000);
        if minute.number != number {
            *minute = Minute { number, ..Minute::default() };
        }
        let all_max = per_minute.saturating_mul(ALL);
        let refused = |value: u32, limit: String| {
            Err(Refusal::new(Rule::QuotaExceeded, format_args!("{value} requests without a credential"), limit))
        };
        if minute.all >= all_max {
            return refused(minute.all, format!("{all_max} a minute from all addresses"));
        }
        let address = network(address);
        let known = minute.addresses.get(&address).copied().unwrap_or_default();
        if known >= per_minute {
            return refused(known, format!("{per_minute} a minute from one address"));
        }
        minute.all += 1;
        if known > 0 || minute.addresses.len() < ADDRESSES_MAX {
            minute.addresses.insert(address, known + 1);
        }
        Ok(())
    }
}

/// Whoever has one IPv6 address has all of its /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => std::net::Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::MIN.plus(Span::seconds(seconds))
    }

    fn rule(result: Result<(), Refusal>) -> Option<Rule> {
        result.err().map(|refusal| refusal.rule)
    }

    #[test]
    fn a_nonce_is_taken_once_for_a_minute_and_only_here() {
        let (here, there) = (Nonces::new().unwrap(), Nonces::new().unwrap());
        let nonce = here.draw(at(0)).unwrap();
        assert_eq!(rule(there.take(nonce, at(1))), Some(Rule::NonceInvalid));
        assert_eq!(rule(here.take(nonce, at(1))), None);
        assert_eq!(rule(here.take(nonce, at(1))), Some(Rule::NonceInvalid));
        let late = here.draw(at(0)).unwrap();
        assert_eq!(rule(here.take(late, at(60))), Some(Rule::NonceInvalid));
        for place in 0..32 {
            let mut bytes = *here.draw(at(0)).unwrap().as_bytes();
            bytes[place] ^= 1;
            assert_eq!(rule(here.take(Digest::from_bytes(bytes), at(1))), Some(Rule::NonceInvalid), "byte {place}");
        }
    }

    #[test]
    fn used_nonces_are_forgotten_when_they_would_not_be_taken_anyway() {
        let nonces = Nonces::new().unwrap();
        for second in 0..100 {
            let nonce = nonces.draw(at(second)).unwrap();
            nonces.take(nonce, at(second)).unwrap();
        }
        assert_eq!(nonces.used().len(), 60);
    }

    #[test]
    fn an_address_has_its_minute_and_all_together_have_theirs() {
        let strangers = Strangers::default();
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!((0..5).filter(|_| strangers.take(one, 3, at(0)).is_ok()).count(), 3);
        assert!(strangers.take("192.0.2.2".parse().unwrap(), 3, at(0)).is_ok());
        assert!(strangers.take(one, 3, at(60)).is_ok());
        let of_one_64 = (0..9).filter(|n| strangers.take(format!("2001:db8::{n}").parse().unwrap(), 3, at(60)).is_ok());
        assert_eq!(of_one_64.count(), 3);
        let many = (0..200_u8).filter(|n| strangers.take(IpAddr::from([10, 0, 0, *n]), 3, at(120)).is_ok());
        assert_eq!(many.count(), 60);
    }
}
