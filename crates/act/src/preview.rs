//! The point for members without a connected one: it carries out nothing and shows the literal text to carry out.

use crate::nftables;
use crate::point::{Effect, Point, PointError, Presence, Protection, Seen};
use model::{Action, Measure, PointName, Target, Timestamp};
use std::fmt::Write as _;

/// The point.
#[derive(Clone, Debug)]
pub struct Preview {
    name: PointName,
}

impl Preview {
    /// A point of this name.
    pub fn new(name: PointName) -> Self {
        Self { name }
    }
}

impl Point for Preview {
    fn name(&self) -> &PointName {
        &self.name
    }

    /// Anything can be shown.
    fn accepts(&self, _measure: &Measure) -> bool {
        true
    }

    fn preview(&self, wanted: &[Protection], now: Timestamp) -> String {
        let mut text = String::new();
        for protection in wanted {
            let Protection { mitigation, finding, measure, expires } = protection;
            // Writing into a string cannot fail.
            let _ = writeln!(text, "# {mitigation} for {finding}: {measure}, until {expires}");
            text.push_str(&literal(protection, now));
        }
        text
    }

    fn apply(&self, _wanted: &[Protection], _now: Timestamp) -> Result<(), PointError> {
        Ok(())
    }

    fn replace(&self, _wanted: &[Protection], _now: Timestamp) -> Result<(), PointError> {
        Ok(())
    }

    fn withdraw(&self, _ended: &[Protection], _now: Timestamp) -> Result<(), PointError> {
        Ok(())
    }

    fn read_back(&self, asked: &[Protection]) -> Result<Vec<Seen>, PointError> {
        let text = "shown as text only; nobody can read back whether somebody carried it out";
        let unknown = |p: &Protection| Seen::new(p.mitigation, Presence::Unknown, text.to_owned());
        Ok(asked.iter().map(unknown).collect())
    }

    fn effect(&self, asked: &[Protection]) -> Result<Vec<Effect>, PointError> {
        Ok(vec![Effect::default(); asked.len()])
    }

    fn lift_all(&self) -> Result<(), PointError> {
        Ok(())
    }
}

/// What a connected point would be given; one line of prose where only a person can do it.
fn literal(protection: &Protection, now: Timestamp) -> String {
    if protection.expires <= now {
        return "# ended: nothing to do\n".to_owned();
    }
    let measure = &protection.measure;
    match (measure.action(), measure.target()) {
        // RPZ (draft-vixie-dnsop-dns-rpz): a name and everything below it, each its own record.
        (Action::Deny, Target::DomainName(name)) => format!("{name} CNAME .\n*.{name} CNAME .\n"),
        (Action::Redirect { to }, Target::DomainName(name)) => format!("{name} CNAME {to}.\n*.{name} CNAME {to}.\n"),
        _ => nftables::preview_text(protection, now)
            .unwrap_or_else(|| "# by a person; no text for a machine\n".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Scope;

    fn protection(action: Action, target: &str) -> Protection {
        let target = Target::protecting_from(&target.parse().unwrap());
        Protection {
            mitigation: "mit-0123456789ab".parse().unwrap(),
            finding: "fin-0123456789ab".parse().unwrap(),
            measure: Measure::new(action, target, Scope::Border).unwrap(),
            expires: "2026-01-01T01:00:00Z".parse().unwrap(),
        }
    }

    fn shown(action: Action, target: &str, now: &str) -> String {
        Preview::new("by-hand".parse().unwrap()).preview(&[protection(action, target)], now.parse().unwrap())
    }

    const NOW: &str = "2026-01-01T00:00:00Z";

    #[test]
    fn a_name_is_shown_as_two_rpz_records() {
        let text = shown(Action::Deny, "evil.example", NOW);
        assert!(text.ends_with("\nevil.example CNAME .\n*.evil.example CNAME .\n"), "{text}");
        assert!(text.starts_with("# mit-0123456789ab for fin-0123456789ab: deny domain_name evil.example"), "{text}");
        let text = shown(Action::Redirect { to: "notice.example".parse().unwrap() }, "evil.example", NOW);
        assert!(text.contains("\nevil.example CNAME notice.example.\n"), "{text}");
    }

    #[test]
    fn an_address_is_shown_as_nft_commands() {
        let text = shown(Action::Deny, "8.8.8.8", NOW);
        let add = "add element inet epimachia deny4_32 \
                   { 8.8.8.8 timeout 3600000ms comment \"fin-0123456789ab mit-0123456789ab\" }\n";
        assert!(text.ends_with(add), "{text}");
        let text = shown(Action::Limit { bits_per_second: 1_000_000 }, "2600:1:2:3::1", NOW);
        assert!(
            text.contains("limit6_64 { 2600:1:2:3:: limit rate over 125000 bytes/second burst 125000 bytes "),
            "{text}"
        );
    }

    #[test]
    fn what_has_ended_or_needs_a_person_is_said_to() {
        assert!(shown(Action::Deny, "8.8.8.8", "2026-01-01T01:00:00Z").contains("ended"));
        assert!(shown(Action::Deny, "http://evil.example/x", NOW).contains("by a person"));
    }

    #[test]
    fn nothing_is_ever_claimed_to_be_enforced() {
        let point = Preview::new("by-hand".parse().unwrap());
        let asked = [protection(Action::Deny, "8.8.8.8")];
        point.apply(&asked, NOW.parse().unwrap()).unwrap();
        assert_eq!(point.read_back(&asked).unwrap()[0].presence, Presence::Unknown);
        assert_eq!(point.effect(&asked).unwrap(), [Effect::default()]);
    }
}
