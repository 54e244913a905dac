//! The words: observables, sightings, findings, plans; parsed once and then typed.
