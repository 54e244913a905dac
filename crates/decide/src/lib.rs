//! Findings and the charter into plans; the checker; approvals; standing orders.
