//! My part of a plan at my enforcement points; one file a point.
