//! Tiles: the tree's hashes in rows of 256, named and encoded as C2SP `tlog-tiles` says.

use crate::error::{Error, MissingTile};
use model::merkle;
use model::{Digest, ParseError};
use std::fmt::Write;

/// Hashes in a full tile.
pub const TILE_WIDTH: u16 = 256;
/// The highest level there can be in a tree of 2^64 leaves.
pub const LEVEL_MAX: u8 = 7;
/// Longest path that is looked at, in bytes; 2^64 / 256 tiles need 40.
const PATH_BYTES_MAX: usize = 64;

/// Where tiles come from: a directory, a cache, another server. Not trusted: a wrong hash leads to a wrong root.
pub trait TileSource {
    /// The hashes of a tile, at least as many as its width; the full tile does for a partial one.
    ///
    /// `None` if it is not at hand.
    fn tile(&self, id: TileId) -> Option<Vec<Digest>>;
}

/// Which tile, and how many hashes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// 0 holds leaf hashes, each level above the roots of full tiles below; at most [`LEVEL_MAX`].
    pub level: u8,
    /// The tile's place in its level, from 0.
    pub index: u64,
    /// Hashes in it: 256 when full, else 1 to 255.
    pub width: u16,
}

impl TileId {
    /// The tile with hash `nth` of a level, in a tree of `size` leaves; `None` if the tree has no such hash.
    pub fn holding(size: u64, level: u8, nth: u64) -> Option<Self> {
        let hashes = if level <= LEVEL_MAX { size >> (8 * level) } else { 0 };
        let index = nth / u64::from(TILE_WIDTH);
        let width = (hashes - index.saturating_mul(256).min(hashes)).min(256);
        (nth < hashes).then_some(Self { level, index, width: width as u16 })
    }

    /// Its path under the log's prefix: `tile/<L>/<N>[.p/<W>]`.
    pub fn path(&self) -> String {
        let mut path = format!("tile/{}/{}", self.level, number(self.index));
        self.add_width(&mut path);
        path
    }

    /// The path of the entry bundle that goes with a tile of level 0: `tile/entries/<N>[.p/<W>]`.
    pub fn bundle_path(&self) -> String {
        let mut path = format!("tile/entries/{}", number(self.index));
        self.add_width(&mut path);
        path
    }

    /// Reads a path that [`TileId::path`] gives.
    ///
    /// # Errors
    /// Anything that it would not give, a leading zero for example.
    pub fn parse(path: &str) -> Result<Self, ParseError> {
        Self::read(path)
            .filter(|id| id.path() == path)
            .ok_or_else(|| ParseError::new("tile path", path, "tile/<L>/<N>[.p/<W>] as in C2SP tlog-tiles"))
    }

    fn read(path: &str) -> Option<Self> {
        let within = path.strip_prefix("tile/").filter(|_| path.len() <= PATH_BYTES_MAX)?;
        let (level, rest) = within.split_once('/')?;
        let (digits, width) = match rest.split_once(".p/") {
            Some((digits, width)) => (digits, width.parse().ok().filter(|width| *width < TILE_WIDTH && *width > 0)?),
            None => (rest, TILE_WIDTH),
        };
        let level = level.parse().ok().filter(|level| *level <= LEVEL_MAX)?;
        let digits: String = digits.chars().filter(|c| *c != '/' && *c != 'x').collect();
        Some(Self { level, index: digits.parse().ok()?, width })
    }

    fn add_width(&self, path: &mut String) {
        if self.width < TILE_WIDTH {
            // Writing to a String cannot fail.
            let _ = write!(path, ".p/{}", self.width);
        }
    }
}

/// Three digits a path element, all but the last behind an `x`.
fn number(index: u64) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    path
}

/// A tile with its hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// Which one.
    pub id: TileId,
    /// Its hashes, as many as its width.
    pub hashes: Vec<Digest>,
}

impl Tile {
    /// Its content as served: the hashes one after the other.
    pub fn encode(&self) -> Vec<u8> {
        self.hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
    }
}

/// The hashes of a tile's content; `None` if that is not 1 to 256 whole hashes.
pub fn decode(bytes: &[u8]) -> Option<Vec<Digest>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    let whole = rest.is_empty() && (1..=usize::from(TILE_WIDTH)).contains(&hashes.len());
    whole.then(|| hashes.iter().map(|hash| Digest::from_bytes(*hash)).collect())
}

/// Makes tiles as leaves come in; keeps only the right edge, at most 255 hashes a level.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tiler {
    size: u64,
    levels: Vec<Vec<Digest>>,
}

impl Tiler {
    /// For an empty tree.
    pub const fn new() -> Self {
        Self { size: 0, levels: Vec::new() }
    }

    /// Goes on where the tiles of a tree of this size end.
    ///
    /// # Errors
    /// Unavailable: one of the partial tiles at the right edge is missing.
    pub fn resume(source: &impl TileSource, size: u64) -> Result<Self, Error> {
        let mut levels = Vec::new();
        for level in 0..=LEVEL_MAX {
            let hashes = size >> (8 * level);
            if hashes == 0 {
                break;
            }
            levels.push(match hashes % 256 {
                0 => Vec::new(),
                _ => edge_tile(source, size, level, hashes - 1)?,
            });
        }
        Ok(Self { size, levels })
    }

    /// Appends a leaf by its hash; `full` is given each tile this fills.
    pub fn push(&mut self, leaf_hash: Digest, full: &mut impl FnMut(Tile)) {
        let mut hash = leaf_hash;
        for level in 0..=LEVEL_MAX {
            if self.levels.len() <= usize::from(level) {
                self.levels.push(Vec::new());
            }
            let hashes = &mut self.levels[usize::from(level)];
            hashes.push(hash);
            if hashes.len() < usize::from(TILE_WIDTH) {
                break;
            }
            let hashes = std::mem::take(hashes);
            hash = merkle::root(&hashes);
            full(Tile {
                id: TileId {
                    level,
                    index: self.size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0),
                    width: TILE_WIDTH,
                },
                hashes,
            });
        }
        self.size += 1;
    }

    /// The partial tiles that a checkpoint of the present size needs.
    pub fn partials(&self) -> impl Iterator<Item = Tile> {
        (0..=LEVEL_MAX).zip(&self.levels).filter(|(_, hashes)| !hashes.is_empty()).map(|(level, hashes)| {
            let index = (self.size >> (8 * level)) / 256;
            // At most 255: a level with 256 hashes has become a full tile.
            Tile { id: TileId { level, index, width: hashes.len() as u16 }, hashes: hashes.clone() }
        })
    }

    /// How many leaves have come in.
    pub const fn size(&self) -> u64 {
        self.size
    }
}

fn edge_tile(source: &impl TileSource, size: u64, level: u8, last: u64) -> Result<Vec<Digest>, MissingTile> {
    let id = TileId::holding(size, level, last).unwrap_or(TileId { level, index: last / 256, width: TILE_WIDTH });
    fetch(source, id)
}

/// A tile cut to its width.
pub(crate) fn fetch(source: &impl TileSource, id: TileId) -> Result<Vec<Digest>, MissingTile> {
    let mut hashes = source.tile(id).ok_or(MissingTile(id))?;
    hashes.truncate(usize::from(id.width));
    match hashes.len() == usize::from(id.width) {
        true => Ok(hashes),
        false => Err(MissingTile(id)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// All tiles of a tree, as files would keep them.
    #[derive(Debug, Default)]
    pub(crate) struct Kept(BTreeMap<String, Vec<u8>>);

    impl Kept {
        pub(crate) fn keep(&mut self, tile: &Tile) {
            self.0.insert(tile.id.path(), tile.encode());
        }
    }

    impl TileSource for Kept {
        fn tile(&self, id: TileId) -> Option<Vec<Digest>> {
            decode(self.0.get(&id.path())?)
        }
    }

    /// Leaf `n` of the trees tested with.
    pub(crate) fn leaf(n: u64) -> Digest {
        merkle::leaf_hash(&n.to_be_bytes())
    }

    /// The tiles of a tree of `size` leaves, partial ones included.
    pub(crate) fn tiled(size: u64) -> (Kept, Tiler) {
        let (mut kept, mut tiler) = (Kept::default(), Tiler::new());
        (0..size).for_each(|n| tiler.push(leaf(n), &mut |tile| kept.keep(&tile)));
        tiler.partials().for_each(|tile| kept.keep(&tile));
        (kept, tiler)
    }

    #[test]
    fn paths_equal_the_examples_of_the_specification() {
        let id = TileId { level: 0, index: 1_234_067, width: 256 };
        assert_eq!(id.path(), "tile/0/x001/x234/067");
        assert_eq!(TileId { width: 5, ..id }.path(), "tile/0/x001/x234/067.p/5");
        assert_eq!(id.bundle_path(), "tile/entries/x001/x234/067");
        assert_eq!(TileId { level: 7, index: u64::MAX, width: 256 }.path().len(), 40);
    }

    #[test]
    fn tree_of_70000_has_the_tiles_of_the_specification() {
        let mut full = [0; 3];
        let mut tiler = Tiler::new();
        (0..70_000).for_each(|n| tiler.push(leaf(n), &mut |tile| full[usize::from(tile.id.level)] += 1));
        assert_eq!(full, [273, 1, 0]);
        let partial: Vec<_> = tiler.partials().map(|tile| (tile.id.level, tile.id.index, tile.id.width)).collect();
        assert_eq!(partial, [(0, 273, 112), (1, 1, 17), (2, 0, 1)]);
    }

    #[test]
    fn tree_of_256_has_a_full_tile_and_a_partial_one_above() {
        let (kept, _) = tiled(256);
        assert_eq!(kept.0.keys().collect::<Vec<_>>(), ["tile/0/000", "tile/1/000.p/1"]);
    }

    #[test]
    fn foreign_paths_are_refused() {
        let foreign = [
            "",
            "tile/0/",
            "tile/00/000",
            "tile/8/000",
            "tile/0/00",
            "tile/0/x000/000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/1/000",
            "tile/0/../000",
            "tile/0/+01",
            "tile/-1/000",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        ];
        for path in foreign {
            assert!(TileId::parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn tile_content_is_whole_hashes() {
        assert_eq!(decode(&[]), None);
        assert_eq!(decode(&[0; 33]), None);
        assert_eq!(decode(&[0; 32 * 257]), None);
        assert_eq!(decode(&[0; 64]).map(|hashes| hashes.len()), Some(2));
    }

    proptest! {
        #[test]
        fn paths_round_trip(level in 0..=LEVEL_MAX, index: u64, width in 1..=TILE_WIDTH) {
            let id = TileId { level, index, width };
            prop_assert_eq!(TileId::parse(&id.path()), Ok(id));
        }

        #[test]
        fn any_path_is_read_without_panic(path in "(tile/)?[0-9xp./]{0,50}") {
            let _ = TileId::parse(&path);
        }

        #[test]
        fn resumed_tiler_goes_on_as_if_it_had_never_stopped(size in 0_u64..1500, more in 0_u64..600) {
            let (kept, mut whole) = tiled(size);
            let mut resumed = Tiler::resume(&kept, size).unwrap();
            let (mut a, mut b) = (Vec::new(), Vec::new());
            for n in size..size + more {
                whole.push(leaf(n), &mut |tile| a.push(tile));
                resumed.push(leaf(n), &mut |tile| b.push(tile));
            }
            prop_assert_eq!(a, b);
            prop_assert_eq!(whole.partials().collect::<Vec<_>>(), resumed.partials().collect::<Vec<_>>());
        }
    }
}
