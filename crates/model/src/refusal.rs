//! Refusals: a rule that said no, with its name, the value and the limit. Every rule of the alliance is listed here.

use crate::parse::{ParseError, printable};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A rule that said no. Nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("refused by {rule}: `{value}`; allowed: {limit}")]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The rule.
    pub rule: Rule,
    /// What was refused, safe to print.
    pub value: String,
    /// What the rule would have allowed.
    pub limit: String,
}

impl Refusal {
    /// A refusal of `value`, which is cut and escaped so that it is safe to print.
    pub fn new(rule: Rule, value: impl fmt::Display, limit: impl fmt::Display) -> Self {
        Self { rule, value: printable(&value.to_string()), limit: limit.to_string() }
    }
}

impl From<ParseError> for Refusal {
    fn from(error: ParseError) -> Self {
        Self { rule: Rule::Malformed, value: format!("{}: {}", error.field, error.value), limit: error.allowed }
    }
}

/// The rules, each with its name and one sentence for `epimachia charter explain RULE`.
macro_rules! rules {
    ($($variant:ident = $name:literal: $explains:literal,)+) => {
        /// The name of a rule, as refusals carry it.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum Rule {
            $(#[doc = $explains] $variant,)+
        }

        impl Rule {
            /// Every rule, in the order of the flow.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The rule's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What the rule says, in one sentence.
            pub const fn explains(self) -> &'static str {
                match self { $(Self::$variant => $explains,)+ }
            }
        }

        impl FromStr for Rule {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(ParseError::new("rule", text, concat!($($name, " "),+).trim_end())),
                }
            }
        }
    };
}

rules! {
    Malformed = "malformed": "What comes in has the documented form: no unknown fields, known words, canonical values.",
    TooLarge = "too_large": "Sizes, counts and depths stay within the charter's limits.",
    UnknownMember = "unknown_member": "Only members of the charter in force are heard.",
    UnknownKey = "unknown_key": "A signature counts only by a key registered for its author and live at that time.",
    KeyRevoked = "key_revoked": "A revoked key never counts again, nor does what it has signed.",
    KeyChain = "key_chain": "Each change of a member's keys follows the one before it, under the charter in force.",
    KeyHolder = "key_holder": "A key is added or retired by its holder's own keys; each key of a member may revoke.",
    KeyNotProven = "key_not_proven": "Whoever adds a key shows with its signature that it has the secret half.",
    LastKey = "last_key": "The last key of a member or person is revoked, never retired by mistake.",
    BadSignature = "bad_signature": "A signed statement verifies against its author's key, byte for byte.",
    OutOfSequence = "out_of_sequence": "Each author numbers its submissions without gaps; a number is used once.",
    NumberReused = "number_reused": "A number stands for one submission; other content under a used number is refused.",
    RoleMissing = "role_missing": "A member does only what its roles in the charter allow.",
    MembershipStage = "membership_stage": "Each step of a membership has its place after another, and is said once.",
    MemberSuspended = "member_suspended": "A suspended member is not heard until the suspension ends.",
    QuotaExceeded = "quota_exceeded": "Each member stays within its own rate, so that one cannot slow the others.",
    ClockSkew = "clock_skew": "Times lie neither in the future beyond the allowed skew nor too far in the past.",
    BogonEvidence = "bogon_evidence": "Private, reserved and documentation addresses are no evidence.",
    OwnSpaceEvidence = "own_space_evidence": "A member does not report its own proven space; it deals with it itself.",
    VictimData = "victim_data": "What points to a member's own network, hosts or people does not leave it.",
    RedNotAccepted = "red_not_accepted": "TLP:RED stays with its recipients; the hub does not accept it.",
    UnknownGroup = "unknown_group": "A sharing group must exist in the charter and hold the author.",
    GuardNever = "guard_never": "What the charter never blocks is not published, planned or applied, tested both ways.",
    GuardCaution = "guard_caution": "Shared hosting, clouds, relays and carrier NAT need a higher score or a person.",
    MemberSpace = "member_space": "A member's own proven space is never blocked by machine.",
    NotCorroborated = "not_corroborated": "A finding is acted upon only when independent members corroborate it.",
    Barred = "barred": "What was revoked after an upheld dispute does not come back by itself.",
    DefensiveVocabulary = "defensive_vocabulary": "Only the closed list of defensive measures can be expressed.",
    TargetTooWide = "target_too_wide": "No measure is wider than /24 or /48; a blackhole of own space /25 or /49.",
    RateTooLow = "rate_too_low": "A rate limit below 1,000 bits a second is a denial and must be called one.",
    OnlyOwnAssets = "only_own_assets": "Whatever claims space or names as its own needs them proven in the charter.",
    CapabilityMissing = "capability_missing": "A member is asked only for what it has said it can do.",
    ExpiryRequired = "expiry_required": "Every mitigation ends, at the latest after the charter's longest time.",
    InverseRequired = "inverse_required": "Every mitigation carries the step that undoes it.",
    EvidenceMissing = "evidence_missing": "A mitigation carries signed evidence of enough members or enough approvals.",
    EvidenceSpoofable = "evidence_spoofable": "Evidence that anybody could forge is never acted upon automatically.",
    EvidenceUnsigned = "evidence_unsigned": "What a member has not signed itself informs people and acts on nothing.",
    ActionsNotPermitted = "actions_not_permitted":
        "Machines act on evidence only where its sender permits internal actions and is named.",
    EvidenceStale = "evidence_stale": "Evidence older than the charter's horizon no longer supports an action.",
    ApprovalMissing = "approval_missing": "A plan of this class needs the approvals the charter asks for.",
    ApprovalExpired = "approval_expired": "An approval counts until its expiry and not after.",
    ProposalReplayed = "proposal_replayed": "A signed proposal counts once, and within its time.",
    ApprovalReplayed = "approval_replayed": "An approval belongs to one plan; nobody counts twice.",
    ClassTooLow = "class_too_low": "A plan's class is at least as strict as the strictest of its measures.",
    OldGeneration = "old_generation": "An agent refuses an older generation of the same lineage.",
    BlastRadius = "blast_radius": "A plan stays within the charter's counts of measures, for each member and in all.",
    DigestMismatch = "digest_mismatch": "A plan's parts and digest agree.",
    NotForUs = "not_for_us": "An agent carries out only what is addressed to its own member.",
    StandingOrder = "standing_order": "The member's own standing orders refuse this, or leave it to a person.",
    OwnAllowList = "own_allow_list": "The member's own allow-list wins at once, also over what is in force.",
    CharterUnsigned = "charter_unsigned": "A charter counts when a quorum of the members before it signed it.",
    CharterOld = "charter_old": "A charter is followed by the next version, never by an older one.",
    HistoryForked = "history_forked": "A checkpoint is consistent with the last one seen: one history for everybody.",
    OtherLog = "other_log": "A checkpoint is about the alliance's own log, and signed by its hub.",
    UnknownWitness = "unknown_witness": "A cosignature counts by the witness key that the charter names for a member.",
    CosignaturesMissing = "cosignatures_missing":
        "Agents act on a plan once enough other members have cosigned a checkpoint that holds it.",
    CollectionName = "collection_name":
        "A collection has a name of its own under its API root, and keeps it when it is closed.",
    CollectionOwn = "collection_own": "A collection is written to as its member opened it, and closed by that member.",
    TokenInvalid = "token_invalid": "An access token is known, not expired, not revoked.",
    ScopeMissing = "scope_missing": "An access token does only what its scope allows.",
    JoinTokenAltered = "join_token_altered": "A join token is taken as it was given: whole, and unchanged.",
    JoinTokenUnknown = "join_token_unknown": "A join token counts at the hub that made it, until it is revoked.",
    JoinTokenExpired = "join_token_expired": "A join token counts until its expiry and not after.",
    JoinTokenUsed = "join_token_used": "A join token lets one agent in, once.",
    HubUnproven = "hub_unproven": "An agent joins only the hub whose certificate authority its join token names.",
    NonceInvalid = "nonce_invalid": "A wish for a certificate carries a nonce of this hub, for a minute and once.",
    RequestName = "request_name": "A certificate is asked for in the name of the agent that asks, and no other.",
    RequestWeakKey = "request_weak_key": "A certificate is made for keys of ECDSA P-256 or Ed25519 only.",
    AgentUnknown = "agent_unknown": "A certificate is renewed by its member's key only for an agent that has joined.",
    CertificateForeign = "certificate_foreign": "A certificate counts only if this hub's own authority made it.",
    CertificateUnknown = "certificate_unknown": "A certificate counts only if the journal says that it was issued.",
    CertificateExpired = "certificate_expired": "A certificate counts until its expiry and not after.",
    CertificateRevoked = "certificate_revoked": "A certificate that was revoked or replaced no longer counts.",
    UnknownPlan = "unknown_plan": "What refers to a plan refers to one in the journal that is still open.",
    UnknownFinding = "unknown_finding": "What refers to a finding refers to one the alliance holds.",
    DisputeNotUpheld = "dispute_not_upheld": "A dispute lifts a finding when its owner or a quorum upholds it.",
    ReadOnly = "read_only": "Where nothing can be written down, a hub serves reads, an agent ends what is in force.",
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl TryFrom<String> for Rule {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_rule_value_and_limit() {
        let refusal = Refusal::new(Rule::TargetTooWide, "8.0.0.0/8", "/24 or longer");
        assert_eq!(refusal.to_string(), "refused by target_too_wide: `8.0.0.0/8`; allowed: /24 or longer");
    }

    #[test]
    fn rule_names_are_distinct_and_read_back() {
        for rule in Rule::ALL {
            assert_eq!(rule.name().parse::<Rule>().unwrap(), *rule);
            assert!(rule.explains().ends_with('.'));
        }
    }
}
