//! Measures appending against the least it could cost: a bare write and fdatasync of the same bytes, in turns.
//!
//! `cargo run --release -p journal --example append -- <directory> [batches]`; the directory must be on the disk in
//! question. Each batch is 1,000 entries of 1,000 bytes.
#![expect(clippy::print_stdout, reason = "it is a program whose result is printed")]

use journal::{Entry, FileJournal, Journal, Options};
use model::Digest;
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

const ENTRIES: u64 = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or("usage: append <directory> [batches]")?;
    let batches: u64 = args.next().map_or(Ok(200), |text| text.parse())?;
    for (kind, body) in [("incompressible", noise as fn(u64) -> Vec<u8>), ("JSON", json)] {
        let dir = Path::new(&dir).join(format!("append-{kind}-{}", std::process::id()));
        let measured = measure(&dir, batches, body);
        std::fs::remove_dir_all(&dir)?;
        report(kind, batches, measured?);
    }
    Ok(())
}

#[derive(Default)]
struct Measured {
    bare: Duration,
    packing: Duration,
    appending: Duration,
    longest: Duration,
}

fn measure(dir: &Path, batches: u64, body: fn(u64) -> Vec<u8>) -> Result<Measured, Box<dyn Error>> {
    let journal = FileJournal::open(dir, Options::new(Digest::of(&[b"bench"])))?;
    let mut bare = File::create(dir.join("bare"))?;
    let (mut measured, mut head) = (Measured::default(), 0);
    for _ in 0..batches {
        let bodies: Vec<Vec<u8>> = (head..head + ENTRIES).map(body).collect();
        let joined = bodies.concat();
        let start = Instant::now();
        bare.write_all(&joined)?;
        bare.sync_data()?;
        measured.bare += start.elapsed();
        let start = Instant::now();
        let entries = bodies.iter().map(|body| Entry::new([7; 32], body)).collect::<Result<Vec<_>, _>>()?;
        measured.packing += start.elapsed();
        let start = Instant::now();
        head = journal.append(head, &entries)?;
        measured.appending += start.elapsed();
        measured.longest = measured.longest.max(start.elapsed());
    }
    Ok(measured)
}

fn report(kind: &str, batches: u64, measured: Measured) {
    let Measured { bare, packing, appending, longest } = measured;
    let ms = |total: Duration| total.as_secs_f64() * 1000.0 / batches as f64;
    let rate = |total: Duration| (batches * ENTRIES) as f64 / total.as_secs_f64();
    println!("{kind}: {batches} batches of {ENTRIES} entries of 1000 bytes, milliseconds a batch");
    println!("  bare write + fdatasync {:8.2}   {:9.0} entries/s", ms(bare), rate(bare));
    println!("  append                 {:8.2}   {:9.0} entries/s", ms(appending), rate(appending));
    println!("  packing beforehand     {:8.2}   longest append {:.2}", ms(packing), longest.as_secs_f64() * 1000.0);
    println!("  append is at {:.0} % of bare speed", 100.0 * bare.as_secs_f64() / appending.as_secs_f64());
    let both = (packing + appending).as_secs_f64();
    println!("  append and packing in one thread: {:.0} %", 100.0 * bare.as_secs_f64() / both);
}

fn noise(n: u64) -> Vec<u8> {
    let block = |part: u64| *Digest::of(&[&n.to_be_bytes(), &part.to_be_bytes()]).as_bytes();
    (0..32).flat_map(block).take(1000).collect()
}

fn json(n: u64) -> Vec<u8> {
    let digest = Digest::of(&[&n.to_be_bytes()]);
    let sighting = |part: u64| {
        let address = format!("203.0.{}.{}", (n + part) % 256, digest.as_bytes()[part as usize]);
        format!(r#"{{"observable":"{address}","behaviour":"scan","first":{},"count":{part}}},"#, 1_700_000_000 + n)
    };
    let mut text: String = (0..12).map(sighting).collect();
    text.push_str(&digest.to_string().repeat(4));
    text.truncate(1000);
    text.into_bytes()
}
