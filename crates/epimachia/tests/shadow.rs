//! Shadow holds a log against findings and does nothing else: no connection without --hub, no file but those named.

#![expect(clippy::unwrap_used, reason = "a test says so by failing")]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::BufReader;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const OWN: &str = "198.51.100.0/24";
/// How long what must come may take.
const PATIENCE: Duration = Duration::from_secs(120);

fn event(kind: &str, minute: u32, from: &str, to: &str, rest: &str) -> String {
    format!(r#"{{"timestamp":"2026-01-31T12:{minute:02}:00.000000+0000","event_type":"{kind}","src_ip":"{from}","#)
        + &format!(r#""dest_ip":"{to}","proto":"TCP",{rest}}}"#)
        + "\n"
}

fn attack(minute: u32, from: &str) -> String {
    let rest = r#""app_proto":"http","alert":{"signature_id":1,"category":"Web Application Attack"}"#;
    event("alert", minute, from, "198.51.100.20", rest)
}

fn visit(minute: u32, to: &str) -> String {
    let rest = r#""app_proto":"tls","flow":{"pkts_toserver":9,"pkts_toclient":8,"state":"closed","alerted":false}"#;
    event("flow", minute, "198.51.100.30", to, rest)
}

fn question(minute: u32, name: &str) -> String {
    let rest = format!(r#""dns":{{"type":"query","rrname":"{name}","rrtype":"A"}}"#);
    event("dns", minute, "198.51.100.30", "9.9.9.9", &rest).replace("TCP", "UDP")
}

/// What the alliance holds since 12:10.
fn finding(observable: &str) -> Value {
    let id = model::finding_id(&observable.parse().unwrap(), model::Family::Source);
    json!({
        "id": id, "observable": observable, "family": "source", "behaviours": ["exploit"], "state": "corroborated",
        "actionable": true, "sum": {"lines": [], "total": 4.0, "threshold": 2.0}, "guard": null,
        "handling": {"tlp": "green"}, "first": "2026-01-31T11:00:00Z", "last": "2026-01-31T12:00:00Z",
        "made": "2026-01-31T12:10:00Z"
    })
}

fn scene(dir: &Path) {
    let mut log = String::new();
    log += &attack(5, "1.2.3.4");
    log += &attack(15, "1.2.3.4");
    log += &attack(20, "1.2.3.4");
    log += &attack(30, "1.2.3.5");
    log += &attack(31, "1.2.3.6");
    log += &attack(32, "198.51.100.99");
    log += &visit(40, "1.2.3.7");
    log += &visit(5, "1.2.3.7");
    log += &question(41, "www.bad.example.org");
    log += "not JSON\n";
    std::fs::write(dir.join("eve.json"), log).unwrap();
    let known = ["1.2.3.4", "1.2.3.5", "1.2.3.7", "bad.example.org", "198.51.100.7", "10.0.0.1"];
    let findings: Vec<Value> = known.iter().map(|observable| finding(observable)).collect();
    std::fs::write(dir.join("findings.json"), serde_json::to_string(&findings).unwrap()).unwrap();
}

fn shadow(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_epimachia"));
    command.current_dir(dir).env("HOME", dir).args(["shadow", "eve.json", "--own", OWN]).args(arguments);
    command
}

fn done(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn report(dir: &Path, arguments: &[&str]) -> Value {
    let output = shadow(dir, &[arguments, &["--json"]].concat()).output().unwrap();
    serde_json::from_str(&done(&output)).unwrap()
}

/// Every file with its content.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect()
}

#[test]
fn what_would_have_been_reported_blocked_and_hurt_is_told() {
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path());
    let report = report(dir.path(), &["--findings", "findings.json"]);
    assert_eq!((&report["lines"]["read"], &report["lines"]["malformed"]), (&json!(10), &json!(1)));
    assert_eq!((&report["reported"]["sightings"], &report["reported"]["observables"]), (&json!(5), &json!(3)));
    let blocked = &report["blocked"];
    assert_eq!((&blocked["attackers"], &blocked["at_first"], &blocked["later"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!((&blocked["events"], &blocked["stopped"]), (&json!(4), &json!(3)));
    assert_eq!(blocked["median_wait_seconds"], 300);
    assert_eq!(
        (&blocked["list"][0]["observable"], &blocked["list"][0]["spared_seconds"]),
        (&json!("1.2.3.4"), &json!(600))
    );
    let hurt = &report["hurt"];
    assert_eq!(hurt["own"], json!(["198.51.100.7"]));
    assert_eq!(hurt["guarded"][0]["class"], "never");
    assert_eq!((&hurt["ordinary"][0]["observable"], &hurt["ordinary"][0]["we_began"]), (&json!("1.2.3.7"), &json!(1)));
    assert_eq!((&hurt["asked"][0]["observable"], &hurt["asked"][0]["asked"]), (&json!("bad.example.org"), &json!(1)));
    assert_eq!((&report["sizing"]["entries"], &report["sizing"]["names"]), (&json!(6), &json!(1)));
}

#[test]
fn findings_of_another_time_stop_nothing_unless_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path());
    let text = std::fs::read_to_string(dir.path().join("findings.json")).unwrap();
    std::fs::write(dir.path().join("findings.json"), text.replace("2026-01-31T12:10", "2026-03-01T12:10")).unwrap();
    let now = report(dir.path(), &["--findings", "findings.json"]);
    assert_eq!((&now["blocked"]["stopped"], &now["blocked"]["never"]), (&json!(0), &json!(2)));
    let always = report(dir.path(), &["--findings", "findings.json", "--any-time"]);
    assert_eq!((&always["blocked"]["stopped"], &always["blocked"]["at_first"]), (&json!(4), &json!(2)));
}

#[test]
fn without_a_hub_nothing_is_connected_to_and_only_named_files_are_written() {
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path());
    let before = contents(dir.path());
    let hub = TcpListener::bind("127.0.0.1:0").unwrap();
    hub.set_nonblocking(true).unwrap();
    let address = format!("https://{}", hub.local_addr().unwrap());
    let named = ["--findings", "findings.json", "--write-rpz", "rpz.zone", "--write-nft", "table.nft"];
    let output = shadow(dir.path(), &named).env("EPIMACHIA_HUB", address).output().unwrap();
    assert!(done(&output).contains("Nothing was sent, nothing was changed."));
    assert!(hub.accept().is_err(), "somebody connected");
    let mut after = contents(dir.path());
    let (zone, table) = (after.remove("rpz.zone").unwrap(), after.remove("table.nft").unwrap());
    assert_eq!(after, before);
    let (zone, table) = (String::from_utf8(zone).unwrap(), String::from_utf8(table).unwrap());
    assert!(zone.contains("\nbad.example.org CNAME .\n"), "{zone}");
    assert!(table.contains("{ 1.2.3.4 timeout 86400000ms comment"), "{table}");
    assert!(!table.contains("198.51.100.7"), "own space is never blocked");
}

/// Where they are installed: BIND and nft take what would have been given to them.
#[test]
fn real_tools_accept_both_texts() {
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path());
    let named = ["--findings", "findings.json", "--write-rpz", "rpz.zone", "--write-nft", "table.nft"];
    done(&shadow(dir.path(), &named).output().unwrap());
    let accepts = |program: &str, arguments: &[&str]| {
        let Ok(output) = Command::new(program).current_dir(dir.path()).args(arguments).output() else { return };
        let said = String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned();
        let may = !said.contains("not permitted") && !said.contains("unshare failed");
        assert!(output.status.success() || !may || said.contains("No such file"), "{program}: {said}");
    };
    accepts("named-checkzone", &["-i", "none", "shadow.rpz.epimachia.invalid", "rpz.zone"]);
    accepts("unshare", &["--net", "nft", "-c", "-f", "table.nft"]);
}

/// Where the system lets one look: not a single socket is made.
#[test]
fn no_socket_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path());
    let command = shadow(dir.path(), &["--findings", "findings.json"]);
    let mut traced = Command::new("strace");
    traced.args(["-f", "-e", "trace=network", "-o", "trace"]).arg(command.get_program()).args(command.get_args());
    let Ok(output) = traced.current_dir(dir.path()).env("HOME", dir.path()).output() else { return };
    let Ok(trace) = std::fs::read_to_string(dir.path().join("trace")) else { return };
    if !output.status.success() || !trace.contains("exited with 0") {
        return; // tracing is not allowed here
    }
    assert!(!trace.contains("socket("), "{trace}");
}

#[test]
fn a_log_is_followed_through_rotation_and_ctrl_c_ends_with_a_report() {
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path());
    let follow = ["--findings", "findings.json", "--follow", "--every", "1", "--json"];
    let mut running = Running(shadow(dir.path(), &follow).stdout(Stdio::piped()).spawn().unwrap());
    let reports = reports(running.0.stdout.take().unwrap());
    let read = |count: u64| while reports.recv_timeout(PATIENCE).unwrap()["lines"]["read"] != count {};
    read(10);
    let (log, old) = (dir.path().join("eve.json"), dir.path().join("eve.json.1"));
    std::fs::rename(&log, &old).unwrap();
    std::fs::write(&log, attack(50, "1.2.3.5") + &attack(51, "1.2.3.5")).unwrap();
    read(12);
    let stopped = Command::new("kill").args(["-INT", &running.0.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    // It says more until it has stopped, and then no more.
    let (begun, mut last) = (Instant::now(), None);
    while let Ok(report) = reports.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
        last = Some(report);
    }
    assert!(begun.elapsed() < PATIENCE, "it does not stop");
    assert!(running.0.wait().unwrap().success());
    let last = last.unwrap();
    assert_eq!((&last["lines"]["read"], &last["blocked"]["stopped"]), (&json!(12), &json!(5)));
}

/// A process that ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Its reports, each as soon as it is there.
fn reports(stdout: ChildStdout) -> mpsc::Receiver<Value> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let reports = serde_json::Deserializer::from_reader(BufReader::new(stdout)).into_iter();
        reports.map(Result::unwrap).try_for_each(|report| sender.send(report))
    });
    receiver
}

#[test]
fn what_is_missing_is_said_with_what_to_type() {
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path());
    let said = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_epimachia"));
        let output =
            command.current_dir(dir.path()).env("HOME", dir.path()).arg("shadow").args(arguments).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(said(&["eve.json"]).contains("--own"));
    assert!(said(&["missing.json", "--own", OWN]).contains("missing.json"));
    assert!(said(&["eve.json", "--own", "300.0.0.0/8"]).contains("300.0.0.0/8"));
    assert!(said(&["eve.json", "--format", "csv"]).contains("--map"));
    assert!(said(&["eve.json.gz", "--own", OWN]).contains("eve.json.gz"));
    assert!(said(&["eve.json", "--own", OWN, "--findings", "eve.json"]).contains("not findings"));
    assert!(said(&["eve.json", "--own", OWN, "--findings", "x", "--hub", "https://h"]).contains("cannot be used with"));
}

#[test]
fn a_csv_with_a_map_and_several_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path());
    std::fs::write(dir.path().join("a.csv"), "ts,src\n2026-01-31T12:20:00Z,1.2.3.4\n").unwrap();
    std::fs::write(dir.path().join("b.csv"), "src,ts\n1.2.3.5,2026-01-31T12:30:00Z\n").unwrap();
    let map =
        "[columns]\nobservable = 'src'\ntime = 'ts'\nbehaviour = 'scan'\ngrade = 'handshake'\nsensor = 'firewall'\n";
    std::fs::write(dir.path().join("map.toml"), map).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_epimachia"));
    command.current_dir(dir.path()).env("HOME", dir.path());
    command.args(["shadow", "a.csv", "b.csv", "--format", "csv", "--map", "map.toml"]);
    let output = command.args(["--findings", "findings.json", "--json"]).output().unwrap();
    let report: Value = serde_json::from_str(&done(&output)).unwrap();
    assert_eq!((&report["lines"]["evidence"], &report["blocked"]["stopped"]), (&json!(2), &json!(2)));
    assert_eq!(report["lines"]["traffic"], 0);
}
