//! Changes of keys in the small alliance of the tests.

use super::World;
use charter::KeyBook;
use model::{Digest, KeyAct, KeyChange, KeyPossession, MemberId, PersonId, SignedKeyChange, SigningKey, Timestamp};

/// A change that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Whose chain.
    pub member: &'a str,
    /// Whose key; none: the member's agents'.
    pub person: Option<&'a PersonId>,
    /// What becomes of it.
    pub act: KeyAct,
    /// The key.
    pub key: &'a SigningKey,
    /// Who signs; none: the member.
    pub signer: Option<&'a PersonId>,
    /// With which key.
    pub signed_with: &'a SigningKey,
    /// When.
    pub made: Timestamp,
}

impl World {
    /// The next change of a member's chain under the charter with this digest.
    pub fn key_change(&self, book: &KeyBook, charter: Digest, wanted: Wanted<'_>) -> SignedKeyChange {
        let member: MemberId = wanted.member.parse().unwrap();
        let (number, previous) = book.head(&member, charter);
        let (person, key) = (wanted.person.cloned(), wanted.key.public());
        let alliance = self.charter.alliance.name.clone();
        let possession = KeyPossession { alliance, member: member.clone(), person: person.clone(), key };
        let change = KeyChange {
            charter,
            member,
            person,
            number: number + 1,
            previous,
            act: wanted.act,
            key,
            made: wanted.made,
            reason: "a test".to_owned(),
            signer: wanted.signer.cloned(),
            signed_with: wanted.signed_with.public().id(),
        };
        let proof = (wanted.act == KeyAct::Add).then(|| wanted.key.sign(&possession));
        SignedKeyChange::sign(change, wanted.signed_with, proof)
    }
}
