//! Plan parts as a hostile hub, or somebody with a stolen connection, would send them: each breaks one rule on purpose
//! and is otherwise as good as possible. None may ever be accepted, and each refusal names the rule.

use super::{MEMBERS, Random, World};
use crate::judge::{Answer, read_part};
use crate::plan::assemble::Assembly;
use model::{
    Action, Actions, Behaviour, Class, Domain, Evidence, FindingId, Grade, Inverse, Measure, Mitigation, Observable,
    PlanPart, Prefix, Rule, Scope, SignedApproval, Span, Target, Verdict,
};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// Whose agent is asked.
pub const VICTIM: &str = "telecom";

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $text:literal, refused by $($rule:ident)|+;)+) => {
        /// A way to be hostile.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Kind { $($(#[$doc])* $kind,)+ }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)+];

            /// The kind in words.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$kind => $text,)+ }
            }

            /// The rules that may refuse it.
            pub const fn rules(self) -> &'static [Rule] {
                match self { $(Self::$kind => &[$(Rule::$rule,)+],)+ }
            }
        }
    };
}

kinds! {
    /// An action, scope or combination that is not defensive.
    NotDefensive = "not defensive", refused by Malformed | DefensiveVocabulary;
    /// A network wider than /24 or /48.
    Oversize = "oversize prefix", refused by TargetTooWide;
    /// Everything, or everything under a public suffix.
    Wildcard = "wildcard target", refused by Malformed | GuardNever;
    /// A /24 or a neighbouring name, on evidence of one address or name.
    Widened = "wider than its evidence", refused by ClassTooLow | TargetTooWide;
    /// Another member's space, denied at the border.
    OthersSpace = "another member's space", refused by MemberSpace;
    /// Another member's space as one's own, or a redirect to another's name.
    NotOwned = "claims what is another's", refused by OnlyOwnAssets;
    /// The charter's own list, bogons, resolvers, banks.
    Guarded = "guarded", refused by GuardNever;
    /// A shared cloud, on the evidence of two.
    SharedCloud = "shared cloud, two witnesses", refused by GuardCaution;
    /// No evidence at all.
    NoEvidence = "no evidence", refused by EvidenceMissing;
    /// One member's evidence, shown twice.
    OneTwice = "one witness twice", refused by EvidenceMissing;
    /// Evidence of those who do not count.
    Uncounted = "newcomers and observers", refused by EvidenceMissing | RoleMissing;
    /// Evidence about something else.
    OtherThing = "evidence of another thing", refused by EvidenceMissing;
    /// Signed by a key that is not the member's.
    Unsigned = "unsigned evidence", refused by EvidenceUnsigned;
    /// The signature or the sighting was changed.
    Forged = "forged evidence", refused by BadSignature | DigestMismatch;
    /// Lone packets.
    Spoofable = "spoofable evidence", refused by EvidenceSpoofable;
    /// Of a sender that does not permit it, or stays unnamed.
    NotPermitted = "evidence not to be acted upon", refused by ActionsNotPermitted;
    /// Too old.
    Stale = "stale evidence", refused by EvidenceStale;
    /// Of tomorrow.
    Future = "evidence of tomorrow", refused by ClockSkew;
    /// A quorum's plan without approvals, or with one member's only.
    NoApproval = "no approval", refused by ApprovalMissing;
    /// Approvals that have run out.
    ExpiredApproval = "expired approvals", refused by ApprovalExpired;
    /// Approvals of another plan.
    ReplayedApproval = "replayed approvals", refused by ApprovalReplayed;
    /// Approvals with the agents' keys, or by strangers.
    FalseApproval = "approvals by wrong keys", refused by UnknownKey | BadSignature | UnknownMember;
    /// Lasts too long, or has ended.
    Endless = "endless or ended", refused by ExpiryRequired;
    /// Nothing undoes it.
    NoInverse = "wrong inverse", refused by InverseRequired;
    /// Changed after the digest was taken.
    Altered = "altered after the digest", refused by DigestMismatch;
    /// Addressed to another member.
    Misdirected = "for another member", refused by NotForUs;
    /// Of another alliance, a future charter, or tomorrow.
    WrongHeader = "wrong header", refused by NotForUs | CharterOld | ClockSkew | OldGeneration | BlastRadius;
}

/// One hostile part, as it comes over the wire.
#[derive(Clone, Debug)]
pub struct Hostile {
    /// What is wrong with it.
    pub kind: Kind,
    /// The part as JSON.
    pub json: String,
}

/// How the agent dealt with one kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// The kind.
    pub kind: Kind,
    /// How many mitigations were asked for.
    pub tried: u32,
    /// How many were not refused; anything but 0 is a fault.
    pub accepted: u32,
    /// How many each rule refused.
    pub refused: BTreeMap<Rule, u32>,
}

/// Sends `count` hostile parts, all kinds in turn, to the victim's agent; the same seed gives the same parts.
pub fn run(world: &World, seed: u64, count: u32) -> Vec<Row> {
    let row = |kind: &Kind| Row { kind: *kind, tried: 0, accepted: 0, refused: BTreeMap::new() };
    let mut rows: Vec<Row> = Kind::ALL.iter().map(row).collect();
    let mut random = Random::new(seed);
    let turns = rows.len();
    for turn in 0..count as usize {
        let row = &mut rows[turn % turns];
        for answer in answers(world, &hostile(world, row.kind, &mut random)) {
            row.tried += 1;
            match answer {
                Answer::Refuse(refusal) => *row.refused.entry(refusal.rule).or_default() += 1,
                Answer::Accept | Answer::Ask { .. } => row.accepted += 1,
            }
        }
    }
    rows
}

/// What the victim's agent answers; at least one answer.
pub fn answers(world: &World, hostile: &Hostile) -> Vec<Answer> {
    match read_part(hostile.json.as_bytes()) {
        Ok(part) => world.judge(VICTIM, &part).into_iter().map(|judgement| judgement.answer).collect(),
        Err(refusal) => vec![Answer::Refuse(refusal)],
    }
}

/// A hostile part of this kind.
pub fn hostile(world: &World, kind: Kind, random: &mut Random) -> Hostile {
    let json = match kind {
        Kind::NotDefensive | Kind::Oversize | Kind::Wildcard => unspeakable(world, kind, random),
        _ => serde_json::to_string(&part(world, kind, random)).unwrap(),
    };
    Hostile { kind, json }
}

/// Parts that the types cannot hold: made as text from an innocent one.
fn unspeakable(world: &World, kind: Kind, random: &mut Random) -> String {
    if kind == Kind::Wildcard && random.below(3) == 0 {
        let suffix = *random.pick(&["co.uk", "com.au", "github.io", "duckdns.org"]).unwrap();
        return serde_json::to_string(&Forge::new(world, suffix.parse().unwrap()).part()).unwrap();
    }
    let innocent = Forge::new(world, Observable::Address("60.1.2.3".parse().unwrap())).part();
    let json = serde_json::to_string(&innocent).unwrap();
    let measure = |action: &str, target: &str, scope: &str| {
        format!(r#""measure":{{"action":{action},"target":{target},"scope":"{scope}"}}"#)
    };
    let host = r#"{"host":"60.1.2.3"}"#;
    let replacement = match kind {
        Kind::NotDefensive => {
            let actions = ["detonate", "scan", "locate", "exploit", "start", "restart", "copy", "create", "stop"];
            match random.below(3) {
                0 => measure(&format!("\"{}\"", random.pick(&actions).unwrap()), host, "border"),
                1 => measure("\"contain\"", host, "border"),
                _ => measure("\"deny\"", host, "remote"),
            }
        }
        Kind::Oversize => {
            let net = match random.below(2) {
                0 => Prefix::new(IpAddr::V4((60 << 24).into()), 8 + random.below(16) as u8).unwrap(),
                _ => Prefix::new(IpAddr::V6((0x2600 << 112).into()), 16 + random.below(32) as u8).unwrap(),
            };
            measure("\"deny\"", &format!(r#"{{"net":"{net}"}}"#), "border")
        }
        _ => {
            let targets = [
                r#"{"net":"0.0.0.0/0"}"#,
                r#"{"net":"::/0"}"#,
                r#"{"domain_name":"com"}"#,
                r#"{"domain_name":"*"}"#,
                r#"{"domain_name":"*.example.com"}"#,
                r#"{"host":"0.0.0.0/0"}"#,
            ];
            measure("\"deny\"", random.pick(&targets).unwrap(), "border")
        }
    };
    let innocent = measure("\"deny\"", host, "border");
    assert!(json.contains(&innocent), "{json}");
    json.replace(&innocent, &replacement)
}

fn part(world: &World, kind: Kind, random: &mut Random) -> PlanPart {
    let mut forge = Forge::new(world, Observable::Address(stranger(random)));
    match kind {
        Kind::OthersSpace | Kind::Guarded | Kind::SharedCloud => {
            forge = Forge::new(world, guarded(kind, random));
        }
        Kind::Widened => widened(&mut forge, world, random),
        Kind::NotOwned => not_owned(&mut forge, random),
        Kind::Endless => {
            let (now, long) = (world.now, Span::hours(24));
            let ends = [Span::days(365), Span::millis(long.as_millis() + 1), Span::ZERO, Span::hours(-1)];
            forge.mitigation.expires = now.plus(*random.pick(&ends).unwrap());
        }
        Kind::NoInverse => {
            forge.mitigation.inverse = *random.pick(&[Inverse::Nothing, Inverse::Release, Inverse::Correct]).unwrap();
        }
        Kind::Misdirected => forge.mitigation.member = random.pick(&MEMBERS[1..]).unwrap().parse().unwrap(),
        Kind::NoApproval | Kind::ExpiredApproval | Kind::ReplayedApproval | Kind::FalseApproval => {
            return unapproved(forge, kind, random);
        }
        Kind::Altered | Kind::WrongHeader => return tampered(forge, kind, random),
        _ => forge.evidence = false_evidence(world, &forge.mitigation.observable, kind, random),
    }
    forge.approved_part()
}

/// An address that no guard stands before.
fn stranger(random: &mut Random) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(60 << 24 | random.below(1 << 24) as u32))
}

fn guarded(kind: Kind, random: &mut Random) -> Observable {
    let octet = random.below(256);
    let texts = match kind {
        Kind::OthersSpace => vec![
            format!("31.{}.7.{octet}", 2 + random.below(4)),
            "cloud-own.net".to_owned(),
            format!("http://www.bank-own.net/{octet}"),
        ],
        Kind::SharedCloud => vec![format!("20.1.2.{octet}"), "http://many-sites.com/x".to_owned()],
        _ => vec![
            "44.4.4.4".to_owned(),
            format!("10.1.2.{octet}"),
            "9.9.9.9".to_owned(),
            "login.bigbank.com".to_owned(),
            "testing.org".to_owned(),
            "http://localhost/x".to_owned(),
            "198.41.0.4".to_owned(),
            "fe80::1".to_owned(),
        ],
    };
    random.pick(&texts).unwrap().parse().unwrap()
}

fn widened<'a>(forge: &mut Forge<'a>, world: &'a World, random: &mut Random) {
    match random.below(2) {
        0 => {
            let address: Ipv4Addr = match forge.mitigation.observable {
                Observable::Address(IpAddr::V4(v4)) => v4,
                _ => Ipv4Addr::new(60, 1, 2, 3),
            };
            let low = u32::from(address) & 0xffff_ff00;
            let net = Prefix::new(IpAddr::V4(low.into()), 24 + random.below(8) as u8).unwrap();
            forge.mitigation.measure = Measure::new(Action::Deny, Target::Net(net), Scope::Border).unwrap();
        }
        _ => {
            *forge = Forge::new(world, "evil.wide-host.com".parse().unwrap());
            let parent: Domain = "wide-host.com".parse().unwrap();
            forge.mitigation.measure = Measure::new(Action::Deny, Target::DomainName(parent), Scope::Border).unwrap();
        }
    }
}

/// With everything signed that could be: the claim alone is false.
fn not_owned(forge: &mut Forge<'_>, random: &mut Random) {
    let (action, target, scope, class) = match random.below(4) {
        0 => {
            let to: Domain = "sinkhole.cloud-own.net".parse().unwrap();
            let name: Domain = "evil.wide-host.com".parse().unwrap();
            (Action::Redirect { to }, Target::DomainName(name), Scope::Border, Class::Quorum)
        }
        1 => (Action::Contain, Target::Host(stranger(random)), Scope::ContainOwn, Class::Owner),
        2 => {
            let host = IpAddr::V4(Ipv4Addr::new(31, 2, 0, random.below(256) as u8));
            (Action::Deny, Target::Host(host), Scope::ProtectOwn, Class::Owner)
        }
        _ => {
            let limit = Action::Limit { bits_per_second: 1_000_000 };
            (limit, Target::Host(stranger(random)), Scope::ContainOwn, Class::Owner)
        }
    };
    forge.mitigation.measure = Measure::new(action, target, scope).unwrap();
    forge.mitigation.inverse = Inverse::of(forge.mitigation.measure.action());
    forge.class = class;
}

fn false_evidence(world: &World, observable: &Observable, kind: Kind, random: &mut Random) -> Vec<Evidence> {
    let honest = world.sighting(observable, Behaviour::Bruteforce);
    let mut sighting = honest.clone();
    let mut key = world.agent_key("cloud");
    let mut author = "cloud";
    match kind {
        Kind::NoEvidence => return Vec::new(),
        Kind::OneTwice => author = "telecom",
        Kind::Uncounted => author = random.pick(&["newcomer", "watcher"]).unwrap(),
        Kind::OtherThing => match random.below(2) {
            0 => sighting.observable = Observable::Address("61.1.1.1".parse().unwrap()),
            _ => sighting.behaviour = Behaviour::C2,
        },
        Kind::Unsigned => key = world.strangers_key(),
        Kind::Spoofable => sighting.grade = Grade::Spoofable,
        Kind::NotPermitted => match random.below(3) {
            0 => sighting.handling.unnamed = true,
            1 => sighting.handling.actions = Actions::AskFirst,
            _ => sighting.handling.actions = Actions::None,
        },
        Kind::Stale => {
            let age = Span::millis(Span::days(7).as_millis() + 1 + random.below(1 << 30) as i64);
            (sighting.first, sighting.last) = (world.now.minus(age), world.now.minus(age));
        }
        Kind::Future => sighting.last = world.now.plus(Span::minutes(6 + random.below(10_000) as i64)),
        _ => {}
    }
    if matches!(kind, Kind::OneTwice | Kind::Uncounted) {
        key = world.agent_key(author);
    }
    let mut second = world.evidence_by(author, &key, &sighting);
    if kind == Kind::Forged {
        match random.below(3) {
            0 => second.signature = world.strangers_key().sign(&second.header),
            1 => second.header.count += 1,
            _ => second.opening.salt = model::Salt([9; 16]),
        }
    }
    vec![world.evidence("telecom", &honest), second]
}

/// A plan that needs approvals it does not have.
fn unapproved(mut forge: Forge<'_>, kind: Kind, random: &mut Random) -> PlanPart {
    forge.class = Class::Quorum;
    let (world, mut part) = (forge.world, forge.part());
    let yes = |person: &str| world.approval(&part.header, person, Verdict::Approve);
    let mut approvals = vec![yes("ada@cloud"), yes("ada@bank")];
    match kind {
        Kind::NoApproval => match random.below(3) {
            0 => approvals.clear(),
            1 => drop(approvals.pop()),
            _ => approvals[1] = yes("bob@cloud"),
        },
        Kind::ExpiredApproval => {
            for signed in &mut approvals {
                signed.approval.made = world.now.minus(Span::hours(3));
                signed.approval.expires = world.now.minus(Span::millis(random.below(3_600_000) as i64));
                resign(world, signed);
            }
        }
        Kind::ReplayedApproval => {
            let mut other = part.header.clone();
            other.reasons.push(format!("another plan {}", random.next()));
            approvals = ["ada@cloud", "ada@bank"].map(|p| world.approval(&other, p, Verdict::Approve)).to_vec();
        }
        _ => {
            for signed in &mut approvals {
                let key = match random.below(2) {
                    0 => world.strangers_key(),
                    _ => world.agent_key(signed.approval.person.member().as_str()),
                };
                match random.below(3) {
                    0 => signed.approval.key = key.public().id(),
                    1 => {
                        signed.approval.person = "eve@nowhere".parse().unwrap();
                        signed.approval.key = key.public().id();
                    }
                    _ => {}
                }
                *signed = SignedApproval::sign(signed.approval.clone(), &key);
            }
        }
    }
    part.approvals = approvals;
    part
}

fn resign(world: &World, signed: &mut SignedApproval) {
    let key = world.person_key(&signed.approval.person);
    *signed = SignedApproval::sign(signed.approval.clone(), &key);
}

/// A good part, changed after its digest was taken.
fn tampered(forge: Forge<'_>, kind: Kind, random: &mut Random) -> PlanPart {
    let world = forge.world;
    let mut part = forge.part();
    let header = &mut part.header;
    match (kind, random.below(5)) {
        (Kind::Altered, 0) => part.items[0].mitigation.expires = world.now.plus(Span::hours(2)),
        (Kind::Altered, 1) => part.items[0].index = 1,
        (Kind::Altered, 2) => part.items[0].path.push(model::Digest::of(&[b"x"])),
        (Kind::Altered, 3) => header.count = 2,
        (Kind::Altered, _) => part.items[0].mitigation.observable = Observable::Address("60.9.9.9".parse().unwrap()),
        (_, 0) => header.alliance = "other.alliance".to_owned(),
        (_, 1) => header.charter = 2 + random.below(100),
        (_, 2) => header.made = world.now.plus(Span::hours(1)),
        (_, 3) => header.generation = 0,
        (_, _) => header.blast_radius.most_for_one_member = 0,
    }
    if header.count == 2 {
        header.blast_radius.mitigations = 2;
    }
    part
}

/// A part with one mitigation for the victim, sound and signed for until somebody spoils it.
struct Forge<'a> {
    world: &'a World,
    class: Class,
    mitigation: Mitigation,
    evidence: Vec<Evidence>,
}

impl<'a> Forge<'a> {
    fn new(world: &'a World, observable: Observable) -> Self {
        let behaviour = Behaviour::Bruteforce;
        let measure = Measure::deny(&observable).unwrap();
        Self {
            world,
            class: Class::Automatic,
            evidence: world.two_witnesses(&observable, behaviour),
            mitigation: Mitigation {
                member: VICTIM.parse().unwrap(),
                finding: model::finding_id(&observable, behaviour.family()),
                family: behaviour.family(),
                observable,
                generation: 1,
                inverse: Inverse::of(measure.action()),
                measure,
                expires: world.now.plus(Span::minutes(30)),
            },
        }
    }

    fn part(self) -> PlanPart {
        let member = self.mitigation.member.clone();
        let assembly = Assembly {
            charter: &self.world.charter,
            parent: None,
            generation: self.mitigation.generation,
            class: self.class,
            made: self.world.now,
            reasons: Vec::new(),
        };
        let evidence: BTreeMap<FindingId, _> = BTreeMap::from([(self.mitigation.finding, self.evidence)]);
        assembly.plan(vec![self.mitigation], evidence).parts(&[]).remove(&member).unwrap()
    }

    /// With the approvals that its class asks for.
    fn approved_part(self) -> PlanPart {
        let (world, class) = (self.world, self.class);
        let mut part = self.part();
        let persons: &[&str] = match class {
            Class::Automatic => &[],
            Class::Quorum => &["ada@cloud", "ada@bank"],
            Class::Owner => &["ada@telecom", "bob@telecom"],
        };
        part.approvals = persons.iter().map(|p| world.approval(&part.header, p, Verdict::Approve)).collect();
        part
    }
}

#[cfg(test)]
#[path = "hostile_tests.rs"]
mod tests;
