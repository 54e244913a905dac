//! The first token: made beside the journal, for the one step that nothing can authorise yet.

use crate::directory::{Directory, random, write_new};
use crate::error::Error;
use crate::gate::TOKEN_PREFIX;
use alliance::{Scope, TokenRecord};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{MemberId, Span, Timestamp, TokenId};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// How long the first token counts.
pub const FIRST_TOKEN_VALID: Span = Span::days(7);
/// Where the first token's record is kept; it holds no secret.
const RECORD: &str = "keys/first-token.json";
/// Where the first token itself is left for the operator.
const SECRET: &str = "admin.token";

/// A new token: the secret, shown once, and what is remembered of it.
pub(crate) struct Issued {
    pub(crate) secret: String,
    pub(crate) record: TokenRecord,
}

/// Makes a token of 256 random bits.
pub(crate) fn issue(
    member: MemberId,
    scopes: BTreeSet<Scope>,
    label: String,
    made: Timestamp,
    valid: Span,
) -> Result<Issued, Error> {
    let secret = format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(random::<32>()?));
    let hash = TokenRecord::hash_of(&secret);
    let expires = made.plus(valid);
    Ok(Issued { secret, record: TokenRecord { id: TokenId::of(&hash), hash, member, scopes, label, made, expires } })
}

/// Makes the token with which the first charter is adopted and the first real token issued, and leaves it in a file
/// that only its owner can read. It counts for [`FIRST_TOKEN_VALID`], and no longer once a token of scope `admin`
/// stands in the journal. Gives the file's path.
///
/// # Errors
/// Refused: there is one already. Unavailable: the files cannot be written.
pub fn first_token(directory: &Directory, member: &MemberId) -> Result<PathBuf, Error> {
    let now = crate::clock::Clock::from(Timestamp::MIN).now();
    let scopes = BTreeSet::from([Scope::Admin]);
    let issued = issue(member.clone(), scopes, "first token".to_owned(), now, FIRST_TOKEN_VALID)?;
    // A record of texts and times: serde_json cannot fail on it.
    let record = serde_json::to_vec(&issued.record).map_err(|error| Error::Broken(error.to_string()))?;
    write_new(&directory.path(RECORD), &record, 0o600)?;
    let path = directory.path(SECRET);
    write_new(&path, format!("{}\n", issued.secret).as_bytes(), 0o600)?;
    Ok(path)
}

/// The record of the first token, if one was made.
pub(crate) fn first_record(directory: &Directory) -> Result<Option<TokenRecord>, Error> {
    let path = directory.path(RECORD);
    match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::unavailable(format_args!("reading {}", path.display()), error)),
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| Error::refused(format_args!("{}: {error}", path.display()), "what first_token wrote")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::TOKEN_CHARS;
    use crate::{Directory, Init};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_first_token_is_in_a_private_file_and_its_record_holds_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let init = Init { alliance: "test".to_owned(), names: Vec::new() };
        let directory = Directory::init(&dir.path().join("hub"), &init).unwrap();
        assert_eq!(first_record(&directory).unwrap(), None);
        let path = first_token(&directory, &"telecom".parse().unwrap()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let secret = std::fs::read_to_string(path).unwrap();
        assert_eq!(secret.trim().len(), TOKEN_CHARS);
        let record = first_record(&directory).unwrap().unwrap();
        assert_eq!(record.hash, TokenRecord::hash_of(secret.trim()));
        assert!(!serde_json::to_string(&record).unwrap().contains(secret.trim()));
        assert!(first_token(&directory, &"telecom".parse().unwrap()).is_err());
    }
}
