//! The table in memory: chunked arenas of records, a sharded index of them, blocks of further reports.
//!
//! Nothing here moves a record once it stands, and nothing grows as a whole: arenas grow by one chunk, the index by one
//! shard of 4,096, so that the longest pause of growth stays far below a millisecond at 100 M observables.

pub(crate) mod arena;
pub(crate) mod blocks;
pub(crate) mod counters;
pub(crate) mod index;
pub(crate) mod record;
