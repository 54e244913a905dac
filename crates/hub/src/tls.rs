//! TLS: the self-signed certificate of a new hub, and the server's side of rustls with ring.

use crate::config::Tls;
use crate::directory::{Directory, check_private};
use crate::error::Error;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ServerSessionMemoryCache;
use rustls::{ServerConfig, version};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many TLS sessions are remembered for resumption.
const SESSIONS_MAX: usize = 4_096;

/// A certificate with its key, as PEM.
pub(crate) struct SelfSigned {
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
}

/// A self-signed certificate for these names and loopback. Members pin it, so it does not run out by itself.
pub(crate) fn self_signed(names: &[String]) -> Result<SelfSigned, Error> {
    let mut all: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    all.extend(names.iter().filter(|name| !["localhost", "127.0.0.1", "::1"].contains(&name.as_str())).cloned());
    let made = rcgen::generate_simple_self_signed(all)
        .map_err(|error| Error::refused(format_args!("certificate names {names:?}: {error}"), "names and addresses"))?;
    Ok(SelfSigned { certificate_pem: made.cert.pem(), key_pem: made.signing_key.serialize_pem() })
}

/// What the server shows, and the PEM that clients pin.
pub(crate) struct Presented {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) certificate_pem: String,
}

/// The server's TLS: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1, sessions resumed from memory and by tickets.
pub(crate) fn server(directory: &Directory, tls: &Tls) -> Result<Presented, Error> {
    let (certificate, key) = files(directory, tls);
    check_private(&key)?;
    let pem = std::fs::read_to_string(&certificate).map_err(|error| reading(&certificate, error))?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| Error::refused(certificate.display(), format!("a PEM certificate chain ({error})")))?;
    // The key's text is a secret: an error about it names the file only.
    let key_der = PrivateKeyDer::from_pem_file(&key)
        .map_err(|_| Error::refused(key.display(), "a PEM private key (PKCS #8, PKCS #1 or SEC 1)"))?;
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(|error| Error::Broken(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .map_err(|error| {
            Error::refused(format_args!("{}: {error}", certificate.display()), "a certificate of tls.key")
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
    config.ticketer = ring::Ticketer::new().map_err(|error| Error::Broken(error.to_string()))?;
    Ok(Presented { config: Arc::new(config), certificate_pem: pem })
}

fn files(directory: &Directory, tls: &Tls) -> (PathBuf, PathBuf) {
    match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
        _ => (directory.path("tls.pem"), directory.path("keys/tls.key")),
    }
}

fn reading(path: &Path, error: std::io::Error) -> Error {
    Error::unavailable(format_args!("reading {}", path.display()), error)
}
