//! The alliance's rules as data: members, guards, limits, quorum.
