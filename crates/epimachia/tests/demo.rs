//! The demo, as a newcomer runs it: every scene happens, nothing is left behind, the proof holds.

use serde_json::Value;
use std::process::Command;

#[test]
fn demo_plays_every_scene_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_epimachia"))
        .args(["demo", "--json", "--seed", "7", "--dir"])
        .arg(directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let played: Value = serde_json::from_slice(&output.stdout).unwrap();
    let lines: Vec<String> = (played["transcript"].as_array().unwrap().iter())
        .map(|line| format!("{} {} {}", line["who"], line["did"], line["what"]).replace('"', ""))
        .collect();
    for scene in [
        "newcomer reports 185.244.25.71",
        "alliance waits 185.244.25.71 is observed",
        "alliance waits 185.220.101.9 is observed, actionable: false (anybody could have forged it)",
        "members protect 3 read back as enforcing",
        "resolver answers login-update-account.top: NXDOMAIN",
        "rule refuses guard_never: 9.9.9.9 is a resolver",
        "rule refuses target_too_wide: 112.101.0.0/16",
        "checker agrees class quorum, 2 needed",
        "members protect 112.101.64.0/24",
        "resolver answers files-mirror-eu.top: NOERROR; lifted at dns",
        "telecom refuses by rule evidence_missing",
        "alliance revokes wedding-photos-2025.top; resolver: NOERROR",
        "left behind: 0",
        "proof holds entry",
        "journal holds",
    ] {
        assert!(lines.iter().any(|line| line.contains(scene)), "{scene} is not in\n{}", lines.join("\n"));
    }
    assert_eq!(played["status"]["refusals"]["guard_never"], 1);
    assert!(played["status"]["time_to_protection"]["count"].as_u64().unwrap() > 100);
}
