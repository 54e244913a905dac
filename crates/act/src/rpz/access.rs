//! Who may transfer a zone: holders of a TSIG key, and the addresses that the configuration names.

use crate::PointError;
use base64::Engine;
use domain::base::ToName;
use domain::tsig::{Algorithm, Key, KeyName, KeyStore};
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

/// Shortest secret, in bytes: as long as the output of the shortest hash offered (RFC 2104 §3).
const SECRET_BYTES_MIN: usize = 32;
const SECRET_BYTES_MAX: usize = 512;
/// Most keys and most address ranges.
const ACCESS_MAX: usize = 256;

/// A secret shared with a secondary (RFC 8945). Prints without its secret.
#[derive(Clone)]
pub struct TsigKey {
    name: String,
    key: Arc<Key>,
}

impl TsigKey {
    /// A key from its parts as BIND's `key` statement has them: a name, `hmac-sha256`, `hmac-sha384` or `hmac-sha512`,
    /// and at least 32 bytes of secret in base 64 (`tsig-keygen`).
    ///
    /// # Errors
    /// Broken: names the part, never the secret.
    pub fn new(name: &str, algorithm: &str, secret_base64: &str) -> Result<Self, PointError> {
        let broken = |what: &str| PointError::Broken(format!("TSIG key `{name}`: {what}"));
        let key_name = KeyName::from_str(name).map_err(|_| broken("the name is no domain name"))?;
        let known = match algorithm {
            "hmac-sha256" => Algorithm::Sha256,
            "hmac-sha384" => Algorithm::Sha384,
            "hmac-sha512" => Algorithm::Sha512,
            _ => return Err(broken("the algorithm is not hmac-sha256, hmac-sha384 or hmac-sha512")),
        };
        let secret = base64::engine::general_purpose::STANDARD
            .decode(secret_base64.trim())
            .map_err(|_| broken("the secret is not base 64"))?;
        if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&secret.len()) {
            return Err(broken("the secret is not 32 to 512 bytes; make one with `tsig-keygen`"));
        }
        let key = Key::new(known, &secret, key_name, None, None).map_err(|error| broken(&error.to_string()))?;
        Ok(Self { name: name.trim_end_matches('.').to_ascii_lowercase(), key: Arc::new(key) })
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The algorithm's name, as BIND writes it.
    pub fn algorithm(&self) -> &'static str {
        match self.key.algorithm() {
            Algorithm::Sha384 => "hmac-sha384",
            Algorithm::Sha512 => "hmac-sha512",
            _ => "hmac-sha256",
        }
    }

    /// The key, to sign with.
    pub(super) fn signer(&self) -> Arc<Key> {
        Arc::clone(&self.key)
    }
}

impl fmt::Debug for TsigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TsigKey({})", self.name)
    }
}

/// Who a secondary has shown to be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Identity {
    /// It holds this key.
    Key(String),
    /// It speaks from this address, which may come without a key.
    Address(IpAddr),
}

/// The keys and addresses that may see the zones.
#[derive(Clone, Debug)]
pub(super) struct Access {
    keys: Vec<TsigKey>,
    addresses: Vec<IpNet>,
}

impl Access {
    pub(super) fn new(keys: Vec<TsigKey>, addresses: Vec<IpNet>) -> Result<Self, PointError> {
        match keys.len() <= ACCESS_MAX && addresses.len() <= ACCESS_MAX {
            true => Ok(Self { keys, addresses }),
            false => Err(PointError::Broken("rpz: more than 256 TSIG keys or allowed addresses".to_owned())),
        }
    }

    /// Who asks, if that may see the zones. A valid key counts from everywhere.
    pub(super) fn identify(&self, key: Option<&Key>, peer: IpAddr) -> Option<Identity> {
        let peer = peer.to_canonical();
        match key {
            Some(key) => Some(Identity::Key(key.name().to_string().trim_end_matches('.').to_ascii_lowercase())),
            None => self.addresses.iter().any(|net| net.contains(&peer)).then_some(Identity::Address(peer)),
        }
    }
}

impl KeyStore for Access {
    type Key = Arc<Key>;

    fn get_key<N: ToName>(&self, name: &N, algorithm: Algorithm) -> Option<Arc<Key>> {
        let found = self.keys.iter().find(|k| k.key.name() == name && k.key.algorithm() == algorithm);
        found.map(TsigKey::signer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

    #[test]
    fn key_prints_its_name_and_never_its_secret() {
        let key = TsigKey::new("epi-key.", "hmac-sha256", SECRET).unwrap();
        assert_eq!(format!("{key:?}"), "TsigKey(epi-key)");
        for (algorithm, secret) in [("hmac-md5", SECRET), ("hmac-sha256", "c2hvcnQ="), ("hmac-sha256", "?geheim?")] {
            let error = TsigKey::new("epi-key", algorithm, secret).unwrap_err().to_string();
            assert!(!error.contains(secret), "{error}");
        }
    }

    #[test]
    fn address_counts_without_a_key_only_when_it_is_named() {
        let access = Access::new(Vec::new(), vec!["192.0.2.0/28".parse().unwrap()]).unwrap();
        let identity = |text: &str| access.identify(None, text.parse().unwrap());
        assert_eq!(identity("192.0.2.7"), Some(Identity::Address("192.0.2.7".parse().unwrap())));
        assert_eq!(identity("::ffff:192.0.2.7"), identity("192.0.2.7"));
        assert_eq!(identity("192.0.2.17"), None);
    }
}
