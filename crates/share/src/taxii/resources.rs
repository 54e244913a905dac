//! The documents of TAXII 2.1 (§4, §5, §3.6.1). Lists that are empty are left out: the standard has no empty lists.

use super::cursor::Next;
use super::media::TAXII;
use model::ParseError;
use serde::Serialize;

/// Longest message of a status or an error, in characters.
const MESSAGE_CHARS_MAX: usize = 500;

/// What is found at the server's root (§4.1).
#[derive(Clone, Debug, Serialize)]
pub struct Discovery {
    /// Its name.
    pub title: String,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whom to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Where to begin when nothing else is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Where the API roots are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_roots: Vec<String>,
}

/// An API root (§4.2).
#[derive(Clone, Debug, Serialize)]
pub struct ApiRoot {
    /// Its name.
    pub title: String,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The media types of TAXII that it speaks.
    pub versions: Vec<&'static str>,
    /// Longest request body, in bytes.
    pub max_content_length: usize,
}

impl ApiRoot {
    /// A root that speaks TAXII 2.1.
    pub fn new(title: String, max_content_length: usize) -> Self {
        Self { title, description: None, versions: vec![TAXII], max_content_length }
    }
}

/// A collection, as this client may use it (§5.2).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Collection {
    /// Its identifier, a UUID.
    pub id: String,
    /// Its name.
    pub title: String,
    /// What it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A name that people can type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// May this client read from it?
    pub can_read: bool,
    /// May this client add to it?
    pub can_write: bool,
    /// What it holds, by media type.
    pub media_types: Vec<&'static str>,
}

/// The media type of objects of STIX 2.0, which collections hold too.
pub const STIX_20: &str = "application/stix+json;version=2.0";
/// The media type of what collections hold.
pub const STIX: &str = "application/stix+json;version=2.1";

/// One row of a manifest (§5.3.1).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ManifestRecord {
    /// The object.
    pub id: String,
    /// When it was added.
    pub date_added: String,
    /// Its version.
    pub version: String,
    /// What it is.
    pub media_type: &'static str,
}

/// A page of objects in the making, byte for byte (§3.7). An empty one is `{}`.
#[derive(Clone, Debug)]
pub struct Envelope {
    text: String,
    objects: bool,
}

impl Envelope {
    /// An envelope that holds about so many bytes; with where to go on, if there is more.
    pub fn new(next: Option<Next>, bytes: usize) -> Self {
        let mut text = String::with_capacity(bytes + 64);
        text.push('{');
        if let Some(next) = next {
            text += &format!("\"more\":true,\"next\":\"{next}\"");
        }
        Self { text, objects: false }
    }

    /// One more object.
    pub fn push(&mut self, object: &str) {
        let before = match (self.objects, self.text.len()) {
            (true, _) => ",",
            (false, 1) => "\"objects\":[",
            (false, _) => ",\"objects\":[",
        };
        self.text.push_str(before);
        self.text.push_str(object);
        self.objects = true;
    }

    /// The envelope as JSON.
    pub fn finish(mut self) -> Vec<u8> {
        self.text.push_str(if self.objects { "]}" } else { "}" });
        self.text.into_bytes()
    }
}

/// How far a request has come (§4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not all objects are done.
    Pending,
    /// All are, well or not.
    Complete,
}

/// What became of the objects of a request (§4.3.1).
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Its identifier, a UUID.
    pub id: String,
    /// How far it has come.
    pub status: State,
    /// When the request came.
    pub request_timestamp: String,
    /// Objects in all.
    pub total_count: usize,
    /// Objects that were added.
    pub success_count: usize,
    /// Which.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub successes: Vec<Details>,
    /// Objects that were not.
    pub failure_count: usize,
    /// Which, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Details>,
    /// Objects that wait.
    pub pending_count: usize,
    /// Which.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pendings: Vec<Details>,
}

impl Status {
    /// The status of a request whose objects are done.
    pub fn complete(id: String, request_timestamp: String, successes: Vec<Details>, failures: Vec<Details>) -> Self {
        let (success_count, failure_count) = (successes.len(), failures.len());
        Self {
            id,
            status: State::Complete,
            request_timestamp,
            total_count: success_count + failure_count,
            success_count,
            successes,
            failure_count,
            failures,
            pending_count: 0,
            pendings: Vec::new(),
        }
    }
}

/// What became of one object (§4.3.1.1).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Details {
    /// The object.
    pub id: String,
    /// Its version.
    pub version: String,
    /// What there is to say of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Details {
    /// An object and what there is to say of it, within bounds.
    pub fn new(id: String, version: String, message: Option<String>) -> Self {
        let message = message.map(|message| message.chars().take(MESSAGE_CHARS_MAX).collect());
        Self { id, version, message }
    }

    /// An object that was refused: which field, what stood there, what is allowed.
    pub fn refused(id: String, version: String, error: &ParseError) -> Self {
        Self::new(id, version, Some(error.to_string()))
    }
}

/// An error's body (§3.6.1). The standard writes the HTTP status as text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Failure {
    /// What went wrong, in a few words.
    pub title: String,
    /// In more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The HTTP status.
    pub http_status: String,
    /// What applies where, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<serde_json::Value>,
}

impl Failure {
    /// An error with this HTTP status.
    pub fn new(http_status: u16, title: &str, description: Option<String>) -> Self {
        Self { title: title.to_owned(), description, http_status: http_status.to_string(), details: None }
    }

    /// A request that is malformed: which parameter or field, and what is allowed.
    pub fn malformed(http_status: u16, error: &ParseError) -> Self {
        let details = serde_json::json!({ "field": error.field, "value": error.value, "allowed": error.allowed });
        Self {
            details: Some(details),
            ..Self::new(http_status, "The request is not understood", Some(error.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use crate::stix::{Split, Wrapper};

    #[test]
    fn envelopes_keep_bytes_and_read_back() {
        let objects = ["{ \"type\" : \"tool\", \"x\": 1.50 }", "{\"type\":\"x-own\"}"];
        let mut envelope = Envelope::new(Some(Next(255)), 100);
        objects.iter().for_each(|object| envelope.push(object));
        let json = envelope.finish();
        let split = Split::read(&json, &Limits::ENVELOPE).unwrap();
        assert_eq!(split.wrapper, Wrapper::Envelope { more: true, next: Some("sff".into()) });
        assert!(split.objects.iter().map(|object| object.get()).eq(objects));
        assert_eq!(Envelope::new(None, 0).finish(), b"{}");
        let mut last = Envelope::new(None, 0);
        last.push(objects[0]);
        assert_eq!(last.finish(), format!("{{\"objects\":[{}]}}", objects[0]).into_bytes());
    }

    #[test]
    fn documents_have_no_empty_lists_and_write_the_status_as_text() {
        let status = Status::complete("id".to_owned(), "t".to_owned(), Vec::new(), Vec::new());
        let json = serde_json::to_value(&status).unwrap();
        assert!(json.get("failures").is_none() && json["status"] == "complete" && json["pending_count"] == 0);
        let failure = Failure::malformed(422, &ParseError::new("limit", "0", "a whole number above 0"));
        let json = serde_json::to_value(&failure).unwrap();
        assert_eq!((&json["http_status"], &json["details"]["field"]), (&"422".into(), &"limit".into()));
    }

    #[test]
    fn a_refused_object_says_why_within_bounds() {
        let error = ParseError::new("pattern", "x", "y".repeat(2_000));
        let details = Details::refused("indicator--1".to_owned(), "v".to_owned(), &error);
        assert_eq!(details.message.map(|message| message.chars().count()), Some(MESSAGE_CHARS_MAX));
    }
}
