//! TLS: what the hub shows, whom it asks for a certificate, and that neither grows old while it runs.

use crate::ca::{AnyCertificate, Authority, SERVER_VALID, ServerCertificate};
use crate::config::Tls;
use crate::directory::{Directory, check_private};
use crate::error::Error;
use model::{Digest, Timestamp};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, Weak};

/// How many TLS sessions are remembered for resumption.
const SESSIONS_MAX: usize = 4_096;
/// Names under which every hub can be reached on its own machine.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// The certificate of a directory that was made before hubs had an authority.
const BEFORE: (&str, &str) = ("tls.pem", "keys/tls.key");

/// What the hub shows, and what clients hold it against.
pub(crate) struct Presented {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) anchors: Anchors,
    shown: Arc<Shown>,
    names: Vec<String>,
    own: bool,
}

/// What clients hold the hub's certificate against.
#[derive(Clone, Debug)]
pub(crate) struct Anchors {
    /// Certificates that it may lead to, as PEM.
    pub(crate) pem: String,
    /// The digest of the one that a join token names.
    pub(crate) pin: Digest,
}

/// The certificate that is shown now.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // The lock guards one pointer: a thread cannot have failed in the middle.
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// The server's TLS: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1, sessions resumed from memory and by tickets, a client's
/// certificate asked for and not required.
pub(crate) fn server(
    directory: &Directory,
    tls: &Tls,
    authority: &Authority,
    now: Timestamp,
) -> Result<Presented, Error> {
    let names: Vec<String> = directory.identity().names.iter().chain(&tls.names).cloned().collect();
    let (shown, anchors, own) = match files(directory, tls) {
        Some((certificate, key)) => {
            let (shown, anchors) = from_files(&certificate, &key, authority)?;
            (shown, anchors, false)
        }
        None => {
            let anchors = Anchors { pem: authority.bundle().to_owned(), pin: authority.anchor() };
            (made(authority, &names, now)?, anchors, true)
        }
    };
    let shown = Arc::new(Shown(RwLock::new(Arc::new(shown))));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(|error| Error::Broken(error.to_string()))?
        .with_client_cert_verifier(AnyCertificate::new())
        .with_cert_resolver(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
    config.ticketer = ring::Ticketer::new().map_err(|error| Error::Broken(error.to_string()))?;
    Ok(Presented { config: Arc::new(config), anchors, shown, names, own })
}

impl Presented {
    /// Shows a new certificate after two thirds of the old one's life, for as long as the hub runs.
    pub(crate) async fn renew(self, core: Weak<crate::core::Core>) {
        if !self.own {
            return;
        }
        loop {
            tokio::time::sleep(SERVER_VALID.to_std().mul_f64(2.0 / 3.0)).await;
            let Some(core) = core.upgrade() else { return };
            match made(&core.joining.authority, &self.names, core.clock.now()) {
                Ok(next) => {
                    *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
                    tracing::info!("the hub shows a new certificate");
                }
                Err(error) => tracing::error!(%error, "the hub's certificate was not renewed: start the hub again"),
            }
        }
    }
}

/// A certificate of the hub's own authority, with a key that is never written down.
fn made(authority: &Authority, names: &[String], now: Timestamp) -> Result<CertifiedKey, Error> {
    let others = names.iter().filter(|name| !OWN_NAMES.contains(&name.as_str()));
    let names: Vec<String> = OWN_NAMES.map(str::to_owned).into_iter().chain(others.cloned()).collect();
    let ServerCertificate { chain, key } = authority.for_server(&names, now)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|error| Error::Broken(error.to_owned()))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| Error::Broken(error.to_string()))
}

fn from_files(certificate: &Path, key: &Path, authority: &Authority) -> Result<(CertifiedKey, Anchors), Error> {
    check_private(key)?;
    let pem = std::fs::read_to_string(certificate).map_err(|error| reading(certificate, error))?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| Error::refused(certificate.display(), format!("a PEM certificate chain ({error})")))?;
    // The key's text is a secret: an error about it names the file only.
    let key_der = PrivateKeyDer::from_pem_file(key)
        .map_err(|_| Error::refused(key.display(), "a PEM private key (PKCS #8, PKCS #1 or SEC 1)"))?;
    let top = chain.last().ok_or_else(|| Error::refused(certificate.display(), "a PEM certificate chain"))?;
    let pin = Digest::of(&[top]);
    // The own authority's beside it: members stay when the operator goes back to that.
    let anchors = Anchors { pem: format!("{}{}", crate::ca::pem(top), authority.bundle()), pin };
    let shown = CertifiedKey::from_der(chain, key_der, &ring::default_provider()).map_err(|error| {
        Error::refused(format_args!("{}: {error}", certificate.display()), "a certificate of tls.key")
    })?;
    Ok((shown, anchors))
}

/// The operator's own files, or those of a directory made before hubs had an authority; else none.
fn files(directory: &Directory, tls: &Tls) -> Option<(PathBuf, PathBuf)> {
    match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
        _ => {
            let before = (directory.path(BEFORE.0), directory.path(BEFORE.1));
            let there = before.0.exists() && before.1.exists();
            if there {
                tracing::info!(
                    "the hub shows the self-signed tls.pem that its members pinned; when all have joined with a join \
                     token, delete tls.pem and keys/tls.key and start the hub again"
                );
            }
            there.then_some(before)
        }
    }
}

fn reading(path: &Path, error: std::io::Error) -> Error {
    Error::unavailable(format_args!("reading {}", path.display()), error)
}
