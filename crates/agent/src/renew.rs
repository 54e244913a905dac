//! The agent's certificate renews itself: after two thirds of its life with the present one; after a longer outage by
//! the member's key. A new TLS key each time.

use crate::client::Client;
use crate::core::{AlarmKind, Input};
use crate::error::Error;
use crate::identity::Identity;
use crate::stream::pause;
use model::{Rule, SigningKey, Span, Timestamp};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc::Sender;

/// Longest sleep: the machine's clock may be set meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Attempts in a row without success before somebody is told, and again after so many.
const ATTEMPTS_SILENT: u32 = 4;

/// What is renewed, and with what.
pub(crate) struct Renewal {
    pub client: Client,
    pub identity: PathBuf,
    pub ca: PathBuf,
    pub key: SigningKey,
}

/// Keeps the certificate fresh until the agent stops.
pub(crate) async fn keep(renewal: Renewal, inputs: Sender<Input>) {
    let mut present = match Identity::read(&renewal.identity) {
        Ok(present) => present,
        Err(error) => return trouble(&inputs, format!("The agent's certificate is not renewed: {error}")).await,
    };
    let mut attempts = 0;
    while !inputs.is_closed() {
        if attempts == 0 {
            wait(&renewal.client, present.renew_at(share())).await;
        }
        match renewal.attempt(&present).await {
            Ok(next) => {
                tracing::info!(until = %next.until, "the agent's certificate was renewed");
                (present, attempts) = (next, 0);
            }
            Err(error) => {
                attempts += 1;
                if attempts % ATTEMPTS_SILENT == 1 {
                    trouble(&inputs, advice(&error, present.until)).await;
                }
                tokio::time::sleep(pause(attempts)).await;
            }
        }
    }
}

impl Renewal {
    async fn attempt(&self, present: &Identity) -> Result<Identity, Error> {
        let files = (self.identity.as_path(), self.ca.as_path());
        let base = self.client.base();
        let shown = match crate::clock::wall() < present.until {
            true => Some(crate::join::renew(&self.client.http(), base, files, present, &self.key).await),
            false => None,
        };
        let next = match shown {
            Some(Ok(next)) => next,
            // What the hub said of the certificate is about the certificate; the member's key may still count.
            Some(Err(error)) if !about_certificate(&error) => return Err(error),
            _ => {
                let http = self.client.without_identity()?;
                crate::join::renew(&http, base, files, present, &self.key).await?
            }
        };
        self.client.renewed()?;
        Ok(next)
    }
}

fn about_certificate(error: &Error) -> bool {
    let rules = [Rule::CertificateExpired, Rule::CertificateUnknown, Rule::CertificateForeign];
    matches!(error, Error::Refused(refusal) if rules.contains(&refusal.rule))
}

/// Until then, or until the hub says that the certificate counts no longer.
async fn wait(client: &Client, due: Timestamp) {
    loop {
        let left = due.since(crate::clock::wall());
        if left <= Span::ZERO {
            return;
        }
        let refused = client.certificate_refused();
        if tokio::time::timeout(left.to_std().min(LOOK_EVERY), refused).await.is_ok() {
            return;
        }
    }
}

fn advice(error: &Error, until: Timestamp) -> String {
    let next = match error {
        Error::Refused(refusal) if refusal.rule == Rule::UnknownKey => {
            "have the charter name this agent's key, or ask for a join token: epimachia agent join TOKEN"
        }
        Error::Refused(refusal) if refusal.rule == Rule::MemberSuspended => {
            "it is renewed when the suspension is over; what is in force here stays until it expires"
        }
        Error::Refused(_) => "ask an admin for a join token, then: epimachia agent join TOKEN",
        Error::Unavailable(_) | Error::Broken(_) => "it is tried again",
    };
    format!("The agent's certificate, good until {until}, is not renewed: {error}. Next: {next}")
}

async fn trouble(inputs: &Sender<Input>, text: String) {
    // The agent is stopping if nobody listens.
    let _ = inputs.send(Input::Trouble { kind: AlarmKind::CertificateEnding, text }).await;
}

/// 0 to 1, at random; without randomness the middle.
fn share() -> f64 {
    let mut byte = [0_u8; 1];
    getrandom::fill(&mut byte).map_or(0.5, |()| f64::from(byte[0]) / 255.0)
}
