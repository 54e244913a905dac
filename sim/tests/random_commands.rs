//! Ten thousand commands that are not defensive, not theirs, too wide, unsigned or out of date: none is carried out.

#[test]
fn ten_thousand_random_commands_are_refused_each_by_a_named_rule() {
    let rows = sim::commands::run(1, 10_000);
    assert_eq!(rows.iter().map(|row| row.tried).sum::<u32>(), 10_000);
    let done: Vec<_> = rows.iter().filter(|row| row.carried_out > 0).collect();
    assert!(done.is_empty(), "{done:#?}");
    assert!(rows.iter().all(|row| row.refused.values().sum::<u32>() == row.tried));
}

#[test]
fn every_way_is_tried_and_many_rules_refuse() {
    let rows = sim::commands::run(2, 2_000);
    let rules: std::collections::BTreeSet<_> = rows.iter().flat_map(|row| row.refused.keys()).collect();
    assert!(rows.len() >= 80 && rules.len() >= 25, "{} ways, {} rules: {rules:?}", rows.len(), rules.len());
    assert!(sim::commands::table(&rows).contains("2000 commands, 0 carried out"));
}
