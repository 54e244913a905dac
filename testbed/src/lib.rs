//! Real peers for tests: BIND, Unbound and nftables, started on loopback and stopped.
