//! Prints the evaluation's tables for a recorded history: `evaluate FILE [--warm FILE] [--benign FILE] [--poison]
//! [--open]`.
//!
//! `--benign` takes FILE as indicators that people post; `--open` leaves the formula's holes open, as it was first
//! given.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "an example may read files and print")]

use corroborate::Rules;
use corroborate::evaluate::{self, Ablation, Benign, Cast, History, Latency, rows};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|a| a == flag);
    let after = |flag: &str| arguments.iter().position(|a| a == flag).and_then(|i| arguments.get(i + 1));
    let file = arguments.first().ok_or("usage: evaluate FILE [--warm FILE] [--benign FILE] [--poison] [--open]")?;
    let ablation = if has("--open") { Ablation::AsGiven } else { Ablation::AllClosed };
    let rules = ablation.apply(&Rules::default());
    let eval = rows::parse(&read(file)?)?;
    let warm =
        after("--warm").map(|warm| Ok::<_, Box<dyn std::error::Error>>(rows::parse(&read(warm)?)?)).transpose()?;
    println!("== {}\n", ablation.name());
    if let Some(benign) = after("--benign") {
        let benign = Benign::parse(&read(benign)?)?;
        println!("{}", evaluate::indicators(&eval, warm.as_deref(), &benign, &rules)?);
        for row in evaluate::indicator_cost(&eval, warm.as_deref(), &benign, &Rules::default())? {
            print!("{:<36} published before posted again {:.4}", row.closed, row.gate.already_published);
            println!(", {:.1} % of the union's; benign {}", row.of_union * 100.0, row.gate.benign);
        }
        return Ok(());
    }
    let history = History::new(&eval, warm.as_deref())?;
    if has("--poison") {
        println!("{}", evaluate::poison(&history, &rules, &Cast::default())?);
        return Ok(());
    }
    println!("{}\n", evaluate::daily(&history, &rules)?);
    println!("{}\n", evaluate::stream(&history, &rules, &Latency::ALL)?);
    println!("{}", evaluate::cost(&history, &Rules::default())?);
    Ok(())
}

fn read(path: &str) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path)?;
    Ok(if path.ends_with(".zst") { zstd::decode_all(&bytes[..])? } else { bytes })
}
