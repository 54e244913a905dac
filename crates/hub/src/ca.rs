//! The alliance's own certificate authority: its key never leaves the hub's directory; it makes the hub's certificate
//! and
//! the short-lived ones of agents.
//!
//! ```text
//! ca.pem            the authority's certificate, which members pin
//! keys/ca.key       its key (0600)
//! ca-old.pem        after `hub ca rotate`: certificates of the authorities before, which are still trusted
//! ca-cross.pem      the new authority's certificate, signed by the one before
//! ```
//!
//! After a rotation the hub shows its certificate with both ways up: members that pinned the old authority follow the
//! cross-signed one, and are given the new one when their agents renew.

use crate::directory::{Directory, check_private, random, read_small, write_new};
use crate::error::Error;
use model::digest::hex;
use model::join::{REQUEST_BYTES_MAX, agent_uri};
use model::{AgentName, Digest, MemberId, Refusal, Rule, Span, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519,
    PublicKeyData, SanType, SerialNumber,
};
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;

pub(crate) const CERTIFICATE: &str = "ca.pem";
pub(crate) const KEY: &str = "keys/ca.key";
const OLD: &str = "ca-old.pem";
const CROSS: &str = "ca-cross.pem";
/// How long an authority lasts.
const AUTHORITY_VALID: Span = Span::days(3_650);
/// How long the hub's own certificate lasts; a running hub makes the next one after two thirds.
pub(crate) const SERVER_VALID: Span = Span::days(30);
/// Clocks of members may be behind by so much.
const BACKDATED: Span = Span::hours(1);
/// How RSA keys are marked (RFC 8017 appendix A.1): the object identifier 1.2.840.113549.1.1.1, DER.
const RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// Bytes of a point on P-256, not compressed (SEC 1 §2.3.3).
const P256_BYTES: usize = 65;
/// Authorities before the present one that are still trusted.
const OLD_MAX: usize = 4;

/// The authority of a running hub.
pub(crate) struct Authority {
    alliance: String,
    issuer: Issuer<'static, KeyPair>,
    own: CertificateDer<'static>,
    old: Vec<CertificateDer<'static>>,
    cross: Vec<CertificateDer<'static>>,
    bundle: String,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// A certificate that was made for an agent.
pub(crate) struct Made {
    pub(crate) pem: String,
    pub(crate) digest: Digest,
    pub(crate) serial: String,
}

/// What is wrong with the way from a client's certificate up to this authority.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// It leads to another authority, or is no certificate at all.
    Foreign,
    /// It was ours, and is over.
    Expired,
}

/// The hub's certificate with everything above it, and its key.
pub(crate) struct ServerCertificate {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: KeyPair,
}

/// Makes an authority's key and certificate in a new directory, or in one of a time before there were any.
pub(crate) fn make(root: &Path, alliance: &str) -> Result<(), Error> {
    let key = KeyPair::generate().map_err(broken)?;
    let now = crate::clock::Clock::from(Timestamp::MIN).now();
    let certificate = authority(alliance, now)?.self_signed(&key).map_err(broken)?;
    write_new(&root.join(KEY), key.serialize_pem().as_bytes(), 0o600)?;
    // Last: without it the key is of no use, and the next start makes both anew.
    write_new(&root.join(CERTIFICATE), certificate.pem().as_bytes(), 0o644)
}

/// Makes the next authority of a directory whose hub does not run. The one before signs it and stays trusted, until its
/// certificate is deleted.
///
/// # Errors
/// Refused: the present authority cannot be read. Unavailable: the files cannot be written.
pub fn rotate(directory: &Directory) -> Result<(), Error> {
    let present = Authority::open(directory)?;
    let key = KeyPair::generate().map_err(broken)?;
    let now = crate::clock::Clock::from(Timestamp::MIN).now();
    let params = authority(&present.alliance, now)?;
    let next = params.self_signed(&key).map_err(broken)?;
    let cross = params.signed_by(&key, &present.issuer).map_err(broken)?;
    let trusted: String = [&present.own].into_iter().chain(&present.old).take(OLD_MAX).map(|der| pem(der)).collect();
    let write = |name: &str, text: &str| {
        let path = directory.path(name);
        crate::directory::write_whole(&path, text.as_bytes(), true)
            .map_err(|error| Error::unavailable(format_args!("writing {}", path.display()), error))
    };
    // In this order: at every moment the key has a certificate beside it that members trust, or the start says which
    // file does not fit.
    write(OLD, &trusted)?;
    write(CROSS, &cross.pem())?;
    write(KEY, &key.serialize_pem())?;
    write(CERTIFICATE, &next.pem())
}

/// What an authority's certificate says.
fn authority(alliance: &str, now: Timestamp) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    // Every authority of an alliance has a name of its own: a way up is found by names.
    let number = hex(&random::<4>()?);
    params.distinguished_name = name(&format!("{alliance} authority {number}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(serial()?.0);
    (params.not_before, params.not_after) = (at(now.minus(BACKDATED)), at(now.plus(AUTHORITY_VALID)));
    Ok(params)
}

impl Authority {
    /// The authority of a directory; one that has none, because it is older, is given one.
    pub(crate) fn open(directory: &Directory) -> Result<Self, Error> {
        if !directory.path(CERTIFICATE).exists() && !directory.path(KEY).exists() {
            make(&directory.path("."), &directory.identity().alliance)?;
        }
        let key_path = directory.path(KEY);
        check_private(&key_path)?;
        // The key's text is a secret: an error about it names the file only.
        let key = read_small(&key_path).ok().and_then(|text| KeyPair::from_pem(&text).ok());
        let key = key.ok_or_else(|| Error::refused(key_path.display(), "the authority's key, PKCS #8 as PEM"))?;
        let mut own = certificates(&directory.path(CERTIFICATE))?;
        let own = own.drain(..).next().ok_or_else(|| Error::refused(CERTIFICATE, "one certificate as PEM"))?;
        let (old, cross) = (optional(&directory.path(OLD))?, optional(&directory.path(CROSS))?);
        let unreadable = |error| Error::refused(format_args!("{CERTIFICATE}: {error}"), "what `hub init` wrote");
        let fits = key_of(&own).is_some_and(|public| public == key.subject_public_key_info());
        if !fits {
            return Err(Error::refused(
                CERTIFICATE,
                format_args!("the certificate of {KEY}; restore both from one backup"),
            ));
        }
        let issuer = Issuer::from_ca_cert_der(&own, key).map_err(unreadable)?;
        let bundle = [&own].into_iter().chain(&old).map(|der| pem(der)).collect();
        let verifier = verifier([&own].into_iter().chain(&old))?;
        let alliance = directory.identity().alliance.clone();
        Ok(Self { alliance, issuer, own, old, cross, bundle, verifier })
    }

    /// The certificates that the hub's own may lead to, as PEM, the present authority's first.
    pub(crate) fn bundle(&self) -> &str {
        &self.bundle
    }

    /// The digest of the certificate that a new member pins.
    pub(crate) fn anchor(&self) -> Digest {
        Digest::of(&[&self.own])
    }

    /// A certificate for the hub itself, with a key that is never written down.
    pub(crate) fn for_server(&self, names: &[String], now: Timestamp) -> Result<ServerCertificate, Error> {
        let refused =
            |error| Error::refused(format_args!("certificate names {names:?}: {error}"), "names and addresses");
        let mut params = CertificateParams::new(names).map_err(refused)?;
        params.distinguished_name = name(&format!("{} hub", self.alliance));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(serial()?.0);
        (params.not_before, params.not_after) = (at(now.minus(BACKDATED)), at(now.plus(SERVER_VALID)));
        let key = KeyPair::generate().map_err(broken)?;
        let leaf = params.signed_by(&key, &self.issuer).map_err(broken)?;
        let above = [&self.own].into_iter().chain(&self.cross).chain(&self.old).cloned();
        let chain = [leaf.der().clone()].into_iter().chain(above).collect();
        Ok(ServerCertificate { chain, key })
    }

    /// A certificate for an agent's TLS key.
    pub(crate) fn for_agent(
        &self,
        wish: &Wished,
        member: &MemberId,
        agent: &AgentName,
        (from, until): (Timestamp, Timestamp),
    ) -> Result<Made, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = name(&format!("{agent} of {member}"));
        params.subject_alt_names = vec![SanType::URI(uri(&self.alliance, member, agent)?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let (number, serial) = serial()?;
        params.serial_number = Some(number);
        (params.not_before, params.not_after) = (at(from), at(until));
        let made = params.signed_by(&wish.request.public_key, &self.issuer).map_err(broken)?;
        Ok(Made { pem: made.pem(), digest: Digest::of(&[made.der()]), serial })
    }

    /// Does a client's certificate lead up to this authority, now? Whether it counts is said by the journal.
    pub(crate) fn leads_here(&self, certificate: &CertificateDer<'_>, now: Timestamp) -> Result<(), Fault> {
        let seconds = u64::try_from(now.as_millis() / 1_000).unwrap_or_default();
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        match self.verifier.verify_client_cert(certificate, &[], time) {
            Ok(_) => Ok(()),
            Err(rustls::Error::InvalidCertificate(
                rustls::CertificateError::Expired | rustls::CertificateError::ExpiredContext { .. },
            )) => Err(Fault::Expired),
            Err(_) => Err(Fault::Foreign),
        }
    }
}

/// A certificate signing request that was found good.
pub(crate) struct Wished {
    request: CertificateSigningRequestParams,
    /// SHA-256 of the public key.
    pub(crate) tls_key: Digest,
}

impl Wished {
    /// Reads a request: its own signature holds, its key is strong, and it names the agent that asks.
    ///
    /// # Errors
    /// `too_large`, `malformed`, `bad_signature`, `request_weak_key`, `request_name`.
    pub(crate) fn read(der: &[u8], alliance: &str, member: &MemberId, agent: &AgentName) -> Result<Self, Refusal> {
        if der.len() > REQUEST_BYTES_MAX {
            let value = format!("a signing request of {} bytes", der.len());
            return Err(Refusal::new(Rule::TooLarge, value, format!("{REQUEST_BYTES_MAX} bytes")));
        }
        let weak = |what: &str| Refusal::new(Rule::RequestWeakKey, what, "ECDSA P-256 or Ed25519");
        // Before its signature is looked at: a short RSA key would be called a wrong signature.
        if der.windows(RSA.len()).any(|window| window == RSA) {
            return Err(weak("RSA"));
        }
        let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(der));
        let request = request.map_err(|error| match error {
            rcgen::Error::InvalidCertificationRequestSignature => {
                Refusal::new(Rule::BadSignature, "the signing request", "a signature by the key in it")
            }
            rcgen::Error::UnsupportedSignatureAlgorithm => weak("another algorithm"),
            error => Refusal::new(Rule::Malformed, error, "a certificate signing request (PKCS #10)"),
        })?;
        let algorithm = request.public_key.algorithm();
        let strong = match algorithm {
            a if *a == PKCS_ECDSA_P256_SHA256 => request.public_key.der_bytes().len() == P256_BYTES,
            a => *a == PKCS_ED25519,
        };
        if !strong {
            return Err(weak(&format!("{algorithm:?}")));
        }
        let expected = agent_uri(alliance, member, agent);
        let named = |san: &SanType| matches!(san, SanType::URI(uri) if uri.as_str() == expected);
        let names = &request.params.subject_alt_names;
        if names.len() != 1 || !names.iter().all(named) {
            return Err(Refusal::new(Rule::RequestName, format_args!("{names:?}"), format!("URI {expected}")));
        }
        let tls_key = Digest::of(&[request.public_key.der_bytes()]);
        Ok(Self { request, tls_key })
    }
}

/// Any certificate is taken at the door, if its owner has its key: whether it counts is said by the gate, by name.
#[derive(Debug)]
pub(crate) struct AnyCertificate(Arc<rustls::crypto::CryptoProvider>);

impl AnyCertificate {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Arc::new(ring::default_provider())))
    }
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[rustls::DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<rustls::server::danger::ClientCertVerified, rustls::Error> {
        Ok(rustls::server::danger::ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn verifier<'c>(
    roots: impl Iterator<Item = &'c CertificateDer<'static>>,
) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone()).map_err(|error| Error::refused(error, "an authority's certificate"))?;
    }
    let provider = Arc::new(ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider)
        .build()
        .map_err(|error| Error::Broken(error.to_string()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text =
        read_small(path).map_err(|error| Error::unavailable(format_args!("reading {}", path.display()), error))?;
    CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::refused(path.display(), format!("certificates as PEM ({error})")))
}

fn optional(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    if path.exists() { certificates(path) } else { Ok(Vec::new()) }
}

/// The public key in a certificate (SubjectPublicKeyInfo, DER).
fn key_of(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let parsed = rustls::server::ParsedCertificate::try_from(certificate).ok()?;
    Some(parsed.subject_public_key_info().to_vec())
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn uri(alliance: &str, member: &MemberId, agent: &AgentName) -> Result<rcgen::string::Ia5String, Error> {
    agent_uri(alliance, member, agent).try_into().map_err(broken)
}

/// A serial number of 127 random bits, never zero (RFC 5280 §4.1.2.2), and its text.
fn serial() -> Result<(SerialNumber, String), Error> {
    let mut bytes = random::<16>()?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok((SerialNumber::from_slice(&bytes), hex(&bytes)))
}

fn at(time: Timestamp) -> OffsetDateTime {
    // Timestamps lie between 2000 and 2199, which this form can hold.
    OffsetDateTime::from_unix_timestamp(time.as_millis().div_euclid(1_000)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// A certificate as PEM (RFC 7468).
pub(crate) fn pem(der: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        // Base 64 is ASCII.
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

fn broken(error: rcgen::Error) -> Error {
    Error::Broken(format!("making a certificate: {error}"))
}
