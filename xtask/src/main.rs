//! The project's own tasks: test, ci, tidy, bench, sim, soak.
fn main() {}
