//! Where the second and further reporters of an observable stand: runs of 1, 2, 4, … reports, each size in its own
//! arena.

use super::record::Report;

const CHUNK: usize = 1 << 14;
const CLASSES: usize = 15;

/// The most reports that one block holds.
pub(crate) const REPORTS_MAX: usize = CHUNK;

/// Blocks of reports by size; a block doubles by moving to the next size.
#[derive(Clone, Default, Debug)]
pub(crate) struct Blocks {
    classes: [Sized; CLASSES],
}

#[derive(Clone, Default, Debug)]
struct Sized {
    chunks: Vec<Vec<Report>>,
    free: Vec<u32>,
}

impl Blocks {
    /// The `len` reports of the block `at`.
    pub fn get(&self, at: u32, len: usize) -> &[Report] {
        if len == 0 {
            return &[];
        }
        let class = class_of(len);
        let start = (at as usize) << class;
        &self.classes[class].chunks[start / CHUNK][start % CHUNK..start % CHUNK + len]
    }

    /// The same, to change.
    pub fn get_mut(&mut self, at: u32, len: usize) -> &mut [Report] {
        if len == 0 {
            return &mut [];
        }
        let class = class_of(len);
        let start = (at as usize) << class;
        &mut self.classes[class].chunks[start / CHUNK][start % CHUNK..start % CHUNK + len]
    }

    /// Adds a report to the block `at` of `len` reports, in the order of members; gives the block's new place.
    /// The caller keeps `len` below [`REPORTS_MAX`].
    pub fn add(&mut self, at: u32, len: usize, report: Report) -> u32 {
        let to = if len == 0 || class_of(len) != class_of(len + 1) { self.moved(at, len) } else { at };
        let reports = self.get_mut(to, len + 1);
        let place = reports[..len].partition_point(|r| r.member < report.member);
        reports.copy_within(place..len, place + 1);
        reports[place] = report;
        to
    }

    fn moved(&mut self, at: u32, len: usize) -> u32 {
        let to = self.classes[class_of(len + 1)].take(class_of(len + 1));
        let (old, new) = (class_of(len.max(1)), class_of(len + 1));
        let from = ((at as usize) << old, (to as usize) << new);
        for i in 0..len {
            let report = self.classes[old].chunks[(from.0 + i) / CHUNK][(from.0 + i) % CHUNK];
            self.classes[new].chunks[(from.1 + i) / CHUNK][(from.1 + i) % CHUNK] = report;
        }
        self.free(at, len);
        to
    }

    /// Frees the block `at` of `len` reports.
    pub fn free(&mut self, at: u32, len: usize) {
        if len > 0 {
            self.classes[class_of(len)].free.push(at);
        }
    }

    /// Bytes allocated.
    pub fn bytes(&self) -> usize {
        let of = |class: &Sized| class.chunks.len() * CHUNK * size_of::<Report>() + class.free.capacity() * 4;
        self.classes.iter().map(of).sum()
    }
}

impl Sized {
    fn take(&mut self, class: usize) -> u32 {
        if let Some(at) = self.free.pop() {
            return at;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let whole = (self.chunks.len() - 1) * CHUNK;
        let Some(chunk) = self.chunks.last_mut() else { return 0 };
        let at = whole + chunk.len();
        chunk.resize(chunk.len() + (1 << class), Report::default());
        (at >> class) as u32
    }
}

/// The size class of a block of `len` reports: the smallest power of two that holds them.
fn class_of(len: usize) -> usize {
    len.next_power_of_two().trailing_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn many_growing_blocks_keep_their_reports(adds in prop::collection::vec((0_usize..5, 0_u16..3000), 1..400)) {
            let mut blocks = Blocks::default();
            let mut held: [(u32, Vec<u16>); 5] = Default::default();
            for (which, member) in adds {
                let (at, members) = &mut held[which];
                if members.contains(&member) {
                    blocks.free(*at, members.len());
                    members.clear();
                }
                *at = blocks.add(*at, members.len(), Report { member, ..Report::default() });
                members.push(member);
                members.sort_unstable();
                for (at, members) in &held {
                    let found: Vec<u16> = blocks.get(*at, members.len()).iter().map(|r| r.member).collect();
                    prop_assert_eq!(&found, members);
                }
            }
        }
    }

    #[test]
    fn a_block_grows_to_the_limit() {
        let mut blocks = Blocks::default();
        let mut at = 0;
        for len in 0..REPORTS_MAX {
            at = blocks.add(at, len, Report { member: len as u16, ..Report::default() });
        }
        assert!(blocks.get(at, REPORTS_MAX).iter().enumerate().all(|(i, r)| r.member as usize == i));
    }
}
