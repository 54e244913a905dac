//! Sightings into findings: truth, relevance, guards, each a sum a person can add up.
