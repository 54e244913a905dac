//! The recorded attacks that the demo replays: a committed extract, its times squeezed into seconds.

use crate::exit::Failure;
use model::{Behaviour, Grade, Handling, Observable, Sensor, Sighting, Span, Timestamp, Tlp};

/// Guard lists of the demo's charter, with their names.
pub const GUARD_LISTS: [(&str, &[u8]); 2] = [
    ("guard-addresses.csv", include_bytes!("../../data/guard-addresses.csv")),
    ("guard-domains.csv", include_bytes!("../../data/guard-domains.csv")),
];

/// One recorded sighting.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// How long after the replay's start it is reported.
    pub after: Span,
    /// Who saw it.
    pub member: String,
    /// What was seen.
    pub observable: Observable,
    /// What it did.
    pub behaviour: Behaviour,
    /// How many packets or posts.
    pub count: u32,
    /// Where it came from: the nine sensors, or the indicator stream.
    pub sensor: Sensor,
}

impl Recorded {
    /// The sighting as its member's sensor would have written it at `now`.
    pub fn sighting(&self, now: Timestamp) -> Sighting {
        Sighting {
            observable: self.observable.clone(),
            behaviour: self.behaviour,
            first: now,
            last: now,
            count: self.count,
            sensor: self.sensor,
            grade: if self.sensor == Sensor::Honeypot { Grade::Handshake } else { Grade::Analyst },
            handling: Handling::alliance(Tlp::Green),
        }
    }
}

/// Both recordings, each squeezed into `within`, in one order.
///
/// # Errors
/// Never: the extract is committed, and a test reads it.
pub fn recordings(within: Span) -> Result<Vec<Recorded>, Failure> {
    let addresses = read(include_str!("../../data/addresses.csv"), Sensor::Honeypot, within)?;
    let domains = read(include_str!("../../data/domains.csv"), Sensor::List, within)?;
    let mut all: Vec<Recorded> = addresses.into_iter().chain(domains).collect();
    all.sort_by(|a, b| (a.after, &a.member, &a.observable).cmp(&(b.after, &b.member, &b.observable)));
    Ok(all)
}

fn read(text: &str, sensor: Sensor, within: Span) -> Result<Vec<Recorded>, Failure> {
    let mut rows = Vec::new();
    for (number, line) in text.lines().enumerate().skip(1) {
        let row = parse(line, sensor);
        rows.push(row.map_err(|e| Failure::failed(format_args!("recorded data, line {}: {e}", number + 1), ""))?);
    }
    let first = rows.iter().map(|(time, _)| *time).min().unwrap_or(Timestamp::MIN);
    let last = rows.iter().map(|(time, _)| *time).max().unwrap_or(first);
    let whole = last.since(first).as_millis().max(1);
    let squeeze = |time: Timestamp| Span::millis(time.since(first).as_millis() * within.as_millis() / whole);
    Ok(rows.into_iter().map(|(time, row)| Recorded { after: squeeze(time), ..row }).collect())
}

/// `first,last,member,observable,behaviour,count,category`
fn parse(line: &str, sensor: Sensor) -> Result<(Timestamp, Recorded), model::ParseError> {
    let fields: Vec<&str> = line.split(',').collect();
    let [first, _, member, observable, behaviour, count, _] = fields[..] else {
        return Err(model::ParseError::new("line", line, "seven fields"));
    };
    let recorded = Recorded {
        after: Span::ZERO,
        member: member.to_owned(),
        observable: observable.parse()?,
        behaviour: behaviour.parse()?,
        count: count.parse().map_err(|_| model::ParseError::new("count", count, "a whole number"))?,
        sensor,
    };
    Ok((first.parse()?, recorded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn committed_recordings_are_read_whole_and_in_order() {
        let all = recordings(Span::seconds(20)).unwrap();
        assert_eq!(all.len(), 390 + 87);
        assert!(all.windows(2).all(|pair| pair[0].after <= pair[1].after));
        assert!(all.iter().all(|r| r.after <= Span::seconds(20)));
        let members: BTreeSet<_> = all.iter().map(|r| r.member.as_str()).collect();
        assert_eq!(members, BTreeSet::from(["cloud", "device", "dns", "security", "telecom"]));
    }
}
