//! How agents come in and stay in: wishes for certificates, each proven twice (the TLS key in the request, the member's
//! key over the wish), are turned into commands for the sequencer.

use crate::ca::{Authority, Made, Wished};
use crate::core::Core;
use crate::gate::{Pass, Shown};
use crate::problem::Problem;
use crate::strangers::{Nonces, Strangers};
use crate::tls::Anchors;
use alliance::Command;
use alliance::joining::{CertificateRecord, Upon};
use model::join::{Certified, JoinRequest, JoinSecret, SignedWish};
use model::{CertificateId, Digest, JoinTokenId, MemberId, PublicKey, Refusal, Rule, Timestamp};
use std::sync::Arc;

/// What joining needs while the hub runs.
pub(crate) struct Joining {
    pub(crate) authority: Authority,
    pub(crate) anchors: Anchors,
    pub(crate) nonces: Nonces,
    pub(crate) strangers: Strangers,
}

/// A certificate that is to be put into the order, and what its agent hears then.
pub(crate) struct Prepared {
    pub(crate) command: Command,
    pub(crate) answer: Certified,
}

/// By what an agent that is in already proves itself.
enum Proof {
    Certificate(CertificateId),
    MemberKey,
}

/// An agent joins with a token.
///
/// # Errors
/// `join_token_unknown`, `join_token_expired`, `join_token_used`, and those of [`checked`].
pub(crate) fn join(core: &Core, asked: JoinRequest) -> Result<Prepared, Problem> {
    let JoinRequest { secret, signed } = asked;
    let now = core.clock.now();
    let wished = checked(core, &signed, now)?;
    let (hash, wish) = (secret.digest(), &signed.wish);
    let member = core.read(|state| {
        let token = state.open_join_token(&hash, &wish.agent, &wished.tls_key, now);
        token.map(|token| token.member.clone())
    })??;
    require_own(&signed, &member)?;
    // Drawn only for what may be had: what is refused above can be asked again with the same nonce.
    core.joining.nonces.take(wish.nonce, now)?;
    prepare(core, &signed, &wished, Upon::JoinToken(JoinTokenId::of(&hash)), Some(hash), now)
}

/// An agent that is in asks for its next certificate, by the present one or, when that is over, by its member's key.
///
/// # Errors
/// `certificate_…` by what is wrong with the one it shows, `unknown_key`, and those of [`checked`].
pub(crate) fn renew(core: &Core, shown: Option<&Shown>, signed: &SignedWish) -> Result<Prepared, Problem> {
    let now = core.clock.now();
    let wished = checked(core, signed, now)?;
    let pass = core.gate.pass();
    let proof = match shown {
        Some(shown) => by_certificate(&pass, shown, signed, now)?,
        None => by_member_key(&pass, signed, now)?,
    };
    core.joining.nonces.take(signed.wish.nonce, now)?;
    let upon = match proof {
        Proof::Certificate(id) => Upon::Certificate(id),
        Proof::MemberKey => Upon::MemberKey,
    };
    prepare(core, signed, &wished, upon, None, now)
}

/// Size, digest, both signatures, names: everything that can be said without the state.
fn checked(core: &Core, signed: &SignedWish, now: Timestamp) -> Result<Wished, Refusal> {
    let wish = &signed.wish;
    let alliance = &core.directory.identity().alliance;
    if wish.alliance != *alliance {
        return Err(Refusal::new(Rule::RequestName, format_args!("alliance {}", wish.alliance), alliance));
    }
    core.joining.nonces.check(wish.nonce, now)?;
    let der = signed.verify()?;
    Wished::read(&der, alliance, &wish.member, &wish.agent)
}

fn require_own(signed: &SignedWish, member: &MemberId) -> Result<(), Refusal> {
    match signed.wish.member == *member {
        true => Ok(()),
        false => Err(Refusal::new(Rule::RequestName, &signed.wish.member, member)),
    }
}

/// The certificate still counts, names the agent that asks, and the wish is signed by the key that it was issued to, or
/// by another live one of the member.
fn by_certificate(pass: &Pass, shown: &Shown, signed: &SignedWish, now: Timestamp) -> Result<Proof, Refusal> {
    let issued = pass.counting(shown, now)?;
    require_own(signed, &issued.record.member)?;
    if signed.key == issued.record.key {
        pass.require_not_ended(&signed.wish.member, &signed.key, now)?;
    } else {
        pass.member_key(&signed.wish.member, &signed.key.id(), now)?;
    }
    Ok(Proof::Certificate(issued.record.id))
}

fn by_member_key(pass: &Pass, signed: &SignedWish, now: Timestamp) -> Result<Proof, Refusal> {
    pass.member_key(&signed.wish.member, &signed.key.id(), now)?;
    Ok(Proof::MemberKey)
}

fn prepare(
    core: &Core,
    signed: &SignedWish,
    wished: &Wished,
    upon: Upon,
    token: Option<Digest>,
    now: Timestamp,
) -> Result<Prepared, Problem> {
    let wish = &signed.wish;
    let until = now.plus(core.config.join.certificate_valid);
    let made = core.joining.authority.for_agent(wished, &wish.member, &wish.agent, (now, until));
    let Made { pem, digest, serial } = made.map_err(|error| Problem::unavailable(format_args!("{error}")))?;
    let id = CertificateId::of(&digest);
    let record = CertificateRecord {
        id,
        digest,
        serial,
        member: wish.member.clone(),
        agent: wish.agent.clone(),
        key: signed.key,
        tls_key: wished.tls_key,
        from: now,
        until,
        upon,
    };
    let answer = Certified {
        schema: crate::wire::SCHEMA,
        id,
        certificate: pem,
        ca: core.joining.anchors.pem.clone(),
        from: now,
        until,
        key_in_charter: in_charter(&core.gate.pass(), &wish.member, &signed.key, now),
    };
    Ok(Prepared { command: Command::IssueCertificate { record: Box::new(record), token }, answer })
}

fn in_charter(pass: &Pass, member: &MemberId, key: &PublicKey, now: Timestamp) -> bool {
    pass.member_key(member, &key.id(), now).is_ok()
}

/// A new secret of a join token.
///
/// # Errors
/// The system gives no random bytes.
pub(crate) fn secret() -> Result<JoinSecret, crate::Error> {
    Ok(JoinSecret::from_bytes(crate::directory::random()?))
}

/// What a client's certificate is, found out once a connection.
pub(crate) fn shown(core: &Core, certificate: &rustls::pki_types::CertificateDer<'_>) -> Arc<Shown> {
    let leads = core.joining.authority.leads_here(certificate, core.clock.now());
    Arc::new(Shown { digest: Digest::of(&[certificate]), leads })
}
