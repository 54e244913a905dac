//! The least that a durable answer takes here: a server that does nothing but TLS, an append and its `fdatasync`.
//!
//! What comes in while one write is under way goes into the next one, as in the hub. Nothing is read, judged, hashed or
//! kept, so no server that appends to a file answers the same writers faster on this machine and disk.

use crate::stage::{self, MEMBERS, Talker};
use crate::steps::{Load, WRITERS, write};
use crate::{Failure, Words};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

/// The first word of the second process.
pub const SERVE: &str = "--serve-floor";
/// Its certificate's file.
const CERTIFICATE: &str = "floor.pem";
/// Longest body that it takes, in bytes.
const BODY_MAX: usize = 1 << 20;

/// A body, and who waits until it is durable.
type Work = (Vec<u8>, SyncSender<()>);

/// Envelopes of one, as the hub's step of that name sends them.
pub async fn run(words: Words) -> Result<(), Failure> {
    let dir = tempfile::Builder::new().prefix("epimachia-floor-").tempdir()?;
    let (child, url) = stage::start(SERVE, dir.path()).await?;
    let certificate = std::fs::read_to_string(dir.path().join(CERTIFICATE))?;
    let talkers =
        (0..WRITERS).map(|_| Talker::new(&url, &certificate, MEMBERS[0], "none")).collect::<Result<_, _>>()?;
    let process = child.id().unwrap_or_default().to_string();
    let numbers = Arc::new(AtomicU32::new(0));
    let load = Load { numbers, size: 1, up_to: u32::MAX, time: Duration::from_secs(words.seconds) };
    write("TLS, append and fdatasync alone, the same", talkers, &process, load).await
}

/// The second process: ends when its input does.
pub fn serve(dir: &str) -> Result<(), Failure> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = rcgen::KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])?.self_signed(&key)?;
    std::fs::write(Path::new(dir).join(CERTIFICATE), certificate.pem())?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key)?;
    let (config, listener) = (Arc::new(config), TcpListener::bind(("127.0.0.1", 0))?);
    println!("https://{}", listener.local_addr()?);
    let (send, work) = channel();
    let file = File::create(Path::new(dir).join("bodies"))?;
    std::thread::spawn(move || append(file, &work));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, send) = (Arc::clone(&config), send.clone());
            std::thread::spawn(move || answer(stream, config, &send));
        }
    });
    BufReader::new(io::stdin()).lines().next();
    Ok(())
}

/// Writes all that waits, makes it durable once, and says so to all.
fn append(mut file: File, work: &Receiver<Work>) -> io::Result<()> {
    while let Ok(first) = work.recv() {
        let (bodies, waiting): (Vec<_>, Vec<_>) = std::iter::once(first).chain(work.try_iter()).unzip();
        file.write_all(&bodies.concat())?;
        file.sync_data()?;
        // Whoever has hung up does not wait any more.
        waiting.iter().for_each(|back| _ = back.send(()));
    }
    Ok(())
}

/// Answers the requests of one connection.
fn answer(stream: TcpStream, config: Arc<ServerConfig>, work: &Sender<Work>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    let (back, done) = sync_channel(1);
    let status = r#"{"id":"floor","status":"complete","success_count":1,"failure_count":0}"#;
    let answer = format!(
        "HTTP/1.1 202 Accepted\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n{status}",
        stage::TAXII,
        status.len()
    );
    while let Some(length) = length(&mut stream)? {
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        work.send((body, back.clone())).map_err(io::Error::other)?;
        done.recv().map_err(io::Error::other)?;
        stream.get_mut().write_all(answer.as_bytes())?;
        stream.get_mut().flush()?;
    }
    Ok(())
}

/// Reads a request's head: how long its body is. None where the client has gone.
fn length(stream: &mut impl BufRead) -> io::Result<Option<usize>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end().split_once(':') {
            None if line.trim_end().is_empty() => return Ok(Some(length)),
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length =
                    value.trim().parse().ok().filter(|length| *length <= BODY_MAX).ok_or(io::ErrorKind::InvalidData)?;
            }
            _ => {}
        }
    }
}
