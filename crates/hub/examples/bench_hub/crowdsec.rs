//! CrowdSec's local API with its default store, sqlite, for comparison: registered machines, batches of alerts.

use crate::batches::address;
use crate::client::{client, good};
use crate::figures::{Latencies, processor_seconds};
use crate::words::Words;
use crate::{Failure, batches};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// How long the program may take to answer.
const STARTS_WITHIN: Duration = Duration::from_secs(30);
const SECRET: &str = "only-for-this-run";

/// Alerts a second.
pub async fn run(program: &Path, words: &Words) -> Result<f64, Failure> {
    let dir = tempfile::Builder::new().prefix("epimachia-bench-").tempdir_in(&words.dir)?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    write_config(dir.path(), port)?;
    let config = dir.path().join("config.yaml");
    for machine in 0..words.connections {
        let mut cscli = Command::new(program.with_file_name("cscli"));
        cscli.arg("-c").arg(&config).args(["machines", "add", &format!("machine{machine}"), "--password", SECRET]);
        let made = cscli.args(["-f", "/dev/null"]).stdin(Stdio::null()).output().await?;
        if !made.status.success() {
            return Err(format!("cscli: {}", String::from_utf8_lossy(&made.stderr)).into());
        }
    }
    let child =
        Command::new(program).arg("-c").arg(&config).arg("-no-cs").stdin(Stdio::null()).kill_on_drop(true).spawn()?;
    let url = format!("http://127.0.0.1:{port}");
    let machines = log_in(&url, words.connections).await?;
    let measured = measure(&url, machines, words, &child).await;
    drop(child);
    measured
}

fn write_config(dir: &Path, port: u16) -> Result<(), Failure> {
    let at = |name: &str| dir.join(name).display().to_string();
    for folder in ["data", "hub", "notifications", "plugins"] {
        std::fs::create_dir(dir.join(folder))?;
    }
    for (file, text) in [
        ("simulation.yaml", "simulation: false\n".to_owned()),
        (
            "profiles.yaml",
            "name: none\nfilters:\n - 1 == 0\ndecisions:\n - type: ban\n   duration: 4h\non_success: break\n"
                .to_owned(),
        ),
        ("console.yaml", "share_manual_decisions: false\nshare_custom: false\nshare_tainted: false\n".to_owned()),
        ("client.yaml", format!("url: http://127.0.0.1:{port}/\nlogin: machine0\npassword: {SECRET}\n")),
        ("hub/.index.json", "{}".to_owned()),
    ] {
        std::fs::write(dir.join(file), text)?;
    }
    let config = json!({
        "common": { "daemonize": false, "log_media": "file", "log_level": "warning", "log_dir": at("data") },
        "config_paths": { "config_dir": dir.display().to_string(), "data_dir": at("data"),
            "simulation_path": at("simulation.yaml"), "hub_dir": at("hub"), "index_path": at("hub/.index.json"),
            "notification_dir": at("notifications"), "plugin_dir": at("plugins") },
        "cscli": { "output": "human" },
        "db_config": { "log_level": "warning", "type": "sqlite", "use_wal": true, "db_path": at("data/crowdsec.db"),
            "flush": { "max_items": 100_000_000, "max_age": "7d" } },
        "api": { "client": { "credentials_path": at("client.yaml") },
            "server": { "log_level": "warning", "listen_uri": format!("127.0.0.1:{port}"),
                "profiles_path": at("profiles.yaml"), "console_path": at("console.yaml") } },
        "prometheus": { "enabled": false },
    });
    // JSON is YAML.
    std::fs::write(dir.join("config.yaml"), serde_json::to_vec(&config)?)?;
    Ok(())
}

/// The machines' tokens, once the program answers.
async fn log_in(url: &str, machines: usize) -> Result<Vec<(reqwest::Client, String)>, Failure> {
    let deadline = Instant::now() + STARTS_WITHIN;
    let mut all = Vec::new();
    while all.len() < machines {
        let http = client("", None)?;
        let who = json!({ "machine_id": format!("machine{}", all.len()), "password": SECRET, "scenarios": [] });
        match http.post(format!("{url}/v1/watchers/login")).json(&who).send().await {
            Ok(answer) => {
                let token = good(answer).await?["token"].as_str().ok_or("no token")?.to_owned();
                all.push((http, token));
            }
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    Ok(all)
}

async fn measure(
    url: &str,
    machines: Vec<(reqwest::Client, String)>,
    words: &Words,
    child: &Child,
) -> Result<f64, Failure> {
    let process = child.id().map(|id| id.to_string()).unwrap_or_default();
    let bodies: Vec<Vec<u8>> = (0..16_u64).map(|n| alerts(n, words.batch)).collect::<Result<_, _>>()?;
    let (before, begun) = (processor_seconds(&process), Instant::now());
    let until = begun + words.time;
    let tasks: Vec<_> = (machines.into_iter().enumerate())
        .map(|(n, (http, token))| {
            let (url, bodies) = (format!("{url}/v1/alerts"), bodies.clone());
            tokio::spawn(async move {
                let (mut accepted, mut latencies) = (0, Latencies::default());
                for body in bodies.into_iter().cycle().skip(n) {
                    if Instant::now() >= until {
                        break;
                    }
                    let begun = Instant::now();
                    let request = http.post(&url).bearer_auth(&token).header("content-type", "application/json");
                    let ids = good(request.body(body).send().await?).await?;
                    accepted += ids.as_array().map_or(0, Vec::len);
                    latencies.add(begun.elapsed());
                }
                Ok::<_, Failure>((accepted, latencies))
            })
        })
        .collect();
    let (mut accepted, mut latencies) = (0, Latencies::default());
    for task in tasks {
        let (count, of) = task.await??;
        accepted += count;
        latencies.append(of);
    }
    let (took, spent) = (begun.elapsed().as_secs_f64(), processor_seconds(&process) - before);
    let rate = accepted as f64 / took;
    println!("{:<44} {rate:12.0} alerts/s      ({accepted} in {took:.1} s)", "CrowdSec local API, sqlite, no TLS");
    latencies.print("a batch of alerts, until the answer");
    println!("processor: {spent:.2} s ({:.1} us an alert)", spent / accepted.max(1) as f64 * 1e6);
    Ok(rate)
}

/// One request's alerts, as CrowdSec's own agent sends them; no decision follows from them.
fn alerts(number: u64, count: usize) -> Result<Vec<u8>, Failure> {
    let now = batches::now().to_string();
    let alert = |n: u64| -> Value {
        let ip = address(number * count as u64 + n);
        json!({ "capacity": 5, "decisions": [], "events": [], "events_count": 3, "labels": [], "leakspeed": "10s",
            "message": format!("{ip} performed ssh bruteforce"), "scenario": "bench/ssh-bf", "scenario_hash": "",
            "scenario_version": "0.1", "simulated": false, "remediation": false,
            "source": { "ip": ip, "scope": "Ip", "value": ip }, "start_at": now, "stop_at": now })
    };
    Ok(serde_json::to_vec(&(0..count as u64).map(alert).collect::<Vec<_>>())?)
}
