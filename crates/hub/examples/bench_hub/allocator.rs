//! The allocator's settings of the hub's unit file, for the hub that is measured; what is set outside comes first.

const UNIT: &str = include_str!("../../../../dist/systemd/epimachia-hub.service");

/// Names and values.
pub fn settings() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = UNIT.lines().filter_map(|line| line.strip_prefix("Environment="));
    let pairs = lines.flat_map(|line| line.split(' ').filter_map(|word| word.split_once('=')));
    pairs.filter(|(name, _)| name.starts_with("MALLOC_") && std::env::var_os(name).is_none())
}
