//! What a charter must be in itself: one test for each way to be wrong.

use crate::charter::Charter;
use crate::fixture::CHARTER;
use model::{Refusal, Rule};

/// The refusal of the fixture with one piece replaced; the piece must be there.
fn refused(from: &str, to: &str) -> Refusal {
    assert!(CHARTER.contains(from), "{from}");
    Charter::parse(&CHARTER.replacen(from, to, 1)).unwrap_err()
}

#[test]
fn a_number_out_of_bounds_is_refused_with_its_key() {
    for (section, line, key) in [
        ("corroboration", "threshold = 0.0", "corroboration.threshold"),
        ("corroboration", "threshold = nan", "corroboration.threshold"),
        ("corroboration", "threshold = -1.0", "corroboration.threshold"),
        ("corroboration", "threshold_cautious = inf", "corroboration.threshold_cautious"),
        ("corroboration", "threshold_cautious = 1.0", "corroboration.threshold_cautious"),
        ("corroboration", "prior_vetted = 0.0", "corroboration.prior_vetted"),
        ("corroboration", "prior_probation = 0.0", "corroboration.prior_probation"),
        ("corroboration", "weak_max = 2.0", "corroboration.weak_max"),
        ("corroboration", "evidence_members = 1", "corroboration.evidence_members"),
        ("corroboration", "evidence_age_max = \"0s\"", "corroboration.evidence_age_max"),
        ("corroboration", "half_life_report = \"0s\"", "corroboration.half_life_report"),
        ("limits", "mitigation_max = \"8d\"", "limits.mitigation_max"),
        ("limits", "mitigation_max = \"0s\"", "limits.mitigation_max"),
        ("limits", "mitigation_default = \"25h\"", "limits.mitigation_default"),
        ("limits", "plan_mitigations_max = 10001", "limits.plan_mitigations_max"),
        ("quorum", "charter = 1", "quorum.charter"),
        ("quorum", "charter = 4", "quorum.charter"),
        ("quorum", "plan = 1", "quorum.plan"),
        ("quorum", "plan = 4", "quorum.plan"),
        ("quorum", "dispute = 0", "quorum.dispute"),
        ("quorum", "owner_persons = 0", "quorum.owner_persons"),
        ("quorum", "approval_valid_max = \"0s\"", "quorum.approval_valid_max"),
        ("membership", "vote_window = \"0s\"", "membership.vote_window"),
        ("membership", "vote_window = \"91d\"", "membership.vote_window"),
        ("membership", "suspension_max = \"91d\"", "membership.suspension_max"),
    ] {
        let refusal = refused("[guards]", &format!("[{section}]\n{line}\n[guards]"));
        assert_eq!(refusal.rule, Rule::Malformed, "{line}");
        assert!(refusal.value.starts_with(key), "{line}: {refusal}");
    }
}

#[test]
fn an_auditor_and_an_observer_have_no_other_role() {
    for role in ["auditor", "observer"] {
        let refusal = refused("roles = [\"reporter\"]", &format!("roles = [\"reporter\", \"{role}\"]"));
        assert!(refusal.value.starts_with("member.roles"), "{refusal}");
        Charter::parse(&CHARTER.replacen("roles = [\"reporter\"]", &format!("roles = [\"{role}\"]"), 1)).unwrap();
    }
}

#[test]
fn the_alliances_name_and_version_are_checked() {
    assert!(refused("test.alliance", "Test Alliance").value.starts_with("alliance.name"));
    assert!(refused("test.alliance", &"a".repeat(65)).value.starts_with("alliance.name"));
    assert!(refused("version = 1", "version = 0").value.starts_with("alliance.version"));
    assert!(refused("version = 1", "version = 2").value.starts_with("alliance.previous"));
    let previous = format!("version = 1\nprevious = \"{}\"", "0".repeat(64));
    assert!(refused("version = 1", &previous).value.starts_with("alliance.previous"));
}

#[test]
fn nobody_stands_in_a_charter_twice() {
    assert!(refused("id = \"cloud\"", "id = \"telecom\"").value.contains("telecom"));
    let telecom = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=";
    let cloud = "gTl3Dqh9F19Wo1Rmw0x+zMuNipG07jeiXfYPW4/Js5Q=";
    let ada = "1i8Bah79Hk/feT60LNhEceG6nwzwTRKHtcxx9hYofLg=";
    assert!(refused(cloud, telecom).value.starts_with("public"), "two agents with one key");
    assert!(refused(ada, telecom).value.starts_with("public"), "a person with an agent's key");
}

#[test]
fn a_person_speaks_for_the_member_under_which_it_stands() {
    assert!(refused("ada@telecom", "ada@cloud").value.starts_with("member.person.id"));
}

#[test]
fn a_group_holds_members_only() {
    let refusal = refused("[guards]", "[[group]]\nid = \"banks\"\nmembers = [\"bank\", \"stranger\"]\n[guards]");
    assert!(refusal.value.contains("stranger"), "{refusal}");
}

#[test]
fn the_never_list_and_its_files_are_checked_before_anybody_signs() {
    for bad in ["0.0.0.0/0", "::/0", "8.8.8.8/33", "no dots", "", "*", "UPPER..com"] {
        let refusal = refused("\"44.4.4.4\"", &format!("\"{bad}\""));
        assert!(refusal.value.starts_with("guards.never[1]"), "{bad}: {refusal}");
    }
    for bad in ["../etc/passwd", "", ".hidden", "a/b.csv"] {
        let list = format!("[[guards.list]]\nfile = \"{bad}\"\nsha256 = \"{}\"\n", "0".repeat(64));
        let refusal = Charter::parse(&format!("{CHARTER}\n{list}")).unwrap_err();
        assert!(refusal.value.starts_with("guards.list.file"), "{bad}: {refusal}");
    }
}

#[test]
fn more_members_than_the_limit_are_refused() {
    assert_eq!(refused("[guards]", "[limits]\nmembers_max = 4\n[guards]").rule, Rule::TooLarge);
}

const WITNESSES: [&str; 3] = [
    "gKN5pNqAgCaqYqCT2ZRYPLKGdJLE4OqQHxlaO8I4n3k=",
    "uMK1FRz3bWzHE6vKUsjkMZ4v8DQ1nDGRzqh1tMtyoaM=",
    "vQGDKIYw4ssnbBTuXSOjIHUDIV1y5vqVS6KqcLdWFGM=",
];

/// The fixture with a witness key for the first so many members, asking for so many cosignatures.
fn witnessed(keys: usize, asked: u32) -> Result<Charter, Refusal> {
    let mut text = CHARTER.replacen("[guards]", &format!("[witness]\ncosignatures = {asked}\n[guards]"), 1);
    for (key, member) in WITNESSES.iter().zip(["telecom", "cloud", "bank"]).take(keys) {
        let line = format!("id = \"{member}\"\n");
        text = text.replacen(&line, &format!("{line}witness = \"{key}\"\n"), 1);
    }
    Charter::parse(&text)
}

#[test]
fn no_more_cosignatures_are_asked_for_than_every_witness_can_have_of_others() {
    assert_eq!(witnessed(3, 2).unwrap().witness.cosignatures, 2);
    assert_eq!(witnessed(0, 0).unwrap().witnesses().count(), 0);
    for (keys, asked) in [(3, 3), (1, 1), (0, 1), (3, 17)] {
        let refusal = witnessed(keys, asked).unwrap_err();
        assert!(refusal.value.starts_with("witness.cosignatures"), "{refusal}");
    }
}

#[test]
fn a_witness_key_is_used_for_nothing_else() {
    let taken = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=";
    let refusal = refused("id = \"cloud\"\n", &format!("id = \"cloud\"\nwitness = \"{taken}\"\n"));
    assert!(refusal.limit.contains("once"), "{refusal}");
}

#[test]
fn a_suspended_members_witness_is_not_heard() {
    let text = CHARTER.replacen("id = \"cloud\"\n", &format!("id = \"cloud\"\nwitness = \"{}\"\n", WITNESSES[1]), 1);
    let mut charter = Charter::parse(&text).unwrap();
    assert_eq!(charter.witnesses().count(), 1);
    charter.members[1].standing = model::Standing::Suspended;
    assert_eq!(charter.witnesses().count(), 0);
}

#[test]
fn fewer_than_the_majority_of_full_members_never_change_the_charter() {
    let five = |quorum: &str| {
        let more: String = (11..13)
            .map(|n| {
                let key = crate::fixture::key(n).public();
                format!(
                    "[[member]]\nid = \"more-{n}\"\nname = \"m\"\nkind = \"full\"\nstanding = \"vetted\"\n\
                     segments = []\nroles = []\nkeys = [{{ public = \"{key}\", from = \"2026-01-01T00:00:00Z\" }}]\n"
                )
            })
            .collect();
        let text = CHARTER.replacen("[guards]", &format!("{quorum}\n[guards]"), 1);
        Charter::parse(&format!("{text}\n{more}"))
    };
    let refusal = five("[quorum]\ncharter = 2").unwrap_err();
    assert!(
        refusal.value.starts_with("quorum.charter = 2") && refusal.limit.starts_with("3, the majority"),
        "{refusal}"
    );
    assert_eq!(five("").unwrap().signers_needed(), 3);
    assert_eq!(five("[quorum]\ncharter = 4").unwrap().signers_needed(), 4);
}

#[test]
fn an_alliance_has_two_full_members_or_more() {
    let refusal = Charter::parse(&CHARTER.replace("kind = \"full\"", "kind = \"associate\"")).unwrap_err();
    assert!(refusal.value.starts_with("member = 0 of kind full"), "{refusal}");
    assert!(refusal.limit.starts_with("two members"), "{refusal}");
}

#[test]
fn no_member_is_called_as_the_unnamed_are() {
    let refusal = refused("id = \"telecom\"", &format!("id = \"{}\"", model::MemberId::UNNAMED));
    assert!(refusal.value.starts_with("member.id = a-member"), "{refusal}");
}
