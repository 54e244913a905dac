//! The seeded simulator: hub and agents in one thread, one checker a promise.
