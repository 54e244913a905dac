//! What became of requests that added objects (TAXII 2.1 §4.3). The answer to the request says all of it already; here
//! it can be asked for again, for a day and as long as there is room.

use super::answer::{Trouble, body};
use super::ask;
use super::roots::{Access, Asking};
use crate::core::Core;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::{MemberId, Span, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// How long a status is kept (§4.3: 24 hours at least).
const KEPT: Span = Span::hours(25);
/// Bytes of all that are kept; the oldest go first.
const BYTES_MAX: usize = 32 << 20;
/// What one costs besides its bytes.
const OVERHEAD: usize = 160;
/// Shorter ones are not packed: it would take longer than all else that is done for them.
const PACKED_FROM: usize = 2 << 10;

/// The statuses that are kept.
#[derive(Default)]
pub(super) struct Statuses(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    bytes: usize,
    by_id: BTreeMap<String, Document>,
    order: VecDeque<(Timestamp, String)>,
}

struct Document {
    member: MemberId,
    root: String,
    body: Body,
}

enum Body {
    Plain(Vec<u8>),
    /// A zstd frame.
    Packed(Vec<u8>),
}

impl Body {
    fn of(json: &[u8]) -> Option<Self> {
        match json.len() < PACKED_FROM {
            true => Some(Self::Plain(json.to_vec())),
            // Packed it is a tenth: identifiers that repeat, and few messages.
            false => zstd::bulk::compress(json, 1).ok().map(Self::Packed),
        }
    }

    const fn kept(&self) -> &Vec<u8> {
        match self {
            Self::Plain(bytes) | Self::Packed(bytes) => bytes,
        }
    }

    fn json(&self) -> Option<Vec<u8>> {
        match self {
            Self::Plain(bytes) => Some(bytes.clone()),
            Self::Packed(bytes) => zstd::bulk::decompress(bytes, BYTES_MAX).ok(),
        }
    }
}

impl Statuses {
    /// Keeps a document for those who ask again.
    pub(super) fn keep(&self, id: String, member: &MemberId, root: String, json: &[u8], now: Timestamp) {
        let Some(body) = Body::of(json) else { return };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += body.kept().len() + OVERHEAD;
        kept.order.push_back((now, id.clone()));
        kept.by_id.insert(id, Document { member: member.clone(), root, body });
        let over =
            |kept: &Kept| kept.bytes > BYTES_MAX || kept.order.front().is_some_and(|old| now.since(old.0) > KEPT);
        while over(&kept) {
            let Some((_, id)) = kept.order.pop_front() else { break };
            if let Some(gone) = kept.by_id.remove(&id) {
                kept.bytes -= gone.body.kept().len() + OVERHEAD;
            }
        }
    }

    fn find(&self, id: &str, member: &MemberId, root: &str) -> Option<Vec<u8>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let document = kept.by_id.get(id).filter(|document| document.member == *member && document.root == root)?;
        document.body.json()
    }
}

/// `GET /taxii2/{root}/status/{id}/` (§4.3): to the member that asked for it, and nobody else.
pub(crate) async fn status(
    State(core): State<Arc<Core>>,
    asking: Asking,
    Path((root, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    ask::acceptable(&headers)?;
    let caller = Access::caller(&core, asking, &root)?;
    let none = || Trouble::not_found("the id of a status of this API root, not older than a day", &id);
    let member = caller.map(|caller| caller.member).ok_or_else(none)?;
    Ok(body(StatusCode::OK, core.taxii.statuses.find(&id, &member, &root).ok_or_else(none)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::MIN.plus(Span::hours(hours))
    }

    #[test]
    fn a_status_is_for_its_member_and_root_and_a_day() {
        let statuses = Statuses::default();
        let (own, other) = ("cloud".parse().unwrap(), "bank".parse().unwrap());
        statuses.keep("a".to_owned(), &own, "alliance".to_owned(), b"{}", at(0));
        assert_eq!(statuses.find("a", &own, "alliance").as_deref(), Some(&b"{}"[..]));
        assert_eq!(statuses.find("a", &other, "alliance"), None);
        assert_eq!(statuses.find("a", &own, "public"), None);
        statuses.keep("b".to_owned(), &own, "alliance".to_owned(), b"{}", at(24));
        assert!(statuses.find("a", &own, "alliance").is_some());
        statuses.keep("c".to_owned(), &own, "alliance".to_owned(), b"{}", at(26));
        assert_eq!(statuses.find("a", &own, "alliance"), None);
        assert!(statuses.find("b", &own, "alliance").is_some());
    }

    #[test]
    fn the_oldest_go_when_there_is_no_room() {
        let statuses = Statuses::default();
        let own = "cloud".parse().unwrap();
        let noise: Vec<u8> = (0..1_u32 << 18).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
        for n in 0..200 {
            statuses.keep(n.to_string(), &own, "alliance".to_owned(), &noise, at(0));
            statuses.keep(format!("short {n}"), &own, "alliance".to_owned(), b"{}", at(0));
        }
        assert!(statuses.find("0", &own, "alliance").is_none());
        assert_eq!(statuses.find("199", &own, "alliance"), Some(noise));
        assert!(statuses.0.lock().unwrap().bytes <= BYTES_MAX);
    }
}
