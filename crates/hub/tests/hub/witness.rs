//! Witnesses: what members cosign is kept, shown and pushed; what is no cosignature is refused by name and counted.

use crate::stream::{Reader, open};
use crate::support::{Bench, charter, key, now, sighting, signed_charter, signed_report, witness_key};
use account::{Checkpoint, EntryProof, Policy, SignedCheckpoint, Signer, WitnessKey, cosign, witness_name};
use hub::Hub;
use model::{Growth, SigningKey, Span, StreamMessage, Timestamp, merkle};
use serde_json::{Value, json};

const ALLIANCE: &str = "test.alliance";

/// A hub whose charter asks for so many other members' cosignatures.
async fn bench(cosignatures: u32) -> Bench {
    let bench = Bench::start().await;
    let directory = bench.running.directory();
    let first = charter::Charter::digest_of(&charter(directory, 1, None)).to_string();
    let next = charter(directory, 2, Some(&first));
    let next = next.replace("[guards]", &format!("[witness]\ncosignatures = {cosignatures}\n[guards]"));
    let (status, answer) = bench.post("admin", "/api/v1/charter", &signed_charter(&next)).await;
    assert_eq!(status, 200, "{answer}");
    bench
}

fn log_key(bench: &Bench) -> account::VerifierKey {
    account::VerifierKey::new(ALLIANCE, bench.running.directory().identity().checkpoint_key.as_bytes()).unwrap()
}

/// The checkpoint with a line in a member's name, by some key, at some time.
fn with_line(note: &str, member: &str, key: &SigningKey, at: Timestamp) -> Value {
    let mut signed = SignedCheckpoint::parse(note.as_bytes()).unwrap();
    let seconds = u64::try_from(at.as_millis() / 1_000).unwrap();
    let line = cosign(&witness_name(ALLIANCE, member), key, signed.unverified(), seconds).unwrap();
    signed.add(line).unwrap();
    json!({ "note": signed.to_string() })
}

async fn send(bench: &Bench, who: &str, body: &Value) -> (u16, Value) {
    bench.post(who, "/api/v1/log/cosignatures", body).await
}

async fn cosigned_by(bench: &Bench, member: &str, note: &str) -> Value {
    let (status, answer) = send(bench, member, &with_line(note, member, &witness_key(member), now())).await;
    assert_eq!(status, 200, "{answer}");
    crate::api::check("CosignatureTaken", &answer).unwrap();
    answer
}

/// The next checkpoint over which cosignatures are wanted.
async fn wanted(reader: &mut Reader) -> Growth {
    loop {
        let event = reader.of("grown").await;
        crate::api::check("StreamMessage", &serde_json::from_str(&event.data).unwrap()).unwrap();
        let StreamMessage::Grown(growth) = serde_json::from_str(&event.data).unwrap() else { panic!("{event:?}") };
        if growth.wanted {
            return *growth;
        }
    }
}

async fn corroborate(bench: &Bench, observable: &str) {
    for member in ["telecom", "cloud"] {
        let (status, answer) = bench.report(member, signed_report(member, 1, &[sighting(observable)])).await;
        assert_eq!(status, 200, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proof_of_a_plan_is_pushed_as_soon_as_enough_others_have_cosigned() {
    let bench = bench(1).await;
    let mut reader = open(&bench, "bank", None).await;
    corroborate(&bench, "80.3.3.3").await;
    let event = reader.of("part").await;
    let position = event.id.unwrap();
    let StreamMessage::Part(part) = serde_json::from_str(&event.data).unwrap() else { panic!("{event:?}") };
    let growth = loop {
        let growth = wanted(&mut reader).await;
        if SignedCheckpoint::parse(growth.note.as_bytes()).unwrap().unverified().size > position {
            break growth;
        }
    };
    // Its own word is not another's.
    assert_eq!(cosigned_by(&bench, "bank", &growth.note).await["cosigned"], 1);
    assert_eq!(cosigned_by(&bench, "cloud", &growth.note).await["cosigned"], 2);
    let pushed = reader.of("witnessed").await;
    let StreamMessage::Witnessed(text) = serde_json::from_str(&pushed.data).unwrap() else { panic!("{pushed:?}") };
    let proof = EntryProof::parse(text.as_bytes()).unwrap();
    let entry = alliance::Entry::from_bytes(proof.verify(&log_key(&bench)).unwrap().entry.unwrap()).unwrap();
    assert_eq!((entry.event.kind(), proof.index()), ("plan-in-force", position));
    let cloud = WitnessKey::new(&witness_name(ALLIANCE, "cloud"), witness_key("cloud").public()).unwrap();
    let policy = Policy::of(log_key(&bench), 1, vec![("cloud".to_owned(), cloud)]).unwrap();
    policy.check(proof.checkpoint(), None).unwrap();
    // Whoever missed it asks, by the plan or by the entry.
    for path in [format!("plans/{}/proof", part.header.id()), format!("log/proof/{position}")] {
        let proof = bench.request("bank", reqwest::Method::GET, &format!("/api/v1/{path}"));
        let proof = EntryProof::parse(&proof.send().await.unwrap().bytes().await.unwrap()).unwrap();
        assert_eq!(proof.index(), position);
        policy.check(proof.checkpoint(), None).unwrap();
    }
    let (status, answer) = bench.get("bank", "/api/v1/plans/plan-000000000000/proof").await;
    assert_eq!((status, &answer["rule"]), (404, &"unknown_plan".into()), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn growth_is_announced_with_a_path_that_proves_it() {
    let bench = bench(0).await;
    let mut reader = open(&bench, "bank", None).await;
    let StreamMessage::Checkpoint(first) = serde_json::from_str(&reader.of("checkpoint").await.data).unwrap() else {
        panic!("no checkpoint")
    };
    let mut last = SignedCheckpoint::parse(first.as_bytes()).unwrap();
    let mut proven = 0;
    for (sequence, observable) in (1..).zip(["80.3.3.3", "80.3.3.4", "80.3.3.5"]) {
        let report = signed_report("telecom", sequence, &[sighting(observable)]);
        assert_eq!(bench.report("telecom", report).await.0, 200);
        let event = reader.of("grown").await;
        let StreamMessage::Grown(growth) = serde_json::from_str(&event.data).unwrap() else { panic!("{event:?}") };
        let next = SignedCheckpoint::parse(growth.note.as_bytes()).unwrap();
        let (old, new) = (last.unverified().clone(), next.unverified().clone());
        if growth.from == old.size {
            merkle::verify_consistency(old.size, old.root, new.size, new.root, &growth.path).unwrap();
            proven += 1;
        }
        last = next;
    }
    assert!(proven > 0, "no announcement followed from the one before");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_shown_with_its_cosignatures_also_after_a_restart() {
    let bench = bench(1).await;
    let (_, note) = bench.get("cloud", "/log/checkpoint").await;
    let note = note.as_str().unwrap().to_owned();
    for member in ["cloud", "bank"] {
        cosigned_by(&bench, member, &note).await;
    }
    let shown = |note: &Value| {
        let signed = SignedCheckpoint::parse(note.as_str().unwrap().as_bytes()).unwrap();
        assert!(signed.verify(&log_key(&bench)).is_ok());
        signed.note().signatures().len()
    };
    let mut lines = 0;
    let begun = std::time::Instant::now();
    while begun.elapsed() < crate::support::PATIENCE {
        lines = shown(&bench.get("cloud", "/log/checkpoint").await.1);
        if lines == 3 && bench.root().join("journal/cosigned").exists() {
            break;
        }
        // One that nobody is asked about any more is not counted: the next one is.
        let (_, newer) = bench.get("cloud", "/log/checkpoint").await;
        for member in ["cloud", "bank"] {
            cosigned_by(&bench, member, newer.as_str().unwrap()).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(lines, 3);
    let (root, tokens) = (bench.root(), bench.tokens.clone());
    let Bench { running, dir, .. } = bench;
    running.shutdown().await.unwrap();
    let running = Hub::start(crate::support::config(&root)).await.unwrap();
    let client = crate::support::client(running.certificate_pem());
    let again = Bench { running, client, tokens, dir };
    let (_, note) = again.get("cloud", "/log/checkpoint").await;
    assert_eq!(SignedCheckpoint::parse(note.as_str().unwrap().as_bytes()).unwrap().note().signatures().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_cosignature_is_refused_by_name_and_counted() {
    let bench = bench(0).await;
    let (_, note) = bench.get("cloud", "/log/checkpoint").await;
    let note = note.as_str().unwrap().to_owned();
    let (own, other) = (witness_key("cloud"), witness_key("bank"));
    let signed_elsewhere = |origin: &str, secret: &[u8; 32]| {
        let signer = Signer::new(origin, secret).unwrap();
        Checkpoint::new(origin, 3, model::Digest::of(&[b"root"])).sign(&signer).unwrap().to_string()
    };
    let altered = with_line(&note, "cloud", &own, now())["note"].as_str().unwrap().to_owned();
    let at = altered.len() - 10;
    let altered =
        format!("{}{}{}", &altered[..at], if &altered[at..=at] == "A" { "B" } else { "A" }, &altered[at + 1..]);
    for (body, rule) in [
        (with_line(&note, "cloud", &other, now()), "unknown_witness"),
        (with_line(&note, "bank", &other, now()), "unknown_witness"),
        (json!({ "note": note }), "unknown_witness"),
        (with_line(&note, "cloud", &own, now().plus(Span::hours(1))), "clock_skew"),
        (with_line(&note, "cloud", &own, now().minus(Span::hours(1))), "clock_skew"),
        (with_line(&signed_elsewhere("other.alliance", &[7; 32]), "cloud", &own, now()), "other_log"),
        (with_line(&signed_elsewhere(ALLIANCE, &[7; 32]), "cloud", &own, now()), "other_log"),
        (json!({ "note": altered }), "bad_signature"),
        (json!({ "note": "no note" }), "malformed"),
        (json!({ "text": note }), "malformed"),
    ] {
        let (_, problem) = send(&bench, "cloud", &body).await;
        assert_eq!(problem["rule"], rule, "{body}: {problem}");
    }
    // The first token belongs to telecom, and here with a key that the charter does not name.
    let (_, problem) = send(&bench, "telecom", &with_line(&note, "telecom", &key("telecom", false), now())).await;
    assert_eq!(problem["rule"], "unknown_witness");
    let figures = bench.running.figures();
    for rule in ["unknown_witness", "other_log", "clock_skew", "bad_signature"] {
        assert!(figures.contains(&format!("epimachia_refusals_total{{rule=\"{rule}\"}}")), "{rule}");
    }
    assert!(!figures.contains("epimachia_cosignatures_total"), "nothing was taken");
    assert_eq!(send(&bench, "", &with_line(&note, "cloud", &own, now())).await.0, 401);
}
