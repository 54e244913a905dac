//! A part of a plan as members signed it, with any bytes of it changed on the way: it is read or refused, never a
//! panic, and whatever is still accepted is exactly what was signed.
#![no_main]

use decide::testing::World;
use decide::{Answer, read_part};
use libfuzzer_sys::fuzz_target;
use model::{Behaviour, Mitigation, Observable};
use std::sync::LazyLock;

const ME: &str = "bank";

struct Scene {
    world: World,
    /// The part of [`ME`], as it goes over the wire.
    json: Vec<u8>,
    /// What it asks for.
    asked: Vec<Mitigation>,
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let world = World::new();
    let observables = ["60.1.2.3", "2600:1:2:3::4", "c2.evil-host.com"];
    let finding = |text: &&str| {
        let observable: Observable = text.parse().expect("an observable");
        world.finding(&observable, if observable.domain().is_some() { Behaviour::C2 } else { Behaviour::Scan })
    };
    let findings: Vec<_> = observables.iter().map(finding).collect();
    let mut parts = world.plan(&findings).plans.remove(0).parts(&[]);
    let part = parts.remove(&ME.parse().expect("a member")).expect("a part of it");
    let asked = part.items.iter().map(|item| item.mitigation.clone()).collect();
    let json = serde_json::to_vec(&part).expect("a part as text");
    Scene { world, json, asked }
});

fuzz_target!(|edits: Vec<(u16, u8, u8, Vec<u8>)>| {
    let mut json = SCENE.json.clone();
    for (at, kind, length, bytes) in edits {
        let from = usize::from(at) % json.len().max(1);
        let to = (from + usize::from(length)).min(json.len());
        match kind % 4 {
            // Swap what stands there for something else of the same part: keys, signatures, times.
            0 => {
                let other = usize::from(u16::from_le_bytes([length, kind])) % json.len().max(1);
                let end = (other + (to - from)).min(json.len());
                let copied = json[other..end].to_vec();
                json.splice(from..to, copied);
            }
            1 => drop(json.splice(from..to, bytes)),
            2 => drop(json.splice(from..from, bytes)),
            _ => json.get_mut(from).into_iter().for_each(|byte| *byte ^= length),
        }
        if json.is_empty() || json.len() > 1 << 20 {
            return;
        }
    }
    let Ok(part) = read_part(&json) else { return };
    for judgement in SCENE.world.judge(ME, &part) {
        if matches!(judgement.answer, Answer::Accept | Answer::Ask { .. }) {
            let item = part.items.iter().find(|item| item.mitigation.id() == judgement.mitigation);
            let mitigation = &item.expect("what is judged was in the part").mitigation;
            assert!(SCENE.asked.contains(mitigation), "{mitigation:?}");
        }
    }
});
