//! Any text as a pattern: what parses is printed, parses again to the same tree, and reduces without losing anything.
#![no_main]

use libfuzzer_sys::fuzz_target;
use share::pattern::{Pattern, Reduction};

fuzz_target!(|text: &str| {
    let Ok(pattern) = text.parse::<Pattern>() else { return };
    let printed = pattern.to_string();
    let again: Pattern = printed.parse().expect("what was printed parses");
    assert_eq!(again.to_string(), printed);
    let reduction = Reduction::of(&pattern);
    assert!(!reduction.any_of.is_empty() || !reduction.all_of.is_empty() || !reduction.kept.is_empty());
});
