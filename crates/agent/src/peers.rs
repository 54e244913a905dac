//! Other members' witnesses: what each cosigned last is fetched now and then and compared, so that a hub which shows
//! two members two histories is found by either of them (C2SP `tlog-witness`, monitor retrieval).

use crate::client::{limited, tls};
use crate::config::PeerConfig;
use crate::control::{Answer, Request};
use crate::core::Input;
use crate::error::{Broken, Error};
use crate::stream::pause;
use crate::wishes::Requests;
use account::note::NOTE_BYTES_MAX;
use model::{Digest, MemberId, Span};
use reqwest::{Client, Url};
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;

/// Longest time for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// One peer that is asked.
struct Peer {
    http: Client,
    member: MemberId,
    prefix: Url,
}

/// Asks a peer's witness again and again; the task ends when the agent does.
///
/// # Errors
/// Broken: the CA file cannot be used.
pub(crate) fn follow(
    peer: &PeerConfig,
    every: Span,
    requests: Requests,
    inputs: Sender<Input>,
) -> Result<JoinHandle<()>, Error> {
    let tls = tls(peer.ca.as_deref(), None)?;
    let builder = Client::builder().timeout(ANSWER_MAX).redirect(reqwest::redirect::Policy::none()).no_proxy();
    let http = builder.use_preconfigured_tls(tls).build();
    let http = http.map_err(|error| Broken::Failed(format!("the client of peer {}: {error}", peer.member)))?;
    let mut prefix = peer.url.clone();
    if !prefix.path().ends_with('/') {
        prefix.set_path(&format!("{}/", peer.url.path()));
    }
    let peer = Peer { http, member: peer.member.clone(), prefix };
    Ok(tokio::spawn(async move {
        loop {
            if let Some(note) = peer.last(&requests).await {
                let input = Input::PeerCheckpoint { peer: peer.member.clone(), note };
                if inputs.send(input).await.is_err() {
                    return;
                }
            }
            // Never quite in step: peers of one member are not asked all at once.
            tokio::time::sleep(every.to_std() + pause(0)).await;
        }
    }))
}

impl Peer {
    /// The last checkpoint of the alliance's log that the peer cosigned.
    async fn last(&self, requests: &Requests) -> Option<String> {
        let Answer::Ok(status) = requests.ask(Request::Status).await else { return None };
        let alliance = status["alliance"].as_str()?;
        let url = self.prefix.join(&format!("{}/checkpoint", Digest::of(&[alliance.as_bytes()]))).ok()?;
        let asked = async {
            let answer = self.http.get(url).send().await.map_err(|error| error.without_url().to_string())?;
            if !answer.status().is_success() {
                return Err(answer.status().to_string());
            }
            let bytes = limited(answer, NOTE_BYTES_MAX).await.map_err(|away| away.to_string())?;
            String::from_utf8(bytes).map_err(|_| "an answer that is no text".to_owned())
        };
        asked
            .await
            .inspect_err(|told| tracing::info!(peer = %self.member, told, "a peer's witness does not answer"))
            .ok()
    }
}
