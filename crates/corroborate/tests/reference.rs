//! The evaluation's tables on a committed extract, against those of the reference script.
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

use corroborate::Rules;
use corroborate::evaluate::{self, Ablation, Cast, History, Latency, rows};

/// The figures agree to this.
const TOLERANCE: f64 = 0.003;
/// Policies that rank by counts have many ties, which the reference leaves to its partition function: less can agree.
const TIED: f64 = 0.02;

fn history() -> History {
    let text = zstd::decode_all(&include_bytes!("../testdata/aws9_extract.csv.zst")[..]).unwrap();
    History::new(&rows::parse(&text).unwrap(), None).unwrap()
}

fn as_given() -> Rules {
    Ablation::AsGiven.apply(&Rules::default())
}

/// Rows of a table of expectations without its header.
fn expected(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    text.lines().skip(1).map(|line| line.split(';').collect())
}

fn near(found: f64, expected: &str, tolerance: f64) -> bool {
    expected == "NaN" && found.is_nan() || (found - expected.parse::<f64>().unwrap()).abs() <= tolerance
}

#[test]
fn the_daily_table_is_the_references() {
    let table = evaluate::daily(&history(), &as_given()).unwrap();
    assert_eq!((table.member_days, table.attackers), (99, 4568));
    let mut compared = 0;
    for line in expected(include_str!("../testdata/expected_daily.csv")) {
        let row = table.rows.iter().find(|row| row.policy == line[0]).unwrap();
        let cell = match line[1] {
            "all" => row.all,
            size => row.sizes[evaluate::daily::SIZES.iter().position(|n| n.to_string() == size).unwrap()],
        };
        let tied = line[0].contains("WOL") && line[1] != "all";
        let tolerance = if tied { TIED } else { TOLERANCE };
        assert!(
            near(cell.hit_rate, line[2], tolerance) && near(cell.precision, line[3], tolerance),
            "{line:?}: {cell:?}"
        );
        compared += 1;
    }
    assert_eq!(compared, 45);
}

#[test]
fn the_stream_table_is_the_references() {
    let table = evaluate::stream(&history(), &as_given(), &Latency::ALL).unwrap();
    let lines: Vec<_> = expected(include_str!("../testdata/expected_stream.csv")).collect();
    assert_eq!((lines.len(), table.rows.len()), (49, 49));
    for (row, line) in table.rows.iter().zip(lines) {
        assert_eq!((row.latency.as_str(), row.policy), (line[0], line[1]));
        let figures = [row.attempts, row.member_days, row.first_contacts];
        assert!(figures.iter().zip(&line[2..5]).all(|(f, e)| near(*f, e, TOLERANCE)), "{line:?}: {row:?}");
        assert!(near(row.entries, line[5], 1.0) && near(row.precision, line[6], TOLERANCE), "{line:?}: {row:?}");
    }
    assert!(table.weights.iter().all(|(_, weight)| (weight - 3.5).abs() < TOLERANCE));
    let pair = table.dependent.iter().find(|pair| pair.members.0 == "groucho-norcal").unwrap();
    assert_eq!((pair.members.1.as_str(), pair.together, pair.of), ("zeppo-norcal", 104, 139));
    assert!((pair.dependence - 0.5).abs() < 0.005);
}

#[test]
fn the_poison_table_is_the_references() {
    let cast = Cast { sloppy: Some("groucho-us-east".into()), compromised: Some("groucho-tokyo".into()) };
    let table = evaluate::poison(&history(), &as_given(), &cast).unwrap();
    let lines: Vec<_> = expected(include_str!("../testdata/expected_poison.csv")).collect();
    assert_eq!((lines.len(), table.rows.len()), (15, 48));
    for (row, line) in table.rows.iter().zip(lines) {
        assert_eq!((row.scenario, row.policy), (line[0], line[1]));
        assert!(near(row.share, line[3], TOLERANCE) && near(row.real_published, line[5], 0.02), "{line:?}: {row:?}");
    }
}

#[test]
fn with_the_holes_closed_outsiders_publish_nothing_and_insiders_are_stopped_soon() {
    let table = evaluate::poison(&history(), &Rules::default(), &Cast::default()).unwrap();
    let (mut none, mut little) = (0, 0);
    for row in table.rows.iter().filter(|row| row.policy == "e gate") {
        assert!(row.benign_reported > 100, "{row:?}");
        match row.scenario.contains("sloppy") || row.scenario.contains("compromised") {
            // In the whole history 23 of 4,110; disputes stop a liar after so many, however long it goes on lying.
            true => (little, _) = (little + 1, assert!(row.benign_published <= 25, "{row:?}")),
            false => (none, _) = (none + 1, assert_eq!(row.benign_published, 0, "{row:?}")),
        }
    }
    assert_eq!((none, little), (14, 2));
    let union = table.rows.iter().filter(|row| row.policy == "b union");
    assert!(union.into_iter().all(|row| row.share == 1.0), "without rules every lie is published");
}

#[test]
fn first_contacts_are_the_stream_tables() {
    let table = evaluate::stream(&history(), &Rules::default(), &Latency::ALL[..2]).unwrap();
    let turned = evaluate::FirstContactsTable::of(&table);
    assert_eq!((turned.latencies.len(), turned.rows.len()), (2, 7));
    let gate = turned.rows.iter().find(|row| row.policy == "e gate only, 7 d").unwrap();
    let row = table.rows.iter().find(|row| row.policy == gate.policy && row.latency == "10 s").unwrap();
    assert_eq!(gate.met[1], row.first_contacts);
}

#[test]
fn the_frontier_finds_the_stream_tables_figures_and_the_rules_in_force() {
    let (history, rules) = (history(), Rules::default());
    let mut tried = 0;
    let frontier = evaluate::frontier(&history, &rules, &Cast::default(), || tried += 1).unwrap();
    assert_eq!((tried, frontier.points.len()), (evaluate::frontier::settings(&rules), tried));
    let stream = evaluate::stream(&history, &rules, &[Latency::EachWay(10)]).unwrap();
    let met = |policy| stream.rows.iter().find(|row| row.policy == policy).unwrap().first_contacts;
    let point = |setting| frontier.points.iter().find(|point| point.setting == setting).unwrap();
    assert_eq!(frontier.points.iter().filter(|point| point.in_force).count(), 5);
    for force in frontier.points.iter().filter(|point| point.in_force) {
        assert_eq!(force.first_contacts, met("e gate only, 7 d"));
    }
    assert_eq!(point("two members").first_contacts, met("d own or k>=2 in 7 d"));
    assert_eq!(point("union of all").first_contacts, met("b union 7 d"));
    assert_eq!(point("two members").worst(), 1.0);
}

#[test]
fn closing_the_holes_costs_at_most_a_hundredth_of_the_first_contacts() {
    let table = evaluate::cost(&history(), &Rules::default()).unwrap();
    let first = &table.rows[0];
    assert_eq!((first.closed, table.rows[6].closed), ("formula as given", "all closed"));
    for row in &table.rows {
        assert!(first.first_contacts[0] - row.first_contacts[0] <= 0.01, "{row:?}");
    }
}

#[test]
fn tables_are_written_as_json_too() {
    let table = evaluate::stream(&history(), &Rules::default(), &[Latency::Nightly]).unwrap();
    let json = serde_json::to_value(&table).unwrap();
    assert_eq!(json["rows"][0]["policy"], "a own 7 d");
}
