//! The evidence rule: which members' signed sightings support acting upon an observable, as the checker and the agent
//! see it. Nothing is taken on anybody's word but the signer's.

use charter::{Charter, Member};
use model::{
    Digest, Evidence, Family, Grade, MemberId, MemberKind, Observable, PublicKey, Refusal, Role, Rule, Sighting,
    Standing, Statement, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

/// Most pieces of evidence that are looked at for one finding.
pub(crate) const EVIDENCE_MAX: usize = 64;

/// Verifies evidence against a charter; remembers batch headers, since one batch often supports many findings.
pub(crate) struct Verifier<'a> {
    charter: &'a Charter,
    now: Timestamp,
    headers: BTreeMap<Digest, Result<PublicKey, Refusal>>,
}

/// What the evidence for one observable and family comes to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Support {
    /// Distinct members whose evidence counts.
    pub members: BTreeSet<MemberId>,
    /// Why the rest does not, in order.
    pub refused: Vec<Refusal>,
}

impl<'a> Verifier<'a> {
    pub fn new(charter: &'a Charter, now: Timestamp) -> Self {
        Self { charter, now, headers: BTreeMap::new() }
    }

    /// Which members' evidence counts for acting upon `observable`.
    pub fn support(&mut self, observable: &Observable, family: Family, evidence: &[Evidence]) -> Support {
        let mut support = Support::default();
        if evidence.len() > EVIDENCE_MAX {
            let value = format!("{} pieces of evidence for {observable}", evidence.len());
            support.refused.push(Refusal::new(Rule::TooLarge, value, format!("at most {EVIDENCE_MAX}")));
            return support;
        }
        for piece in evidence {
            match self.counts(observable, family, piece) {
                Ok(()) => drop(support.members.insert(piece.header.author.clone())),
                Err(refusal) => support.refused.push(refusal),
            }
        }
        support
    }

    fn counts(&mut self, observable: &Observable, family: Family, piece: &Evidence) -> Result<(), Refusal> {
        let author = self.charter.member(&piece.header.author)?;
        heard(author)?;
        self.header(piece)?;
        let (size, index) = (u64::from(piece.header.count), u64::from(piece.index));
        model::merkle::verify_inclusion(piece.header.root, size, index, piece.opening.leaf(), &piece.path)
            .map_err(|e| Refusal::new(Rule::DigestMismatch, e, "a path to the root that the author signed"))?;
        let sighting = piece.opening.parse()?;
        if sighting.observable != *observable || sighting.behaviour.family() != family {
            let value = format!("{} ({})", sighting.observable, sighting.behaviour);
            return Err(Refusal::new(Rule::EvidenceMissing, value, format!("sightings of {observable} ({family})")));
        }
        self.acceptable(piece, &sighting)
    }

    /// Signed with a key of the author that was live when the batch was made, and not made in the future.
    fn header(&mut self, piece: &Evidence) -> Result<(), Refusal> {
        let header = &piece.header;
        let signed = Digest::of(&[header.digest().as_bytes(), piece.signature.as_bytes()]);
        let charter = self.charter;
        let verified = self.headers.entry(signed).or_insert_with(|| {
            let key = charter.member_key(&header.author, &header.key, header.made).map_err(|r| {
                let limit = format!("a signature by {} itself: {}", header.author, r.limit);
                Refusal { rule: Rule::EvidenceUnsigned, value: r.value, limit }
            })?;
            key.verify(header, &piece.signature).map(|()| key)
        });
        verified.clone()?;
        let latest = self.now.plus(self.charter.limits.skew_future_max);
        match header.made <= latest {
            true => Ok(()),
            false => Err(Refusal::new(Rule::ClockSkew, header.made, format!("not after {latest}"))),
        }
    }

    fn acceptable(&self, piece: &Evidence, sighting: &Sighting) -> Result<(), Refusal> {
        let author = &piece.header.author;
        if sighting.grade == Grade::Spoofable {
            let value = format!("{} by {author}", sighting.observable);
            return Err(Refusal::new(Rule::EvidenceSpoofable, value, "grade handshake, payload or analyst"));
        }
        if !sighting.handling.lets_act() {
            let value = format!("{} by {author}, {}", sighting.observable, sighting.handling);
            return Err(Refusal::new(Rule::ActionsNotPermitted, value, "actions internal or more, of a named sender"));
        }
        let skew = self.charter.limits.skew_future_max;
        let latest = piece.header.made.plus(skew).min(self.now.plus(skew));
        if sighting.last > latest {
            return Err(Refusal::new(Rule::ClockSkew, sighting.last, format!("not after {latest}")));
        }
        let oldest = self.now.minus(self.charter.corroboration.evidence_age_max);
        match sighting.last >= oldest {
            true => Ok(()),
            false => Err(Refusal::new(Rule::EvidenceStale, sighting.last, format!("not before {oldest}"))),
        }
    }
}

/// Only vetted members who are no observers count for acting automatically.
fn heard(member: &Member) -> Result<(), Refusal> {
    member.require(Role::Reporter)?;
    match (member.kind, member.standing) {
        (MemberKind::Full | MemberKind::Associate, Standing::Vetted) => Ok(()),
        _ => {
            let value = format!("{} is {} and {}", member.id, member.kind, member.standing);
            Err(Refusal::new(Rule::EvidenceMissing, value, "vetted members who are no observers"))
        }
    }
}

/// How many members' evidence an automatic measure needs. Where a cautious guard applies: as many as reach the higher
/// threshold with what a vetted member starts with, since nobody but the hub can recompute the members' records.
pub(crate) fn members_needed(charter: &Charter, cautious: bool) -> usize {
    let rules = &charter.corroboration;
    let least = rules.evidence_members as usize;
    if !cautious {
        return least;
    }
    let weight = rules.prior_vetted.ln().clamp(0.1, rules.weight_max.max(0.1));
    let members = (rules.threshold_cautious / weight).ceil().clamp(2.0, 10_000.0);
    // Between 2 and 10,000 by the line above.
    least.max(members as usize)
}
