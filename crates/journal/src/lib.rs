//! The append-only log: one contract, several backends.
