//! The agent as a witness of the hub, and what it asks of other witnesses before it acts.

use crate::common::{ME, mine};
use crate::log::{ALLIANCE, Log, line};
use crate::rig::Rig;
use account::{AddCheckpoint, SignedCheckpoint, WitnessKey, witness_name};
use agent::core::{AlarmKind, Input, Output, Record};
use model::{MitigationState, PlanId, Rule, Span, StreamMessage};

const BAD: &str = "8.8.4.4";

fn cosigned_notes(outputs: &[Output]) -> Vec<SignedCheckpoint> {
    let note = |output: &Output| match output {
        Output::Cosign(note) => Some(SignedCheckpoint::parse(note.as_bytes()).unwrap()),
        _ => None,
    };
    outputs.iter().filter_map(note).collect()
}

fn own_key(rig: &Rig) -> WitnessKey {
    WitnessKey::new(&witness_name(ALLIANCE, ME), rig.world.witness_key(ME).public()).unwrap()
}

/// An agent that has a plan's part, and the log in which the plan stands.
fn waiting(cosignatures: u32) -> (Rig, Log, u64, model::MitigationId) {
    let (mut rig, mut log) = (Rig::asking(cosignatures), Log::of(3));
    rig.message(log.growth(0, false));
    let part = mine(&rig.world, &[BAD]);
    let position = log.put_in_force(&rig.world, &part.header);
    let id = part.items[0].mitigation.id();
    rig.position = position - 1;
    rig.part(part);
    (rig, log, position, id)
}

#[test]
fn a_checkpoint_is_cosigned_when_it_is_wanted_and_written_down_before_it_is_said() {
    let (mut rig, mut log) = (Rig::new(), Log::of(3));
    assert!(cosigned_notes(&rig.message(log.growth(0, false))).is_empty(), "nobody asked");
    log.push(b"more".to_vec());
    let outputs = rig.message(log.growth(3, true));
    let place = |is: fn(&Output) -> bool| outputs.iter().position(is).unwrap();
    let written = place(|output| matches!(output, Output::Persist(Record::Witness(_))));
    assert!(written < place(|output| matches!(output, Output::Cosign(_))));
    let note = cosigned_notes(&outputs).remove(0);
    let seconds = u64::try_from(rig.now.as_millis() / 1_000).unwrap();
    assert_eq!(own_key(&rig).cosigned(note.note()), Ok(Some(seconds)));
    assert_eq!(note.note().text(), log.checkpoint().note().text());
    assert_eq!(rig.core.status().witness.cosigned, Some(4));
}

#[test]
fn neither_a_smaller_nor_another_tree_is_ever_cosigned_also_not_after_kill_nine() {
    let (mut rig, log) = (Rig::new(), Log::of(9));
    assert_eq!(cosigned_notes(&rig.message(log.growth(0, true))).len(), 1);
    let mut fork = Log::of(8);
    fork.push(b"another ninth".to_vec());
    for _ in 0..2 {
        rig.restart();
        assert!(cosigned_notes(&rig.message(Log::of(5).growth(0, true))).is_empty());
        assert!(cosigned_notes(&rig.message(fork.growth(8, true))).is_empty());
        let mut longer = fork.clone();
        longer.push(b"and more".to_vec());
        assert!(cosigned_notes(&rig.message(longer.growth(9, true))).is_empty());
    }
    assert!(rig.alarmed(AlarmKind::HistoryForked));
    assert_eq!(rig.core.status().witness.cosigned, Some(9));
}

#[test]
fn a_path_that_does_not_fit_is_asked_for_and_nothing_is_cosigned_until_it_comes() {
    let (mut rig, mut log) = (Rig::new(), Log::of(3));
    rig.message(log.growth(0, true));
    (0..4).for_each(|n| log.push(vec![n]));
    let StreamMessage::Grown(mut growth) = log.growth(3, true) else { panic!() };
    growth.path.reverse();
    assert!(cosigned_notes(&rig.message(StreamMessage::Grown(growth))).is_empty());
    assert!(rig.asked.iter().any(|asked| matches!(asked, Output::FetchConsistency { from: 3, to: 7 })));
    let outputs = rig.give(Input::Consistency { from: 3, to: 7, path: log.path(3) });
    assert_eq!(cosigned_notes(&outputs).len(), 1);
    assert!(!rig.alarmed(AlarmKind::HistoryForked));
}

#[test]
fn a_plan_waits_until_enough_other_members_have_cosigned_its_checkpoint() {
    let (mut rig, log, position, id) = waiting(2);
    rig.message(log.growth(3, true));
    assert_eq!((rig.state(&id), rig.core.status().witness.plans_waiting), (None, 1));
    for too_few in [&[][..], &["cloud"], &["cloud", ME], &["cloud", "watcher"]] {
        rig.message(StreamMessage::Witnessed(log.proof(&rig.world, position, too_few)));
        assert_eq!(rig.state(&id), None, "{too_few:?}");
    }
    rig.message(StreamMessage::Witnessed(log.proof(&rig.world, position, &["cloud", "bank"])));
    assert_eq!(rig.state(&id), Some(MitigationState::Verified));
    assert_eq!(rig.core.status().witness.plans_waiting, 0);
}

#[test]
fn a_charter_that_asks_for_none_makes_nobody_wait() {
    let (rig, _, _, id) = waiting(0);
    assert_eq!(rig.state(&id), Some(MitigationState::Verified));
}

#[test]
fn false_cosignatures_and_proofs_of_something_else_release_nothing() {
    let (mut rig, log, position, id) = waiting(1);
    rig.message(log.growth(3, true));
    let mut forged = log.checkpoint();
    forged.add(line(&forged, "cloud", &rig.world.strangers_key(), &rig.world)).unwrap();
    let good = log.proof(&rig.world, position, &[]);
    let with = |checkpoint: &str| format!("{}\n\n{checkpoint}", good.split_once("\n\n").unwrap().0);
    rig.message(StreamMessage::Witnessed(with(&forged.to_string())));
    // The key in the line's name is a stranger's, so the line is nobody's.
    assert_eq!(rig.state(&id), None);
    let moved = log.cosigned(&rig.world, &["cloud"]).to_string().replace("\n4\n", "\n5\n");
    rig.message(StreamMessage::Witnessed(with(&moved)));
    rig.message(StreamMessage::Witnessed(log.proof(&rig.world, position - 1, &["cloud"])));
    rig.message(StreamMessage::Witnessed("c2sp.org/tlog-proof@v1\nnonsense".to_owned()));
    assert_eq!(rig.state(&id), None);
    assert!(rig.alarmed(AlarmKind::CheckpointDoubtful));
    rig.message(StreamMessage::Witnessed(log.proof(&rig.world, position, &["cloud"])));
    assert_eq!(rig.state(&id), Some(MitigationState::Verified));
}

#[test]
fn a_proof_under_another_history_stops_everything_new() {
    let (mut rig, log, _, id) = waiting(1);
    rig.message(log.growth(3, true));
    let mut fork = Log::of(2);
    fork.push(b"another third".to_vec());
    let part = mine(&rig.world, &[BAD]);
    let position = fork.put_in_force(&rig.world, &part.header);
    rig.message(StreamMessage::Witnessed(fork.proof(&rig.world, position, &["cloud", "bank"])));
    assert_eq!(rig.state(&id), None);
    assert!(rig.alarmed(AlarmKind::HistoryForked));
}

#[test]
fn a_proof_that_came_before_its_checkpoint_counts_once_the_hub_has_shown_the_way() {
    let (mut rig, log, position, id) = waiting(1);
    rig.message(StreamMessage::Witnessed(log.proof(&rig.world, position, &["cloud"])));
    assert_eq!(rig.state(&id), None);
    rig.give(Input::Consistency { from: 3, to: 4, path: log.path(3) });
    assert_eq!(rig.state(&id), Some(MitigationState::Verified));
}

#[test]
fn what_is_withdrawn_while_it_waits_never_comes_into_force() {
    let (mut rig, log, position, id) = waiting(1);
    rig.withdraw(&mine(&rig.world, &[BAD]));
    rig.message(log.growth(3, true));
    rig.message(StreamMessage::Witnessed(log.proof(&rig.world, position, &["cloud"])));
    assert_eq!((rig.state(&id), rig.point.targets().len()), (None, 0));
}

#[test]
fn an_agent_that_cannot_get_them_says_so_asks_and_does_not_act() {
    let (mut rig, log, position, id) = waiting(1);
    rig.message(log.growth(3, true));
    rig.pass(Span::seconds(30));
    assert!(rig.alarmed(AlarmKind::CosignaturesMissing));
    let plan = mine(&rig.world, &[BAD]).header.id();
    assert!(asks_for(&rig, plan) >= 3);
    assert_eq!((rig.state(&id), rig.reported(&id)), (None, vec![MitigationState::Due]));
    rig.pass(Span::hours(7));
    assert_eq!(rig.refusals(), [Rule::CosignaturesMissing]);
    assert_eq!(rig.core.status().witness.plans_waiting, 0);
    rig.message(StreamMessage::Witnessed(log.proof(&rig.world, position, &["cloud"])));
    assert_eq!(rig.state(&id), None);
}

/// How often the proof of this plan was asked for.
fn asks_for(rig: &Rig, plan: PlanId) -> usize {
    rig.asked.iter().filter(|asked| matches!(asked, Output::FetchProof { plan: of } if *of == plan)).count()
}

#[test]
fn a_proof_is_asked_for_less_and_less_often_and_soon_when_the_hub_is_back() {
    let (mut rig, log, _, _) = waiting(1);
    rig.message(log.growth(3, true));
    let plan = mine(&rig.world, &[BAD]).header.id();
    rig.pass(Span::hours(1));
    let asked = asks_for(&rig, plan);
    assert!((60..70).contains(&asked), "{asked} times in an hour");
    rig.give(Input::CharterAnnounced(1));
    rig.pass(Span::seconds(20));
    assert_eq!(asks_for(&rig, plan), asked + 3, "after 0.7, 5.7 and 15.7 s");
}

#[test]
fn what_waits_when_the_agent_dies_is_asked_for_again() {
    let (mut rig, log, position, id) = waiting(1);
    rig.message(log.growth(3, true));
    rig.restart();
    assert!(rig.core.state().position.is_none_or(|reached| reached < position));
    rig.position = position - 1;
    rig.part(mine(&rig.world, &[BAD]));
    rig.give(Input::Proof(log.proof(&rig.world, position, &["cloud"])));
    assert_eq!(rig.state(&id), Some(MitigationState::Verified));
}

#[test]
fn a_part_that_nobody_signed_is_refused_without_waiting() {
    let mut rig = Rig::asking(1);
    let mut forged = mine(&rig.world, &[BAD]);
    forged.evidence.clear();
    rig.part(forged);
    assert_eq!((rig.refusals().len(), rig.core.status().witness.plans_waiting), (1, 0));
}

#[test]
fn two_members_who_were_shown_two_histories_find_out_and_keep_both_notes() {
    let (mut rig, log) = (Rig::new(), Log::of(6));
    rig.message(log.growth(0, true));
    let mut fork = Log::of(5);
    fork.push(b"another sixth".to_vec());
    let shown = fork.cosigned(&rig.world, &["cloud"]);
    rig.give(Input::PeerCheckpoint { peer: "cloud".parse().unwrap(), note: shown.to_string() });
    assert!(rig.alarmed(AlarmKind::HistoryForked));
    let forked = rig.core.state().forked.clone().unwrap();
    assert_eq!(forked.by, Some("cloud".parse().unwrap()));
    assert_eq!(forked.shown.note, shown.to_string());
    assert_eq!(forked.held.note, log.checkpoint().to_string());
    rig.part(mine(&rig.world, &[BAD]));
    assert_eq!(rig.refusals(), [Rule::HistoryForked]);
    rig.restart();
    assert!(rig.core.state().forked.is_some(), "only a person clears it");
}

#[test]
fn a_peer_that_is_behind_or_ahead_is_proven_to_be_in_the_same_history_or_found_out() {
    for (other, forked) in [(Log::of(4), false), (Log::of(9), false), (forked_at(3, 4), true), (forked_at(5, 9), true)]
    {
        let (mut rig, log) = (Rig::new(), Log::of(6));
        rig.message(log.growth(0, true));
        let note = other.cosigned(&rig.world, &["cloud"]).to_string();
        rig.give(Input::PeerCheckpoint { peer: "cloud".parse().unwrap(), note });
        assert!(!rig.alarmed(AlarmKind::HistoryForked));
        // The hub shows the only path it has.
        let (from, to) = (other.size().min(6), other.size().max(6));
        let path = if other.size() > 6 { other.path(6) } else { log.path(other.size()) };
        rig.give(Input::Consistency { from, to, path });
        assert_eq!(rig.alarmed(AlarmKind::HistoryForked), forked, "{}", other.size());
    }
}

#[test]
fn a_hub_that_cannot_join_two_members_histories_is_found_out_after_the_grace() {
    let (mut rig, log) = (Rig::new(), Log::of(6));
    rig.message(log.growth(0, true));
    let note = forked_at(3, 4).cosigned(&rig.world, &["cloud"]).to_string();
    rig.give(Input::PeerCheckpoint { peer: "cloud".parse().unwrap(), note });
    rig.pass(Span::minutes(2));
    assert!(rig.alarmed(AlarmKind::HistoryForked));
}

#[test]
fn a_peer_that_shows_what_it_did_not_cosign_is_not_believed() {
    let (mut rig, log) = (Rig::new(), Log::of(6));
    rig.message(log.growth(0, true));
    let mut stranger = log.checkpoint();
    stranger.add(line(&stranger, "cloud", &rig.world.strangers_key(), &rig.world)).unwrap();
    for note in [log.checkpoint(), log.cosigned(&rig.world, &["bank"]), stranger] {
        rig.alarms.clear();
        rig.give(Input::PeerCheckpoint { peer: "cloud".parse().unwrap(), note: note.to_string() });
        assert!(rig.alarmed(AlarmKind::CheckpointDoubtful));
    }
    assert!(rig.core.state().forked.is_none());
}

#[test]
fn a_witness_whose_history_a_person_gave_up_falls_silent_until_it_has_a_new_key() {
    let (mut rig, log) = (Rig::new(), Log::of(6));
    rig.message(log.growth(0, true));
    let fork = forked_at(5, 6);
    rig.message(fork.growth(0, true));
    rig.give(Input::HistoryAccepted);
    assert!(rig.alarmed(AlarmKind::WitnessSilent));
    let mut longer = fork.clone();
    longer.push(b"more".to_vec());
    assert!(cosigned_notes(&rig.message(longer.growth(6, true))).is_empty());
    rig.restart();
    assert!(rig.core.status().witness.silent && rig.core.status().checkpoint == Some(7));
    // Another key: the same core with the key of another member in its configuration.
    let mut settings = crate::common::settings(rig.charter.digest());
    settings.witness = Some(std::sync::Arc::new(rig.world.strangers_key()));
    rig.core = agent::core::Core::new(
        settings,
        rig.world.agent_key(ME),
        std::sync::Arc::new(crate::common::Everywhere),
        rig.core.state().clone(),
        Some(&[]),
    )
    .unwrap();
    rig.give(Input::Restarted);
    assert!(!rig.core.status().witness.silent && !rig.core.status().witness.named_by_charter);
}

fn ask(rig: &mut Rig, request: &AddCheckpoint) -> (u16, String) {
    let outputs = rig.give(Input::AddCheckpoint(request.to_string().into_bytes()));
    let answer = outputs.into_iter().find_map(|output| match output {
        Output::WitnessAnswer(answer) => Some(answer),
        _ => None,
    });
    match answer.or_else(|| rig.asked.pop().and_then(answer_of)).unwrap() {
        Ok(lines) => (200, lines),
        Err(reply) => (reply.status(), reply.body()),
    }
}

fn answer_of(output: Output) -> Option<Result<String, account::Reply>> {
    match output {
        Output::WitnessAnswer(answer) => Some(answer),
        _ => None,
    }
}

#[test]
fn whoever_asks_the_witness_is_answered_as_the_standard_says() {
    let (mut rig, log) = (Rig::new(), Log::of(6));
    let request = |log: &Log, old: u64, path| AddCheckpoint { old, path, checkpoint: log.checkpoint() };
    let (status, lines) = ask(&mut rig, &request(&Log::of(3), 0, Vec::new()));
    let line: account::Signature = lines.trim_end().parse().unwrap();
    assert_eq!(status, 200);
    assert!(own_key(&rig).verify(Log::of(3).checkpoint().note().text(), &line).is_ok());
    assert_eq!(ask(&mut rig, &request(&log, 0, Vec::new())), (409, "3\n".to_owned()));
    assert_eq!(ask(&mut rig, &request(&log, 3, Vec::new())).0, 422);
    assert_eq!(ask(&mut rig, &request(&log, 3, log.path(3))).0, 200);
    assert_eq!(rig.core.status().checkpoint, Some(6), "what it cosigns it also follows");
    assert_eq!(ask(&mut rig, &request(&forked_at(5, 6), 6, Vec::new())).0, 422);
    assert_eq!(ask(&mut rig, &request(&log, 7, Vec::new())).0, 400);
    rig.restart();
    assert_eq!(ask(&mut rig, &request(&Log::of(3), 0, Vec::new())), (409, "6\n".to_owned()));
    let stranger = account::Signer::new("other.example", &[5; 32]).unwrap();
    let other = account::Checkpoint::new("other.example", 0, model::merkle::root(&[])).sign(&stranger).unwrap();
    assert_eq!(ask(&mut rig, &AddCheckpoint { old: 0, path: Vec::new(), checkpoint: other }).0, 404);
    let false_hub = account::Signer::new(ALLIANCE, &[5; 32]).unwrap();
    let forged = account::Checkpoint::new(ALLIANCE, 7, model::Digest::of(&[])).sign(&false_hub).unwrap();
    assert_eq!(ask(&mut rig, &AddCheckpoint { old: 6, path: Vec::new(), checkpoint: forged }).0, 403);
    let kept = rig.core.cosigned_log(&model::Digest::of(&[ALLIANCE.as_bytes()]).to_string()).unwrap();
    let kept = SignedCheckpoint::parse(kept.note.as_bytes()).unwrap();
    assert!(matches!(own_key(&rig).cosigned(kept.note()), Ok(Some(_))));
}

/// A log of `size` entries that goes another way from `at` on.
fn forked_at(at: usize, size: usize) -> Log {
    let mut log = Log::of(at);
    (at..size).for_each(|n| log.push(format!("another {n}").into_bytes()));
    log
}

#[test]
fn proof_of_another_plan_of_the_same_identifier_releases_nothing() {
    for digest in [None, Some(model::Digest::of(&[b"another plan"]))] {
        let (mut rig, mut log) = (Rig::asking(1), Log::of(3));
        rig.message(log.growth(0, false));
        let part = mine(&rig.world, &[BAD]);
        let position = log.put_in_force_as(&rig.world, part.header.id(), digest);
        let id = part.items[0].mitigation.id();
        rig.position = position - 1;
        rig.part(part);
        rig.message(log.growth(3, true));
        rig.message(StreamMessage::Witnessed(log.proof(&rig.world, position, &["cloud", "bank"])));
        assert_eq!(rig.state(&id), None, "{digest:?}");
        assert_eq!(rig.alarmed(AlarmKind::CheckpointDoubtful), digest.is_none());
    }
}

#[test]
fn outage_of_the_hub_is_no_fork_and_postpones_no_finding_out() {
    for withheld in [false, true] {
        let (mut rig, log) = (Rig::new(), Log::of(6));
        rig.message(log.growth(0, true));
        rig.give(Input::HubAway);
        let ahead = Log::of(9);
        let note = ahead.cosigned(&rig.world, &["cloud"]).to_string();
        rig.give(Input::PeerCheckpoint { peer: "cloud".parse().unwrap(), note });
        rig.pass(Span::hours(1));
        assert!(!rig.alarmed(AlarmKind::HistoryForked), "it cannot be asked");
        rig.give(Input::CharterAnnounced(1));
        rig.pass(Span::seconds(30));
        assert!(!rig.alarmed(AlarmKind::HistoryForked), "it is asked now");
        if !withheld {
            rig.give(Input::Consistency { from: 6, to: 9, path: ahead.path(6) });
        }
        rig.pass(Span::minutes(2));
        assert_eq!(rig.alarmed(AlarmKind::HistoryForked), withheld);
    }
}
