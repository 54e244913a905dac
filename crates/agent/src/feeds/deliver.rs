//! Objects to a TAXII collection: in envelopes that it takes, each object's fate counted.

use super::remote::{Remote, Trouble};
use super::sort::Sorted;
use serde_json::value::RawValue;
use share::taxii::client::Outcome;
use std::time::Duration;

/// Most objects of one envelope.
const OBJECTS_MAX: usize = 1_000;
/// Most bytes of one envelope, unless one object alone is longer.
const BYTES_MAX: usize = 4 << 20;
/// How often a server is asked for the outcome of what it took, and how long between.
const ASKED_MAX: usize = 60;
const ASK_EVERY: Duration = Duration::from_secs(1);

/// What is odd about a server that says yes and nothing else.
const SILENT: &str = "it takes objects and does not say what becomes of them";
/// So much of a page for people is told, in characters.
const TOLD_MAX: usize = 80;

/// Sends all objects to the collection at `path`, in order. What the other side refuses is counted and not sent again.
/// `odd` is told what is odd about it.
///
/// # Errors
/// It did not take some of them now. Sending all again does no harm: it knows what it has.
pub(crate) async fn deliver(
    to: &Remote,
    root: &str,
    collection: &str,
    objects: &[Box<RawValue>],
    sorted: &mut Sorted,
    odd: impl Fn(&'static str),
) -> Result<(), Trouble> {
    let mut waiting: Vec<&[Box<RawValue>]> = parts(objects);
    waiting.reverse();
    while let Some(part) = waiting.pop() {
        let path = format!("{root}collections/{collection}/objects/");
        match to.add(&path, envelope(part)).await {
            Ok(got) if is_page(&got.bytes) => return Err(page(&got.bytes)),
            // It said yes. Sent again it would say the same, and with it whatever comes after would wait for ever.
            Ok(got) if Outcome::read(&got.bytes).is_err() => {
                odd(SILENT);
                part.iter().for_each(|_| sorted.count("pending_there"));
            }
            Ok(got) => settle(to, root, got.bytes, part.len(), sorted).await?,
            // Halved until what is at fault stands alone.
            Err(Trouble::TooLarge(_) | Trouble::Refused(..)) if part.len() > 1 => {
                let (first, second) = part.split_at(part.len() / 2);
                waiting.extend([second, first]);
            }
            Err(Trouble::Refused(404, why)) => return Err(Trouble::later(format!("no such collection{why}"))),
            Err(Trouble::Refused(status, why)) => sorted.note("refused:there", "object", &format!("{status}{why}")),
            Err(Trouble::TooLarge(why)) => sorted.note("refused:there", "object", &why),
            Err(later) => return Err(later),
        }
    }
    Ok(())
}

/// Envelopes of at most so many objects and bytes.
fn parts(objects: &[Box<RawValue>]) -> Vec<&[Box<RawValue>]> {
    let (mut parts, mut from, mut bytes) = (Vec::new(), 0, 0);
    for (at, object) in objects.iter().enumerate() {
        let length = object.get().len();
        if at > from && (at - from >= OBJECTS_MAX || bytes + length > BYTES_MAX) {
            parts.extend(objects.get(from..at));
            (from, bytes) = (at, 0);
        }
        bytes += length;
    }
    parts.extend(objects.get(from..).filter(|rest| !rest.is_empty()));
    parts
}

/// The bytes of each object as they came.
fn envelope(objects: &[Box<RawValue>]) -> Vec<u8> {
    let texts: Vec<&str> = objects.iter().map(|object| object.get()).collect();
    format!("{{\"objects\":[{}]}}", texts.join(",")).into_bytes()
}

/// HTML, or the XML of TAXII 1: no TAXII 2.1 server took anything, whatever the status is.
fn is_page(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    body.trim_ascii_start().starts_with(b"<")
}

fn page(body: &[u8]) -> Trouble {
    let text: String = String::from_utf8_lossy(body).trim().chars().take(TOLD_MAX).collect();
    let text = model::parse::printable(&text);
    Trouble::later(format!(
        "it answers with a page and not as a TAXII 2.1 server; look at the url and who may in: {text}"
    ))
}

/// Counts what became of an envelope; a server that is not done yet is asked again for a while.
async fn settle(to: &Remote, root: &str, body: Vec<u8>, sent: usize, sorted: &mut Sorted) -> Result<(), Trouble> {
    let mut body = body;
    for _ in 0..ASKED_MAX {
        let outcome = Outcome::read(&body).unwrap_or_default();
        if !outcome.is_pending() {
            break;
        }
        let Some(id) = segment(&outcome.id) else { break };
        let path = format!("{root}status/{id}/");
        tokio::time::sleep(ASK_EVERY).await;
        match to.taxii(&path, &[]).await {
            Ok(got) if Outcome::read(&got.bytes).is_ok() => body = got.bytes,
            // One that cannot be read says no more than the last one.
            Ok(_) | Err(Trouble::Answered(500.., _)) => {}
            // It took the envelope, and does not tell us what became of it. Sent again it would say the same.
            Err(Trouble::Refused(..) | Trouble::Answered(..) | Trouble::TooLarge(_)) => break,
            Err(later) => return Err(later),
        }
    }
    let outcome = Outcome::read(&body).unwrap_or_default();
    let refused = outcome.failure_count.max(outcome.failures.len()).min(sent);
    for failed in outcome.failures.iter().take(refused) {
        let why = failed.message.as_deref().unwrap_or("it does not say why");
        sorted.note("refused:there", &failed.id, &why);
    }
    (outcome.failures.len()..refused).for_each(|_| sorted.count("refused:there"));
    // Not all servers say of how many they do not know yet.
    let unknown = if outcome.is_pending() && outcome.pending_count == 0 { sent } else { outcome.pending_count };
    let waiting = unknown.min(sent - refused);
    (0..waiting).for_each(|_| sorted.count("pending_there"));
    (0..sent - refused - waiting).for_each(|_| sorted.count("objects"));
    Ok(())
}

/// An identifier that is one part of a path and nothing else.
fn segment(id: &str) -> Option<&str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    ((1..=64).contains(&id.len()) && id.bytes().all(plain)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_hold_what_they_may_and_every_object_once_in_order() {
        let object = |n: usize| RawValue::from_string(format!("{{\"n\": {n}}}")).unwrap();
        let objects: Vec<_> = (0..2_500).map(object).collect();
        let sizes: Vec<usize> = parts(&objects).iter().map(|part| part.len()).collect();
        assert_eq!(sizes, [1_000, 1_000, 500]);
        let long = RawValue::from_string(format!("\"{}\"", "x".repeat(BYTES_MAX))).unwrap();
        let mixed = [object(1), long, object(2)];
        assert_eq!(parts(&mixed).iter().map(|part| part.len()).collect::<Vec<_>>(), [1, 1, 1]);
        assert!(parts(&[]).is_empty());
        assert_eq!(envelope(&objects[..2]), br#"{"objects":[{"n": 0},{"n": 1}]}"#);
    }
}
