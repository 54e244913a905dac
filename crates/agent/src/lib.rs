//! The member's doors: sensors, hub client, enforcement points.
