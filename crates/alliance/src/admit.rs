//! What a submission must be to be heard: author, key, number, times, and for each sighting what it may speak of.

use crate::entry::Report;
use crate::state::{Alliance, InForceCharter};
use charter::Charter;
use model::{Handling, MemberId, Observable, Refusal, Role, Rule, Sighting, Timestamp, Tlp};

impl Alliance {
    /// The charter in force.
    ///
    /// # Errors
    /// `charter_unsigned` before the first charter was adopted.
    pub(crate) fn in_force(&self) -> Result<&InForceCharter, Refusal> {
        let none = || Refusal::new(Rule::CharterUnsigned, "none", "a charter, adopted before anything else");
        self.charter.as_deref().ok_or_else(none)
    }

    /// A member's next number, with nothing left out.
    pub(crate) fn require_next(&self, member: &MemberId, sequence: u64) -> Result<(), Refusal> {
        let expected = self.next_sequence(member);
        match sequence == expected {
            true => Ok(()),
            false => Err(Refusal::new(Rule::OutOfSequence, sequence, expected)),
        }
    }

    /// Checks a report whose signature was verified, and gives the handling of its entry.
    pub(crate) fn admit_report(
        &self,
        report: &Report,
        sightings: &[Sighting],
        now: Timestamp,
    ) -> Result<Handling, Refusal> {
        let charter = &self.in_force()?.charter;
        let member = charter.member(report.member())?;
        member.require(Role::Reporter)?;
        if let Report::Signed(batch) = report {
            charter.member_key(&member.id, &batch.header.key, batch.header.made)?;
            require_time(charter, "made", batch.header.made, now)?;
            self.require_next(&member.id, batch.header.sequence)?;
        }
        let limit = charter.limits.batch_sightings_max as usize;
        if sightings.is_empty() || sightings.len() > limit {
            let value = format!("{} sightings", sightings.len());
            return Err(Refusal::new(Rule::TooLarge, value, format!("1 to {limit}")));
        }
        for (i, sighting) in sightings.iter().enumerate() {
            self.admit_sighting(&member.id, sighting, now).map_err(|r| at(i, r))?;
        }
        common_handling(sightings)
    }

    pub(crate) fn admit_sighting(&self, author: &MemberId, sighting: &Sighting, now: Timestamp) -> Result<(), Refusal> {
        let in_force = self.in_force()?;
        require_time(&in_force.charter, "first", sighting.first, now)?;
        require_time(&in_force.charter, "last", sighting.last, now)?;
        if sighting.handling.tlp == Tlp::Red {
            return Err(Refusal::new(
                Rule::RedNotAccepted,
                &sighting.observable,
                "clear, green, amber or amber+strict",
            ));
        }
        require_group(&in_force.charter, author, &sighting.handling)?;
        require_evidence(&sighting.observable)?;
        let owner = in_force.guards.as_ref().and_then(|guards| guards.owner(&sighting.observable));
        match owner == Some(author) {
            false => Ok(()),
            true => Err(Refusal::new(Rule::OwnSpaceEvidence, &sighting.observable, "what is not the author's own")),
        }
    }
}

/// Says which sighting a refusal is about, counting from 1 as people and files do.
fn at(index: usize, refusal: Refusal) -> Refusal {
    Refusal { value: format!("sighting {}: {}", index + 1, refusal.value), ..refusal }
}

fn require_time(charter: &Charter, field: &str, time: Timestamp, now: Timestamp) -> Result<(), Refusal> {
    let (future, past) = (charter.limits.skew_future_max, charter.limits.skew_past_max);
    if time > now.plus(future) || time < now.minus(past) {
        let limit = format!("from {past} before to {future} after {now}");
        return Err(Refusal::new(Rule::ClockSkew, format_args!("{field} {time}"), limit));
    }
    Ok(())
}

pub(crate) fn require_group(charter: &Charter, author: &MemberId, handling: &Handling) -> Result<(), Refusal> {
    let Some(id) = &handling.group else { return Ok(()) };
    match charter.group(id) {
        Some(group) if group.members.contains(author) => Ok(()),
        _ => Err(Refusal::new(Rule::UnknownGroup, id, "a group of the charter that holds the author")),
    }
}

/// Private and reserved addresses are no evidence; a prefix is judged by its first address.
fn require_evidence(observable: &Observable) -> Result<(), Refusal> {
    let Some(network) = observable.network() else { return Ok(()) };
    match model::observable::bogon(network.network()).or_else(|| model::observable::bogon(network.broadcast())) {
        None => Ok(()),
        Some(name) => {
            Err(Refusal::new(Rule::BogonEvidence, format_args!("{observable}, {name}"), "global unicast addresses"))
        }
    }
}

/// The strictest handling of a report's sightings; one group a report, so that its entry has one audience.
fn common_handling(sightings: &[Sighting]) -> Result<Handling, Refusal> {
    let mut common = sightings.first().map_or(Handling::alliance(Tlp::Amber), |s| s.handling.clone());
    for sighting in sightings {
        if sighting.handling.group != common.group {
            let value = format!("{} beside {common}", sighting.handling);
            return Err(Refusal::new(Rule::Malformed, value, "one group, or none, for all sightings of a report"));
        }
        common = common.strictest(&sighting.handling).unwrap_or(common);
    }
    Ok(common)
}
