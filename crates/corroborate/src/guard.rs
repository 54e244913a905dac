//! What a guard said about an observable. The guard lists live with the charter; here their word is simply first.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A guard's word, given to every verdict.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Guard {
    /// No guard list touches the observable.
    #[default]
    None,
    /// Never published by machine, whatever the evidence: `never`, `resolver`, `top`, members' own space and the like.
    Absolute {
        /// The guard's class.
        class: String,
        /// The entry of the list that it overlaps with.
        entry: String,
    },
    /// Shared by the innocent (hosting, clouds, relays, carrier NAT): needs much more evidence, or a person.
    Cautious {
        /// The guard's class.
        class: String,
        /// The entry of the list that it overlaps with.
        entry: String,
    },
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Absolute { class, entry } => write!(f, "absolute: {class} ({entry})"),
            Self::Cautious { class, entry } => write!(f, "cautious: {class} ({entry})"),
        }
    }
}
