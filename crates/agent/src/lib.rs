//! The member's doors: sensors, hub client, enforcement points.
//!
//! [`core`] is the heart, a state machine without I/O.

pub mod core;
mod error;
pub mod keys;
mod store;

pub use error::{Broken, Error};
pub use store::{Opened, Store};
