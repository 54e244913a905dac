//! Joining: with a join token to a certificate and the charter; and asking for the next certificate.
//!
//! Before the agent has joined it knows the hub by one thing, the digest of a certificate in the token: the hub's own
//! certificate must lead up to exactly that one.

use crate::client::{ANSWER_BYTES_MAX, Client, told};
use crate::error::{Broken, Error};
use crate::identity::{Identity, Pending};
use charter::{Charter, SignedCharter};
use model::join::{CertificateWish, Certified, JoinRequest, JoinToken, Nonce, SignedWish};
use model::{AgentName, Digest, MemberId, Refusal, Rule, SigningKey};
use reqwest::{RequestBuilder, Url};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The file with TLS key and certificate, in the agent's directory.
pub const IDENTITY: &str = "identity.pem";
/// The file with the certificates that the hub's own may lead to.
pub const CA: &str = "ca.pem";

/// What an agent has once it has joined.
#[derive(Debug)]
pub struct Joined {
    /// Who it is, until when.
    pub identity: Identity,
    /// Digest of the charter in force, which the member compares.
    pub charter: Digest,
    /// Its version.
    pub version: u64,
    /// The charter lists the signing key: what the agent signs counts.
    pub key_in_charter: bool,
}

/// Joins with a token: asks for a certificate, keeps it in `directory`, and reads the charter with it. Interrupted and
/// called again with the same token, it goes on where it was.
///
/// # Errors
/// Refused: `hub_unproven`, what the hub refuses, `digest_mismatch` where the charter is not `expected` or is not of
/// the
/// token's hub. Unavailable: the hub does not answer. Broken: files cannot be written.
pub async fn join(
    token: &JoinToken,
    directory: &Path,
    agent: &AgentName,
    key: &SigningKey,
    expected: Option<Digest>,
) -> Result<Joined, Error> {
    let base: Url = token.hub.parse().map_err(|error| Broken::Failed(format!("the hub's address: {error}")))?;
    let (identity, ca) = (directory.join(IDENTITY), directory.join(CA));
    let (http, unproven) = pinned(token.ca)?;
    let door = Door { http: &http, base: &base };
    let pending = Pending::again(&identity)?;
    let names = (token.alliance.as_str(), &token.member, agent);
    let certified = async {
        let signed = signed_wish(&door, &pending, names, key).await?;
        let asked = JoinRequest { secret: token.secret.clone(), signed };
        door.post::<Certified>("/api/v1/join", &asked).await
    };
    let certified = certified.await.map_err(|error| match unproven.load(Ordering::Relaxed) {
        true => hub_unproven(token),
        false => error,
    })?;
    let kept = pending.keep(&identity, &ca, &certified, names)?;
    let client = Client::with_identity(&base, &ca, &identity, &token.member)?;
    let (charter, version) = charter(&client, token, expected).await?;
    pending.done();
    Ok(Joined { identity: kept, charter, version, key_in_charter: certified.key_in_charter })
}

/// The charter that the hub shows, if it is the one expected and names the hub of the token.
async fn charter(client: &Client, token: &JoinToken, expected: Option<Digest>) -> Result<(Digest, u64), Error> {
    let signed: SignedCharter = client.read("/api/v1/charter").await?;
    let (digest, charter) = (signed.digest(), Charter::parse(&signed.text)?);
    if charter.alliance.hub_key != token.hub_key || charter.alliance.name != token.alliance {
        let value = format!("a charter of {} with another hub_key", charter.alliance.name);
        return Err(Refusal::new(Rule::DigestMismatch, value, format!("hub_key {}", token.hub_key)).into());
    }
    match expected.is_none_or(|expected| expected == digest) {
        true => Ok((digest, charter.alliance.version)),
        false => {
            let value = format!("charter {digest}");
            Err(Refusal::new(Rule::DigestMismatch, value, expected.map_or_else(String::new, |d| d.to_string())).into())
        }
    }
}

/// Asks for the next certificate through this door and keeps it: with the present one where `http` shows it, else by
/// the
/// member's key alone.
///
/// # Errors
/// As [`join`].
pub(crate) async fn renew(
    http: &reqwest::Client,
    base: &Url,
    (identity, ca): (&Path, &Path),
    present: &Identity,
    key: &SigningKey,
) -> Result<Identity, Error> {
    let door = Door { http, base };
    let pending = Pending::begin(identity)?;
    let names = (present.alliance.as_str(), &present.member, &present.agent);
    let signed = signed_wish(&door, &pending, names, key).await?;
    let certified: Certified = door.post("/api/v1/certificate", &signed).await?;
    let kept = pending.keep(identity, ca, &certified, names)?;
    pending.done();
    Ok(kept)
}

async fn signed_wish(
    door: &Door<'_>,
    pending: &Pending,
    (alliance, member, agent): (&str, &MemberId, &AgentName),
    key: &SigningKey,
) -> Result<SignedWish, Error> {
    let nonce: Nonce = door.ask(door.http.get(door.url("/api/v1/nonce")?)).await?;
    let der = pending.request(alliance, member, agent)?;
    let wish = CertificateWish {
        alliance: alliance.to_owned(),
        member: member.clone(),
        agent: agent.clone(),
        nonce: nonce.nonce,
        request: Digest::of(&[&der]),
    };
    Ok(SignedWish::sign(wish, key, &der))
}

/// One hub, spoken with before there is a client of the usual kind.
struct Door<'d> {
    http: &'d reqwest::Client,
    base: &'d Url,
}

impl Door<'_> {
    fn url(&self, path: &str) -> Result<Url, Error> {
        self.base.join(path).map_err(|error| Error::Unavailable(format!("the hub's address: {error}")))
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl serde::Serialize) -> Result<T, Error> {
        self.ask(self.http.post(self.url(path)?).json(body)).await
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Error> {
        let bytes = told(request, ANSWER_BYTES_MAX).await?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Unavailable(format!("the hub's answer: {error}")))
    }
}

fn hub_unproven(token: &JoinToken) -> Error {
    let value = format!("{} shows a certificate that does not lead to the token's authority", token.hub);
    let limit = format!("one that leads to {}: is the token of this hub, is somebody in between?", token.ca);
    Refusal::new(Rule::HubUnproven, value, limit).into()
}

/// A client that trusts the one certificate with this digest; the flag says that a hub did not lead to it.
fn pinned(pin: Digest) -> Result<(reqwest::Client, Arc<AtomicBool>), Error> {
    let unproven = Arc::new(AtomicBool::new(false));
    let provider = Arc::new(ring::default_provider());
    let verifier = Pinned { pin, provider: Arc::clone(&provider), unproven: Arc::clone(&unproven) };
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Broken::Failed(format!("TLS: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok((crate::client::http(config)?, unproven))
}

/// Takes a server's certificate that leads up to the one with the pinned digest, which the server shows with it.
#[derive(Debug)]
struct Pinned {
    pin: Digest,
    provider: Arc<CryptoProvider>,
    unproven: Arc<AtomicBool>,
}

impl Pinned {
    fn verify(
        &self,
        (end_entity, intermediates): (&CertificateDer<'_>, &[CertificateDer<'_>]),
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let all = [end_entity].into_iter().chain(intermediates);
        let pinned = all.into_iter().find(|certificate| Digest::of(&[certificate]) == self.pin);
        let unknown = || rustls::Error::from(rustls::CertificateError::UnknownIssuer);
        let mut roots = RootCertStore::empty();
        roots.add(pinned.ok_or_else(unknown)?.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider));
        let verifier = verifier.build().map_err(|error| rustls::Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, intermediates, name, &[], now)
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.verify((end_entity, intermediates), name, now);
        verified.inspect_err(|_| self.unproven.store(true, Ordering::Relaxed))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
