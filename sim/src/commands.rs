//! Random commands that no alliance may carry out, against the hub's doors and state machine, the checker, and the
//! agent: judge and core. Each must be refused, and each refusal names its rule.

use crate::cast::Cast;
use crate::hub::{Hub, Outcome, Request};
use crate::member::Member;
use crate::random::Random;
use agent::core::{Input, Output, Record, Submission};
use alliance::{Command, Proposal, SignedProposal};
use decide::testing::hostile::{Kind, VICTIM, hostile};
use decide::{CheckContext, check, is_refused, read_part};
use model::{
    Action, Approval, Batch, Behaviour, FindingId, Grade, Handling, Measure, MemberId, MitigationId, Observable,
    Opening, PersonId, Plan, PlanPart, Refusal, Rule, Salt, Scope, Sensor, Sighting, SignedApproval, Span,
    StreamMessage, Target, Timestamp, Tlp, Verdict,
};
use std::collections::BTreeMap;

/// What one way of trying came to.
#[derive(Clone, Debug)]
pub struct Row {
    /// Who was asked, and how.
    pub way: String,
    /// How many commands.
    pub tried: u32,
    /// How many were carried out; anything but 0 is a fault.
    pub carried_out: u32,
    /// How many each rule refused.
    pub refused: BTreeMap<Rule, u32>,
}

/// A command's end: the rule that refused it, or nothing, and then it was carried out.
type End = Option<Rule>;

/// Sends `count` commands, all ways in turn; the same seed sends the same.
pub fn run(seed: u64, count: u32) -> Vec<Row> {
    let mut random = Random::new(seed);
    let Some(mut stage) = Stage::new(&mut random) else { return Vec::new() };
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for turn in 0..count {
        let (way, end) = stage.command(turn, &mut random);
        let new = || Row { way: way.clone(), tried: 0, carried_out: 0, refused: BTreeMap::new() };
        let row = rows.entry(way.clone()).or_insert_with(new);
        row.tried += 1;
        match end {
            Some(rule) => *row.refused.entry(rule).or_default() += 1,
            None => row.carried_out += 1,
        }
    }
    rows.into_values().collect()
}

/// The rows as people read them, and the sums by rule.
pub fn table(rows: &[Row]) -> String {
    let mut text = format!("{:<44} {:>6} {:>11}  refused by\n", "asked of whom, and how", "tried", "carried out");
    let mut rules: BTreeMap<Rule, u32> = BTreeMap::new();
    for row in rows {
        let refused: Vec<String> = row.refused.iter().map(|(rule, n)| format!("{} {n}", rule.name())).collect();
        text += &format!("{:<44} {:>6} {:>11}  {}\n", row.way, row.tried, row.carried_out, refused.join(", "));
        row.refused.iter().for_each(|(rule, n)| *rules.entry(*rule).or_default() += n);
    }
    text += "\nrule                      refused\n";
    rules.iter().for_each(|(rule, n)| text += &format!("{:<24} {n:>8}\n", rule.name()));
    let (tried, done): (u32, u32) =
        (rows.iter().map(|row| row.tried).sum(), rows.iter().map(|row| row.carried_out).sum());
    text + &format!("{tried} commands, {done} carried out\n")
}

/// An alliance at work: a hub, and one agent that holds its charter.
struct Stage {
    cast: Cast,
    hub: Hub,
    victim: Member,
    now: Timestamp,
    finding: FindingId,
    plan: model::Digest,
    /// What the core refused before: a resend is not refused once more, it changes nothing.
    refused: BTreeMap<MitigationId, Rule>,
}

impl Stage {
    fn new(random: &mut Random) -> Option<Self> {
        let cast = Cast::new(random).ok()?;
        let mut hub = Hub::new(&cast, random.fork()).ok()?;
        let now = cast.start();
        let first = cast.charters.first()?.clone();
        let order = |hub: &mut Hub, command| {
            hub.turn(Some(command), false, now);
            hub.journal.sync();
        };
        order(&mut hub, Command::AdoptCharter(Box::new(first.clone())));
        let mut victim = Member::new(VICTIM.parse().ok()?, &cast, random).ok()?;
        victim.start(&cast).ok()?;
        let core = victim.core.as_mut()?;
        core.handle(Input::Restarted, now);
        core.handle(Input::Charter { signed: Box::new(first), lists: cast.lists.clone() }, now);
        let (finding, plan) = (FindingId::of(&cast.pin()), cast.pin());
        let mut stage = Self { cast, hub, victim, now, finding, plan, refused: BTreeMap::new() };
        stage.propose_one(random);
        Some(stage)
    }

    /// Two members report, a person proposes: there is a finding, and a plan that waits.
    fn propose_one(&mut self, random: &mut Random) -> Option<()> {
        for name in ["telecom", "cloud"] {
            let sighting = self.sighting("77.0.0.1".parse().ok()?);
            let command = self.report(name, name, &sighting, random).ok()?;
            self.hub.turn(Some(command), false, self.now);
            self.hub.journal.sync();
        }
        self.finding = self.hub.state.as_ref()?.findings(None, None, None, 1).first()?.id;
        let net = "77.0.0.0/24".parse().ok()?;
        let measure = Measure::new(Action::Deny, Target::Net(net), Scope::Border).ok()?;
        let proposal = self.proposal(measure)?;
        self.hub.turn(Some(Command::Propose(Box::new(proposal))), false, self.now);
        self.hub.journal.sync();
        self.plan = self.hub.state.as_ref()?.plans(None, 1).first()?.digest;
        Some(())
    }

    fn command(&mut self, turn: u32, random: &mut Random) -> (String, End) {
        let kinds = Kind::ALL.len();
        match turn % 4 {
            0 => {
                let kind = Kind::ALL.get(turn as usize / 4 % kinds).copied().unwrap_or(Kind::Wildcard);
                (format!("agent's core: {}", kind.as_str()), self.try_core(kind, random))
            }
            1 => {
                let kind = Kind::ALL.get(turn as usize / 4 % kinds).copied().unwrap_or(Kind::Wildcard);
                (format!("judge: {}", kind.as_str()), self.try_judge(kind, random))
            }
            2 => {
                let kind = CHECKED.get(turn as usize / 4 % CHECKED.len()).copied().unwrap_or(Kind::Guarded);
                (format!("checker: {}", kind.as_str()), self.try_checker(kind, random))
            }
            _ => {
                let way = WAYS.get(turn as usize / 4 % WAYS.len()).copied().unwrap_or(Way::Unsigned);
                (format!("hub: {}", way.as_str()), self.try_hub(way, random))
            }
        }
    }

    fn hostile_part(&mut self, kind: Kind, random: &mut Random) -> String {
        let mut draws = decide::testing::Random::new(random.bits());
        hostile(&self.cast.world, kind, &mut draws).json
    }

    fn try_judge(&mut self, kind: Kind, random: &mut Random) -> End {
        let json = self.hostile_part(kind, random);
        match read_part(json.as_bytes()) {
            Err(refusal) => Some(refusal.rule),
            Ok(part) => {
                let answers = self.cast.world.judge(VICTIM, &part);
                answers.into_iter().map(|judgement| rule_of(&judgement.answer)).next().flatten()
            }
        }
    }

    /// The same as it comes over the wire; what the core would carry out it writes down first.
    fn try_core(&mut self, kind: Kind, random: &mut Random) -> End {
        let json = self.hostile_part(kind, random);
        let message = match read_part(json.as_bytes()) {
            Err(refusal) => return Some(refusal.rule),
            Ok(part) => part,
        };
        let again = message.items.iter().find_map(|item| self.refused.get(&item.mitigation.id())).copied();
        let message = StreamMessage::Part(Box::new(message));
        let before = self.victim.core.as_ref().map(agent::core::Core::status);
        let core = self.victim.core.as_mut()?;
        let mut outputs = core.handle(Input::Message { position: 10, message: Box::new(message) }, self.now);
        if outputs.iter().any(|output| matches!(output, Output::FetchCharter(_))) {
            // The hub spoke of a charter that it cannot show: what it shows instead is none, and the part is judged.
            let mut signed = self.cast.charters.first()?.clone();
            signed.text.push_str("# another one\n");
            let lists = self.cast.lists.clone();
            outputs.extend(core.handle(Input::Charter { signed: Box::new(signed), lists }, self.now));
        }
        let held =
            outputs.iter().any(|output| matches!(output, Output::Persist(Record::Held(_)) | Output::Point { .. }));
        let receipt = outputs.iter().find_map(|output| match output {
            Output::Persist(Record::Receipt(receipt)) => Some((receipt.mitigation, receipt.refusal.as_ref()?.rule)),
            _ => None,
        });
        self.refused.extend(receipt);
        // What is meant for another member is counted and raises an alarm; it needs no receipt.
        let counted = |rule: Rule| core.status().counts.refusals.get(&rule).copied().unwrap_or(0);
        let before = before.and_then(|status| status.counts.refusals.get(&Rule::NotForUs).copied()).unwrap_or(0);
        let misdirected = (counted(Rule::NotForUs) > before).then_some(Rule::NotForUs);
        if held { None } else { receipt.map(|(_, rule)| rule).or(again).or(misdirected) }
    }

    /// A whole plan of one mitigation, as a hub might put in force.
    fn try_checker(&mut self, kind: Kind, random: &mut Random) -> End {
        let json = self.hostile_part(kind, random);
        let part: PlanPart = match read_part(json.as_bytes()) {
            Err(refusal) => return Some(refusal.rule),
            Ok(part) => part,
        };
        let mitigations = part.items.into_iter().map(|item| item.mitigation).collect();
        let plan = Plan { header: part.header, mitigations, evidence: part.evidence };
        let context = CheckContext {
            charter: &self.cast.world.charter,
            guards: &self.cast.world.guards,
            trust_alone: &BTreeMap::new(),
            head: None,
            now: self.now,
        };
        let faults = check(&plan, &context);
        let refused = faults.iter().find(|fault| fault.severity == decide::Severity::Refused);
        refused.filter(|_| is_refused(&faults)).map(|fault| fault.refusal.rule)
    }

    fn try_hub(&mut self, way: Way, random: &mut Random) -> End {
        let command = match self.bad_command(way, random) {
            Ok(command) => command,
            Err(refusal) => return Some(refusal.rule),
        };
        let turn = self.hub.turn(Some(command), false, self.now);
        self.hub.journal.sync();
        match turn.outcome {
            Some(Outcome::Refused(refusal)) => Some(refusal.rule),
            _ => None,
        }
    }

    fn bad_command(&mut self, way: Way, random: &mut Random) -> Result<Command, Refusal> {
        let mut sighting = self.sighting(stranger(random)?);
        match way {
            Way::Unsigned => self.report("telecom", "bank", &sighting, random),
            Way::Stranger => self.report("stranger", "stranger", &sighting, random),
            Way::Observer => self.report("watcher", "watcher", &sighting, random),
            Way::Bogon => {
                sighting.observable = format!("10.1.{}.{}", random.below(256), random.below(256)).parse()?;
                self.report("bank", "bank", &sighting, random)
            }
            Way::OwnSpace => {
                sighting.observable = format!("31.3.{}.{}", random.below(256), random.below(256)).parse()?;
                self.report("bank", "bank", &sighting, random)
            }
            Way::Red => {
                sighting.handling.tlp = Tlp::Red;
                self.report("bank", "bank", &sighting, random)
            }
            Way::Future => {
                sighting.last = self.now.plus(Span::minutes(random.between(6, 100_000)));
                self.report("bank", "bank", &sighting, random)
            }
            Way::OutOfSequence => self.report_as("bank", "bank", &sighting, 2 + random.below(1_000), random),
            Way::Group => {
                sighting.handling.group = "pair".parse().ok();
                self.report("bank", "bank", &sighting, random)
            }
            Way::ExpiredApproval => self.approval("ada@bank", "ada@bank", -random.between(1, 86_400_000)),
            Way::ReplayedApproval => {
                self.plan = model::Digest::of(&[&random.bytes16()]);
                let approval = self.approval("ada@bank", "ada@bank", 3_600_000);
                self.plan = self.waiting().unwrap_or(self.plan);
                approval
            }
            Way::FalseApproval => self.approval("ada@bank", "ada@cloud", 3_600_000),
            Way::ProposalForOthersSpace => {
                let host = format!("31.2.{}.{}", random.below(256), random.below(256)).parse();
                let host = host.map_err(|_| unreadable())?;
                self.proposed(Measure::new(Action::Deny, Target::Host(host), Scope::ProtectOwn)?)
            }
            Way::ProposalForNever => self.proposed(Measure::deny(&"44.4.4.4".parse()?)?),
            Way::ProposalTooWide => {
                let net = format!("60.{}.0.0/{}", random.below(256), 16 + random.below(8)).parse()?;
                self.proposed(Measure::new(Action::Deny, Target::Net(net), Scope::Border)?)
            }
            Way::Shouting => {
                let bytes: Vec<u8> = (0..random.below(200)).map(|_| random.bits() as u8).collect();
                let text = String::from_utf8_lossy(&bytes).into_owned();
                Sighting::parse(&text).and(Err(unreadable()))
            }
        }
    }

    fn waiting(&self) -> Option<model::Digest> {
        let plans = self.hub.state.as_ref()?.plans(None, 10);
        plans.iter().find(|plan| plan.state == "proposed").map(|plan| plan.digest)
    }

    fn sighting(&self, observable: Observable) -> Sighting {
        Sighting {
            observable,
            behaviour: Behaviour::Scan,
            first: self.now,
            last: self.now,
            count: 1,
            sensor: Sensor::Ids,
            grade: Grade::Handshake,
            handling: Handling::alliance(Tlp::Green),
        }
    }

    fn report(&self, by: &str, author: &str, sighting: &Sighting, random: &mut Random) -> Result<Command, Refusal> {
        let member: MemberId = author.parse()?;
        let next = self.hub.state.as_ref().map_or(1, |state| state.next_sequence(&member));
        self.report_as(by, author, sighting, next, random)
    }

    fn report_as(
        &self,
        by: &str,
        author: &str,
        sighting: &Sighting,
        sequence: u64,
        random: &mut Random,
    ) -> Result<Command, Refusal> {
        let opening = Opening::seal(Salt(random.bytes16()), sighting);
        let key = self.cast.world.agent_key(by);
        let author: MemberId = author.parse()?;
        let next = self.hub.state.as_ref().map_or(1, |state| state.next_sequence(&author));
        let batch = Batch::seal(author.clone(), &key, sequence.max(next), self.now, vec![opening]);
        self.hub.admit(&author, Request::Submit(Box::new(Submission::Sightings(Box::new(batch)))), self.now)
    }

    fn approval(&self, person: &str, key_of: &str, lasts: i64) -> Result<Command, Refusal> {
        let (person, key_of): (PersonId, PersonId) = (person.parse()?, key_of.parse()?);
        let key = self.cast.world.person_key(&key_of);
        let made = self.now.minus(Span::days(1));
        let approval = Approval {
            plan: self.plan,
            person: person.clone(),
            key: self.cast.world.person_key(&person).public().id(),
            verdict: Verdict::Approve,
            made: if lasts < 0 { made } else { self.now },
            expires: self.now.plus(Span::millis(lasts)),
        };
        let request = Request::Approve(Box::new(SignedApproval::sign(approval, &key)));
        self.hub.admit(&person.member(), request, self.now)
    }

    fn proposal(&self, measure: Measure) -> Option<SignedProposal> {
        let proposal = Proposal {
            person: "ada@bank".parse().ok()?,
            finding: self.finding,
            measure,
            members: vec!["bank".parse().ok()?],
            lasts: Span::hours(1),
            reason: "why not".to_owned(),
            made: self.now,
            expires: self.now.plus(Span::hours(1)),
        };
        let key = self.cast.world.person_key(&proposal.person);
        Some(SignedProposal::sign(proposal, &key))
    }

    fn proposed(&self, measure: Measure) -> Result<Command, Refusal> {
        self.proposal(measure).map(|signed| Command::Propose(Box::new(signed))).ok_or_else(unreadable)
    }
}

fn rule_of(answer: &decide::Answer) -> Option<Rule> {
    match answer {
        decide::Answer::Refuse(refusal) => Some(refusal.rule),
        decide::Answer::Accept | decide::Answer::Ask { .. } => None,
    }
}

fn stranger(random: &mut Random) -> Result<Observable, Refusal> {
    let text = format!("61.{}.{}.{}", random.below(256), random.below(256), random.below(256));
    Ok(text.parse()?)
}

fn unreadable() -> Refusal {
    Refusal::new(Rule::Malformed, "noise", "a statement in the documented form")
}

/// Kinds that a whole plan shows to the checker; approvals are counted elsewhere.
const CHECKED: [Kind; 14] = [
    Kind::NotDefensive,
    Kind::Oversize,
    Kind::Wildcard,
    Kind::Widened,
    Kind::OthersSpace,
    Kind::NotOwned,
    Kind::Guarded,
    Kind::SharedCloud,
    Kind::NoEvidence,
    Kind::OneTwice,
    Kind::Unsigned,
    Kind::Spoofable,
    Kind::Endless,
    Kind::NoInverse,
];

macro_rules! ways {
    ($($way:ident = $text:literal,)+) => {
        /// A way to ask the hub for what it must not do.
        #[derive(Clone, Copy, Debug)]
        enum Way { $($way,)+ }

        /// All of them.
        const WAYS: &[Way] = &[$(Way::$way,)+];

        impl Way {
            const fn as_str(self) -> &'static str {
                match self { $(Self::$way => $text,)+ }
            }
        }
    };
}

ways! {
    Unsigned = "signed by another member",
    Stranger = "by a stranger",
    Observer = "reported by an observer",
    Bogon = "private addresses",
    OwnSpace = "the author's own space",
    Red = "marked RED",
    Future = "of tomorrow",
    OutOfSequence = "numbers left out",
    Group = "for a group of others",
    ExpiredApproval = "expired approval",
    ReplayedApproval = "approval of another plan",
    FalseApproval = "approval by a wrong key",
    ProposalForOthersSpace = "proposal to act in others' space",
    ProposalForNever = "proposal against the never-list",
    ProposalTooWide = "proposal that is too wide",
    Shouting = "noise",
}
