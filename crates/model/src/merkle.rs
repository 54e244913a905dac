//! Merkle hashing, roots and inclusion paths (RFC 9162 §2.1); shared by batches, plans and the journal tree.
