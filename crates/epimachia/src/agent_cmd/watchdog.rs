//! `epimachia agent watchdog`: lifts at the resolvers what a dead agent cannot lift any more.

use super::at;
use crate::clock::{length, now};
use crate::exit::{Exit, Failure, Outcome};
use crate::out;
use agent::Config;
use agent::watchdog::{Health, Lifted, lift, look, silence_default};
use clap::Args;
use model::Span;
use std::path::PathBuf;
use std::time::Duration;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Silence that may be asked for.
const SILENCE: (Span, Span) = (Span::seconds(10), Span::days(7));

/// How the watchdog looks.
#[derive(Args, Debug)]
#[command(
    after_help = "Unbound never lets a response policy zone expire: when the agent is dead, its blocks would stay. The \
watchdog then serves the agent's zones empty, until the resolvers have followed. It runs as the agent's user.
Examples:
  epimachia agent watchdog                       for systemd: looks every five seconds
  epimachia agent watchdog --once                for cron, every five minutes; exit code 5 when something was wrong
  epimachia agent watchdog --after 5m
Next: epimachia check --config /etc/epimachia/agent.toml"
)]
pub struct Watch {
    /// The agent's configuration
    #[arg(long, value_name = "FILE", default_value = super::CONFIG)]
    config: PathBuf,
    /// How long the agent may give no sign of life: 10s to 7d; left out: as long as BIND keeps a zone, 15m
    #[arg(long, value_name = "SPAN")]
    after: Option<Span>,
    /// Look once, and end
    #[arg(long)]
    once: bool,
}

/// Runs the command.
pub(super) fn run(watch: &Watch) -> Outcome {
    let after = watch.after.unwrap_or_else(silence_default);
    if !(SILENCE.0..=SILENCE.1).contains(&after) {
        let limit = format!("{} to {}", length(SILENCE.0), length(SILENCE.1));
        return Err(Failure::Usage(format!("--after {after}: allowed is {limit}")));
    }
    let config = Config::read(&watch.config).map_err(|error| at(&watch.config, error))?;
    if watch.once {
        let found = one_look(&config, after, &mut None).map_err(|error| at(&watch.config, error))?;
        return Ok(if found { Exit::Differs } else { Exit::Done });
    }
    hub::logs::start(&hub::config::Logs::default()).map_err(crate::hub_cmd::failure)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        agent::heartbeat::notify("READY=1");
        let mut told = None;
        loop {
            // A look that failed is tried again: a watchdog that ends helps nobody.
            if let Err(error) = one_look(&config, after, &mut told) {
                out::say(format_args!("The watchdog could not do its work: {error}. It tries again."));
            }
            agent::heartbeat::notify("WATCHDOG=1");
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                stopped = crate::signals::stop() => {
                    stopped?;
                    return Ok(Exit::Done);
                }
            }
        }
    })
}

/// Looks, lifts where the agent is dead, and tells what is new; was something wrong?
fn one_look(config: &Config, after: Span, told: &mut Option<Health>) -> Result<bool, agent::Error> {
    let health = look(config, after)?;
    let is_news = told.as_ref().map(kind) != Some(kind(&health));
    let wrong = match &health {
        Health::Alive { .. } | Health::Never => false,
        Health::Stuck { last } => {
            if is_news {
                out::say(format_args!(
                    "The agent gives no sign of life since {last} and still holds its directory: it is stuck. Its \
                     zones cannot be served by another. Next: systemctl restart epimachia-agent"
                ));
            }
            true
        }
        Health::Dead { last, due, .. } => {
            if is_news {
                let ago = length(now().since(*last));
                out::say(format_args!("The agent is dead: its last sign of life is {ago} old ({last})."));
            }
            if *due {
                lift(config)?.iter().for_each(tell);
            }
            true
        }
    };
    *told = Some(health);
    Ok(wrong)
}

const fn kind(health: &Health) -> u8 {
    match health {
        Health::Alive { .. } => 0,
        Health::Never => 1,
        Health::Stuck { .. } => 2,
        Health::Dead { .. } => 3,
    }
}

fn tell(lifted: &Lifted) {
    let said = match (lifted.is_confirmed(), lifted.asked) {
        (true, asked) => format!("nothing of ours is in force there ({asked} resolvers asked)"),
        (false, 0) => "nobody could be asked whether it is followed: name your `resolvers` in the point".to_owned(),
        (false, asked) => format!("{} of {asked} resolvers have not followed", lifted.behind.len()),
    };
    out::line(format_args!("{}: an empty zone was served; {said}.", lifted.point));
    for (resolver, what) in &lifted.behind {
        out::say(format_args!(
            "Not followed by {resolver}: {what}. It is told again, after a minute at first and every 15 in the end."
        ));
    }
}
