//! All state as bytes and back: versioned shards of bounded size, each with its length and checksum.
//!
//! ```text
//! shard    = "EPMCORR2" | kind u8 | number u32 | of u32 | stamp u64 | length u64 | payload | checksum u64
//! head     = seed 16 | now u32 | members | pairs | waiting       (kind 0, one)
//! records  = count u32 | record ...                              (kind 1, 65,536 a shard)
//! counters = count u32 | (key u32 | at u32 | value f32) ...      (kind 2, 64; each a range of keys)
//! ```
//!
//! Little-endian throughout. The stamp is the checksum of the head: shards of different snapshots do not mix. The
//! rules are not part of it, the charter has them. A snapshot holds the secret seed; it is as confidential as the
//! table itself.

use crate::engine::Engine;
use crate::error::Error;
use crate::key::{NeighbourhoodKey, ObservableKey, Seed, checksum};
use crate::member::Member;
use crate::rules::{MemberTrust, Rules};
use crate::table::counters::Counter;
use crate::table::record::{Flags, NOBODY, Record, Report, State};
use model::Standing;

const MAGIC: &[u8; 8] = b"EPMCORR2";
/// Records a shard; a multiple of the pages in which they are saved.
pub(crate) const RECORDS_A_SHARD: u32 = 1 << 16;
/// Shards of counters.
pub(crate) const COUNTER_GROUPS: usize = 64;
const FRAME: usize = 8 + 1 + 4 + 4 + 8 + 8;

impl Engine {
    /// All state as shards, to be kept in this order.
    pub fn snapshot(&self) -> Vec<Vec<u8>> {
        let head = self.head();
        let stamp = checksum(&head);
        let groups = self.records.places().div_ceil(RECORDS_A_SHARD);
        let mut payloads = vec![(0, head)];
        payloads.extend((0..groups).map(|group| (1, self.record_group(group))));
        let counters = (0..COUNTER_GROUPS).map(|group| self.counters.group(group, COUNTER_GROUPS));
        payloads.extend(counters.map(|group| (2, write_counters(group))));
        let of = payloads.len() as u32;
        let framed = payloads.into_iter().enumerate();
        framed.map(|(number, (kind, payload))| frame(kind, number as u32, of, stamp, &payload)).collect()
    }

    /// The engine whose [`Engine::snapshot`] gave `shards`: it behaves as that one would. `rules` come from the
    /// charter.
    ///
    /// # Errors
    /// [`Error::Broken`] if a shard is damaged, missing, or of another version or snapshot; [`Error::Refused`] for
    /// rules outside their limits.
    pub fn restore(rules: Rules, shards: &[impl AsRef<[u8]>]) -> Result<Self, Error> {
        let first = shards.first().ok_or(broken("no shards", 0))?;
        let (_, stamp, head) = unframe(first.as_ref(), 0, shards.len())?;
        if checksum(head) != stamp {
            return Err(broken("the stamp is not the head's", 0));
        }
        let mut reader = Reader { bytes: head, at: 0 };
        let mut engine = Self::new(rules, &[], Seed(reader.array()?))?;
        engine.now = reader.u32()?;
        engine.read_members(&mut reader)?;
        engine.read_pairs(&mut reader)?;
        for (number, shard) in shards.iter().enumerate().skip(1) {
            let (kind, its_stamp, payload) = unframe(shard.as_ref(), number, shards.len())?;
            if its_stamp != stamp {
                return Err(broken("a shard of another snapshot", 0));
            }
            engine.read_shard(kind, &mut Reader { bytes: payload, at: 0 })?;
        }
        engine.read_waiting(&mut reader)?;
        reader.end()?;
        Ok(engine)
    }

    pub(crate) fn head(&self) -> Vec<u8> {
        let mut out = self.keys.seed().0.to_vec();
        out.extend(self.now.to_le_bytes());
        out.extend((self.members.len() as u32).to_le_bytes());
        self.members.iter().for_each(|member| write_member(&mut out, member));
        let pairs = self.pairs.sorted();
        out.extend((pairs.len() as u32).to_le_bytes());
        for (a, b, count) in pairs {
            out.extend(a.to_le_bytes());
            out.extend(b.to_le_bytes());
            out.extend(count.to_le_bytes());
        }
        let waiting: Vec<_> = self.survival.iter().collect();
        out.extend((waiting.len() as u32).to_le_bytes());
        for (due, record, member) in waiting {
            out.extend(due.to_le_bytes());
            out.extend(self.records[record].key.to_le_bytes());
            out.extend(member.to_le_bytes());
        }
        out
    }

    fn record_group(&self, group: u32) -> Vec<u8> {
        let from = group * RECORDS_A_SHARD;
        let to = from.saturating_add(RECORDS_A_SHARD).min(self.records.places());
        let (mut out, mut count) = (vec![0; 4], 0_u32);
        self.write_records(from, to, &mut count, &mut out);
        out[..4].copy_from_slice(&count.to_le_bytes());
        out
    }

    /// Writes the live records of a range with their reports, and counts them.
    pub(crate) fn write_records(&self, from: u32, to: u32, count: &mut u32, out: &mut Vec<u8>) {
        let live = (from..to).map(|id| &self.records[id]).filter(|record| record.state.has(State::LIVE));
        for record in live {
            *count += 1;
            write_record(out, record);
            self.reports(record).for_each(|report| write_report(out, report));
        }
    }

    fn read_shard(&mut self, kind: u8, reader: &mut Reader<'_>) -> Result<(), Error> {
        let count = reader.u32()?;
        for _ in 0..count {
            match kind {
                1 => self.read_record(reader)?,
                2 => {
                    let (key, at, value) = (reader.u32()?, reader.u32()?, reader.f32()?);
                    self.counters.put(key.max(1), at, value);
                }
                _ => return Err(reader.broken("an unknown kind of shard")),
            }
        }
        reader.end()
    }

    fn read_members(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        for _ in 0..reader.u32()? {
            let member = reader.member()?;
            self.add_member(MemberTrust { standing: member.standing })?;
            if let Some(last) = self.members.last_mut() {
                *last = member;
            }
        }
        Ok(())
    }

    fn read_pairs(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        for _ in 0..reader.u32()? {
            let (a, b, count) = (self.read_number(reader)?, self.read_number(reader)?, reader.u32()?);
            self.pairs.put(a, b, count);
        }
        Ok(())
    }

    fn read_waiting(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        for _ in 0..reader.u32()? {
            let (due, key) = (reader.u32()?, reader.u64()?);
            let member = self.read_number(reader)?;
            let id = self.find(ObservableKey(key)).ok_or(reader.broken("a report waits that is not there"))?;
            self.survival.wait(due, id, member);
        }
        Ok(())
    }

    fn read_number(&self, reader: &mut Reader<'_>) -> Result<u16, Error> {
        let number = reader.u16()?;
        if usize::from(number) < self.members.len() { Ok(number) } else { Err(reader.broken("an unknown member")) }
    }

    fn read_record(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        let (record, reports) = reader.record()?;
        if self.find(ObservableKey(record.key)).is_some() {
            return Err(reader.broken("an observable twice"));
        }
        let id = self.create(ObservableKey(record.key), NeighbourhoodKey(record.neighbourhood), record.last)?;
        self.records[id] = record;
        let mut last = None;
        for place in 0..reports {
            let report = reader.report()?;
            let known = usize::from(report.member) < self.members.len();
            let ordered = place < 2 || last < Some(report.member);
            if !known || !ordered || self.report_mut(id, report.member).is_some() {
                return Err(reader.broken("reports of unknown members or out of order"));
            }
            last = Some(report.member);
            self.add_report(id, report);
        }
        Ok(())
    }
}

/// The counters of a group as they are written: in the order of their keys.
pub(crate) fn write_counters(mut counters: Vec<Counter>) -> Vec<u8> {
    counters.sort_unstable_by_key(|counter| counter.key);
    let mut out = (counters.len() as u32).to_le_bytes().to_vec();
    for counter in counters {
        out.extend(counter.key.to_le_bytes());
        out.extend(counter.at.to_le_bytes());
        out.extend(counter.value.to_le_bytes());
    }
    out
}

pub(crate) fn frame(kind: u8, number: u32, of: u32, stamp: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(FRAME + payload.len() + 8);
    out.extend(MAGIC);
    out.push(kind);
    out.extend(number.to_le_bytes());
    out.extend(of.to_le_bytes());
    out.extend(stamp.to_le_bytes());
    out.extend((payload.len() as u64).to_le_bytes());
    out.extend(payload);
    out.extend(checksum(&out).to_le_bytes());
    out
}

/// (kind, stamp, payload) of a sound shard.
fn unframe(shard: &[u8], number: usize, of: usize) -> Result<(u8, u64, &[u8]), Error> {
    let mut reader = Reader { bytes: shard, at: 0 };
    if reader.array::<8>()? != *MAGIC {
        return Err(broken("not a snapshot of this version", 0));
    }
    let kind = reader.array::<1>()?[0];
    if (reader.u32()? as usize, reader.u32()? as usize) != (number, of) {
        return Err(reader.broken("shards missing or out of order"));
    }
    let (stamp, length) = (reader.u64()?, reader.u64()?);
    if length != (shard.len() as u64).saturating_sub(FRAME as u64 + 8) {
        return Err(reader.broken("the length is not the shard's"));
    }
    let (body, sum) = shard.split_at(shard.len() - 8);
    if checksum(body).to_le_bytes() != sum {
        return Err(reader.broken("the checksum does not agree"));
    }
    Ok((kind, stamp, &body[FRAME..]))
}

fn write_member(out: &mut Vec<u8>, member: &Member) {
    out.push(member.standing as u8);
    out.extend(member.at.to_le_bytes());
    for number in [member.confirmed, member.survived, member.faults, member.survived_ever] {
        out.extend(number.to_le_bytes());
    }
    out.extend(member.confirmed_ever.to_le_bytes());
    out.extend(member.surviving.to_le_bytes());
    out.extend(member.suspect_until.to_le_bytes());
    out.extend([member.suspected, member.confirmers.len() as u8, member.strikes.len() as u8]);
    member.confirmers.iter().for_each(|by| out.extend(by.to_le_bytes()));
    member.strikes.iter().for_each(|at| out.extend(at.to_le_bytes()));
}

fn write_record(out: &mut Vec<u8>, record: &Record) {
    out.extend(record.key.to_le_bytes());
    for number in [record.last, record.since, record.neighbourhood] {
        out.extend(number.to_le_bytes());
    }
    out.extend(record.all.to_le_bytes());
    out.extend(record.burst.to_le_bytes());
    out.push(record.state.0);
    out.extend(record.reports.to_le_bytes());
}

fn write_report(out: &mut Vec<u8>, report: &Report) {
    out.extend(report.last.to_le_bytes());
    out.extend(report.active.to_le_bytes());
    out.extend(report.member.to_le_bytes());
    out.extend([report.flags.0, report.lag_days]);
    report.mark.iter().for_each(|part| out.extend(part.to_le_bytes()));
}

pub(crate) fn broken(what: &'static str, at: usize) -> Error {
    Error::Broken { what, at }
}

/// Reads little-endian values and never beyond the end.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let array = *bytes.ok_or(self.broken("ends too early"))?;
        self.at += N;
        Ok(array)
    }

    fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number that is finite and not negative, as all of ours are.
    fn f64(&mut self) -> Result<f64, Error> {
        let number = f64::from_le_bytes(self.array()?);
        if number.is_finite() && number >= 0.0 { Ok(number) } else { Err(self.broken("not a count")) }
    }

    fn f32(&mut self) -> Result<f32, Error> {
        let number = f32::from_le_bytes(self.array()?);
        if number.is_finite() && number >= 0.0 { Ok(number) } else { Err(self.broken("not a count")) }
    }

    fn member(&mut self) -> Result<Member, Error> {
        let standing = match self.array::<1>()?[0] {
            n if n == Standing::Vetted as u8 => Standing::Vetted,
            n if n == Standing::Probation as u8 => Standing::Probation,
            n if n == Standing::Suspended as u8 => Standing::Suspended,
            _ => return Err(self.broken("an unknown standing")),
        };
        let mut member = Member::new(standing);
        member.at = self.u32()?;
        (member.confirmed, member.survived) = (self.f64()?, self.f64()?);
        (member.faults, member.survived_ever) = (self.f64()?, self.f64()?);
        member.confirmed_ever = self.u32()?;
        (member.surviving, member.suspect_until) = (self.u16()?, self.u32()?);
        let [suspected, confirmers, strikes] = self.array()?;
        member.suspected = suspected;
        member.confirmers = (0..confirmers).map(|_| self.u16()).collect::<Result<_, _>>()?;
        member.strikes = (0..strikes).map(|_| self.u32()).collect::<Result<_, _>>()?;
        Ok(member)
    }

    /// A record without its reports, and how many follow.
    fn record(&mut self) -> Result<(Record, u16), Error> {
        let key = self.u64()?;
        let (last, since, neighbourhood) = (self.u32()?, self.u32()?, self.u32()?);
        let mut record = Record::new(key, neighbourhood, last);
        record.since = since;
        (record.all, record.burst) = (self.f32()?, self.f32()?);
        record.state = State(self.array::<1>()?[0] | State::LIVE);
        Ok((record, self.u16()?))
    }

    fn report(&mut self) -> Result<Report, Error> {
        let (last, active, member) = (self.u32()?, self.f32()?, self.u16()?);
        let [flags, lag_days] = self.array()?;
        let mark = [self.u16()?, self.u16()?, self.u16()?];
        if member == NOBODY {
            return Err(self.broken("a report of nobody"));
        }
        Ok(Report { last, active, member, flags: Flags(flags), lag_days, mark })
    }

    fn end(&self) -> Result<(), Error> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.broken("bytes left over")) }
    }

    fn broken(&self, what: &'static str) -> Error {
        broken(what, self.at)
    }
}
