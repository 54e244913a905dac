//! Entries into a Merkle tree, checkpoints and proofs; figures.
//!
//! An entry becomes a [`leaf`], a salted commitment that shows nothing. Leaves grow a [`Tree`]; its hashes are kept as
//! [`tiles`], from which [`paths`] are made. A [`checkpoint`] is the tree's size and root, signed as a [`note`]. An
//! [`EntryProof`] binds one entry to a checkpoint and verifies offline, with nothing but the log's public key.
//! [`Audit`] re-derives all of it from the entries themselves. [`figures`] are exact quantiles, for time to protection.
//!
//! Witnesses hold a log to one history: each states with a [`cosignature`] which tree it has seen; a [`policy`] says
//! how many of them must have; [`Gathered`] keeps what they sent, and [`request`] is what a witness is asked.
//!
//! The formats are those of C2SP: `tlog-tiles`, `signed-note`, `tlog-checkpoint`, `tlog-proof`, `tlog-cosignature`,
//! `tlog-witness`, `tlog-policy`.
//!
//! What is absent: this crate reads no file and no clock, makes no nonce, and does not know the journal.

mod audit;
pub mod checkpoint;
pub mod cosignature;
mod error;
pub mod figures;
mod gather;
pub mod leaf;
pub mod note;
pub mod paths;
pub mod policy;
mod proof;
pub mod request;
pub mod tiles;
mod tree;

pub use audit::{Audit, AuditFault, Audited};
pub use checkpoint::{Checkpoint, CheckpointFault, SignedCheckpoint};
pub use cosignature::{WitnessKey, cosign, witness_name};
pub use error::{Error, MissingTile};
pub use figures::Figures;
pub use gather::{Gathered, Standing};
pub use note::{Note, Signature, Signer, VerifierKey};
pub use policy::{Policy, PolicyFault, Witnessed};
pub use proof::{EntryProof, Opening, PROOF_BYTES_MAX, ProofFault, Proven};
pub use request::{AddCheckpoint, Reply};
pub use tiles::{Tile, TileId, TileSource, Tiler};
pub use tree::Tree;
