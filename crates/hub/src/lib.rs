//! The hub's doors: HTTPS API, stream, sequencer.
