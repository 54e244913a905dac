//! Bytes from a sensor into sightings; one file a source.
