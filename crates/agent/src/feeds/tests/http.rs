//! Other servers over a real connection: what they are shown, what is believed of them, what is not.

use crate::config::RemoteConfig;
use crate::feeds::remote::{Other, Remote, Trouble};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

/// Serves on a free port of this machine for as long as the test runs.
pub(super) async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/api/")
}

fn secret(path: &Path, mode: u32) {
    let mut file = std::fs::OpenOptions::new().create_new(true).write(true).mode(mode).open(path).unwrap();
    std::io::Write::write_all(&mut file, b"epi_secret\n").unwrap();
}

fn remote(url: &str, token: &Path) -> Result<Remote, crate::Error> {
    let text = format!("url = '{url}'\ntoken = '{}'", token.display());
    let config: RemoteConfig = toml::from_str(&text).unwrap();
    Other::open(&config).map(Remote::Other)
}

/// What the server answers by path, whatever else it is told.
fn odd() -> Router {
    let later =
        |wait: &'static str| (StatusCode::TOO_MANY_REQUESTS, [("retry-after", wait)], "{\"title\":\"slow down\"}");
    let endless = || async {
        let piece = bytes_of(1 << 20);
        let pieces = futures_util::stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
        Response::new(Body::from_stream(pieces))
    };
    let shown = |headers: HeaderMap| async move {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        let dates = [("x-taxii-date-added-last", "2026-01-01T00:00:00.000007Z")];
        (dates, format!("{} {}", text("authorization"), text("accept"))).into_response()
    };
    Router::new()
        .route("/api/shown", get(shown))
        .route("/api/slow", get(move || async move { later("17") }))
        .route("/api/now", get(move || async move { later("0") }))
        .route("/api/slower", get(move || async move { later("999999999") }))
        .route("/api/away", get(|| async { (StatusCode::FOUND, [("location", "http://127.0.0.1:9/x")], "") }))
        .route("/api/endless", get(endless))
        .route("/api/shut", get(|| async { StatusCode::UNAUTHORIZED }))
        .route("/api/broken", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .route("/api/wrong", get(|| async { (StatusCode::UNPROCESSABLE_ENTITY, "{\"description\":\"a\\u0007b\"}") }))
}

fn bytes_of(length: usize) -> Vec<u8> {
    vec![b' '; length]
}

#[tokio::test]
async fn the_token_goes_to_its_server_alone_and_no_error_repeats_it() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    secret(&token, 0o600);
    let remote = remote(&serve(odd()).await, &token).unwrap();
    let got = remote.taxii("shown", &[]).await.unwrap();
    assert_eq!(got.bytes, b"Bearer epi_secret application/taxii+json;version=2.1");
    assert_eq!(got.dates.1, share::taxii::cursor::micros("t", "2026-01-01T00:00:00.000007Z").ok());
    for elsewhere in ["http://127.0.0.1:9/x", "//127.0.0.1:9/x", "http://localhost/x"] {
        let error = remote.taxii(elsewhere, &[]).await.unwrap_err().to_string();
        assert!(error.contains("another server") && !error.contains("epi_secret"), "{elsewhere}: {error}");
    }
    for path in ["away", "shut", "broken", "wrong", "slow"] {
        let error = remote.taxii(path, &[]).await.unwrap_err().to_string();
        assert!(!error.contains("epi_secret") && !error.contains('\u{7}'), "{path}: {error}");
    }
}

#[tokio::test]
async fn each_kind_of_no_is_understood() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    secret(&token, 0o600);
    let remote = remote(&serve(odd()).await, &token).unwrap();
    let trouble = async |path: &str| remote.taxii(path, &[]).await.unwrap_err();
    let Trouble::Later(text, Some(wait)) = trouble("slow").await else { panic!("no wish") };
    assert!(text.contains("slow down") && wait == Duration::from_secs(17), "{text}");
    assert!(matches!(trouble("now").await, Trouble::Later(_, None)), "not each second without an end");
    assert!(matches!(trouble("slower").await, Trouble::Later(_, Some(wait)) if wait == Duration::from_secs(3_600)));
    assert!(matches!(trouble("away").await, Trouble::Later(text, None) if text.contains("not followed")));
    assert!(matches!(trouble("shut").await, Trouble::Answered(401, text) if text.contains("let us in")));
    assert!(matches!(trouble("broken").await, Trouble::Answered(500, _)));
    assert!(matches!(trouble("wrong").await, Trouble::Refused(422, _)));
    assert!(matches!(trouble("endless").await, Trouble::TooLarge(_)), "it is not read to its end");
}

#[test]
fn a_secret_that_others_may_read_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    secret(&token, 0o644);
    let error = remote("http://127.0.0.1:9/", &token).err().unwrap().to_string();
    assert!(error.contains("chmod 600") && !error.contains("epi_secret"), "{error}");
}
