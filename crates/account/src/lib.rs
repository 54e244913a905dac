//! Entries into a Merkle tree, checkpoints and proofs; figures.
