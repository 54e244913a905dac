//! Real peers for tests: BIND, Unbound, CrowdSec and nftables, started on loopback and stopped; disks that fill up.

pub mod bind;
pub mod crowdsec;
pub mod disk;
pub mod dns;
pub mod netns;
pub mod unbound;

pub use bind::{Bind, BindOptions, Rpz, Tsig};
pub use crowdsec::CrowdSec;
pub use dns::{Answer, WORLD_V4, World, ask, ask_until, free_port};
pub use domain::base::iana::Rtype;
pub use netns::Netns;
pub use unbound::Unbound;

/// A peer that could not be started or asked; the text says what to do.
#[derive(Debug)]
pub struct Error(pub String);

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}
