//! Who takes part in a run: the alliance's charter with its guard lists, the keys of everybody, and who is hostile.

use crate::random::Random;
use account::Signer;
use charter::{Charter, Group, GuardFile, Guards, MemberKey, SignedCharter};
use decide::testing::World;
use model::{Digest, KeyId, MemberId, Observable, Refusal, SigningKey, Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Members with an agent; the observer `watcher` has none.
pub const AGENTS: [&str; 6] = ["telecom", "cloud", "bank", "vendor", "hosting", "newcomer"];
/// Who shares among themselves in the group `pair`.
pub const PAIR: [&str; 2] = ["telecom", "cloud"];

/// The guard lists: what the generator of hostile parts expects to be guarded.
const NETS: &str = "cidr,class,list\n9.9.9.9/32,resolver,public-dns\n20.0.0.0/8,cloud-shared,azure\n";
const NAMES: &str = "domain,class,lists\nbigbank.com,bank,banks\nmany-sites.com,shared-hosting,lots\n";
/// The hub's key for checkpoints. A test key: it guards nothing.
const HUB_SECRET: [u8; 32] = [77; 32];

/// Everybody in a run.
pub struct Cast {
    /// The alliance, as the generator of hostile parts knows it; its charter is the newest one.
    pub world: World,
    /// Every charter that a quorum signed, first to last.
    pub charters: Vec<SignedCharter>,
    /// The guard list files.
    pub lists: Vec<Vec<u8>>,
    /// Members whose keys are in hostile hands.
    pub hostile: BTreeSet<MemberId>,
    /// Is the hub hostile?
    pub hostile_hub: bool,
    /// Secrets of agents' keys that were changed since the run began; the others have the world's.
    pub agent_seeds: BTreeMap<MemberId, [u8; 32]>,
    /// Keys that their holders revoked.
    pub revoked: BTreeSet<KeyId>,
}

impl Cast {
    /// The cast of one run: one member in ten is hostile, never more than two; the newcomer one time in three; the hub
    /// in every fourth run.
    ///
    /// # Errors
    /// The charter written here breaks a rule of its own: a fault of this file.
    pub fn new(random: &mut Random) -> Result<Self, Refusal> {
        let lists = vec![NETS.as_bytes().to_vec(), NAMES.as_bytes().to_vec()];
        let mut world = World::new();
        let files = ["nets.csv", "names.csv"].into_iter().zip(&lists);
        let charter = &mut world.charter;
        charter.guards.list =
            files.map(|(file, text)| GuardFile { file: file.to_owned(), sha256: Digest::of(&[text]) }).collect();
        charter.alliance.hub_key = SigningKey::from_seed(&HUB_SECRET).public();
        charter.limits.mitigation_default = Span::hours(random.between(1, 6));
        charter.corroboration.half_life_report =
            *random.pick(&[Span::days(7), Span::hours(12)]).unwrap_or(&Span::days(7));
        // Hostile members' agents do not cosign: four honest ones are left at least.
        charter.witness.cosignatures = *random.pick(&[0, 0, 1, 2]).unwrap_or(&0);
        let members = PAIR.iter().filter_map(|member| member.parse().ok()).collect();
        charter.groups = "pair".parse().map(|id| vec![Group { id, members }]).unwrap_or_default();
        world.guards = Guards::new(charter, &lists)?;
        let mut cast = Self {
            world,
            charters: Vec::new(),
            lists,
            hostile: BTreeSet::new(),
            hostile_hub: random.chance(250),
            agent_seeds: BTreeMap::new(),
            revoked: BTreeSet::new(),
        };
        let first = cast.sign(&cast.world.charter.clone(), &["telecom", "cloud", "hosting"])?;
        cast.charters.push(first);
        cast.corrupt(random);
        Ok(cast)
    }

    fn corrupt(&mut self, random: &mut Random) {
        for name in AGENTS {
            let likely = if name == "newcomer" { 333 } else { 100 };
            let Ok(member) = name.parse::<MemberId>() else { continue };
            if random.chance(likely) && self.hostile.len() < 2 {
                self.hostile.insert(member);
            }
        }
    }

    /// The key that a member's agent signs with: its owner's, or a thief's where the member is hostile.
    pub fn agent_key(&self, member: &str) -> SigningKey {
        let seed = member.parse::<MemberId>().ok().and_then(|id| self.agent_seeds.get(&id));
        seed.map_or_else(|| self.world.agent_key(member), SigningKey::from_seed)
    }

    /// A charter as text, signed by the agents of these members.
    ///
    /// # Errors
    /// What reading the charter's text refuses.
    pub fn sign(&self, charter: &Charter, by: &[&str]) -> Result<SignedCharter, Refusal> {
        let text = toml::to_string(charter)
            .map_err(|error| Refusal::new(model::Rule::Malformed, error, "a charter that can be written"))?;
        let consent = |name: &&str| {
            let member: MemberId = name.parse().map_err(Refusal::from)?;
            SignedCharter::consent(&text, &member, &self.agent_key(name))
        };
        let consents = by.iter().map(consent).collect::<Result<_, _>>()?;
        Ok(SignedCharter::new(text, consents))
    }

    /// The next charter, which also never blocks `never`, signed by a quorum. It names the keys as they are `now` under
    /// the charter in force, and a new one for whoever has none left; none if too few have a key to sign with.
    ///
    /// # Errors
    /// What reading the charter's text refuses.
    pub fn next_charter(
        &mut self,
        never: &Observable,
        in_force: &Charter,
        fresh: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<SignedCharter>, Refusal> {
        let able = |name: &&str| !self.revoked.contains(&self.agent_key(name).public().id());
        let by: Vec<&str> =
            ["bank", "vendor", "cloud", "telecom", "hosting"].into_iter().filter(able).take(3).collect();
        if by.len() < 3 {
            return Ok(None);
        }
        let mut charter = self.world.charter.clone();
        charter.alliance.version += 1;
        charter.alliance.previous = self.charters.last().map(SignedCharter::digest);
        charter.alliance.made = now;
        charter.guards.never.push(never.to_string());
        charter.members.clone_from(&in_force.members);
        for (n, member) in (0..).zip(charter.members.iter_mut()).filter(|(_, member)| member.keys.is_empty()) {
            let mut seed = fresh;
            seed[0] ^= n;
            let public = SigningKey::from_seed(&seed).public();
            member.keys.push(MemberKey { public, from: now, until: None });
        }
        let signed = self.sign(&charter, &by)?;
        self.world.guards = Guards::new(&charter, &self.lists)?;
        self.world.charter = charter;
        self.charters.push(signed.clone());
        Ok(Some(signed))
    }

    /// Digest of the first charter, which every agent pins.
    pub fn pin(&self) -> Digest {
        self.charters.first().map_or_else(|| Digest::of(&[]), SignedCharter::digest)
    }

    /// Who signs checkpoints for the hub.
    ///
    /// # Errors
    /// The alliance's name cannot sign.
    pub fn signer(&self) -> Result<Signer, Refusal> {
        Signer::new(&self.world.charter.alliance.name, &HUB_SECRET).map_err(Refusal::from)
    }

    /// When every run begins.
    pub fn start(&self) -> Timestamp {
        self.world.now
    }

    /// Members with an agent that is not in hostile hands.
    pub fn honest(&self) -> Vec<MemberId> {
        let members = AGENTS.iter().filter_map(|name| name.parse().ok());
        members.filter(|member| !self.hostile.contains(member)).collect()
    }
}
