//! An agent's way in: a join token of the admin's, a certificate of the alliance's authority, a client that shows it.

use crate::Failure;
use crate::client::{Sender, client, good};
use model::join::{CertificateWish, Certified, JoinRequest, JoinToken, Nonce, SignedWish, agent_uri};
use model::{AgentName, Digest, MemberId, SigningKey};
use rcgen::{CertificateParams, KeyPair, SanType};
use serde_json::json;

/// Joins as one agent of a member; what it sends from then on leans on its certificate.
pub async fn sender(admin: &Sender, authority: &str, member: MemberId, key: SigningKey) -> Result<Sender, Failure> {
    let wish = json!({ "member": member, "valid": "1h", "hub": admin.url });
    let invited = admin.post("/api/v1/join-tokens", &wish).await?;
    let token = JoinToken::parse(invited["token"].as_str().ok_or("no join token in the answer")?)?;
    // An agent of its own each time, since a member may have several connections.
    let tls = KeyPair::generate()?;
    let agent: AgentName = format!("a{}", &Digest::of(&[tls.public_key_raw()]).to_string()[..12]).parse()?;
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(agent_uri(&token.alliance, &member, &agent).try_into()?)];
    let der = params.serialize_request(&tls)?.der().to_vec();
    let stranger = Sender {
        client: client(authority, None)?,
        url: admin.url.clone(),
        token: None,
        member: member.clone(),
        key: None,
        sequence: 1,
    };
    let nonce: Nonce = serde_json::from_value(good(stranger.get("/api/v1/nonce").send().await?).await?)?;
    let request = Digest::of(&[&der]);
    let wish = CertificateWish { alliance: token.alliance, member: member.clone(), agent, nonce: nonce.nonce, request };
    let asked = JoinRequest { secret: token.secret, signed: SignedWish::sign(wish, &key, &der) };
    let answer = stranger.post("/api/v1/join", &serde_json::to_value(asked)?).await?;
    let certified: Certified = serde_json::from_value(answer)?;
    let identity = format!("{}{}", tls.serialize_pem(), certified.certificate);
    let client = client(authority, Some(&identity))?;
    Ok(Sender { client, key: Some(key), ..stranger })
}
