//! The scenes: each makes something happen and then looks whether it did. A scene that did not play as it should ends
//! the demo with what was expected and what was seen.

use super::cast::CAST;
use super::recorded::Recorded;
use super::stage::Stage;
use super::transcript::Transcript;
use crate::exit::Failure;
use model::{
    Action, Approval, Behaviour, Dispute, Grade, Ground, Handling, Measure, MemberId, Observable, Scope, Sensor,
    Sighting, SignedApproval, SignedDispute, Span, StreamMessage, Target, Timestamp, Tlp, Verdict,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a scene waits for what it expects.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// An address that only the newcomer reports.
const LONE: &str = "185.244.25.71";
/// An address on which two founders' sensors saw single packets, which anybody can forge.
const FORGED: &str = "185.220.101.9";
/// A domain that two founders report.
const CORROBORATED: &str = "login-update-account.top";
/// A resolver of the public.
const RESOLVER: &str = "9.9.9.9";
/// The network of a recorded scan, from which a dozen addresses came that day.
const NETWORK: &str = "112.101.64.0/24";
/// A domain that one member's owner does not want blocked.
const ALLOWED: &str = "files-mirror-eu.top";
/// A domain that turns out to be harmless.
const HARMLESS: &str = "wedding-photos-2025.top";

/// Plays everything after the replay.
pub async fn play(stage: &mut Stage, transcript: &mut Transcript) -> Result<(), Failure> {
    lone_newcomer(stage, transcript).await?;
    forged_packets(stage, transcript).await?;
    two_members(stage, transcript).await?;
    guarded_resolver(stage, transcript).await?;
    approved_network(stage, transcript).await?;
    own_allow_list(stage, transcript).await?;
    hostile_hub(stage, transcript).await?;
    upheld_dispute(stage, transcript).await
}

/// Replays the recordings through the members' own sensors.
pub async fn replay(stage: &mut Stage, rows: &[Recorded], transcript: &mut Transcript) -> Result<(), Failure> {
    let start = std::time::Instant::now();
    let mut told = Told::default();
    for row in rows {
        let due = row.after.to_std();
        if let Some(wait) = due.checked_sub(start.elapsed()).filter(|wait| *wait > Duration::from_millis(20)) {
            tokio::time::sleep(wait).await;
            told.look(stage, transcript).await?;
        }
        match stage.report(&row.member, &row.sighting(Stage::now())).await {
            Err(Failure::Refused { refusal, .. }) if refusal.rule == model::Rule::BogonEvidence => {
                transcript.note(&row.member, "refuses", format_args!("{}: {}", refusal.rule, refusal.value));
            }
            reported => reported?,
        }
    }
    told.look(stage, transcript).await?;
    let status = stage.api.get("/api/v1/status").await?;
    let (sightings, findings) = (&status["sightings"], &status["findings"]["corroborated"]);
    transcript.note("alliance", "holds", format_args!("{sightings} sightings, {findings} findings corroborated"));
    Ok(())
}

/// What of the replay was told already: the first of each kind is news.
#[derive(Default)]
struct Told {
    corroborated: u64,
    verified: u64,
    guarded: u64,
}

impl Told {
    async fn look(&mut self, stage: &Stage, transcript: &mut Transcript) -> Result<(), Failure> {
        let status = stage.api.get("/api/v1/status").await?;
        let corroborated = status["findings"]["corroborated"].as_u64().unwrap_or(0);
        let verified = status["mitigations"]["verified"].as_u64().unwrap_or(0);
        let guarded = status["findings"]["guarded"].as_u64().unwrap_or(0);
        if corroborated >= self.corroborated + 10 || (self.corroborated == 0 && corroborated > 0) {
            let sightings = &status["sightings"];
            let what = format!("{corroborated} corroborated findings in {sightings} sightings");
            transcript.note("alliance", "finds", what);
            self.corroborated = corroborated;
        }
        if self.verified == 0 && verified > 0 {
            transcript.note("members", "protect", "the first mitigations are read back as enforcing");
            self.verified = verified;
        }
        if self.guarded == 0 && guarded > 0 {
            transcript.note("rule", "holds", "guard_caution: an address of a shared network needs more, or a person");
            self.guarded = guarded;
        }
        Ok(())
    }
}

async fn lone_newcomer(stage: &mut Stage, transcript: &mut Transcript) -> Result<(), Failure> {
    transcript.scene("A newcomer's word alone");
    stage.report("newcomer", &sighting(LONE, Behaviour::Bruteforce, Grade::Payload)?).await?;
    transcript.note("newcomer", "reports", format_args!("{LONE} guesses passwords"));
    let why = stage.known(LONE).await?;
    let sum = &why["findings"][0]["finding"]["sum"];
    let text = format!("{LONE} is {}: {} of {} points", state(&why), sum["total"], sum["threshold"]);
    expect(state(&why) == "observed" && blocked(&why) == 0, "a newcomer alone is not acted upon", &text)?;
    transcript.note("alliance", "waits", format_args!("{text}; nobody acts on it"));
    Ok(())
}

async fn forged_packets(stage: &mut Stage, transcript: &mut Transcript) -> Result<(), Failure> {
    transcript.scene("Packets that anybody could have forged");
    for member in ["telecom", "cloud"] {
        stage.report(member, &sighting(FORGED, Behaviour::Scan, Grade::Spoofable)?).await?;
    }
    transcript.note("2 members", "report", format_args!("single packets with source {FORGED}"));
    stage.reporters(FORGED, 2).await?;
    let why = stage.known(FORGED).await?;
    let note = why["findings"][0]["finding"]["sum"]["lines"][0]["note"].as_str().unwrap_or_default();
    let text = format!("{FORGED} is {}, actionable: {}", state(&why), why["findings"][0]["finding"]["actionable"]);
    expect(blocked(&why) == 0, "forged packets are not acted upon", &text)?;
    transcript.note("alliance", "waits", format_args!("{text} ({note}); nobody acts on it"));
    Ok(())
}

async fn two_members(stage: &mut Stage, transcript: &mut Transcript) -> Result<(), Failure> {
    transcript.scene("Two independent members");
    let before = stage.ask_until(CORROBORATED, "NOERROR").await?;
    transcript.note("resolver", "answers", format_args!("{CORROBORATED}: {before}"));
    stage.report("security", &sighting(CORROBORATED, Behaviour::Phishing, Grade::Payload)?).await?;
    transcript.note("security", "reports", format_args!("{CORROBORATED} imitates a bank"));
    stage.known(CORROBORATED).await?;
    stage.report("telecom", &sighting(CORROBORATED, Behaviour::Phishing, Grade::Payload)?).await?;
    transcript.note("telecom", "reports", "the same");
    let why = stage.blocked(CORROBORATED).await?;
    let finding = &why["findings"][0]["finding"];
    let id = finding["id"].as_str().unwrap_or_default();
    transcript.note("alliance", "finds", format_args!("{id}: {}", sum_of(finding)));
    transcript.note("members", "protect", format_args!("{} read back as enforcing", read_back(&why)));
    let after = stage.ask_until(CORROBORATED, "NXDOMAIN").await?;
    transcript.note("resolver", "answers", format_args!("{CORROBORATED}: {after} ({})", stage.resolver));
    Ok(())
}

async fn guarded_resolver(stage: &mut Stage, transcript: &mut Transcript) -> Result<(), Failure> {
    transcript.scene("A guard");
    for member in ["telecom", "cloud", "device"] {
        stage.report(member, &sighting(RESOLVER, Behaviour::Ddos, Grade::Handshake)?).await?;
    }
    transcript.note("3 members", "report", format_args!("{RESOLVER}, which is a resolver of the public"));
    let why = stage.in_state(RESOLVER, "guarded").await?;
    let guard = &why["guard"];
    expect(blocked(&why) == 0, "a guarded address is never blocked by machine", &why.to_string())?;
    let (class, list) = (text(&guard["class"]), text(&guard["list"]));
    transcript.note("rule", "refuses", format_args!("guard_never: {RESOLVER} is a {class} ({list})"));
    Ok(())
}

async fn approved_network(stage: &mut Stage, transcript: &mut Transcript) -> Result<(), Failure> {
    transcript.scene("A network, which machines do not decide");
    let seed = stage.corroborated_within(NETWORK).await?;
    let finding = text(&seed["id"]).parse()?;
    let wide = Measure::new(Action::Deny, Target::Net("112.101.0.0/16".parse()?), Scope::Border);
    let refusal = wide.err().ok_or_else(|| Failure::failed("a /16 was not refused", ""))?;
    transcript.note("rule", "refuses", format_args!("{}: {}, {}", refusal.rule, refusal.value, refusal.limit));
    let measure = Measure::new(Action::Deny, Target::Net(NETWORK.parse()?), Scope::Border)?;
    let members = ["telecom", "cloud"].iter().map(|m| m.parse()).collect::<Result<Vec<MemberId>, _>>()?;
    let proposal = alliance::Proposal {
        person: "ada@dns".parse()?,
        finding,
        measure,
        members,
        lasts: super::cast::MITIGATION_LASTS,
        reason: "a dozen addresses of this network scan us today".to_owned(),
        made: crate::clock::now(),
        expires: crate::clock::now().plus(model::Span::minutes(10)),
    };
    stage.propose("dns", proposal).await?;
    let plan = stage.waiting_plan().await?;
    let id = text(&plan["id"]);
    transcript.note("ada@dns", "proposes", format_args!("{id}: deny {NETWORK} at telecom and cloud"));
    transcript.note(
        "checker",
        "agrees",
        format_args!("class {}, {} needed", text(&plan["class"]), plan["approvals_needed"]),
    );
    for member in ["security", "telecom"] {
        approve(stage, member, &plan).await?;
        transcript.note(&format!("ada@{member}"), "approves", id.clone());
    }
    let target = NETWORK.to_owned();
    let what = format!("{id} verified at telecom");
    let held = stage.until(&what, |mitigations| {
        let found = |m: &&Value| text(&m["measure"]).contains(&target) && was_in_force(m);
        mitigations.iter().filter(found).count() >= 1
    });
    held.await?;
    transcript.note("members", "protect", format_args!("{NETWORK}: in force where persons asked for it"));
    Ok(())
}

async fn approve(stage: &Stage, member: &str, plan: &Value) -> Result<(), Failure> {
    let role = CAST.iter().find(|role| role.id == member).ok_or_else(|| Failure::failed("nobody", ""))?;
    let (key, now) = (role.person_key(stage.seed), Stage::now());
    let approval = Approval {
        plan: text(&plan["digest"]).parse()?,
        person: format!("ada@{member}").parse()?,
        key: key.public().id(),
        verdict: Verdict::Approve,
        made: now,
        expires: now.plus(Span::minutes(10)),
    };
    stage.as_member(member)?.post("/api/v1/approvals", &SignedApproval::sign(approval, &key)).await?;
    Ok(())
}

async fn own_allow_list(stage: &mut Stage, transcript: &mut Transcript) -> Result<(), Failure> {
    transcript.scene("A member's own allow-list");
    for member in ["security", "telecom"] {
        stage.report(member, &sighting(ALLOWED, Behaviour::MalwareDistribution, Grade::Payload)?).await?;
    }
    stage.blocked(ALLOWED).await?;
    stage.ask_until(ALLOWED, "NXDOMAIN").await?;
    transcript.note("members", "protect", format_args!("{ALLOWED} is blocked"));
    stage.allow("dns", ALLOWED).await?;
    transcript.note("dns", "allows", format_args!("{ALLOWED}: its own customer asks for it"));
    let answer = stage.ask_until(ALLOWED, "NOERROR").await?;
    transcript.note("resolver", "answers", format_args!("{ALLOWED}: {answer}; lifted at dns"));
    let others = |why: &Value| mitigations(why).filter(|m| m["member"] != "dns" && m["now"] == "verified").count();
    let why = stage.why_once(ALLOWED, "the other members to keep their part", |why| others(why) > 0).await?;
    let others = others(&why);
    transcript.note("others", "keep", format_args!("theirs: {others} verified"));
    Ok(())
}

async fn hostile_hub(stage: &mut Stage, transcript: &mut Transcript) -> Result<(), Failure> {
    transcript.scene("A hub that asks for something nobody signed");
    let forged = forged_part(stage).await?;
    let refused = stage.whisper("telecom", StreamMessage::Part(Box::new(forged))).await?;
    transcript.note("hub", "asks", "telecom to deny 84.200.70.40 on evidence that no member signed");
    transcript.note("telecom", "refuses", refused);
    Ok(())
}

/// A plan as a hostile hub would make it: well formed, with its digest in order, and no evidence behind it.
async fn forged_part(stage: &Stage) -> Result<model::PlanPart, Failure> {
    let member: MemberId = "telecom".parse()?;
    let observable: Observable = "84.200.70.40".parse()?;
    let (now, family) = (Stage::now(), model::Family::Source);
    let status = stage.api.get("/api/v1/status").await?;
    let plans = stage.api.get("/api/v1/plans?limit=1").await?;
    let generation = plans["items"][0]["generation"].as_u64().unwrap_or(0) + 1;
    let mitigation = model::Mitigation {
        member: member.clone(),
        finding: model::finding_id(&observable, family),
        measure: Measure::deny(&observable)?,
        observable,
        family,
        generation,
        expires: now.plus(Span::minutes(5)),
        inverse: model::Inverse::Lift,
    };
    let header = model::PlanHeader {
        alliance: text(&status["alliance"]),
        charter: status["charter"].as_u64().unwrap_or(1),
        parent: text(&plans["items"][0]["id"]).parse().ok(),
        generation,
        class: model::Class::Automatic,
        made: now,
        reasons: vec!["because I say so".to_owned()],
        blast_radius: model::BlastRadius {
            mitigations: 1,
            members: 1,
            most_for_one_member: 1,
            widest_v4_addresses: 1,
            ..model::BlastRadius::default()
        },
        count: 1,
        root: mitigation.leaf(),
    };
    let plan = model::Plan { header, mitigations: vec![mitigation], evidence: std::collections::BTreeMap::new() };
    plan.parts(&[]).remove(&member).ok_or_else(|| Failure::failed("the forged plan has no part for telecom", ""))
}

async fn upheld_dispute(stage: &mut Stage, transcript: &mut Transcript) -> Result<(), Failure> {
    transcript.scene("A dispute");
    for member in ["security", "telecom"] {
        stage.report(member, &sighting(HARMLESS, Behaviour::Phishing, Grade::Payload)?).await?;
    }
    let why = stage.blocked(HARMLESS).await?;
    stage.ask_until(HARMLESS, "NXDOMAIN").await?;
    transcript.note("members", "protect", format_args!("{HARMLESS} is blocked"));
    let finding = text(&why["findings"][0]["finding"]["id"]).parse()?;
    for member in ["dns", "cloud"] {
        let role = CAST.iter().find(|role| role.id == member).ok_or_else(|| Failure::failed("nobody", ""))?;
        let key = role.person_key(stage.seed);
        let dispute = Dispute {
            finding,
            person: format!("ada@{member}").parse()?,
            key: key.public().id(),
            ground: Ground::FalsePositive,
            reason: "a photographer's page".to_owned(),
            made: Stage::now(),
        };
        stage.as_member(member)?.post("/api/v1/disputes", &SignedDispute::sign(dispute, &key)).await?;
        transcript.note(&format!("ada@{member}"), "disputes", format_args!("{HARMLESS} is a photographer's page"));
    }
    stage.in_state(HARMLESS, "revoked").await?;
    let answer = stage.ask_until(HARMLESS, "NOERROR").await?;
    transcript.note(
        "alliance",
        "revokes",
        format_args!("{HARMLESS}; resolver: {answer}; it does not come back by itself"),
    );
    Ok(())
}

/// A sighting of now.
fn sighting(value: &str, behaviour: Behaviour, grade: Grade) -> Result<Sighting, Failure> {
    let now: Timestamp = Stage::now();
    Ok(Sighting {
        observable: value.parse()?,
        behaviour,
        first: now,
        last: now,
        count: 1,
        sensor: Sensor::Ids,
        grade,
        handling: Handling::alliance(Tlp::Green),
    })
}

/// Ends the demo unless `holds`.
pub fn expect(holds: bool, promise: &str, seen: &str) -> Result<(), Failure> {
    match holds {
        true => Ok(()),
        false => {
            Err(Failure::failed(format_args!("expected that {promise}, but saw: {seen}"), "epimachia demo --keep"))
        }
    }
}

/// Waits until `look` gives something.
pub async fn wait_for<T, F>(what: &str, mut look: impl FnMut() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<Option<T>, Failure>>,
{
    let start = std::time::Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if start.elapsed() > PATIENCE {
            return Err(Failure::failed(
                format_args!("waited {PATIENCE:?} in vain for {what}"),
                "epimachia demo --keep",
            ));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The finding's state, as one word.
pub fn state(why: &Value) -> String {
    text(&why["findings"][0]["finding"]["state"])
}

/// How many members hold it in force, read back.
pub fn blocked(why: &Value) -> usize {
    mitigations(why).filter(|m| matches!(text(&m["now"]).as_str(), "due" | "applied" | "verified")).count()
}

/// The mitigations of a `why`.
pub fn mitigations(why: &Value) -> impl Iterator<Item = &Value> {
    why["findings"].as_array().into_iter().flatten().flat_map(|f| f["mitigations"].as_array().into_iter().flatten())
}

/// How many members have read it back as enforced. Not all at one moment: on a slow machine one may end before the last
/// is read back.
pub fn read_back(why: &Value) -> usize {
    mitigations(why).filter(|m| m["verified"].is_string()).map(|m| text(&m["member"])).collect::<BTreeSet<_>>().len()
}

/// Was it read back, or at a preview, where there is nothing to be read back, applied? It may have ended since.
fn was_in_force(mitigation: &Value) -> bool {
    let applied = matches!(mitigation["now"].as_str(), Some("applied" | "expired"));
    mitigation["verified"].is_string() || (applied && mitigation["point"] == "preview")
}

fn sum_of(finding: &Value) -> String {
    let lines = finding["sum"]["lines"].as_array().into_iter().flatten();
    let parts: Vec<String> = lines.map(|line| format!("{} {}", text(&line["member"]), line["points"])).collect();
    let (total, threshold) = (&finding["sum"]["total"], &finding["sum"]["threshold"]);
    format!("{} = {total} points, {threshold} needed", parts.join(" + "))
}

/// A text of a JSON document; empty if it is none.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
