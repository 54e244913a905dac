//! The alerts of a CrowdSec local API, with a machine's login; from where to read is said by `share::crowdsec::alerts`.

use super::reader::Step;
use super::remote::{Remote, Trouble, now};
use super::sort::{Rules, Sorted, heard};
use crate::config::PullConfig;
use crate::core::Mark;
use serde::Deserialize;
use serde_json::json;
use share::Limits;
use share::crowdsec::alerts::{Look, Place, Turn};

/// A login that counts for a while.
#[derive(Default)]
pub(super) struct Session(Option<String>);

/// Reads everything that is new.
pub(super) async fn step(
    remote: &Remote,
    config: &PullConfig,
    session: &mut Session,
    mark: Option<&Mark>,
    rules: &Rules<'_>,
) -> Result<Step, Trouble> {
    let place = match mark {
        Some(Mark::Alerts(place)) => place.clone(),
        _ => Place::default(),
    };
    let mut look = Look::new(place, config.since);
    let last = loop {
        let bytes = match ask(remote, session, &look).await {
            Err(Trouble::TooLarge(_)) if look.ask_for_less() => continue,
            answer => answer?,
        };
        match look.take(&bytes).map_err(|error| Trouble::later(format!("its alerts: {error}")))? {
            Turn::Older => {}
            turn => break turn,
        }
    };
    let found = look.done(last);
    let mut sorted = Sorted::default();
    let texts: Vec<&str> = found.alerts.iter().map(|alert| alert.get()).collect();
    let list = format!("[{}]", texts.join(","));
    let reading = share::crowdsec::read(list.as_bytes(), &Limits::FILE, rules.defaults, rules.latest);
    let reading = reading.map_err(|error| Trouble::later(format!("its alerts: {error}")))?;
    heard(reading, &|place| format!("alert {place}"), rules, &mut sorted);
    let odd = found.passed_over.then_some("more alerts at once than are looked at: the oldest were passed over");
    Ok(Step { sorted, mark: Mark::Alerts(found.place), more: false, odd: odd.into_iter().collect() })
}

/// Asks with the login there is; with a new one where it counts no more.
async fn ask(remote: &Remote, session: &mut Session, look: &Look) -> Result<Vec<u8>, Trouble> {
    if let Some(token) = &session.0 {
        match remote.with_token("v1/alerts", &look.ask(now()), token).await {
            Err(Trouble::Later(..) | Trouble::Answered(..) | Trouble::Refused(..)) => session.0 = None,
            answer => return answer,
        }
    }
    let token = log_in(remote).await?;
    let answer = remote.with_token("v1/alerts", &look.ask(now()), &token).await?;
    session.0 = Some(token);
    Ok(answer)
}

async fn log_in(remote: &Remote) -> Result<String, Trouble> {
    #[derive(Deserialize)]
    struct Login {
        token: String,
    }
    let body = |user: &str, password: &str| json!({"machine_id": user, "password": password, "scenarios": []});
    let bytes = remote.log_in("v1/watchers/login", body).await?;
    let login: Result<Login, _> = serde_json::from_slice(&bytes);
    // What came may be a secret: not repeated.
    login.map(|login| login.token).map_err(|_| Trouble::later("its login gave no token"))
}
