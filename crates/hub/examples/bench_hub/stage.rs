//! A hub as a second process, with an alliance of as many members as the run needs.

use crate::client::{Sender, client, good};
use crate::joined;
use crate::words::{Given, Words};
use crate::{Failure, allocator, figures};
use hub::{Config, Directory, Hub, Init, admin};
use model::{Digest, MemberId, SigningKey};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The first word of the second process.
pub const SERVE: &str = "--serve";
/// Who made the charter and gives tokens.
const FIRST: &str = "member-0";

/// The alliance of a run.
#[derive(Clone, Copy, Debug)]
pub struct Alliance {
    pub members: usize,
    pub sightings_per_minute_max: u32,
}

/// A hub that runs until it is dropped.
pub struct Stage {
    pub url: String,
    /// From the start of the process to its first answer.
    pub started: Duration,
    authority: String,
    admin: Sender,
    child: Child,
    root: PathBuf,
    // Gone with the stage.
    _dir: tempfile::TempDir,
}

/// The second process: a hub on a free port, which ends in good order when its input does.
pub fn serve(root: &str) -> Result<(), Failure> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let running = Hub::start(config(Path::new(root))).await?;
        println!("{}", running.url());
        let mut input = BufReader::new(tokio::io::stdin()).lines();
        tokio::select! {
            _ = input.next_line() => {}
            reason = running.broken() => return Err(reason.into()),
        }
        Ok(running.shutdown().await?)
    })
}

/// The defaults, but for what one machine that plays all members needs.
fn config(root: &Path) -> Config {
    let mut config = Config::new(root);
    config.listen.address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    config.limits.connections_max = 16_384;
    config.limits.connections_per_address_max = 16_384;
    config.join.strangers_per_minute_max = 100_000;
    config.limits.requests_per_minute_max = 1_000_000;
    config.limits.reads_per_minute_max = 1_000_000;
    config
}

/// The key of a member's agent.
pub fn key(member: &str) -> SigningKey {
    SigningKey::from_seed(Digest::of(&[b"bench, no secret", member.as_bytes()]).as_bytes())
}

fn charter(directory: &Directory, alliance: Alliance) -> String {
    let identity = directory.identity();
    let mut text = format!(
        "[alliance]\nname = \"{}\"\nversion = 1\nmade = \"2026-01-01T00:00:00Z\"\nhub_key = \"{}\"\n\
         [limits]\nsightings_per_minute_max = {}\n",
        identity.alliance, identity.checkpoint_key, alliance.sightings_per_minute_max
    );
    for member in (0..alliance.members).map(|n| format!("member-{n}")) {
        text += &format!(
            "[[member]]\nid = \"{member}\"\nname = \"{member}\"\nkind = \"full\"\nstanding = \"vetted\"\n\
             segments = [\"infrastructure\"]\nroles = [\"reporter\", \"approver\", \"operator\"]\n\
             capabilities = [\"packet-filter\"]\n\
             keys = [{{ public = \"{}\", from = \"2026-01-01T00:00:00Z\" }}]\n",
            key(&member).public()
        );
    }
    text
}

impl Stage {
    /// Makes a hub's directory, starts the hub, puts a charter in force.
    pub async fn new(words: &Words, alliance: Alliance) -> Result<Self, Failure> {
        let dir = tempfile::Builder::new().prefix("epimachia-bench-").tempdir_in(&words.dir)?;
        let root = dir.path().join("hub");
        let directory = Directory::init(&root, &Init { alliance: "bench.alliance".to_owned(), names: Vec::new() })?;
        admin::first_token(&directory, &FIRST.parse()?)?;
        let (child, url, started) = start(&root).await?;
        let authority = std::fs::read_to_string(root.join("ca.pem"))?;
        let token = std::fs::read_to_string(root.join("admin.token"))?.trim().to_owned();
        let client = client(&authority, None)?;
        let admin =
            Sender { client, url: url.clone(), token: Some(token), member: FIRST.parse()?, key: None, sequence: 1 };
        let text = charter(&directory, alliance);
        let mut consents = Vec::new();
        for member in (0..alliance.members).map(|n| format!("member-{n}")) {
            let consent = charter::SignedCharter::consent(&text, &member.parse()?, &key(&member));
            consents.push(consent.map_err(|refusal| refusal.to_string())?);
        }
        admin.post("/api/v1/charter", &json!({ "text": text, "consents": consents })).await?;
        Ok(Self { url, started, authority, admin, child, root, _dir: dir })
    }

    /// A sender for a member, with a certificate and a connection of its own.
    pub async fn sender(&self, member: usize) -> Result<Sender, Failure> {
        let member = format!("member-{member}");
        joined::sender(&self.admin, &self.authority, member.parse()?, key(&member)).await
    }

    /// As many senders of one member, each with a connection of its own, that show a token and sign nothing: the hub
    /// attests what they send, and they need not agree on numbers.
    pub async fn attested(&self, member: usize, connections: usize) -> Result<Vec<Sender>, Failure> {
        let member: MemberId = format!("member-{member}").parse()?;
        let wish = json!({ "member": member, "scopes": ["report"], "label": "bench", "valid": "1d" });
        let shown = self.admin.post("/api/v1/tokens", &wish).await?;
        let token = shown["token"].as_str().ok_or("no token in the answer")?;
        let sender = |_| {
            let (url, token) = (self.url.clone(), Some(token.to_owned()));
            Ok(Sender {
                client: client(&self.authority, None)?,
                url,
                token,
                member: member.clone(),
                key: None,
                sequence: 1,
            })
        };
        (0..connections).map(sender).collect()
    }

    /// Processor seconds and resident bytes of the hub.
    pub fn taken(&self) -> (f64, u64) {
        let process = self.child.id().map(|id| id.to_string()).unwrap_or_default();
        (figures::processor_seconds(&process), figures::resident(&process))
    }

    /// A figure that the hub itself counts; none where it has nothing to count yet.
    pub async fn metric(&self, name: &str) -> Result<Option<f64>, Failure> {
        let text = self.admin.client.get(format!("{}/metrics", self.url)).send().await?.text().await?;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let named = lines.filter(|line| line.split([' ', '{']).next() == Some(name));
        let figures = named.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(figures.reduce(|sum, figure| sum + figure))
    }

    /// Stops the hub, in good order or as a crash would, and starts it again.
    pub async fn restart(&mut self, orderly: bool) -> Result<(), Failure> {
        match orderly {
            true => drop(self.child.stdin.take()),
            false => self.child.start_kill()?,
        }
        self.child.wait().await?;
        (self.child, self.url, self.started) = start(&self.root).await?;
        self.admin.url.clone_from(&self.url);
        Ok(())
    }

    /// Bytes of a folder of the hub's directory.
    pub fn bytes_of(&self, folder: &str) -> u64 {
        let files = std::fs::read_dir(self.root.join(folder)).into_iter().flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
    }
}

async fn start(root: &Path) -> Result<(Child, String, Duration), Failure> {
    let begun = Instant::now();
    let mut command = Command::new(std::env::current_exe()?);
    command.envs(allocator::settings());
    command.arg(SERVE).arg(root).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let output = child.stdout.take().ok_or("the hub has no output")?;
    let line = BufReader::new(output).lines().next_line().await?;
    let url = line.ok_or("the hub did not start: its reason stands above")?;
    Ok((child, url, begun.elapsed()))
}

/// A sender for somebody's own hub.
pub async fn given(hub: &Given) -> Result<Sender, Failure> {
    let authority = hub.ca.as_ref().map(std::fs::read_to_string).transpose()?.unwrap_or_default();
    let token = std::fs::read_to_string(&hub.token_file)?.trim().to_owned();
    let (member, key) = match &hub.member {
        None => ("attested".parse()?, None),
        Some((member, file)) => {
            let text = std::fs::read_to_string(file)?;
            let seed = model::digest::unhex(text.trim()).ok_or("the key file holds no 64 hexadecimal digits")?;
            (member.parse::<MemberId>()?, Some(SigningKey::from_seed(&seed)))
        }
    };
    let client = client(&authority, None)?;
    let mut sender = Sender { client, url: hub.url.clone(), token: Some(token), member, key, sequence: 1 };
    if sender.key.is_some() {
        let request = sender.get(&format!("/api/v1/members/{}/sequence", sender.member));
        let answer = good(request.send().await?).await?;
        sender.sequence = answer["next"].as_u64().ok_or("the hub did not say the next number")?;
    }
    Ok(sender)
}
