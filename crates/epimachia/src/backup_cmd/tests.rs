//! An agent's state as a backup, and back: what it remembers must not act by itself.

use super::*;
use agent::Store;
use agent::core::Record;
use model::Observable;

fn agent_state(dir: &Path) -> PathBuf {
    let state = dir.join("state");
    let mut store = Store::open(&state).unwrap().store;
    let allowed = agent::core::state::Allowed { since: crate::clock::now(), note: "ours".to_owned() };
    let shop: Observable = "shop.example".parse().unwrap();
    store.append(&[Record::Allow(shop, Some(allowed)), Record::Reached(Some(77)), Record::Sequence(9)]).unwrap();
    std::fs::write(state.join("rpz.serial"), "epimachia rpz serial v1\n").unwrap();
    std::fs::write(state.join("list-abc"), "8.8.8.8\n").unwrap();
    state
}

fn backup_of(dir: PathBuf, to: PathBuf) -> Outcome {
    backup(&Backup { dir, to, with_secrets: false, json: true })
}

fn restore_to(file: &Path, to: &Path) -> Outcome {
    restore(&Restore { file: file.to_owned(), check: false, to: Some(to.to_owned()), json: true })
}

#[test]
fn a_restored_agent_knows_its_allow_list_and_comes_up_with_its_kill_switch_on() {
    let dir = tempfile::tempdir().unwrap();
    let (state, file, back) = (agent_state(dir.path()), dir.path().join("agent.tar"), dir.path().join("back"));
    // The agent runs: its lock is held, its file is open.
    let running = Store::open(&state).unwrap();
    backup_of(state, file.clone()).unwrap();
    drop(running);
    restore_to(&file, &back).unwrap();
    let restored = Store::open(&back).unwrap().state;
    assert!(restored.allow.contains_key(&"shop.example".parse().unwrap()));
    assert_eq!(restored.position, None, "the hub is asked for everything that is in force by now");
    assert!(restored.killed.is_some_and(|killed| killed.reason.contains("restored from the backup")));
    assert_eq!(restored.outbox.next, Some(9));
    assert!(back.join("list-abc").exists() && !back.join("rpz.serial").exists());
}

#[test]
fn a_target_in_use_is_refused_and_a_failed_restore_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (state, file, back) = (agent_state(dir.path()), dir.path().join("agent.tar"), dir.path().join("back"));
    backup_of(state.clone(), file.clone()).unwrap();
    assert!(backup_of(state.clone(), file.clone()).is_err(), "a backup is never written over");
    assert!(restore_to(&file, &state).is_err());
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(8).position(|window| window == b"epimachi").unwrap() + 30;
    bytes[at] ^= 4;
    std::fs::write(&file, bytes).unwrap();
    let told = restore_to(&file, &back).unwrap_err().message();
    assert!(told.contains("nothing was restored"), "{told}");
    assert!(!back.exists());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "state and backup, nothing else");
}

#[test]
fn what_is_neither_hub_nor_agent_is_no_source() {
    let dir = tempfile::tempdir().unwrap();
    let told = backup_of(dir.path().to_owned(), dir.path().join("x.tar")).unwrap_err().message();
    assert!(told.contains("neither"), "{told}");
}
