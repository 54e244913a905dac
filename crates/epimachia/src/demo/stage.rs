//! The stage: a hub, six agents, their enforcement points and a resolver, all on loopback, all real.

use super::api::Api;
use super::cast::{self, CAST, Role};
use super::player::{Invitation, Player};
use super::recorded::GUARD_LISTS;
use super::resolvers::Resolvers;
use super::scenes::{self, blocked, text, wait_for};
use crate::exit::Failure;
use hub::{Config, Directory, Hub, Init};
use model::join::JoinToken;
use model::{Digest, MemberId, PublicKey, Sighting, StreamMessage, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Everything that runs.
pub struct Stage {
    /// From it the demo's keys follow.
    pub seed: u64,
    /// The way to the hub, with a token that reads.
    pub api: Api,
    /// What the resolver is, for people.
    pub resolver: String,
    /// The hub's public key, for verifying offline.
    pub hub_key: PublicKey,
    /// Where everything keeps its files.
    pub directory: PathBuf,
    hub: Option<hub::Running>,
    resolvers: Resolvers,
    tokens: BTreeMap<String, String>,
    players: BTreeMap<String, Player>,
}

impl Stage {
    /// Starts everything below `directory`: the demo's cast.
    pub async fn set(seed: u64, directory: &Path) -> Result<Self, Failure> {
        Self::set_for(&CAST, (cast::MITIGATION_LASTS, 0), seed, directory).await
    }

    /// Starts a hub, and an agent for each of `roles`; mitigations last so long, and need so many cosignatures.
    pub async fn set_for(
        roles: &[Role],
        rules: (model::Span, u32),
        seed: u64,
        directory: &Path,
    ) -> Result<Self, Failure> {
        let home = directory.join("hub");
        let init = Init { alliance: "demo.example".to_owned(), names: Vec::new() };
        let made = Directory::init(&home, &init).map_err(failed)?;
        let founder = roles[0].member()?;
        let first = hub::admin::first_token(&made, &founder).map_err(failed)?;
        let mut config = Config::new(&home);
        config.listen.address = ([127, 0, 0, 1], 0).into();
        let hub_key = made.identity().checkpoint_key;
        let running = Hub::start(config).await.map_err(failed)?;
        let certificate = running.certificate_pem().to_owned();
        let admin = Api::new(&running.url(), &certificate, std::fs::read_to_string(first)?.trim())?;
        let lists = hand_in_lists(&admin).await?;
        let charter = cast::charter(roles, rules, seed, &hub_key, &lists, Self::now())?;
        admin.post("/api/v1/charter", &charter).await?;
        let tokens = tokens(&admin, roles).await?;
        let api = admin.with_token(tokens.get("reader").map_or("", String::as_str));
        let resolvers = Resolvers::start(roles)?;
        let resolver = resolvers.name();
        let mut stage = Self {
            seed,
            api,
            resolver,
            hub_key,
            directory: directory.to_owned(),
            hub: Some(running),
            resolvers,
            tokens,
            players: BTreeMap::new(),
        };
        stage.enter(roles, &admin, charter.digest()).await?;
        Ok(stage)
    }

    /// The members' agents join, each by an invitation of its own.
    async fn enter(&mut self, roles: &[Role], admin: &Api, pin: Digest) -> Result<(), Failure> {
        let url = self.hub.as_ref().map_or_else(String::new, hub::Running::url);
        for role in roles.iter().filter(|role| role.has_agent()) {
            let wanted = json!({"member": role.id, "valid": "1h", "hub": url});
            let invited = admin.post("/api/v1/join-tokens", &wanted).await?;
            let invitation = Invitation { token: JoinToken::parse(&text(&invited["token"]))?, pin };
            let home = self.directory.join(role.id);
            let player = Player::enter(role, self.seed, &home, &invitation, &self.resolvers).await?;
            self.players.insert(role.id.to_owned(), player);
        }
        Ok(())
    }

    /// The time, from the system's clock.
    pub fn now() -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// A member's sensor sees something.
    pub async fn report(&self, member: &str, sighting: &Sighting) -> Result<(), Failure> {
        self.player(member)?.report(sighting.clone()).await
    }

    /// The member's own way to the hub.
    pub fn as_member(&self, member: &str) -> Result<Api, Failure> {
        let token = self.tokens.get(member).ok_or_else(|| Failure::failed(format_args!("no token of {member}"), ""))?;
        Ok(self.api.with_token(token))
    }

    /// Why VALUE, as soon as the alliance knows it.
    pub async fn known(&self, value: &str) -> Result<Value, Failure> {
        self.why_once(value, "it to be known", |why| why["known"] == true).await
    }

    /// Why VALUE, as soon as so many members have reported it.
    pub async fn reporters(&self, value: &str, count: usize) -> Result<Value, Failure> {
        let lines = |why: &Value| why["findings"][0]["finding"]["sum"]["lines"].as_array().map_or(0, Vec::len);
        self.why_once(value, "its reporters", |why| lines(why) >= count).await
    }

    /// Why VALUE, as soon as three members have read it back as enforced.
    pub async fn blocked(&self, value: &str) -> Result<Value, Failure> {
        let what = "it to be read back as enforced";
        self.why_once(value, what, |why| blocked(why) > 0 && scenes::read_back(why) >= 3).await
    }

    /// Why VALUE, as soon as its finding is in a state.
    pub async fn in_state(&self, value: &str, state: &str) -> Result<Value, Failure> {
        self.why_once(value, state, |why| scenes::state(why) == state).await
    }

    /// Why VALUE, as soon as the answer is enough.
    pub async fn why_once(&self, value: &str, what: &str, enough: impl Fn(&Value) -> bool) -> Result<Value, Failure> {
        let path = format!("/api/v1/why?value={value}");
        let what = format!("{value}: {what}");
        wait_for(&what, || async {
            let why = self.api.get(&path).await?;
            Ok(enough(&why).then_some(why))
        })
        .await
    }

    /// A corroborated finding of an address within a network.
    pub async fn corroborated_within(&self, network: &str) -> Result<Value, Failure> {
        let front = network.trim_end_matches("0/24");
        wait_for(&format!("a corroborated address of {network}"), || async {
            let found = self.api.get("/api/v1/findings?limit=1000&state=corroborated").await?;
            let items = found["items"].as_array().into_iter().flatten();
            Ok(items.filter(|f| text(&f["observable"]).starts_with(front)).map(Value::clone).next())
        })
        .await
    }

    /// A person proposes.
    pub async fn propose(&self, member: &str, proposal: alliance::Proposal) -> Result<(), Failure> {
        let role = CAST.iter().find(|role| role.id == member).ok_or_else(|| Failure::failed("nobody", ""))?;
        let signed = alliance::SignedProposal::sign(proposal, &role.person_key(self.seed));
        self.as_member(member)?.post("/api/v1/plans", &signed).await?;
        Ok(())
    }

    /// The newest plan that waits for approvals.
    pub async fn waiting_plan(&self) -> Result<Value, Failure> {
        wait_for("a plan that waits for approvals", || async {
            let plans = self.api.get("/api/v1/plans?limit=20").await?;
            let items = plans["items"].as_array().into_iter().flatten();
            Ok(items.filter(|plan| plan["state"] == "proposed").map(Value::clone).next())
        })
        .await
    }

    /// Waits until the mitigations are as expected.
    pub async fn until(&self, what: &str, enough: impl Fn(&[Value]) -> bool) -> Result<(), Failure> {
        wait_for(what, || async {
            let found = self.api.get("/api/v1/mitigations?limit=1000").await?;
            let items = found["items"].as_array().cloned().unwrap_or_default();
            Ok(enough(&items).then_some(()))
        })
        .await
    }

    /// Does every member that filters names have a real resolver?
    pub fn resolvers_are_real(&self) -> bool {
        self.resolvers.are_real()
    }

    /// Asks the DNS operator's resolver for a name's address; gives what it says, in a word.
    pub fn ask(&self, name: &str) -> Result<String, Failure> {
        self.resolvers.ask("dns", name)
    }

    /// Asks the resolver until it says so.
    pub async fn ask_until(&self, name: &str, expected: &str) -> Result<String, Failure> {
        wait_for(&format!("the resolver to answer {expected} for {name}"), || async {
            let answer = self.ask(name)?;
            Ok((answer == expected).then_some(answer))
        })
        .await
    }

    /// A member's owner puts something on its own allow-list.
    pub async fn allow(&self, member: &str, value: &str) -> Result<(), Failure> {
        self.player(member)?.allow(value).await
    }

    /// The hub says something to a member that stands in no journal; gives what the agent says to it.
    pub async fn whisper(&self, member: &str, message: StreamMessage) -> Result<String, Failure> {
        let id: MemberId = member.parse()?;
        let player = self.player(member)?;
        let before = player.refusals().await?;
        if let Some(hub) = &self.hub {
            hub.whisper(&id, &message);
        }
        wait_for("the agent to refuse what nobody signed", || async {
            let after = player.refusals().await?;
            let news: Vec<String> =
                after.iter().filter(|(rule, n)| before.get(*rule) < Some(*n)).map(|(rule, _)| rule.clone()).collect();
            Ok((!news.is_empty()).then(|| format!("by rule {}; nothing was changed", news.join(", "))))
        })
        .await
    }

    /// Everything that is in force at the members' points now, as their agents read it back.
    pub async fn in_force(&self) -> Result<usize, Failure> {
        let mut count = 0;
        for player in self.players.values() {
            count += player.in_force().await?;
        }
        Ok(count)
    }

    /// What is left at points that can be asked behind the agents' backs.
    pub fn found_at_points(&self) -> Result<usize, Failure> {
        self.players.values().map(Player::found_at_points).sum()
    }

    /// What agents have refused so far, by rule.
    pub async fn refusals(&self) -> Result<BTreeMap<String, u64>, Failure> {
        let mut all = BTreeMap::new();
        for player in self.players.values() {
            for (rule, n) in player.refusals().await? {
                *all.entry(rule).or_default() += n;
            }
        }
        Ok(all)
    }

    /// The hub goes away, in good order.
    pub async fn hub_leaves(&mut self) -> Result<(), Failure> {
        match self.hub.take() {
            Some(hub) => hub.shutdown().await.map_err(failed),
            None => Ok(()),
        }
    }

    /// Everybody goes home.
    pub async fn strike(mut self) -> Result<(), Failure> {
        for (_, player) in std::mem::take(&mut self.players) {
            player.leave().await?;
        }
        self.hub_leaves().await
    }

    fn player(&self, member: &str) -> Result<&Player, Failure> {
        self.players.get(member).ok_or_else(|| Failure::failed(format_args!("no agent of {member}"), ""))
    }
}

async fn hand_in_lists(admin: &Api) -> Result<Vec<(&'static str, Digest)>, Failure> {
    let mut lists = Vec::new();
    for (name, bytes) in GUARD_LISTS {
        admin.put_bytes("/api/v1/charter/lists", bytes).await?;
        lists.push((name, Digest::of(&[bytes])));
    }
    Ok(lists)
}

/// A token for the people of each member, and one that only reads. Agents have certificates.
async fn tokens(admin: &Api, roles: &[Role]) -> Result<BTreeMap<String, String>, Failure> {
    let all = ["report", "approve", "read", "audit"];
    let mut tokens = BTreeMap::new();
    for (label, member, scopes) in
        roles.iter().map(|role| (role.id, role.id, &all[..])).chain([("reader", roles[0].id, &all[2..])])
    {
        let wanted = json!({"member": member, "scopes": scopes, "label": label, "valid": "1h"});
        let made = admin.post("/api/v1/tokens", &wanted).await?;
        tokens.insert(label.to_owned(), text(&made["token"]));
    }
    Ok(tokens)
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::failed(error, "")
}
