//! A small charter for tests: three full members, an associate and an observer.

use model::SigningKey;

/// The agent's key of member number `n`, from 1; `100 + n` is that of its first person.
pub fn key(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32])
}

/// Its text. Keys are those of `key(1)` to `key(5)` and `key(101)` to `key(103)`; two tests say so.
pub const CHARTER: &str = include_str!("fixture.toml");
