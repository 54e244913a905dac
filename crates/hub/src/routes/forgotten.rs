//! Findings that the alliance has forgotten, since they ended long ago: the journal has them as they stood last.

use crate::core::Core;
use crate::problem::Problem;
use alliance::view::{Why, WhyFinding};
use model::{Family, Finding, FindingId, MemberId, finding_id};

/// A finding that the viewer may see: as the alliance holds it, else as the journal has it.
pub(super) fn finding(core: &Core, viewer: &MemberId, id: FindingId) -> Result<Option<Finding>, Problem> {
    let held = core.read(|state| state.finding(id, Some(viewer)).cloned())?;
    if held.is_some() { Ok(held) } else { forgotten(core, viewer, id) }
}

/// Adds to an answer what the alliance has forgotten.
pub(super) fn recall(core: &Core, viewer: &MemberId, why: &mut Why) -> Result<(), Problem> {
    for family in Family::ALL {
        let id = finding_id(&why.observable, *family);
        if why.findings.iter().all(|shown| shown.finding.id != id)
            && let Some(finding) = forgotten(core, viewer, id)?
        {
            why.findings.push(WhyFinding::forgotten(finding));
            why.known = true;
        }
    }
    Ok(())
}

/// What the alliance holds, and this viewer may not see, is not forgotten.
fn forgotten(core: &Core, viewer: &MemberId, id: FindingId) -> Result<Option<Finding>, Problem> {
    let seen = core.read(|state| match state.finding(id, None) {
        Some(_) => None,
        None => core.taxii.latest(id, |handling| state.may_see(Some(viewer), handling)),
    })?;
    Ok(seen.map_or(Ok(None), |seen| core.taxii.finding(&seen, id))?)
}
