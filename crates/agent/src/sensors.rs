//! Sensors: a file that is followed from its end on, also when it is rotated or cut, or standard input.

use crate::config::SourceConfig;
use crate::core::{AlarmKind, Input};
use crate::running::salted;
use observe::Settings;
use std::io::SeekFrom;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::mpsc::Sender;

/// How often a quiet file is looked at. Speed protects: this is part of the time to protection.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;

/// Follows one sensor until the agent stops.
pub(crate) async fn follow(source: SourceConfig, settings: Settings, inputs: Sender<Input>) {
    let mut reader = match source.reader(&settings) {
        Ok(reader) => reader,
        Err(error) => return trouble(&inputs, &source.name, &error.to_string()).await,
    };
    let mut bytes = vec![0; READ_BYTES];
    let mut input = Feed::new(&source);
    loop {
        let count = match input.read(&mut bytes).await {
            Ok(Some(count)) => count,
            Ok(None) => return,
            Err(error) => {
                trouble(&inputs, &source.name, &error.to_string()).await;
                tokio::time::sleep(Duration::from_secs(5)).await;
                continue;
            }
        };
        let mut sightings = reader.push(bytes.get(..count).unwrap_or_default());
        sightings.extend(reader.due(crate::clock::wall()));
        for part in sightings.chunks(1_000) {
            let Ok(input) = salted(part.to_vec()) else { continue };
            if inputs.send(input).await.is_err() {
                return;
            }
        }
        if count == 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

async fn trouble(inputs: &Sender<Input>, name: &str, what: &str) {
    let text = format!("Sensor {name} cannot be read: {}", model::parse::printable(what));
    // The agent is stopping if nobody listens.
    let _ = inputs.send(Input::Trouble { kind: AlarmKind::SensorFailed, text }).await;
}

enum Feed {
    Stdin(tokio::io::Stdin),
    File { path: PathBuf, open: Option<Open>, from_beginning: bool },
}

struct Open {
    file: File,
    inode: u64,
    at: u64,
}

impl Feed {
    fn new(source: &SourceConfig) -> Self {
        match &source.file {
            None => Self::Stdin(tokio::io::stdin()),
            Some(path) => Self::File { path: path.clone(), open: None, from_beginning: source.from_beginning },
        }
    }

    /// The next bytes; none at all at the end of standard input.
    async fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<Option<usize>> {
        match self {
            Self::Stdin(stdin) => Ok(Some(stdin.read(bytes).await?).filter(|count| *count > 0)),
            Self::File { path, open, from_beginning } => {
                if open.is_none() {
                    *open = Some(Open::at(path, *from_beginning).await?);
                    // Whatever replaces the file is new from its beginning.
                    *from_beginning = true;
                }
                let Some(file) = open else { return Ok(Some(0)) };
                let count = file.file.read(bytes).await?;
                file.at += count as u64;
                if count == 0 && file.is_replaced(path).await {
                    *open = None;
                }
                Ok(Some(count))
            }
        }
    }
}

impl Open {
    async fn at(path: &Path, from_beginning: bool) -> std::io::Result<Self> {
        let mut file = File::open(path).await?;
        let inode = file.metadata().await?.ino();
        let at = if from_beginning { 0 } else { file.seek(SeekFrom::End(0)).await? };
        Ok(Self { file, inode, at })
    }

    /// Was the file renamed away, or cut shorter than what was read?
    async fn is_replaced(&self, path: &Path) -> bool {
        match tokio::fs::metadata(path).await {
            Ok(about) => about.ino() != self.inode || about.len() < self.at,
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    async fn next(feed: &mut Feed) -> String {
        let mut bytes = [0; 1_000];
        for _ in 0..10 {
            match feed.read(&mut bytes).await.unwrap() {
                Some(0) => {}
                Some(count) => return String::from_utf8_lossy(&bytes[..count]).into_owned(),
                None => panic!("a file has no end"),
            }
        }
        String::new()
    }

    fn append(path: &Path, text: &str) {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[tokio::test]
    async fn a_file_is_followed_from_its_end_and_through_rotation_and_cutting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("eve.json");
        append(&path, "old\n");
        let mut feed = Feed::File { path: path.clone(), open: None, from_beginning: false };
        assert_eq!(next(&mut feed).await, "");
        append(&path, "first\n");
        assert_eq!(next(&mut feed).await, "first\n");
        append(&path, "last of the old file\n");
        std::fs::rename(&path, dir.path().join("eve.json.1")).unwrap();
        append(&path, "first of the new file\n");
        assert_eq!(next(&mut feed).await, "last of the old file\n");
        assert_eq!(next(&mut feed).await, "first of the new file\n");
        std::fs::write(&path, "cut\n").unwrap();
        assert_eq!(next(&mut feed).await, "cut\n");
    }
}
