//! Where what was said of an observable stands, so that it is found without looking through everything: by value, by
//! network, by name; the newest first.
//!
//! All of it can be dropped and made again from the journal. Who may see what is found, its caller decides.

mod key;
mod lookup;
pub(crate) mod mentions;
mod sightings;

pub use key::{Key, Reach, ranges};
pub use lookup::{Ask, Found, Lookup};
pub use mentions::{MENTIONS_MAX, mentions};
pub use sightings::{Noted, Seen, Sightings};
