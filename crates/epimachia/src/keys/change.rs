//! `epimachia key list|add|rotate|retire|revoke|prove`: which keys count on the hub, and changing them there.

use crate::ask::{Change, Read, confirm, connect};
use crate::client::Client;
use crate::client::answers::Written;
use crate::client::settings::Passphrase;
use crate::clock::{now, short};
use crate::exit::{Exit, Failure, Outcome};
use crate::{ids, out};
use alliance::{KeyView, KeysView};
use charter::KeyBook;
use clap::Args;
use model::{
    KeyAct, KeyChange, KeyId, KeyPossession, MemberId, PersonId, PublicKey, Signature, SignedKeyChange, SigningKey,
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Who signs a change: a member's agents' key, or a person's own.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Signature")]
pub struct By {
    /// The member whose agents' key signs
    #[arg(long, required_unless_present = "person", conflicts_with = "person")]
    member: Option<MemberId>,
    /// The person whose own key signs, as `name@member`
    #[arg(long)]
    person: Option<PersonId>,
    /// The secret key file that signs; it stays on this machine
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    passphrase: Passphrase,
}

/// Why, and where it is sent.
#[derive(Args, Clone, Debug)]
pub struct Sent {
    /// Why, in words, at most 200 characters; every member sees it
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    change: Change,
}

/// `key add`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  epimachia key add --member cloud --key edge.key --file edge-2.key --reason 'second machine'
  epimachia key add --member cloud --key edge.key --proof edge-2.proof --reason 'made on that machine'
  epimachia key add --member cloud --key edge.key --for-person ada@cloud --proof ada.proof --reason 'lost laptop'
The last one only where the charter gives the member the role admin.
Next: epimachia key list --member MEMBER")]
pub struct Add {
    #[command(flatten)]
    by: By,
    /// The new secret key file, if it is on this machine; made if it is not there
    #[arg(long, value_name = "FILE", required_unless_present = "proof", conflicts_with = "proof")]
    file: Option<PathBuf>,
    /// What `key prove` wrote where the new key is
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    /// Whose key it is to be, where a member's key vouches for its person
    #[arg(long, value_name = "PERSON")]
    for_person: Option<PersonId>,
    #[command(flatten)]
    sent: Sent,
}

/// `key rotate`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  epimachia key rotate --member cloud --key edge.key --file edge-2.key --reason 'yearly'
What the old key signed before still counts. If somebody else may have it: epimachia key revoke
Next: name the new file in agent.toml ([member] key) and start the agent again")]
pub struct Rotate {
    #[command(flatten)]
    by: By,
    /// The new secret key file; made if it is not there
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    sent: Sent,
}

/// `key retire` and `key revoke`
#[derive(Args, Debug)]
pub struct Take {
    /// The key's identifier, or a beginning of it
    id: String,
    #[command(flatten)]
    by: By,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    sent: Sent,
}

/// `key prove`
#[derive(Args, Debug)]
pub struct Prove {
    /// The new secret key file
    file: PathBuf,
    /// The alliance's name
    #[arg(long)]
    alliance: String,
    /// For which member's agents
    #[arg(long, required_unless_present = "person", conflicts_with = "person")]
    member: Option<MemberId>,
    /// For which person
    #[arg(long)]
    person: Option<PersonId>,
    #[command(flatten)]
    passphrase: Passphrase,
}

/// What `key prove` writes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    possession: KeyPossession,
    signature: Signature,
}

/// Lists the keys that the hub knows.
pub(super) fn list(member: Option<&MemberId>, read: &Read) -> Outcome {
    let shown = known(&connect(&read.connect)?, member)?;
    if read.json {
        out::json(&shown);
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = shown.keys.iter().map(|key| row(key, &shown)).collect();
    out::table(&["KEY", "OF", "COUNTS", "PUBLIC"], &rows);
    for id in &shown.revoked {
        out::line(format_args!("{id}  revoked: it never counts again"));
    }
    Ok(Exit::Done)
}

fn row(key: &KeyView, shown: &KeysView) -> Vec<String> {
    let of = key.person.as_ref().map_or_else(|| key.member.to_string(), ToString::to_string);
    let changed = shown.changes.iter().any(|signed| signed.change.key == key.public);
    let since = if changed { "by its holder, " } else { "by the charter, " };
    let counts = match (key.live, key.until) {
        (true, None) => format!("{since}since {}", short(key.from)),
        (true, Some(until)) => format!("{since}until {}", short(until)),
        (false, Some(until)) => format!("ended {}", short(until)),
        (false, None) => format!("from {}", short(key.from)),
    };
    vec![key.id.to_string(), of, counts, key.public.to_string()]
}

fn known(client: &Client, member: Option<&MemberId>) -> Result<KeysView, Failure> {
    let query: Vec<(&str, String)> = member.map(|member| ("member", member.to_string())).into_iter().collect();
    client.get("/api/v1/keys", &query)
}

/// Adds a key.
pub(super) fn add(wish: &Add) -> Outcome {
    let client = connect(&wish.sent.change.connect)?;
    let signing = Signing::open(&wish.by, &client)?;
    let holder = wish.for_person.clone().or_else(|| wish.by.person.clone());
    let (public, proof) = match (&wish.file, &wish.proof) {
        (Some(file), _) => signing.proven(file, holder.as_ref(), &wish.by.passphrase)?,
        (None, Some(file)) => read_proof(file, &signing, holder.as_ref())?,
        (None, None) => return Err(Failure::Usage("--file or --proof".to_owned())),
    };
    let signed = signing.change(KeyAct::Add, public, holder, &wish.sent.reason, Some(proof));
    send(&client, &[signed], &wish.sent.change)
}

/// Adds the new key and retires the old one.
pub(super) fn rotate(wish: &Rotate) -> Outcome {
    let client = connect(&wish.sent.change.connect)?;
    let mut signing = Signing::open(&wish.by, &client)?;
    let holder = wish.by.person.clone();
    let (public, proof) = signing.proven(&wish.file, holder.as_ref(), &wish.by.passphrase)?;
    let (old, reason) = (signing.key.public(), &wish.sent.reason);
    let added = signing.change(KeyAct::Add, public, holder.clone(), reason, Some(proof));
    signing.book.take(added.clone());
    let retired = signing.change(KeyAct::Retire, old, holder.clone(), reason, None);
    let done = send(&client, &[added, retired], &wish.sent.change)?;
    if !wish.sent.change.dry_run {
        let file = wish.file.display();
        out::say(match holder {
            None => format!("Next: name {file} in agent.toml ([member] key) and start the agent again"),
            Some(person) => format!("Next: {person} signs with {file} from now on"),
        });
    }
    Ok(done)
}

/// Retires or revokes a key.
pub(super) fn take(wish: &Take, act: KeyAct) -> Outcome {
    let client = connect(&wish.sent.change.connect)?;
    let signing = Signing::open(&wish.by, &client)?;
    let id: KeyId = ids::among(&wish.id, signing.shown.keys.iter().map(|key| key.id))?;
    let none = || Failure::failed(format_args!("{} has no key {id}", signing.member), "epimachia key list");
    let key = signing.shown.keys.iter().find(|key| key.id == id).ok_or_else(none)?;
    if act == KeyAct::Revoke && !wish.sent.change.dry_run {
        let question = format!("{id} never counts again, nor does what it has signed; what rests on it alone ends.");
        confirm(&question, wish.yes)?;
    }
    let signed = signing.change(act, key.public, key.person.clone(), &wish.sent.reason, None);
    send(&client, &[signed], &wish.sent.change)
}

/// Shows that the secret half is here, for somebody whose key adds it.
pub(super) fn prove(wish: &Prove) -> Outcome {
    let member = wish.member.clone().or_else(|| wish.person.as_ref().map(PersonId::member));
    let member = member.ok_or_else(|| Failure::Usage("--member or --person".to_owned()))?;
    let key = open(&wish.file, wish.person.as_ref(), &wish.passphrase)?;
    let (alliance, person) = (wish.alliance.clone(), wish.person.clone());
    let possession = KeyPossession { alliance, member, person, key: key.public() };
    let signature = key.sign(&possession);
    out::json(&Proof { possession, signature });
    out::say("Next: epimachia key add --proof FILE, with a key that counts");
    Ok(Exit::Done)
}

fn read_proof(file: &Path, signing: &Signing, holder: Option<&PersonId>) -> Result<(PublicKey, Signature), Failure> {
    let failed = |what: String| Failure::failed(format_args!("{}: {what}", file.display()), "epimachia key prove");
    let text = std::fs::read_to_string(file).map_err(|e| failed(e.to_string()))?;
    let Proof { possession, signature } = serde_json::from_str(&text).map_err(|e| failed(e.to_string()))?;
    let wanted = signing.possession(possession.key, holder);
    match wanted == possession {
        true => Ok((possession.key, signature)),
        false => {
            let of = possession.person.map_or_else(|| possession.member.to_string(), |person| person.to_string());
            Err(failed(format!("it is for {of} of {}", possession.alliance)))
        }
    }
}

/// Everything that a change is made with.
struct Signing {
    member: MemberId,
    signer: Option<PersonId>,
    key: SigningKey,
    shown: KeysView,
    book: KeyBook,
}

impl Signing {
    fn open(by: &By, client: &Client) -> Result<Self, Failure> {
        let member = by.member.clone().or_else(|| by.person.as_ref().map(PersonId::member));
        let member = member.ok_or_else(|| Failure::Usage("--member or --person".to_owned()))?;
        let key = open(&by.key, by.person.as_ref(), &by.passphrase)?;
        let shown = known(client, Some(&member))?;
        let book = KeyBook { changes: shown.changes.clone(), ..KeyBook::default() };
        Ok(Self { member, signer: by.person.clone(), key, shown, book })
    }

    fn possession(&self, key: PublicKey, holder: Option<&PersonId>) -> KeyPossession {
        let (alliance, member) = (self.shown.alliance.clone(), self.member.clone());
        KeyPossession { alliance, member, person: holder.cloned(), key }
    }

    /// The new key's public half and its own word for it.
    fn proven(
        &self,
        file: &Path,
        holder: Option<&PersonId>,
        passphrase: &Passphrase,
    ) -> Result<(PublicKey, Signature), Failure> {
        let key = match (file.exists(), holder) {
            (true, _) => open(file, holder, passphrase)?,
            (false, None) => super::create(file)?,
            (false, Some(person)) => {
                super::create_person(file, person, passphrase)?;
                open(file, holder, passphrase)?
            }
        };
        Ok((key.public(), key.sign(&self.possession(key.public(), holder))))
    }

    fn change(
        &self,
        act: KeyAct,
        key: PublicKey,
        holder: Option<PersonId>,
        reason: &str,
        proof: Option<Signature>,
    ) -> SignedKeyChange {
        let (number, previous) = self.book.head(&self.member, self.shown.charter);
        let change = KeyChange {
            charter: self.shown.charter,
            member: self.member.clone(),
            person: holder,
            number: number + 1,
            previous,
            act,
            key,
            made: now(),
            reason: reason.to_owned(),
            signer: self.signer.clone(),
            signed_with: self.key.public().id(),
        };
        SignedKeyChange::sign(change, &self.key, proof)
    }
}

fn open(file: &Path, person: Option<&PersonId>, passphrase: &Passphrase) -> Result<SigningKey, Failure> {
    match person {
        None => super::read(file),
        Some(person) => super::read_person(file, person, passphrase),
    }
}

fn send(client: &Client, changes: &[SignedKeyChange], change: &Change) -> Outcome {
    if change.dry_run {
        out::json(&changes);
        out::say("Nothing was sent.");
        return Ok(Exit::Done);
    }
    for signed in changes {
        let written: Written = client.post("/api/v1/keys", signed)?;
        let of = &signed.change;
        match change.json {
            true => out::json(&written),
            false => out::line(format_args!("{} {}, entry {}.", of.key.id(), done(of.act), written.position)),
        }
    }
    Ok(Exit::Done)
}

const fn done(act: KeyAct) -> &'static str {
    match act {
        KeyAct::Add => "counts from now on",
        KeyAct::Retire => "counts no more from now on",
        KeyAct::Revoke => "never counts again",
    }
}
