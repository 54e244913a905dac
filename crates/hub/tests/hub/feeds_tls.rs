//! Pulls over TLS with an authority of the other side's own: who is believed, and what it is shown.

use crate::feeds::{agent, counts, look, seen, write_event};
use crate::joining::{Applicant, forged, joined};
use crate::support::Bench;
use crate::taxii::{SIGHTINGS, indicator, push};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// An authority that nobody else knows.
struct Authority(Issuer<'static, KeyPair>, String);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self(Issuer::new(params, key), pem)
    }

    /// A server of this name that gives out the files of a directory to whoever shows the password.
    async fn serve(&self, name: &str, files: &Path) -> Server {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate: CertificateDer<'static> = params.signed_by(&key, &self.0).unwrap().into();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate], key).unwrap();
        let (acceptor, listener) =
            (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (url, served) = (format!("https://{}/feed/", listener.local_addr().unwrap()), Arc::default());
        let (files, count) = (files.to_owned(), Arc::clone(&served));
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(answer(acceptor.clone(), connection, files.clone(), Arc::clone(&count)));
            }
        });
        Server { url, served }
    }
}

struct Server {
    url: String,
    served: Arc<AtomicUsize>,
}

/// One request of a connection. Whoever does not believe us is gone before there is one.
async fn answer(acceptor: TlsAcceptor, connection: TcpStream, files: PathBuf, served: Arc<AtomicUsize>) {
    let Ok(connection) = acceptor.accept(connection).await else { return };
    let mut connection = BufReader::new(connection);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && connection.read_line(&mut head).await.is_ok_and(|read| read > 0) {}
    served.fetch_add(1, Ordering::Relaxed);
    let path = head.split(' ').nth(1).unwrap_or_default();
    // "misp:secret".
    let is_let_in = head.to_ascii_lowercase().contains("authorization: basic bwlzcdpzzwnyzxq=");
    let (status, body) = match (is_let_in, path.strip_prefix("/feed/").map(|name| std::fs::read(files.join(name)))) {
        (false, _) => ("401 Unauthorized", Vec::new()),
        (true, Some(Ok(body))) => ("200 OK", body),
        (true, _) => ("404 Not Found", Vec::new()),
    };
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    // Whoever has left has left.
    let _ = connection.write_all(&[head.as_bytes(), &body].concat()).await;
    let _ = connection.shutdown().await;
}

fn misp(name: &str, server: &Server, ca: &str, own: &str) -> String {
    format!(
        "[[pull]]\nname = '{name}'\nkind = 'misp'\norganisations = ['{own}']\ngrade = 'payload'\nevery = '1d'\n\
         [pull.from]\nurl = '{}'\nca = '{ca}'\nuser = 'misp'\npassword = 'misp.password'\n",
        server.url
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misp_feed_over_https_is_read_from_who_the_named_authority_vouches_for_and_nobody_else() {
    let ours = Bench::start().await;
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("feed");
    std::fs::create_dir(&files).unwrap();
    let (own, other) = ("55f6ea5e-2c60-40e5-964f-47a8950d210f", "55f6ea5e-2c60-40e5-964f-47a8950d2100");
    let then = crate::support::now().as_millis() / 1_000 - 60;
    let listed = [write_event(&files, 1, own, then), write_event(&files, 2, other, then)];
    let manifest: Map<String, Value> = listed.into_iter().collect();
    std::fs::write(files.join("manifest.json"), Value::Object(manifest).to_string()).unwrap();
    let (theirs, stranger, namesake) = (Authority::new("theirs"), Authority::new("another"), Authority::new("theirs"));
    let server = theirs.serve("127.0.0.1", &files).await;
    let misnamed = theirs.serve("misp.example", &files).await;
    std::fs::write(dir.path().join("theirs.pem"), &theirs.1).unwrap();
    std::fs::write(dir.path().join("stranger.pem"), &stranger.1).unwrap();
    std::fs::write(dir.path().join("namesake.pem"), &namesake.1).unwrap();
    crate::feeds::secret(&dir.path().join("misp.password"), "secret");

    let feeds = misp("not-believed", &server, "stranger.pem", own)
        + &misp("namesake", &server, "namesake.pem", own)
        + &misp("misnamed", &misnamed, "theirs.pem", own);
    let running = agent(dir.path(), &ours, "telecom", &feeds).await;
    for (name, word) in
        [("not-believed", "no authority of `ca`"), ("namesake", "no authority of `ca`"), ("misnamed", "another name")]
    {
        let failure = seen(&running, name, word).await;
        assert!(!failure.contains("secret"), "{failure}");
    }
    assert_eq!(server.served.load(Ordering::Relaxed) + misnamed.served.load(Ordering::Relaxed), 0, "nothing was asked");
    running.stop().await.unwrap();

    let running = agent(dir.path(), &ours, "telecom", &misp("believed", &server, "theirs.pem", own)).await;
    let taken = counts(&look(&running, "believed").await);
    // The identity of the other organisation, and its indicator.
    assert_eq!((taken["sightings"], taken["objects"]), (1, 2), "{taken:?}");
    assert!(server.served.load(Ordering::Relaxed) >= 3, "the manifest and each event");
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_shows_its_client_certificate_and_takes_up_the_one_that_renews_it() {
    let (theirs, ours) = (Bench::start().await, Bench::start_as("other.alliance").await);
    let objects: Vec<Value> = (1..=5).map(indicator).collect();
    assert_eq!(push(&theirs, "cloud", SIGHTINGS, &objects).await.1["failure_count"], 0);
    let dir = tempfile::tempdir().unwrap();
    let applicant = Applicant::new("cloud");
    let (certified, _) = joined(&theirs, &applicant).await;
    let identity = dir.path().join("theirs.identity");
    let shown = |certificate: &str| {
        crate::feeds::secret(&identity, &format!("{}{certificate}", applicant.tls.serialize_pem()));
    };
    std::fs::write(dir.path().join("theirs.pem"), theirs.running.certificate_pem()).unwrap();
    let url = theirs.running.url();
    let from = format!("[pull.from]\nurl = '{url}/taxii2/alliance/'\nca = 'theirs.pem'\n");
    let pull = |name: &str| {
        format!("[[pull]]\nname = '{name}'\nkind = 'taxii'\ncollection = 'sightings'\nevery = '1d'\n{from}")
    };
    let feeds = pull("certified") + "certificate = 'theirs.identity'\n" + &pull("bare");
    // The one from last week has run out.
    shown(&forged(&theirs, &applicant.tls, -3..-1));
    let running = agent(dir.path(), &ours, "telecom", &feeds).await;
    let failure = seen(&running, "certified", "let us in").await;
    assert!(!failure.contains("PRIVATE"), "{failure}");
    seen(&running, "bare", "let us in").await;
    shown(&certified.certificate);
    let taken = counts(&look(&running, "certified").await);
    assert_eq!(taken["objects"], 5, "without a new start: {taken:?}");
    let (_, page) = crate::taxii::get_json(&ours, "bank", &format!("{SIGHTINGS}/objects/?limit=100")).await;
    assert_eq!(page["objects"].as_array().unwrap().len(), 5);
    // What cannot be read is said, and what there was is no longer shown.
    crate::feeds::secret(&identity, "torn");
    seen(&running, "certified", "theirs.identity").await;
    shown(&certified.certificate);
    assert_eq!(push(&theirs, "cloud", SIGHTINGS, &[indicator(6)]).await.1["failure_count"], 0);
    assert_eq!(counts(&look(&running, "certified").await)["objects"], 6);
    let counted: &Value = &json!(counts(&look(&running, "certified").await));
    assert_eq!(counted, &json!({ "objects": 6, "sightings": 0 }), "once each");
    running.stop().await.unwrap();
}
