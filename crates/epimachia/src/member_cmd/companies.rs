//! `epimachia member list|show`: every company, where it stands, and what is known of it.

use crate::ask::{Read, connect};
use crate::client::answers::MemberView;
use crate::clock::{length, now, short, told};
use crate::exit::{Exit, Failure, Outcome};
use crate::out;
use model::membership::{Claim, PROOF_CHARS_MAX, WORDS_CHARS_MAX};
use model::parse::{printable, printable_within};
use model::{MemberId, PersonId, Span, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// One company as the hub shows it; what is not read here is passed on with `--json`.
#[derive(Deserialize)]
struct Company {
    name: String,
    stage: String,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    by: Option<PersonId>,
    reason: Option<String>,
    applicant: Option<Applicant>,
}

#[derive(Deserialize)]
struct Applicant {
    kind: String,
    segments: Vec<String>,
    capabilities: Vec<String>,
    contact: String,
    key: String,
    persons: BTreeMap<PersonId, String>,
    handed_in_by: MemberId,
    claims: Vec<Claim>,
    sponsor: Option<PersonId>,
    votes: BTreeMap<MemberId, bool>,
    needed: usize,
    objections: Vec<Objection>,
}

#[derive(Deserialize)]
struct Objection {
    person: PersonId,
    reason: String,
}

/// What the hub says of one company: where it stands and, where a charter names it, what its word is worth.
struct Known {
    company: Value,
    member: Option<Value>,
}

impl Known {
    fn json(self) -> Value {
        let mut all = self.member.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        if let (Some(all), Value::Object(mut company)) = (all.as_object_mut(), self.company) {
            let id = company.remove("member");
            all.entry("id").or_insert(id.unwrap_or_default());
            all.extend(company);
        }
        all
    }

    fn company(&self) -> Result<Company, Failure> {
        typed(self.company.clone())
    }

    fn member(&self) -> Result<Option<MemberView>, Failure> {
        self.member.clone().map(typed).transpose()
    }

    fn id(&self) -> String {
        self.company["member"].as_str().unwrap_or_default().to_owned()
    }
}

fn typed<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|e| Failure::failed(e, "epimachia version"))
}

fn known(read: &Read) -> Result<Vec<Known>, Failure> {
    let client = connect(&read.connect)?;
    let members: Vec<Value> = client.list("/api/v1/members", &[], usize::MAX)?;
    let companies: Vec<Value> = client.list("/api/v1/membership", &[], usize::MAX)?;
    let by_name: BTreeMap<String, Value> =
        members.into_iter().map(|member| (member["id"].as_str().unwrap_or_default().to_owned(), member)).collect();
    let member = |company: &Value| by_name.get(company["member"].as_str().unwrap_or_default()).cloned();
    Ok(companies.into_iter().map(|company| Known { member: member(&company), company }).collect())
}

/// Lists them.
pub(super) fn list(read: &Read) -> Outcome {
    let known = known(read)?;
    if read.json {
        out::json_list(&known.into_iter().map(Known::json).collect::<Vec<_>>());
        return Ok(Exit::Done);
    }
    let rows = known.iter().map(row).collect::<Result<Vec<_>, _>>()?;
    let head = ["MEMBER", "COMPANY", "KIND", "STAGE", "WEIGHT", "SIGHTINGS", "LAST HEARD", "PROTECTED AFTER"];
    out::table(&head, &rows);
    Ok(Exit::Done)
}

fn row(known: &Known) -> Result<Vec<String>, Failure> {
    let (company, member) = (known.company()?, known.member()?);
    let (id, name, stage) = (known.id(), company.name, company.stage);
    Ok(match member {
        Some(member) => vec![
            id,
            name,
            member.kind,
            stage,
            format!("{:.3}", member.weight),
            member.sightings.to_string(),
            member.heard.map_or_else(|| "never".to_owned(), short),
            protected(member.protection_millis),
        ],
        None => vec![id, printable(&name), company.applicant.map_or_else(String::new, |of| of.kind), stage],
    })
}

fn protected(millis: Option<i64>) -> String {
    match millis {
        None => "not measured".to_owned(),
        Some(millis @ ..10_000) => format!("{millis} ms"),
        Some(millis) => length(Span::millis(millis)),
    }
}

/// Shows one.
pub(super) fn show(member: &MemberId, read: &Read) -> Outcome {
    let found = known(read)?.into_iter().find(|known| known.id() == member.as_str());
    let none = || Failure::failed(format_args!("no company is called {member}"), "epimachia member list");
    let found = found.ok_or_else(none)?;
    if read.json {
        out::pass(found.json());
        return Ok(Exit::Done);
    }
    let (company, shown) = (found.company()?, found.member()?);
    out::line(format_args!("{member}  {}", printable(&company.name)));
    out::line(format_args!("  stage         {}", standing(&company)));
    if let Some(shown) = shown {
        show_member(&shown);
    }
    if let Some(applicant) = &company.applicant {
        show_applicant(applicant);
        out::say(next(member, &company.stage));
    }
    Ok(Exit::Done)
}

fn standing(company: &Company) -> String {
    let mut told_of = company.stage.clone();
    if let Some(since) = company.since {
        told_of += &format!(" since {}", short(since));
    }
    if let Some(until) = company.until {
        told_of += &format!(", until {}", told(until, now()));
    }
    if let Some(by) = &company.by {
        told_of += &format!(", by {by}");
    }
    match &company.reason {
        Some(reason) => format!("{told_of}: {}", printable_within(reason, WORDS_CHARS_MAX)),
        None => told_of,
    }
}

fn show_member(shown: &MemberView) {
    out::line(format_args!("  kind          {}, {}", shown.kind, shown.standing));
    out::line(format_args!("  segments      {}", words(&shown.segments)));
    out::line(format_args!("  roles         {}", words(&shown.roles)));
    out::line(format_args!("  can           {}", words(&shown.capabilities)));
    out::line(format_args!("  weight        {:.3} points", shown.weight));
    out::line(format_args!("  sightings     {}", shown.sightings));
    let heard = shown.heard.map_or_else(|| "never".to_owned(), |heard| told(heard, now()));
    out::line(format_args!("  last heard    {heard}"));
    out::line(format_args!("  protected     {} after a finding (median)", protected(shown.protection_millis)));
}

fn show_applicant(of: &Applicant) {
    out::line(format_args!("  kind          {}", of.kind));
    out::line(format_args!("  segments      {}", words(&of.segments)));
    out::line(format_args!("  can           {}", words(&of.capabilities)));
    out::line(format_args!("  contact       {}", printable_within(&of.contact, WORDS_CHARS_MAX)));
    out::line(format_args!("  handed in by  {}", of.handed_in_by));
    out::line(format_args!("  key           {}", of.key));
    for (person, key) in &of.persons {
        out::line(format_args!("  person        {person}, {key}"));
    }
    for claim in &of.claims {
        out::line(format_args!(
            "  claims        {}: {}",
            assets(claim),
            printable_within(&claim.proof, PROOF_CHARS_MAX)
        ));
    }
    let sponsor = of.sponsor.as_ref().map_or_else(|| "nobody yet".to_owned(), ToString::to_string);
    out::line(format_args!("  sponsor       {sponsor}"));
    let said = |yes: bool| {
        let members: Vec<String> =
            of.votes.iter().filter(|vote| *vote.1 == yes).map(|vote| vote.0.to_string()).collect();
        words(&members)
    };
    out::line(format_args!("  yes           {} ({} needed)", said(true), of.needed));
    out::line(format_args!("  no            {}", said(false)));
    for objection in &of.objections {
        out::line(format_args!(
            "  objection     {}, confidential: {}",
            objection.person,
            printable_within(&objection.reason, WORDS_CHARS_MAX)
        ));
    }
}

fn assets(claim: &Claim) -> String {
    let prefixes = claim.prefixes.iter().map(ToString::to_string);
    let domains = claim.domains.iter().map(ToString::to_string);
    let asns = claim.asns.iter().map(|asn| format!("AS{asn}"));
    prefixes.chain(domains).chain(asns).collect::<Vec<_>>().join(", ")
}

fn next(member: &MemberId, stage: &str) -> String {
    match stage {
        "applied" => format!("Next: epimachia member sponsor {member} --reason WHY"),
        "voting" => format!("Next: epimachia member vote yes {member} --reason WHY"),
        "admitted" => format!("Next: epimachia charter draft --admit {member}"),
        _ => "Next: epimachia member apply, by the company".to_owned(),
    }
}

fn words(words: &[String]) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}
