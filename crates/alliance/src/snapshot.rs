//! The state as bytes and back, so that a start need not replay everything.

use crate::Setup;
use crate::ongoing::Ongoing;
use crate::state::{Alliance, InForceCharter, Ledger};
use charter::{Charter, SignedCharter};
use corroborate::Engine;
use model::{Refusal, Rule};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Version of the snapshot's form; another one is not read, and the state is rebuilt from the journal.
pub const SNAPSHOT_VERSION: u32 = 2;

/// One named part of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shard {
    /// `ledger`, or `table-` and a number.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Everything but the corroboration table.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Head {
    charter: Option<SignedCharter>,
    ledger: Ledger,
}

impl Head {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // The ledger is made of texts and finite numbers, for which serde_json cannot fail; an empty shard would be
        // refused when it is read.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Alliance {
    /// The whole state as of the latest entry.
    pub fn snapshot(&self) -> Vec<Shard> {
        let mut shards = vec![Shard { name: "ledger".to_owned(), bytes: self.head().to_bytes() }];
        let tables = self.engine.snapshot().into_iter().enumerate();
        shards.extend(tables.map(|(i, bytes)| Shard { name: format!("table-{i}"), bytes }));
        shards
    }

    pub(crate) fn head(&self) -> Head {
        Head { charter: self.charter.as_ref().map(|c| c.signed.clone()), ledger: self.ledger.clone() }
    }

    /// The state that [`Alliance::snapshot`] gave as `shards`. Guard lists are added before, as before a replay.
    ///
    /// # Errors
    /// `malformed` with the shard: the state is then rebuilt from the journal.
    pub fn restore(setup: Setup, lists: &[Vec<u8>], shards: &[Shard]) -> Result<Self, Refusal> {
        let mut alliance = Self::new(setup)?;
        for list in lists {
            alliance.add_list(list.clone());
        }
        let head: Head = serde_json::from_slice(shard(shards, "ledger")?).map_err(|e| damaged("ledger", &e))?;
        alliance.ledger = head.ledger;
        alliance.ongoing = Ongoing::of(&alliance.ledger);
        let Some(signed) = head.charter else { return Ok(alliance) };
        let mut charter = alliance.ledger.keys.effective(&Charter::parse(&signed.text)?);
        alliance.ledger.membership.lay_over(&mut charter);
        let tables: Vec<&[u8]> = (0..)
            .map_while(|i| shards.iter().find(|s| s.name == format!("table-{i}")))
            .map(|s| s.bytes.as_slice())
            .collect();
        let rules = crate::rules::rules_of(&charter);
        alliance.engine = Engine::restore(rules, &tables).map_err(|e| damaged("table", &e))?;
        let (guards, digest) = (alliance.guards_of(&charter).ok(), signed.digest());
        alliance.charter = Some(Arc::new(InForceCharter { signed, charter, digest, guards }));
        Ok(alliance)
    }
}

fn shard<'a>(shards: &'a [Shard], name: &str) -> Result<&'a [u8], Refusal> {
    let found = shards.iter().find(|s| s.name == name);
    found.map(|s| s.bytes.as_slice()).ok_or_else(|| damaged(name, &"missing"))
}

fn damaged(name: &str, what: &dyn std::fmt::Display) -> Refusal {
    Refusal::new(Rule::Malformed, format_args!("snapshot shard {name}: {what}"), "a snapshot of this version")
}
