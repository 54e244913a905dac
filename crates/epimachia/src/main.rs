//! The program: command line and demo.
fn main() {}
