//! What can go wrong while proofs are made. What can be wrong *with* a proof has types of its own beside it.

use crate::tiles::TileId;
use model::merkle::ProofError;

/// A failure to make a proof or to take up a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such proof: the index or the size lies outside the tree.
    #[error("refused: {0}")]
    Refused(#[from] ProofError),
    /// A tile is not at hand; with it, it would work.
    #[error("unavailable: {0}")]
    Unavailable(#[from] MissingTile),
}

/// A tile that the source did not have, or not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} is missing or has too few hashes", .0.path())]
pub struct MissingTile(pub TileId);
