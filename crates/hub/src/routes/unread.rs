//! What a refused request still has to say: read and thrown away, so that its connection can go on.
//!
//! HTTP/1.1 gives requests of one connection no other order than their bytes. One that is answered before its body has
//! come leaves the rest in the way of the next: the server can only close, and a client that has not been told loses a
//! request that nothing was wrong with (RFC 9112 §9.3, §9.6).

use axum::body::{Body, BodyDataStream, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use axum::response::Response;
use futures_util::{Stream, StreamExt as _};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

/// Most bytes that are read for nothing. A client that sends more is told that the connection ends.
const BYTES_MAX: usize = 64 << 10;
/// Longest time that is waited for them.
const TIME_MAX: Duration = Duration::from_secs(2);

/// A body on which one can read on after its handler has dropped it.
pub(super) struct Unread {
    incoming: Arc<Mutex<Incoming>>,
    is_short: bool,
}

struct Incoming {
    stream: BodyDataStream,
    has_ended: bool,
}

/// The body as the handler gets it.
struct Handed(Arc<Mutex<Incoming>>);

impl Unread {
    /// Keeps hold of the request's body. None where there is nothing after the head, and in HTTP/2, whose streams end
    /// one by one.
    pub(super) fn of(request: &mut Request) -> Option<Self> {
        if request.version() > Version::HTTP_11 || request.body().is_end_stream() {
            return None;
        }
        let is_short = is_short(request.headers());
        let stream = std::mem::take(request.body_mut()).into_data_stream();
        let incoming = Arc::new(Mutex::new(Incoming { stream, has_ended: false }));
        *request.body_mut() = Body::from_stream(Handed(Arc::clone(&incoming)));
        Some(Self { incoming, is_short })
    }

    /// Reads what nobody has read; where that is too much, the answer says that the connection ends.
    pub(super) async fn settle(self, response: &mut Response) {
        let can_go_on = match self.has_ended() {
            true => true,
            false if response.status() == StatusCode::REQUEST_TIMEOUT => false,
            false => self.is_short && tokio::time::timeout(TIME_MAX, self.pass_over()).await.unwrap_or(false),
        };
        if !can_go_on {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    fn has_ended(&self) -> bool {
        self.incoming.lock().unwrap_or_else(PoisonError::into_inner).has_ended
    }

    /// True when all of it was read.
    async fn pass_over(&self) -> bool {
        let (mut rest, mut bytes) = (Handed(Arc::clone(&self.incoming)), 0);
        while let Some(part) = rest.next().await {
            bytes += part.map_or(BYTES_MAX + 1, |part| part.len());
            if bytes > BYTES_MAX {
                return false;
            }
        }
        true
    }
}

/// Is little announced, or nothing? Who waits to be asked for the body (RFC 9110 §10.1.1) sends none after a refusal.
fn is_short(headers: &HeaderMap) -> bool {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    !headers.contains_key(header::EXPECT) && announced.is_none_or(|bytes| bytes <= BYTES_MAX)
}

impl Stream for Handed {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Never held across a wait: whoever panicked with it left a stream that is as whole as before.
        let mut incoming = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = Pin::new(&mut incoming.stream).poll_next(context);
        incoming.has_ended |= matches!(next, Poll::Ready(None));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: Body, headers: &[(header::HeaderName, &str)]) -> Request {
        let mut request = Request::new(body);
        request.headers_mut().extend(headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())));
        request
    }

    /// A body in two parts, as a client sends it that writes head and body by themselves.
    fn parts(size: usize) -> Body {
        let part = Bytes::from(vec![b'x'; size]);
        Body::from_stream(futures_util::stream::iter([Ok::<_, axum::Error>(part.clone()), Ok(part)]))
    }

    async fn closes(unread: Unread) -> bool {
        let mut response = Response::new(Body::empty());
        unread.settle(&mut response).await;
        response.headers().get(header::CONNECTION).is_some_and(|value| value == "close")
    }

    #[tokio::test]
    async fn what_is_short_is_read_to_its_end_and_the_connection_goes_on() {
        let mut refused = request(parts(100), &[(header::CONTENT_LENGTH, "200")]);
        let unread = Unread::of(&mut refused).unwrap();
        let incoming = Arc::clone(&unread.incoming);
        drop(refused);
        assert!(!closes(unread).await);
        assert!(incoming.lock().unwrap().has_ended);
    }

    #[tokio::test]
    async fn what_the_handler_read_is_the_whole_body_and_nothing_is_left() {
        let mut taken = request(parts(BYTES_MAX), &[]);
        let unread = Unread::of(&mut taken).unwrap();
        let read: Vec<_> = taken.into_body().into_data_stream().collect().await;
        assert_eq!(read.into_iter().map(|part| part.unwrap().len()).sum::<usize>(), 2 * BYTES_MAX);
        assert!(!closes(unread).await, "however long it was");
    }

    #[tokio::test]
    async fn what_is_long_or_not_sent_yet_ends_the_connection_and_the_answer_says_so() {
        let long = (BYTES_MAX + 1).to_string();
        for headers in [&[(header::CONTENT_LENGTH, long.as_str())][..], &[(header::EXPECT, "100-continue")]] {
            let unread = Unread::of(&mut request(parts(1), headers)).unwrap();
            assert!(closes(unread).await, "{headers:?}");
        }
        let unread = Unread::of(&mut request(parts(BYTES_MAX), &[])).unwrap();
        assert!(closes(unread).await, "more than was announced");
        let broken = Body::from_stream(futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other("gone"))]));
        assert!(closes(Unread::of(&mut request(broken, &[])).unwrap()).await);
    }

    #[tokio::test]
    async fn a_body_that_never_comes_is_not_waited_for_long() {
        let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, axum::Error>>());
        assert!(closes(Unread::of(&mut request(never, &[])).unwrap()).await);
    }

    #[tokio::test]
    async fn nobody_waits_again_for_what_came_too_late() {
        let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, axum::Error>>());
        let unread = Unread::of(&mut request(never, &[])).unwrap();
        let mut late = Response::new(Body::empty());
        *late.status_mut() = StatusCode::REQUEST_TIMEOUT;
        let waiting = unread.settle(&mut late);
        let settled = futures_util::FutureExt::now_or_never(waiting);
        assert!(settled.is_some(), "it waits");
        assert_eq!(late.headers()[header::CONNECTION], "close");
    }

    #[test]
    fn what_has_no_body_is_left_as_it_is() {
        assert!(Unread::of(&mut Request::new(Body::empty())).is_none());
        let mut second = Request::new(parts(1));
        *second.version_mut() = Version::HTTP_2;
        assert!(Unread::of(&mut second).is_none());
    }
}
