//! The agent's identity towards the hub: TLS key and certificate in one file, so that both are replaced at once.
//!
//! ```text
//! identity.pem      what it is and how long it counts, the TLS key, the certificate (0600)
//! identity.pending  the TLS key of a certificate that was asked for and is not here yet (0600)
//! ```

use crate::error::{Broken, Error, failed};
use crate::keys::{SECRET_BYTES_MAX, read_secret};
use model::join::{Certified, PEM_BYTES_MAX, agent_uri};
use model::{AgentName, MemberId, Span, Timestamp};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, SanType};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// First line of an identity file.
const HEAD: &str = "epimachia agent identity v1";

/// Who the agent is, until when, and with what it proves it.
pub struct Identity {
    /// The alliance.
    pub alliance: String,
    /// The member.
    pub member: MemberId,
    /// The agent.
    pub agent: AgentName,
    /// From when the certificate counts.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    key_pem: String,
    certificate_pem: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({} of {}, until {}, key not shown)", self.agent, self.member, self.until)
    }
}

impl Identity {
    /// Reads an identity file.
    ///
    /// # Errors
    /// Broken: others may read it, or it is none. The error never repeats what stands in it.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = read_secret(path)?;
        let none = || Broken::Failed(format!("{}: no identity file; join again: epimachia agent join", path.display()));
        Ok(Self::parse(&text).ok_or_else(none)?)
    }

    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(HEAD)?.trim_start_matches(['\r', '\n']);
        let field = |name: &str| {
            let line = rest.lines().take_while(|line| !line.starts_with("-----")).find(|line| line.starts_with(name));
            line.and_then(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::trim)
        };
        let certificate = rest.find("-----BEGIN CERTIFICATE-----")?;
        let (key, certificate_pem) = rest.split_at(certificate);
        let key_pem = key.get(key.find("-----BEGIN PRIVATE KEY-----")?..)?.to_owned();
        Some(Self {
            alliance: field("alliance")?.to_owned(),
            member: field("member")?.parse().ok()?,
            agent: field("agent")?.parse().ok()?,
            from: field("from")?.parse().ok()?,
            until: field("until")?.parse().ok()?,
            key_pem,
            certificate_pem: certificate_pem.to_owned(),
        })
    }

    fn text(&self) -> String {
        format!(
            "{HEAD}\nalliance {}\nmember {}\nagent {}\nfrom {}\nuntil {}\n{}\n{}\n",
            self.alliance,
            self.member,
            self.agent,
            self.from,
            self.until,
            self.key_pem.trim(),
            self.certificate_pem.trim()
        )
    }

    /// Chain and key as TLS takes them.
    ///
    /// # Errors
    /// Broken: the file holds no certificate or no key.
    pub(crate) fn tls(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
        // What cannot be read may be a secret: not repeated.
        let wrong = || Error::from(Broken::Failed("the identity file: no certificate or no key in it".to_owned()));
        let chain = CertificateDer::pem_slice_iter(self.certificate_pem.as_bytes()).collect::<Result<Vec<_>, _>>();
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes());
        Ok((chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(wrong)?, key.map_err(|_| wrong())?))
    }

    /// When the next one is to be asked for: after two thirds of its life, and up to a tenth later, by `share` (0 to
    /// 1),
    /// so that agents that joined together do not come together.
    pub(crate) fn renew_at(&self, share: f64) -> Timestamp {
        let life = self.until.since(self.from).as_millis() as f64;
        self.from.plus(Span::millis((life * (2.0 / 3.0 + share.clamp(0.0, 1.0) / 10.0)).round() as i64))
    }
}

/// The key that a certificate is asked for. It is on disk before anybody hears of it, so that an answer that got lost
/// can be asked for again.
pub(crate) struct Pending {
    key: KeyPair,
    path: PathBuf,
}

impl Pending {
    /// The key of a request that was interrupted, or a new one; never the one that is in use.
    ///
    /// # Errors
    /// Broken: the file cannot be written, or others may read it.
    pub fn begin(identity: &Path) -> Result<Self, Error> {
        let path = identity.with_extension("pending");
        if path.exists() {
            let text = read_secret(&path)?;
            let in_use = Identity::read(identity).is_ok_and(|present| present.key_pem.trim() == text.trim());
            // One that cannot be read was cut off while it was written: nobody has heard of it.
            if let Some(key) = KeyPair::from_pem(&text).ok().filter(|_| !in_use) {
                return Ok(Self { key, path });
            }
        }
        let key = KeyPair::generate().map_err(|error| Broken::Failed(format!("making a TLS key: {error}")))?;
        replace(&path, key.serialize_pem().as_bytes(), 0o600)?;
        Ok(Self { key, path })
    }

    /// As [`Pending::begin`], but an identity that is there already is asked for again with its own key: the join was
    /// interrupted after its certificate had come.
    pub fn again(identity: &Path) -> Result<Self, Error> {
        let path = identity.with_extension("pending");
        match Identity::read(identity).ok().and_then(|present| KeyPair::from_pem(&present.key_pem).ok()) {
            Some(key) => Ok(Self { key, path }),
            None => Self::begin(identity),
        }
    }

    /// The certificate signing request (PKCS #10, DER) in the agent's name.
    ///
    /// # Errors
    /// Broken: it cannot be made.
    pub fn request(&self, alliance: &str, member: &MemberId, agent: &AgentName) -> Result<Vec<u8>, Error> {
        let wrong = |error: rcgen::Error| Broken::Failed(format!("making a certificate signing request: {error}"));
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::URI(agent_uri(alliance, member, agent).try_into().map_err(wrong)?)];
        Ok(params.serialize_request(&self.key).map_err(wrong)?.der().to_vec())
    }

    /// Keeps the certificate that came, with its key, in place of the present one; first the authorities that it may be
    /// needed with.
    ///
    /// # Errors
    /// Broken: the files cannot be written, or the answer is too long.
    pub fn keep(
        &self,
        identity: &Path,
        ca: &Path,
        certified: &Certified,
        (alliance, member, agent): (&str, &MemberId, &AgentName),
    ) -> Result<Identity, Error> {
        if certified.certificate.len() > PEM_BYTES_MAX || certified.ca.len() > PEM_BYTES_MAX {
            return Err(Broken::Failed(format!("a certificate of more than {PEM_BYTES_MAX} bytes")).into());
        }
        let made = Identity {
            alliance: alliance.to_owned(),
            member: member.clone(),
            agent: agent.clone(),
            from: certified.from,
            until: certified.until,
            key_pem: self.key.serialize_pem(),
            certificate_pem: certified.certificate.clone(),
        };
        made.tls()?;
        if made.text().len() as u64 > SECRET_BYTES_MAX {
            return Err(Broken::Failed(format!("an identity of more than {SECRET_BYTES_MAX} bytes")).into());
        }
        if fs::read_to_string(ca).ok().as_deref() != Some(&certified.ca) {
            replace(ca, certified.ca.as_bytes(), 0o644)?;
        }
        replace(identity, made.text().as_bytes(), 0o600)?;
        Ok(made)
    }

    /// Nothing is pending any more.
    pub fn done(self) {
        // One that stays is found to be in use the next time.
        let _ = fs::remove_file(&self.path);
    }
}

/// Writes a file completely or not at all, durably; the older one stays until then.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".tmp");
    let unfinished = PathBuf::from(unfinished);
    let write = || -> std::io::Result<()> {
        // A file that is left from before may have another mode.
        let _ = fs::remove_file(&unfinished);
        let mut file = OpenOptions::new().create_new(true).write(true).mode(mode).open(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        path.parent().map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
    };
    write().map_err(|error| failed("writing", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn certified(pending: &Pending) -> Certified {
        let params = CertificateParams::default();
        Certified {
            schema: 1,
            id: model::CertificateId::of(&model::Digest::of(&[b"x"])),
            certificate: params.self_signed(&pending.key).unwrap().pem(),
            ca: "the authorities\n".to_owned(),
            from: "2026-01-01T00:00:00Z".parse().unwrap(),
            until: "2026-01-02T00:00:00Z".parse().unwrap(),
            key_in_charter: true,
        }
    }

    fn names() -> (String, MemberId, AgentName) {
        ("northern.alliance".to_owned(), "telecom".parse().unwrap(), "edge-1".parse().unwrap())
    }

    #[test]
    fn an_identity_reads_back_is_private_and_does_not_show_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let (path, ca) = (dir.path().join("identity.pem"), dir.path().join("ca.pem"));
        let (alliance, member, agent) = names();
        let pending = Pending::begin(&path).unwrap();
        let kept = pending.keep(&path, &ca, &certified(&pending), (&alliance, &member, &agent)).unwrap();
        let read = Identity::read(&path).unwrap();
        assert_eq!(read.text(), kept.text());
        read.tls_ok();
        assert_eq!((read.alliance.as_str(), read.member, read.agent), ("northern.alliance", member, agent));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{kept:?}").contains("PRIVATE"));
        fs::write(&path, "epimachia agent identity v1\nsecret things").unwrap();
        assert!(!Identity::read(&path).unwrap_err().to_string().contains("things"));
    }

    impl Identity {
        fn tls_ok(&self) {
            assert_eq!(self.tls().unwrap().0.len(), 1);
        }
    }

    #[test]
    fn an_interrupted_request_goes_on_with_its_key_and_a_finished_one_never_does() {
        let dir = tempfile::tempdir().unwrap();
        let (path, ca) = (dir.path().join("identity.pem"), dir.path().join("ca.pem"));
        let (alliance, member, agent) = names();
        let first = Pending::begin(&path).unwrap();
        let again = Pending::begin(&path).unwrap();
        assert_eq!(first.key.serialize_pem(), again.key.serialize_pem(), "killed before the answer came");
        first.keep(&path, &ca, &certified(&first), (&alliance, &member, &agent)).unwrap();
        // Killed before the pending key was deleted.
        let next = Pending::begin(&path).unwrap();
        assert_ne!(next.key.serialize_pem(), first.key.serialize_pem(), "each certificate has a key of its own");
        fs::write(path.with_extension("pending"), "cut of").unwrap();
        Pending::begin(&path).unwrap();
        next.done();
        assert!(!path.with_extension("pending").exists());
        let joined_again = Pending::again(&path).unwrap();
        assert_eq!(joined_again.key.serialize_pem(), first.key.serialize_pem());
    }

    #[test]
    fn it_is_renewed_after_two_thirds_of_its_life_and_not_by_all_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (path, ca) = (dir.path().join("identity.pem"), dir.path().join("ca.pem"));
        let (alliance, member, agent) = names();
        let pending = Pending::begin(&path).unwrap();
        let kept = pending.keep(&path, &ca, &certified(&pending), (&alliance, &member, &agent)).unwrap();
        assert_eq!(kept.renew_at(0.0).to_string(), "2026-01-01T16:00:00Z");
        assert_eq!(kept.renew_at(1.0).to_string(), "2026-01-01T18:24:00Z");
    }
}
