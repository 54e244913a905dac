//! Measures the nftables point with real packets in network namespaces; needs root:
//! `cargo run --release -p act --example nft_bench`.
#![expect(clippy::print_stdout, reason = "a program that prints a table")]

use act::nftables::{NetnsName, Nftables, Settings};
use act::{Point, Protection};
use model::{Action, Digest, FindingId, Measure, MitigationId, Scope, Span, Target, Timestamp};
use std::error::Error;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use testbed::netns::{ATTACKER, Netns, Path, VICTIM};

type Outcome<T> = Result<T, Box<dyn Error>>;

const ROUNDS: u32 = 40;
const MANY: u32 = 10_000;
const VERY_MANY: u32 = 100_000;

fn main() -> Outcome<()> {
    println!("{:<56}{:>9}{:>9}{:>9}", "ms", "median", "p95", "max");
    let path = Path::new()?;
    let point = point(&path.router, 10_000)?;
    for (family, from, to) in [("IPv4", ATTACKER[0], VICTIM[0]), ("IPv6", ATTACKER[2], VICTIM[1])] {
        let wanted = deny(Target::Host(from.parse()?))?;
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            times.push(block_ms(&path, &point, &wanted, from, to)?);
            point.withdraw(std::slice::from_ref(&wanted), now()?)?;
        }
        row(&format!("{family}: command -> first unanswered probe"), times);
    }
    for (count, size) in [(0, 10_000), (MANY, 10_000), (VERY_MANY, 100_000)] {
        beside(count, size)?;
    }
    Ok(())
}

/// One addition, renewal and read-back beside `count` elements, and the transactions that put these there.
fn beside(count: u32, size: u32) -> Outcome<()> {
    let router = Netns::new("bench")?;
    let point = point(&router, size)?;
    let address = |n: u32| Target::Host(Ipv4Addr::from_bits(0x0b00_0000 + n).into());
    let many = (0..count).map(|n| deny(address(n))).collect::<Outcome<Vec<_>>>()?;
    row(&format!("replace by {count} elements, one transaction"), timed(1, || Ok(point.replace(&many, now()?)?))?);
    let some = &many[..many.len().min(MANY as usize)];
    row(&format!("renew {} of them, one transaction", some.len()), timed(3, || Ok(point.apply(some, now()?)?))?);
    let one = [deny(address(VERY_MANY + 1))?];
    point.apply(&one, now()?)?;
    row(&format!("apply one beside {count}"), timed(ROUNDS, || Ok(point.apply(&one, now()?)?))?);
    row(&format!("read back one beside {count}"), timed(5, || point.read_back(&one).map(drop).map_err(Into::into))?);
    row(&format!("kill switch with {count}"), timed(1, || Ok(point.lift_all()?))?);
    Ok(())
}

fn timed(rounds: u32, work: impl Fn() -> Outcome<()>) -> Outcome<Vec<f64>> {
    let one = |_| {
        let start = Instant::now();
        work()?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    (0..rounds).map(one).collect()
}

/// Probes every half millisecond; the time from the command to the sending of the first probe that stays unanswered.
fn block_ms(path: &Path, point: &Nftables, wanted: &Protection, from: &str, to: &str) -> Outcome<f64> {
    let socket = path.udp_socket(from, to)?;
    let stop = Arc::new(AtomicBool::new(false));
    let probes = std::thread::spawn({
        let (socket, stop) = (socket.try_clone()?, Arc::clone(&stop));
        move || send_probes(&socket, &stop)
    });
    let answers = std::thread::spawn(move || {
        let mut last = None;
        let mut buffer = [0; 8];
        while let Ok(8) = socket.recv(&mut buffer) {
            last = last.max(Some(u64::from_be_bytes(buffer)));
        }
        last
    });
    std::thread::sleep(Duration::from_millis(20));
    let start = Instant::now();
    point.apply(std::slice::from_ref(wanted), now()?)?;
    std::thread::sleep(Duration::from_millis(20));
    stop.store(true, Ordering::Relaxed);
    let sent = probes.join().map_err(|_| "the prober panicked")??;
    let last = answers.join().map_err(|_| "the listener panicked")?.ok_or("no probe was answered before the block")?;
    let first_unanswered = sent.get(usize::try_from(last)? + 1).ok_or("every probe was answered")?;
    Ok(first_unanswered.saturating_duration_since(start).as_secs_f64() * 1e3)
}

fn send_probes(socket: &UdpSocket, stop: &AtomicBool) -> std::io::Result<Vec<Instant>> {
    let mut sent: Vec<Instant> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let number = sent.len() as u64;
        sent.push(Instant::now());
        socket.send(&number.to_be_bytes())?;
        std::thread::sleep(Duration::from_micros(500));
    }
    Ok(sent)
}

fn row(what: &str, mut ms: Vec<f64>) {
    ms.sort_by(f64::total_cmp);
    let at = |share: f64| ms.get(((ms.len() as f64 * share) as usize).min(ms.len() - 1)).copied().unwrap_or_default();
    println!("{:<56}{:>9.1}{:>9.1}{:>9.1}", format!("{what} (n = {})", ms.len()), at(0.5), at(0.95), at(1.0));
}

fn point(netns: &Netns, size: u32) -> Outcome<Nftables> {
    let netns = Some(NetnsName::try_from(netns.name().to_owned())?);
    Ok(Nftables::new(Settings { name: "nft".parse()?, protect: vec![], size, netns, via: None })?)
}

fn deny(target: Target) -> Outcome<Protection> {
    let digest = Digest::of(&[target.to_string().as_bytes()]);
    Ok(Protection {
        mitigation: MitigationId::of(&digest),
        finding: FindingId::of(&digest),
        measure: Measure::new(Action::Deny, target, Scope::Border)?,
        expires: now()?.plus(Span::hours(1)),
    })
}

fn now() -> Outcome<Timestamp> {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(Timestamp::from_millis(i64::try_from(since_1970.as_millis())?))
}
