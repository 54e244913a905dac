//! The hub's figures in Prometheus form. Each hub has its own recorder, so that several can live in one process.

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder, SharedString};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use model::Timestamp;

/// What a metric counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it counts.
    pub form: Form,
    /// Its labels; each has few values.
    pub labels: &'static str,
    /// What it means, with its unit.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident = $name:literal $form:ident $labels:literal: $help:literal,)+) => {
        $(pub(crate) const $constant: Metric =
            Metric { name: $name, form: Form::$form, labels: $labels, help: $help };)+

        /// Every metric of the hub, in the order of the flow.
        pub const METRICS: &[Metric] = &[$($constant,)+];
    };
}

metrics! {
    CONNECTIONS = "epimachia_connections" Gauge "": "Connections that are open.",
    CONNECTIONS_REFUSED = "epimachia_connections_refused_total" Counter "reason":
        "Connections closed before a request: too many, from one address, handshake.",
    REQUESTS = "epimachia_requests_total" Counter "route, status": "Requests answered.",
    REQUEST_SECONDS = "epimachia_request_seconds" Histogram "route":
        "From a request's header to its answer, in seconds.",
    REFUSALS = "epimachia_refusals_total" Counter "rule": "What a rule said no to.",
    SIGHTINGS = "epimachia_sightings_total" Counter "source, kind":
        "Sightings accepted; source is signed or attested, kind the behaviour.",
    QUEUE = "epimachia_queue_length" Gauge "": "Commands waiting to be ordered.",
    QUEUE_FULL = "epimachia_queue_full_total" Counter "": "Statements turned away because the queue was full.",
    TURN_SECONDS = "epimachia_turn_seconds" Histogram "":
        "One turn of the sequencer, from the first command to the durable write, in seconds.",
    APPEND_SECONDS = "epimachia_append_seconds" Histogram "": "One durable write, in seconds.",
    TURN_COMMANDS = "epimachia_turn_commands" Histogram "": "Commands ordered with one durable write.",
    ENTRIES = "epimachia_entries_total" Counter "kind": "Entries written, by kind.",
    CLOCK_BEHIND = "epimachia_clock_behind_total" Counter "":
        "Turns in which the system's clock was behind the journal's.",
    FINDINGS = "epimachia_findings" Gauge "state": "Findings the alliance holds.",
    PLANS = "epimachia_plans_total" Counter "outcome": "Plans proposed, in force and closed.",
    MITIGATIONS = "epimachia_mitigations" Gauge "state":
        "Mitigations of plans in force, as their agents reported them; `unreported` after their end.",
    PROTECTION_SECONDS = "epimachia_time_to_protection_seconds" Histogram "scope":
        "From the corroborating sighting to the read-back, in seconds; scope is alliance.",
    MEMBER_HEARD = "epimachia_member_last_heard_timestamp_seconds" Gauge "member":
        "When a member last sent something; the first 200 members.",
    STREAMS = "epimachia_streams" Gauge "": "Event streams that are open.",
    STREAMS_CUT = "epimachia_streams_cut_total" Counter "": "Event streams cut off because their reader fell behind.",
    JOURNAL_SIZE = "epimachia_journal_size" Gauge "": "Entries in the journal.",
    CHECKPOINT = "epimachia_journal_checkpoint_timestamp_seconds" Gauge "": "When the newest checkpoint was signed.",
    CHECKPOINT_SIZE = "epimachia_journal_checkpoint_size" Gauge "": "Entries under the newest checkpoint.",
    COSIGNATURES = "epimachia_cosignatures_total" Counter "standing":
        "Cosignatures of checkpoints taken; standing is new, again or older.",
    COSIGNED_SIZE = "epimachia_journal_cosigned_size" Gauge "": "Entries under the best cosigned checkpoint.",
    SNAPSHOT = "epimachia_snapshot_timestamp_seconds" Gauge "": "When the newest snapshot was made.",
    SNAPSHOTS_PASSED_OVER = "epimachia_snapshots_passed_over_total" Counter "":
        "Damaged files of snapshots that the start found; the journal was replayed instead of them.",
    SNAPSHOT_SECONDS = "epimachia_snapshot_seconds" Histogram "":
        "Time for which readers could read and the sequencer had to wait while a snapshot was taken, in seconds.",
    READ_ONLY = "epimachia_read_only" Gauge "": "1 while the hub serves reads only.",
    BUILD = "epimachia_build_info" Gauge "version": "1, with the version of the program.",
}

/// Bounds of the histograms' buckets, in seconds and in counts.
const BUCKETS: &[f64] = &[
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3_600.0,
];

/// Where figures are kept.
pub(crate) struct Figures {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Figures {
    pub(crate) fn new() -> Self {
        // The only error is an empty list of buckets, which this is not.
        let builder = PrometheusBuilder::new().set_buckets(BUCKETS).unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        for metric in METRICS {
            let (name, help) = (KeyName::from_const_str(metric.name), SharedString::const_str(metric.help));
            match metric.form {
                Form::Counter => recorder.describe_counter(name, None, help),
                Form::Gauge => recorder.describe_gauge(name, None, help),
                Form::Histogram => recorder.describe_histogram(name, None, help),
            }
        }
        let figures = Self { handle: recorder.handle(), recorder };
        figures.gauge(&BUILD, &[("version", env!("CARGO_PKG_VERSION"))]).set(1.0);
        figures
    }

    pub(crate) fn counter(&self, metric: &Metric, labels: &[(&'static str, &str)]) -> Counter {
        self.recorder.register_counter(&key(metric, labels), &META)
    }

    pub(crate) fn gauge(&self, metric: &Metric, labels: &[(&'static str, &str)]) -> Gauge {
        self.recorder.register_gauge(&key(metric, labels), &META)
    }

    pub(crate) fn histogram(&self, metric: &Metric, labels: &[(&'static str, &str)]) -> Histogram {
        self.recorder.register_histogram(&key(metric, labels), &META)
    }

    /// The figures as Prometheus reads them.
    pub(crate) fn render(&self) -> String {
        self.handle.render()
    }

    /// Moves raw samples into buckets, so that memory stays bounded while nobody asks.
    pub(crate) fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

static META: Metadata<'static> = Metadata::new("hub", Level::INFO, None);

fn key(metric: &Metric, labels: &[(&'static str, &str)]) -> Key {
    let labels: Vec<Label> = labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect();
    Key::from_parts(metric.name, labels)
}

/// A time as Prometheus writes it.
pub(crate) fn seconds(time: Timestamp) -> f64 {
    time.as_millis() as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hubs_in_one_process_count_for_themselves() {
        let (one, two) = (Figures::new(), Figures::new());
        one.counter(&REFUSALS, &[("rule", "malformed")]).increment(3);
        assert!(one.render().contains("epimachia_refusals_total{rule=\"malformed\"} 3"));
        assert!(!two.render().contains("malformed"));
        assert!(two.render().contains("epimachia_build_info{version="));
    }

    #[test]
    fn names_follow_the_conventions() {
        for metric in METRICS {
            assert!(metric.name.starts_with("epimachia_"), "{}", metric.name);
            assert_eq!(metric.form == Form::Counter, metric.name.ends_with("_total"), "{}", metric.name);
        }
    }
}
