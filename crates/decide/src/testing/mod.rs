//! A small alliance for tests, and a generator of hostile plan parts. Nothing here is used by the program's own work;
//! the simulator and the bench print the table that [`hostile::run`] makes.

#![expect(clippy::unwrap_used, reason = "test support: a constant that does not parse is a fault of this file")]

pub mod hostile;
mod keys;
mod random;

pub use keys::Wanted;
pub use random::Random;

use crate::allow::AllowList;
use crate::judge::{Context, Judgement, judge};
use crate::orders::StandingOrders;
use crate::plan::{Candidate, Input, Lineage, Planned, plan};
use charter::{
    Alliance, Assets, Charter, Corroboration, GuardFile, GuardRules, Guards, HandlingDefaults, Limits, Member,
    MemberKey, Person, Quorum, Relevance, Witnessing,
};
use model::{
    Approval, Batch, Behaviour, Capability, Digest, Evidence, Finding, FindingState, Grade, Handling, Inverse,
    LineageId, Measure, MemberId, MemberKind, Mitigation, Observable, Opening, PersonId, PlanHeader, PlanPart, Role,
    Salt, Segment, Sensor, Sighting, SignedApproval, SigningKey, Span, Standing, Statement, Sum, SumLine, Timestamp,
    Tlp, Verdict,
};
use std::collections::{BTreeMap, BTreeSet};

/// Five vetted members with two persons each, a newcomer on probation, and an observer.
pub const MEMBERS: [&str; 7] = ["telecom", "cloud", "bank", "vendor", "hosting", "newcomer", "watcher"];

const NETS: &str = "cidr,class,list\n9.9.9.9/32,resolver,public-dns\n20.0.0.0/8,cloud-shared,azure\n";
const NAMES: &str = "domain,class,lists\nbigbank.com,bank,banks\nmany-sites.com,shared-hosting,lots\n";

/// An alliance at one moment.
#[derive(Clone, Debug)]
pub struct World {
    /// Its charter.
    pub charter: Charter,
    /// The charter's guards.
    pub guards: Guards,
    /// The moment.
    pub now: Timestamp,
}

impl World {
    /// The alliance on 1 March 2026.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// The alliance with a charter that was changed.
    pub fn with(change: impl FnOnce(&mut Charter)) -> Self {
        let lists = [NETS.as_bytes().to_vec(), NAMES.as_bytes().to_vec()];
        let mut charter = charter(&lists);
        change(&mut charter);
        let guards = Guards::new(&charter, &lists).unwrap();
        Self { charter, guards, now: "2026-03-01T12:00:00Z".parse().unwrap() }
    }

    /// The key of a member's agent.
    pub fn agent_key(&self, member: &str) -> SigningKey {
        seed("agent", member)
    }

    /// The key with which a member's agent cosigns checkpoints.
    pub fn witness_key(&self, member: &str) -> SigningKey {
        seed("witness", member)
    }

    /// A person's key.
    pub fn person_key(&self, person: &PersonId) -> SigningKey {
        seed("person", person.as_str())
    }

    /// A key that stands in no charter.
    pub fn strangers_key(&self) -> SigningKey {
        seed("stranger", "eve")
    }

    /// A sighting of a minute ago, by a completed connection.
    pub fn sighting(&self, observable: &Observable, behaviour: Behaviour) -> Sighting {
        let at = self.now.minus(Span::minutes(1));
        Sighting {
            observable: observable.clone(),
            behaviour,
            first: at,
            last: at,
            count: 3,
            sensor: Sensor::Ids,
            grade: Grade::Handshake,
            handling: Handling::alliance(Tlp::Green),
        }
    }

    /// The sighting, signed by the member's agent now.
    pub fn evidence(&self, member: &str, sighting: &Sighting) -> Evidence {
        self.evidence_by(member, &self.agent_key(member), sighting)
    }

    /// The sighting as the member's, signed with some key.
    pub fn evidence_by(&self, member: &str, key: &SigningKey, sighting: &Sighting) -> Evidence {
        let opening = Opening::seal(Salt([7; 16]), sighting);
        let batch = Batch::seal(member.parse().unwrap(), key, 1, self.now, vec![opening]);
        batch.evidence(&batch.tree(), 0).unwrap()
    }

    /// The evidence of telecom and cloud.
    pub fn two_witnesses(&self, observable: &Observable, behaviour: Behaviour) -> Vec<Evidence> {
        let sighting = self.sighting(observable, behaviour);
        ["telecom", "cloud"].map(|member| self.evidence(member, &sighting)).to_vec()
    }

    /// A finding that two fresh founders corroborate.
    pub fn finding(&self, observable: &Observable, behaviour: Behaviour) -> Finding {
        let line = |member: &str| SumLine {
            member: member.parse().unwrap(),
            grade: Grade::Handshake,
            weight: 1.792,
            age_days: 0.001,
            decay: 1.0,
            dependence: 0.0,
            points: 1.792,
            retracted: false,
            copies: None,
            note: String::new(),
        };
        let at = self.now.minus(Span::minutes(1));
        Finding {
            id: model::finding_id(observable, behaviour.family()),
            observable: observable.clone(),
            family: behaviour.family(),
            behaviours: BTreeSet::from([behaviour]),
            state: FindingState::Corroborated,
            actionable: true,
            sum: Sum { lines: vec![line("telecom"), line("cloud")], cut: 0.0, total: 3.584, threshold: 2.0 },
            guard: None,
            handling: Handling::alliance(Tlp::Green),
            first: at,
            last: at,
            made: self.now,
        }
    }

    /// What the planner makes of findings, with nothing in force.
    pub fn plan(&self, findings: &[Finding]) -> Planned {
        let candidates: Vec<Candidate<'_>> = findings.iter().map(|finding| self.candidate(finding)).collect();
        let (in_force, trust_alone) = (BTreeMap::new(), BTreeMap::new());
        plan(&Input {
            charter: &self.charter,
            guards: &self.guards,
            candidates: &candidates,
            in_force: &in_force,
            room_taken: &BTreeMap::new(),
            trust_alone: &trust_alone,
            parent: None,
            generation: 1,
            now: self.now,
        })
    }

    /// A finding with the evidence of two members.
    pub fn candidate<'a>(&self, finding: &'a Finding) -> Candidate<'a> {
        let behaviour = finding.behaviours.first().copied().unwrap();
        let evidence = self.two_witnesses(&finding.observable, behaviour);
        Candidate { finding, evidence, relevance: BTreeMap::new() }
    }

    /// The lineage of what a machine plans for a member about a finding.
    pub fn lineage(&self, member: &str, finding: &Finding) -> Lineage {
        let measure = Measure::deny(&finding.observable).unwrap();
        let mitigation = Mitigation {
            member: member.parse().unwrap(),
            finding: finding.id,
            observable: finding.observable.clone(),
            family: finding.family,
            generation: 1,
            inverse: Inverse::of(measure.action()),
            measure,
            expires: self.now,
        };
        Lineage::of(&mitigation)
    }

    /// A person's verdict on a plan, made now and good for an hour.
    pub fn approval(&self, header: &PlanHeader, person: &str, verdict: Verdict) -> SignedApproval {
        let person: PersonId = person.parse().unwrap();
        let key = self.person_key(&person);
        let approval = Approval {
            plan: header.digest(),
            key: key.public().id(),
            person,
            verdict,
            made: self.now,
            expires: self.now.plus(Span::hours(1)),
        };
        SignedApproval::sign(approval, &key)
    }

    /// What the member's agent decides about a part, with default orders, nothing in force and no generation seen.
    pub fn judge(&self, member: &str, part: &PlanPart) -> Vec<Judgement> {
        self.judge_as(member, part, &StandingOrders::default(), &AllowList::default(), &BTreeMap::new())
    }

    /// What the member's agent decides about a part.
    pub fn judge_as(
        &self,
        member: &str,
        part: &PlanPart,
        orders: &StandingOrders,
        allow: &AllowList,
        generations: &BTreeMap<LineageId, u64>,
    ) -> Vec<Judgement> {
        let member: MemberId = member.parse().unwrap();
        judge(
            part,
            &Context {
                member: &member,
                charter: &self.charter,
                guards: &self.guards,
                orders,
                allow,
                generations,
                held: &generations.keys().copied().collect(),
                in_force: 0,
                points: &|_| BTreeSet::from(["edge".parse().unwrap()]),
                now: self.now,
            },
        )
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

fn seed(kind: &str, name: &str) -> SigningKey {
    SigningKey::from_seed(Digest::of(&[b"decide/testing/", kind.as_bytes(), b"/", name.as_bytes()]).as_bytes())
}

fn live(key: &SigningKey) -> Vec<MemberKey> {
    vec![MemberKey { public: key.public(), from: "2026-01-01T00:00:00Z".parse().unwrap(), until: None }]
}

fn charter(lists: &[Vec<u8>]) -> Charter {
    let file = |(name, text): (&str, &Vec<u8>)| GuardFile { file: name.into(), sha256: Digest::of(&[text]) };
    Charter {
        alliance: Alliance {
            name: "testing.alliance".into(),
            version: 1,
            previous: None,
            made: "2026-01-01T00:00:00Z".parse().unwrap(),
            hub_key: seed("hub", "hub").public(),
        },
        corroboration: Corroboration::default(),
        relevance: Relevance::default(),
        guards: GuardRules {
            never: vec!["44.4.4.4".into(), "hub.testing.org".into()],
            list: ["nets.csv", "names.csv"].into_iter().zip(lists).map(file).collect(),
        },
        membership: charter::Membership::default(),
        quorum: Quorum::default(),
        witness: Witnessing::default(),
        limits: Limits::default(),
        handling: HandlingDefaults::default(),
        groups: Vec::new(),
        revoked: BTreeSet::new(),
        members: (1..).zip(MEMBERS).map(|(number, name)| member(number, name)).collect(),
    }
}

fn member(number: u8, name: &str) -> Member {
    let (kind, standing) = match name {
        "newcomer" => (MemberKind::Associate, Standing::Probation),
        "watcher" => (MemberKind::Observer, Standing::Vetted),
        _ => (MemberKind::Full, Standing::Vetted),
    };
    let person = |first: &str| {
        let id: PersonId = format!("{first}@{name}").parse().unwrap();
        Person { keys: live(&seed("person", id.as_str())), id }
    };
    let roles = match kind {
        MemberKind::Observer => vec![Role::Observer],
        _ => vec![Role::Reporter, Role::Approver, Role::Operator],
    };
    Member {
        id: name.parse().unwrap(),
        name: name.to_owned(),
        kind,
        standing,
        segments: BTreeSet::from([Segment::Infrastructure]),
        roles: roles.into_iter().collect(),
        capabilities: Capability::ALL.iter().copied().collect(),
        witness: (kind != MemberKind::Observer).then(|| seed("witness", name).public()),
        keys: live(&seed("agent", name)),
        persons: vec![person("ada"), person("bob")],
        assets: Assets {
            prefixes: BTreeSet::from([format!("31.{number}.0.0/16").parse().unwrap()]),
            domains: BTreeSet::from([format!("{name}-own.net").parse().unwrap()]),
            asns: BTreeSet::new(),
        },
    }
}
