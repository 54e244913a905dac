//! One member on the stage: a real agent with the points that this machine allows.

use super::cast::Role;
use super::resolvers::{Resolvers, ZONE};
use crate::exit::Failure;
use agent::control::{Answer, Request};
use agent::join::{CA, IDENTITY, join};
use agent::{Agent, Config};
use model::join::JoinToken;
use model::{Digest, Observable, Sighting, SigningKey};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use testbed::Netns;

/// A member's running agent.
pub struct Player {
    running: agent::Running,
    /// The network namespace in which its packet filter stands; with root only.
    namespace: Option<Netns>,
}

/// How packets are dropped on this machine, for people.
pub fn packets() -> &'static str {
    match may_filter() {
        true => "nftables in network namespaces of the demo's own",
        false => "preview only (as root they are really dropped, in network namespaces of the demo's own)",
    }
}

/// What a member was told before it came: the invitation by the secretariat, the charter's digest on another way.
pub struct Invitation {
    /// The join token.
    pub token: JoinToken,
    /// The charter that the member pins.
    pub pin: Digest,
}

impl Player {
    /// The member's agent joins: it makes its TLS key, proves its signing key, and gets a certificate. Then it starts.
    ///
    /// # Errors
    /// The hub refuses it; the agent or one of its points does not start.
    pub async fn enter(
        role: &Role,
        seed: u64,
        home: &Path,
        invitation: &Invitation,
        resolvers: &Resolvers,
    ) -> Result<Self, Failure> {
        std::fs::create_dir_all(home.join("state"))?;
        secret(&home.join("agent.key"), &agent::keys::key_text(&role.seed(seed)))?;
        secret(&home.join("state/witness.key"), &agent::keys::key_text(&role.witness_seed(seed)))?;
        let (name, key) = ("agent".parse()?, SigningKey::from_seed(&role.seed(seed)));
        join(&invitation.token, home, &name, &key, Some(invitation.pin)).await.map_err(|e| Failure::failed(e, ""))?;
        let namespace = match role.filters_packets() && may_filter() {
            true => Some(Netns::new(role.id).map_err(|e| Failure::failed(e, ""))?),
            false => None,
        };
        let text = configuration(role, invitation, resolvers, namespace.as_ref());
        let file = home.join("agent.toml");
        std::fs::write(&file, text)?;
        let config = Config::read(&file).map_err(|e| Failure::failed(e, ""))?;
        let running = Agent::start(config).await.map_err(|e| Failure::failed(e, ""))?;
        Ok(Self { running, namespace })
    }

    /// The member's sensor sees something.
    ///
    /// # Errors
    /// The agent refuses it.
    pub async fn report(&self, sighting: Sighting) -> Result<(), Failure> {
        self.ask(Request::Report { sightings: vec![sighting] }).await.map(drop)
    }

    /// The member's owner puts something on the allow-list.
    ///
    /// # Errors
    /// The agent refuses it.
    pub async fn allow(&self, value: &str) -> Result<(), Failure> {
        let value: Observable = value.parse()?;
        self.ask(Request::Allow { value, note: "a customer needs it".to_owned() }).await.map(drop)
    }

    /// What the agent has refused so far, by rule.
    ///
    /// # Errors
    /// The agent has stopped.
    pub async fn refusals(&self) -> Result<BTreeMap<String, u64>, Failure> {
        let status = self.ask(Request::Status).await?;
        let rules = status["counts"]["refusals"].as_object().into_iter().flatten();
        Ok(rules.map(|(rule, n)| (rule.clone(), n.as_u64().unwrap_or(0))).collect())
    }

    /// Mitigations that the agent holds in force.
    ///
    /// # Errors
    /// The agent has stopped.
    pub async fn in_force(&self) -> Result<usize, Failure> {
        let list = self.ask(Request::Mitigations).await?;
        let live = |m: &&Value| matches!(m["state"].as_str(), Some("due" | "applied" | "verified" | "failed"));
        Ok(list.as_array().into_iter().flatten().filter(live).count())
    }

    /// Objects of ours that its packet filter really holds, as nftables itself lists them.
    ///
    /// # Errors
    /// nftables cannot be asked.
    pub fn found_at_points(&self) -> Result<usize, Failure> {
        let Some(namespace) = &self.namespace else { return Ok(0) };
        let listed = namespace.nft("list ruleset").map_err(|e| Failure::failed(e, ""))?;
        Ok(listed.matches("mit-").count())
    }

    /// The agent goes home.
    ///
    /// # Errors
    /// It was broken.
    pub async fn leave(self) -> Result<(), Failure> {
        self.running.stop().await.map_err(|e| Failure::failed(e, ""))
    }

    async fn ask(&self, request: Request) -> Result<Value, Failure> {
        match self.running.ask(request).await {
            Answer::Ok(value) => Ok(value),
            Answer::Refused(refusal) => Err(refusal.into()),
        }
    }
}

/// As root, and with nftables installed, packets are really dropped.
fn may_filter() -> bool {
    let root = std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    let installed =
        |name: &str| ["/usr/sbin", "/sbin", "/usr/bin"].iter().any(|dir| Path::new(dir).join(name).exists());
    root && installed("nft") && installed("ip")
}

fn secret(path: &Path, text: &str) -> Result<(), Failure> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

fn configuration(role: &Role, invitation: &Invitation, resolvers: &Resolvers, namespace: Option<&Netns>) -> String {
    let mut text = format!(
        "[member]\nid = \"{}\"\nkey = \"agent.key\"\n\n[hub]\nurl = \"{}\"\nca = \"{CA}\"\n\
         certificate = \"{IDENTITY}\"\ncharter = \"{}\"\n\n# This member's owner lets a quorum of the alliance decide about networks too.\n\
         [[orders.rule]]\nthen = \"accept\"\nclass = \"quorum\"\n\n[state]\ndirectory = \"state\"\npatrol = \"2s\"\n\
         settle = \"2s\"\n",
        role.id, invitation.token.hub, invitation.pin
    );
    if let Some(resolver) = resolvers.of(role.id) {
        text.push_str(&format!(
            "\n[[point]]\ntype = \"rpz\"\nname = \"rpz\"\nzone = \"{ZONE}\"\nlisten = \"{}\"\n\
             serial_file = \"serial\"\nresolvers = [\"{at}\"]\nnotify = [\"{at}\"]\nallow_unsigned = [\"127.0.0.1\"]\n",
            resolver.primary,
            at = resolver.address(),
        ));
    }
    if let Some(namespace) = namespace {
        let name = namespace.name();
        text.push_str(&format!("\n[[point]]\ntype = \"nftables\"\nname = \"nftables\"\nnetns = \"{name}\"\n"));
    }
    text.push_str("\n[[point]]\ntype = \"preview\"\nname = \"preview\"\n");
    text
}
