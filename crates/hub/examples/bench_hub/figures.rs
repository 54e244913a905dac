//! What is measured: latencies, and the processor time of a process.

use std::time::Duration;

/// Ticks of the kernel's accounting a second; Linux gives them so to programs on every machine (proc(5)).
const TICKS_A_SECOND: f64 = 100.0;

/// Latencies of one run.
#[derive(Clone, Default, Debug)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    pub fn add(&mut self, one: Duration) {
        self.0.push(one);
    }

    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The latency that this share of all stays within, in milliseconds; 0 of none.
    pub fn ms(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
        sorted.get(at).map_or(0.0, |latency| latency.as_secs_f64() * 1_000.0)
    }

    pub fn print(&self, what: &str) {
        let (p50, p99, worst) = (self.ms(0.5), self.ms(0.99), self.ms(1.0));
        println!("{what:<44} p50 {p50:8.1} ms   p99 {p99:8.1} ms   worst {worst:8.1} ms   of {}", self.count());
    }
}

/// Seconds of processor that a process has taken so far, its ended threads included; `self` or a number.
pub fn processor_seconds(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The second field is a name in brackets that may hold blanks.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |field: usize| fields.get(field).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS_A_SECOND
}

/// Resident bytes of a process.
pub fn resident(process: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0) * 1_024
}
