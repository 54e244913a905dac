//! The log as members see it: the tree over the journal, its tiles on disk, its newest signed checkpoint.
//!
//! Everything here is derived from the journal and grows behind the sequencer, on a thread of its own. Full tiles are
//! files; the right edge is in memory and is made again from the journal at a start. Tiles are trusted for nothing:
//! what they lead to is compared with the signed checkpoint, and if they do not fit they are made again.

use crate::directory::write_whole;
use crate::error::Error;
use account::tiles::{self, TILE_WIDTH};
use account::{Checkpoint, SignedCheckpoint, Signer, Tile, TileId, TileSource, Tiler, Tree, leaf};
use journal::{FileJournal, Journal};
use model::{Digest, Timestamp, merkle};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// Entries read from the journal at a time while the tree is made.
const READ_MAX: usize = 2_048;

/// The tree with its tiles and checkpoints.
pub(crate) struct Log {
    disk: Disk,
    journal: Arc<dyn Journal>,
    kept: Option<Arc<FileJournal>>,
    signer: Signer,
    growing: Mutex<Growing>,
    newest: RwLock<Option<Arc<Newest>>>,
}

/// The newest checkpoint and the part of the tree that is not on the disk.
pub(crate) struct Newest {
    /// The checkpoint.
    pub(crate) signed: SignedCheckpoint,
    /// When it was signed.
    pub(crate) at: Timestamp,
    edge: BTreeMap<(u8, u64), Vec<Digest>>,
    edge_bundle: Vec<Digest>,
}

#[derive(Default)]
struct Growing {
    tree: Tree,
    tiler: Tiler,
    /// The leaves of the last, partial tile.
    bundle: Vec<Digest>,
}

impl Log {
    /// Takes up the tree where its tiles end, and goes on from the journal.
    ///
    /// # Errors
    /// Broken: the journal does not lead to the checkpoint that was signed over it.
    pub(crate) fn open(
        dir: PathBuf,
        journal: Arc<dyn Journal>,
        kept: Option<Arc<FileJournal>>,
        signer: Signer,
        signed: Option<&Checkpoint>,
    ) -> Result<Self, Error> {
        let disk = Disk { dir, writable: kept.is_some() };
        let whole = signed.map_or(0, |checkpoint| checkpoint.size / 256 * 256);
        let taken_up = match grow(&disk, journal.as_ref(), Growing::resume(&disk, whole), signed) {
            Ok(growing) => growing,
            Err(error) if whole > 0 => {
                tracing::warn!(%error, "the tiles do not fit the checkpoint; making them again from the journal");
                grow(&disk, journal.as_ref(), Some(Growing::default()), signed)?
            }
            Err(error) => return Err(error),
        };
        let log = Self { disk, journal, kept, signer, growing: Mutex::new(taken_up), newest: RwLock::new(None) };
        Ok(log)
    }

    /// Adds leaves, in order.
    pub(crate) fn extend(&self, commitments: &[Digest]) {
        let mut growing = self.growing();
        for commitment in commitments {
            growing.push(*commitment, &self.disk);
        }
    }

    /// Signs the tree as it is, makes the checkpoint the newest, and keeps it beside the journal.
    ///
    /// # Errors
    /// Broken: the origin is no name that can sign.
    pub(crate) fn sign(&self, now: Timestamp) -> Result<Arc<Newest>, Error> {
        let newest = {
            let growing = self.growing();
            let checkpoint = Checkpoint::new(self.signer.verifier().name(), growing.tree.size(), growing.tree.root());
            let signed = checkpoint.sign(&self.signer).map_err(|error| Error::Broken(error.to_string()))?;
            let edge = growing.tiler.partials().map(|tile| ((tile.id.level, tile.id.index), tile.hashes)).collect();
            Arc::new(Newest { signed, at: now, edge, edge_bundle: growing.bundle.clone() })
        };
        *self.newest.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&newest));
        if let Some(kept) = &self.kept
            && let Err(error) = kept.write_checkpoint(newest.signed.to_string().as_bytes())
        {
            // It is over durable entries and stays true. The kept one only tells a start what must be there.
            tracing::warn!(%error, "the newest checkpoint was not kept beside the journal");
        }
        Ok(newest)
    }

    /// The log's public key.
    pub(crate) const fn verifier(&self) -> &account::VerifierKey {
        self.signer.verifier()
    }

    /// Was the journal opened for appending?
    pub(crate) const fn can_write(&self) -> bool {
        self.kept.is_some()
    }

    /// The newest checkpoint; none before the first is signed.
    pub(crate) fn newest(&self) -> Option<Arc<Newest>> {
        self.newest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The tiles under a checkpoint.
    pub(crate) fn tiles<'s>(&'s self, newest: &'s Newest) -> Served<'s> {
        Served { disk: &self.disk, newest }
    }

    /// A file below `/log/`: a tile or a bundle of leaves.
    pub(crate) fn file(&self, newest: &Newest, path: &str) -> Option<Vec<u8>> {
        if let Some(rest) = path.strip_prefix("tile/entries/") {
            let id = TileId::parse(&format!("tile/0/{rest}")).ok()?;
            return self.bundle(newest, id);
        }
        let id = TileId::parse(path).ok()?;
        let mut hashes = self.tiles(newest).tile(id)?;
        hashes.truncate(usize::from(id.width));
        Some(Tile { id, hashes }.encode())
    }

    /// The leaves that go with a tile of level 0: from the edge, or from the entries themselves.
    fn bundle(&self, newest: &Newest, id: TileId) -> Option<Vec<u8>> {
        let (first, width) = (id.index.checked_mul(256)?, usize::from(id.width));
        let size = newest.signed.unverified().size;
        if first.checked_add(u64::from(id.width))? > size {
            return None;
        }
        if first == size / 256 * 256 {
            return Some(leaf::bundle(newest.edge_bundle.get(..width)?));
        }
        let mut leaves = Vec::with_capacity(width);
        while leaves.len() < width {
            let records = self.journal.read(first + leaves.len() as u64, width - leaves.len()).ok()?;
            leaves.extend(records.iter().map(|record| leaf::commitment(&record.nonce, &record.entry)));
        }
        Some(leaf::bundle(&leaves))
    }

    fn growing(&self) -> MutexGuard<'_, Growing> {
        self.growing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Goes on from what there is to the journal's head, and compares with the checkpoint on the way.
fn grow(
    disk: &Disk,
    journal: &dyn Journal,
    from: Option<Growing>,
    signed: Option<&Checkpoint>,
) -> Result<Growing, Error> {
    let mut growing = from.ok_or_else(|| Error::Unavailable("tiles are missing".to_owned()))?;
    let head = journal.head()?;
    if let Some(checkpoint) = signed.filter(|checkpoint| checkpoint.size > head) {
        return Err(Error::Broken(format!(
            "a checkpoint over {} entries was signed, {head} are there",
            checkpoint.size
        )));
    }
    check(&growing, signed)?;
    while growing.tree.size() < head {
        for record in journal.read(growing.tree.size(), READ_MAX)? {
            growing.push(leaf::commitment(&record.nonce, &record.entry), disk);
            check(&growing, signed)?;
        }
    }
    Ok(growing)
}

fn check(growing: &Growing, signed: Option<&Checkpoint>) -> Result<(), Error> {
    match signed {
        Some(checkpoint) if checkpoint.size == growing.tree.size() && checkpoint.root != growing.tree.root() => Err(
            Error::Broken(format!("the journal's first {} entries are not those of the checkpoint", checkpoint.size)),
        ),
        _ => Ok(()),
    }
}

impl Growing {
    /// The tree of `size` leaves, a multiple of 256, from full tiles; none if one is missing.
    fn resume(disk: &Disk, size: u64) -> Option<Self> {
        let tree = Tree::from_tiles(disk, size).ok()?;
        let tiler = Tiler::resume(disk, size).ok()?;
        Some(Self { tree, tiler, bundle: Vec::new() })
    }

    fn push(&mut self, commitment: Digest, disk: &Disk) {
        let hash = leaf::hash(commitment);
        self.tree.push(hash);
        self.bundle.push(commitment);
        if self.bundle.len() == usize::from(TILE_WIDTH) {
            self.bundle.clear();
        }
        self.tiler.push(hash, &mut |tile| disk.keep(&tile));
    }
}

/// Full tiles in files.
struct Disk {
    dir: PathBuf,
    writable: bool,
}

impl Disk {
    /// Keeps a full tile. One that is lost is made again from the journal, so nothing is synced and nothing fails.
    fn keep(&self, tile: &Tile) {
        if !self.writable {
            return;
        }
        let path = self.dir.join(tile.id.path());
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        if let Err(error) = made.and_then(|()| write_whole(&path, &tile.encode(), false)) {
            tracing::warn!(path = %path.display(), %error, "a tile was not kept; it will be made again");
        }
    }

    fn read(path: &Path) -> Option<Vec<Digest>> {
        tiles::decode(&std::fs::read(path).ok()?).filter(|hashes| hashes.len() == usize::from(TILE_WIDTH))
    }
}

impl TileSource for Disk {
    /// A full tile, or a partial one above level 0 from the full ones below it.
    fn tile(&self, id: TileId) -> Option<Vec<Digest>> {
        let full = TileId { width: TILE_WIDTH, ..id };
        if let Some(hashes) = Self::read(&self.dir.join(full.path())) {
            return Some(hashes);
        }
        let below = id.level.checked_sub(1)?;
        (0..u64::from(id.width))
            .map(|nth| TileId { level: below, index: id.index * 256 + nth, width: TILE_WIDTH })
            .map(|child| self.tile(child).map(|hashes| merkle::root(&hashes)))
            .collect()
    }
}

/// The tiles of one checkpoint's tree.
pub(crate) struct Served<'s> {
    disk: &'s Disk,
    newest: &'s Newest,
}

impl TileSource for Served<'_> {
    fn tile(&self, id: TileId) -> Option<Vec<Digest>> {
        match self.newest.edge.get(&(id.level, id.index)) {
            Some(hashes) => (hashes.len() >= usize::from(id.width)).then(|| hashes.clone()),
            None => self.disk.tile(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use account::paths;
    use journal::{Entry, Options};

    struct Bench {
        dir: tempfile::TempDir,
        journal: Arc<FileJournal>,
    }

    fn signer() -> Signer {
        Signer::new("test", &[5; 32]).unwrap()
    }

    impl Bench {
        fn with(entries: u64) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let options = Options::new(Digest::of(&[b"log"]));
            let journal = Arc::new(FileJournal::open(&dir.path().join("journal"), options).unwrap());
            let bench = Self { dir, journal };
            bench.append(entries);
            bench
        }

        fn append(&self, entries: u64) -> Vec<Digest> {
            let head = self.journal.head().unwrap();
            let made: Vec<_> = (head..head + entries).map(|n| (nonce(n), n.to_string().into_bytes())).collect();
            let packed: Vec<_> = made.iter().map(|(nonce, entry)| Entry::new(*nonce, entry).unwrap()).collect();
            self.journal.append(head, &packed).unwrap();
            made.iter().map(|(nonce, entry)| leaf::commitment(nonce, entry)).collect()
        }

        fn open(&self, signed: Option<&Checkpoint>) -> Result<Log, Error> {
            let journal: Arc<dyn Journal> = self.journal.clone();
            Log::open(self.dir.path().join("tiles"), journal, Some(self.journal.clone()), signer(), signed)
        }
    }

    fn nonce(n: u64) -> [u8; 32] {
        let mut nonce = [0; 32];
        nonce[..8].copy_from_slice(&n.to_be_bytes());
        nonce
    }

    fn now() -> Timestamp {
        Timestamp::MIN
    }

    #[test]
    fn a_log_taken_up_from_its_tiles_goes_on_as_if_it_had_never_stopped() {
        let bench = Bench::with(700);
        let first = bench.open(None).unwrap();
        let signed = first.sign(now()).unwrap().signed.unverified().clone();
        let more = bench.append(900);
        first.extend(&more);
        let whole = first.sign(now()).unwrap();
        let again = bench.open(Some(&signed)).unwrap();
        let taken_up = again.sign(now()).unwrap();
        assert_eq!(whole.signed.unverified(), taken_up.signed.unverified());
        let served = again.tiles(&taken_up);
        assert_eq!(paths::root(&served, 1600).unwrap(), taken_up.signed.unverified().root);
        let path = paths::consistency(&served, 700, 1600).unwrap();
        let root = taken_up.signed.unverified().root;
        merkle::verify_consistency(700, signed.root, 1600, root, &path).unwrap();
    }

    #[test]
    fn lost_or_bent_tiles_are_made_again() {
        let bench = Bench::with(600);
        let signed = bench.open(None).unwrap().sign(now()).unwrap().signed.unverified().clone();
        let path = bench.dir.path().join("tiles/tile/0/001");
        let good = std::fs::read(&path).unwrap();
        let mut bent = good.clone();
        bent[5] ^= 1;
        std::fs::write(&path, bent).unwrap();
        bench.open(Some(&signed)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), good);
        std::fs::remove_file(&path).unwrap();
        bench.open(Some(&signed)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), good);
    }

    #[test]
    fn a_journal_that_does_not_lead_to_its_checkpoint_stops_the_start() {
        let bench = Bench::with(10);
        let foreign = Checkpoint::new("test", 10, Digest::of(&[b"another history"]));
        assert!(matches!(bench.open(Some(&foreign)), Err(Error::Broken(_))));
        let ahead = Checkpoint::new("test", 11, Digest::of(&[]));
        assert!(matches!(bench.open(Some(&ahead)), Err(Error::Broken(_))));
    }

    #[test]
    fn every_tile_and_bundle_of_a_checkpoint_is_served_and_no_other() {
        let bench = Bench::with(600);
        let log = bench.open(None).unwrap();
        let newest = log.sign(now()).unwrap();
        for (path, bytes) in [
            ("tile/0/000", 256 * 32),
            ("tile/0/002.p/88", 88 * 32),
            ("tile/0/002.p/5", 5 * 32),
            ("tile/0/001.p/9", 9 * 32),
            ("tile/1/000.p/2", 64),
            ("tile/entries/000", 256 * 34),
            ("tile/entries/002.p/88", 88 * 34),
            ("tile/entries/001.p/3", 3 * 34),
        ] {
            assert_eq!(log.file(&newest, path).map(|file| file.len()), Some(bytes), "{path}");
        }
        for path in ["tile/0/002", "tile/0/003", "tile/0/002.p/89", "tile/1/000", "tile/entries/002", "tile/2/000", "x"]
        {
            assert_eq!(log.file(&newest, path), None, "{path}");
        }
    }
}
