//! What can be asked of the alliance. Signatures were verified before: commands carry what is already known to be true.

use crate::collections::{Closing, NewCollection};
use crate::entry::Report;
use crate::joining::{CertificateRecord, JoinTokenRecord};
use crate::objects::{Share, Shown, Unshare};
use crate::proposal::SignedProposal;
use crate::token::TokenRecord;
use charter::SignedCharter;
use model::membership::MembershipStatement;
use model::{
    CertificateId, Digest, JoinTokenId, MemberId, Sighting, Signature, SignedApproval, SignedDispute, SignedKeyChange,
    SignedReceipts, SignedRetraction, TokenId,
};

/// One request to the alliance.
#[derive(Clone, Debug)]
pub enum Command {
    /// Put a charter in force; the guard lists it names were given before with [`crate::Alliance::add_list`].
    AdoptCharter(Box<SignedCharter>),
    /// A member changes one of its keys, or a person one of theirs.
    ChangeKey(Box<SignedKeyChange>),
    /// A member hands in a step of somebody's membership.
    Membership {
        /// Which member.
        by: MemberId,
        /// The statement, signed by whoever makes it.
        statement: Box<MembershipStatement>,
    },
    /// A member's report. `sightings` are the typed openings, made by [`model::Batch::verify`].
    Report {
        /// As it goes into the journal.
        report: Report,
        /// The same, typed, in the same order.
        sightings: Vec<Sighting>,
    },
    /// A member takes a report back; the signature was verified.
    Retract(SignedRetraction),
    /// An agent's receipts; the signature was verified.
    Receipts(SignedReceipts),
    /// A person's yes or no.
    Approve(SignedApproval),
    /// A person's objection.
    Dispute(SignedDispute),
    /// A person proposes measures for members; the signature was verified.
    Propose(Box<SignedProposal>),
    /// Remember a token.
    IssueToken(TokenRecord),
    /// Forget a token.
    RevokeToken(TokenId),
    /// Remember a join token.
    IssueJoinToken(JoinTokenRecord),
    /// Forget a join token.
    RevokeJoinToken(JoinTokenId),
    /// An agent is given a certificate; the wish's signature, the request and the nonce were verified.
    IssueCertificate {
        /// The certificate.
        record: Box<CertificateRecord>,
        /// The digest of the join token's secret, where that is what it is issued upon.
        token: Option<Digest>,
    },
    /// An agent is locked out.
    RevokeCertificate {
        /// One of its certificates.
        certificate: CertificateId,
        /// Why, in words.
        reason: String,
    },
    /// A member shares objects of other tools; they were read, and belong to who shares them.
    Share(Box<Share>),
    /// A member takes an object out of a collection.
    Unshare(Box<Unshare>),
    /// A member opens a collection.
    OpenCollection {
        /// Who.
        member: MemberId,
        /// What was shown.
        by: Shown,
        /// What it wishes for.
        wish: Box<NewCollection>,
    },
    /// A member closes a collection of its own.
    CloseCollection(Box<Closing>),
    /// Time has passed: let fade what has faded, renew what still stands, close what nobody approved.
    Tick,
}

impl Command {
    /// Author and number of a submission that has one, and a mark of what is in it: a resend is the same bytes under
    /// the same signature, and anything else under that number is not.
    pub fn submission(&self) -> Option<(&MemberId, u64, Digest)> {
        let (author, sequence, signature) = match self {
            Self::Report { report: Report::Signed(batch), .. } => {
                (&batch.header.author, batch.header.sequence, &batch.signature)
            }
            Self::Retract(signed) => (&signed.retraction.author, signed.retraction.sequence, &signed.signature),
            Self::Receipts(signed) => (&signed.receipts.author, signed.receipts.sequence, &signed.signature),
            _ => return None,
        };
        Some((author, sequence, mark(signature)))
    }

    /// The kind, as one word, for logs and metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::AdoptCharter(_) => "adopt-charter",
            Self::ChangeKey(_) => "change-key",
            Self::Membership { .. } => "membership",
            Self::Report { .. } => "report",
            Self::Retract(_) => "retract",
            Self::Receipts(_) => "receipts",
            Self::Approve(_) => "approve",
            Self::Dispute(_) => "dispute",
            Self::Propose(_) => "propose",
            Self::IssueToken(_) => "issue-token",
            Self::RevokeToken(_) => "revoke-token",
            Self::IssueJoinToken(_) => "issue-join-token",
            Self::RevokeJoinToken(_) => "revoke-join-token",
            Self::IssueCertificate { .. } => "issue-certificate",
            Self::RevokeCertificate { .. } => "revoke-certificate",
            Self::Share(_) => "share",
            Self::Unshare(_) => "unshare",
            Self::OpenCollection { .. } => "open-collection",
            Self::CloseCollection(_) => "close-collection",
            Self::Tick => "tick",
        }
    }
}

/// What a submission is known by: Ed25519 signatures are a function of key and content (RFC 8032 §5.1.6).
pub(crate) fn mark(signature: &Signature) -> Digest {
    Digest::of(&[b"epimachia/submission/v1\n", signature.as_bytes()])
}
