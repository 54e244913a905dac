//! Receipts: what an agent did with a mitigation, and what it read back. The states of a mitigation.

use crate::ids::{KeyId, MemberId, MitigationId, PointName};
use crate::key::{PublicKey, Signature, SigningKey, Statement};
use crate::refusal::{Refusal, Rule};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Most receipts in one batch.
pub const RECEIPTS_MAX: usize = 10_000;

/// Where a mitigation stands on its member's side.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MitigationState {
    /// Accepted, or waiting for a person; nothing done yet.
    Due,
    /// Given to the enforcement point, not yet read back.
    Applied,
    /// Read back as enforcing. The only state that may be called active.
    Verified,
    /// Ended before its time: withdrawn by the alliance, lifted by the member.
    Withdrawn,
    /// Ended in time.
    Expired,
    /// A rule on the member's side said no.
    Refused,
    /// The enforcement point did not do it, or was read back as not enforcing.
    Failed,
}

impl MitigationState {
    /// Every state.
    pub const ALL: [Self; 7] =
        [Self::Due, Self::Applied, Self::Verified, Self::Withdrawn, Self::Expired, Self::Refused, Self::Failed];

    /// The state as one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Applied => "applied",
            Self::Verified => "verified",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    /// May a mitigation go from this state to `next`? Ended states are left by none; a failed one may be tried again.
    pub const fn may_become(self, next: Self) -> bool {
        use MitigationState::{Applied, Due, Expired, Failed, Refused, Verified, Withdrawn};
        matches!(
            (self, next),
            (Due, Applied | Refused | Failed | Withdrawn | Expired)
                | (Applied, Verified | Failed | Withdrawn | Expired)
                | (Verified, Applied | Verified | Failed | Withdrawn | Expired)
                | (Failed, Applied | Verified | Failed | Withdrawn | Expired)
        )
    }

    /// May a report of `next` follow one of this state? As [`Self::may_become`]; and whoever knows only that it was due
    /// may hear first that it was read back.
    pub const fn may_be_followed_by(self, next: Self) -> bool {
        self.may_become(next) || matches!((self, next), (Self::Due, Self::Verified))
    }

    /// Is this the end?
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Withdrawn | Self::Expired | Self::Refused)
    }
}

impl fmt::Display for MitigationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is known of a mitigation at some moment. As JSON it is one word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MitigationNow {
    /// Its end has passed, and its agent has not said how it ended. No agent says this of itself.
    Unreported,
    /// Where it stands.
    #[serde(untagged)]
    Known(MitigationState),
}

impl MitigationNow {
    /// The state as one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreported => "unreported",
            Self::Known(state) => state.as_str(),
        }
    }

    /// Is it known to have ended?
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Known(state) if state.is_final())
    }
}

impl From<MitigationState> for MitigationNow {
    fn from(state: MitigationState) -> Self {
        Self::Known(state)
    }
}

impl fmt::Display for MitigationNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What an agent reports of one mitigation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The mitigation.
    pub mitigation: MitigationId,
    /// Where it stands.
    pub state: MitigationState,
    /// The enforcement point, where one was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<PointName>,
    /// When this was so, by the member's clock.
    pub at: Timestamp,
    /// What was read back, in the point's words, at most 200 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub evidence: String,
    /// Packets or answers affected so far, where counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
    /// Bytes affected so far, where counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Which rule said no, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
}

/// What an agent signs: its receipts since the last batch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipts {
    /// The reporting member.
    pub author: MemberId,
    /// The key that signs.
    pub key: KeyId,
    /// The author's running number of submissions, shared with its batches of sightings.
    pub sequence: u64,
    /// When it was made.
    pub made: Timestamp,
    /// The receipts; 1 to 10,000.
    pub receipts: Vec<Receipt>,
}

impl Statement for Receipts {
    const CONTEXT: &'static str = "epimachia/receipts/v1";
}

/// Receipts with their signature.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedReceipts {
    /// What is signed.
    pub receipts: Receipts,
    /// By the agent's key.
    pub signature: Signature,
}

impl SignedReceipts {
    /// Signs receipts.
    pub fn sign(receipts: Receipts, key: &SigningKey) -> Self {
        let signature = key.sign(&receipts);
        Self { receipts, signature }
    }

    /// Checks count and signature.
    ///
    /// # Errors
    /// `too_large`, `bad_signature`.
    pub fn verify(&self, key: &PublicKey) -> Result<(), Refusal> {
        let count = self.receipts.receipts.len();
        if !(1..=RECEIPTS_MAX).contains(&count) {
            let limit = format!("1 to {RECEIPTS_MAX}");
            return Err(Refusal::new(Rule::TooLarge, format_args!("{count} receipts"), limit));
        }
        key.verify(&self.receipts, &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MitigationState::*;

    #[test]
    fn ended_states_are_left_by_none() {
        for state in MitigationState::ALL {
            let leaves = MitigationState::ALL.iter().any(|next| state.may_become(*next));
            assert_eq!(leaves, !state.is_final(), "{state}");
        }
    }

    #[test]
    fn what_is_known_now_is_one_word_which_reads_back() {
        let known = MitigationState::ALL.map(MitigationNow::from);
        for now in known.into_iter().chain([MitigationNow::Unreported]) {
            let json = serde_json::to_string(&now).unwrap();
            assert_eq!(json, format!("\"{now}\""));
            assert_eq!(serde_json::from_str::<MitigationNow>(&json).unwrap(), now);
            let said = serde_json::from_str::<MitigationState>(&json).ok().map(MitigationNow::from);
            assert_eq!(said, Some(now).filter(|now| *now != MitigationNow::Unreported), "what an agent may say");
        }
        assert!(serde_json::from_str::<MitigationNow>("\"active\"").is_err());
    }

    #[test]
    fn nothing_becomes_verified_without_having_been_applied() {
        assert!(!Due.may_become(Verified));
        assert!(Due.may_be_followed_by(Verified), "applied may not have been heard of");
    }
}
