//! How much of anything from outside is read: bytes, objects, levels of nesting.

use model::ParseError;

/// Limits on one document. Whoever passes none of ours takes these.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Longest document, in bytes.
    pub bytes: usize,
    /// Most objects (records, attributes, lines) in it.
    pub objects: usize,
    /// Longest single object, in bytes.
    pub object_bytes: usize,
    /// Deepest nesting of JSON objects and lists.
    pub depth: usize,
}

impl Limits {
    /// One TAXII envelope: 8 MiB, 1,000 objects of at most 1 MiB, 32 levels.
    pub const ENVELOPE: Self = Self { bytes: 8 << 20, objects: 1_000, object_bytes: 1 << 20, depth: 32 };
    /// A file that somebody imports by hand: 256 MiB, 1,000,000 objects of at most 1 MiB, 32 levels.
    pub const FILE: Self = Self { bytes: 256 << 20, objects: 1_000_000, object_bytes: 1 << 20, depth: 32 };

    /// The document as text, if it is text and within `bytes`.
    ///
    /// # Errors
    /// Names the limit.
    pub fn text<'a>(&self, bytes: &'a [u8]) -> Result<&'a str, ParseError> {
        if bytes.len() > self.bytes {
            return Err(too_many("document", bytes.len(), self.bytes, "bytes"));
        }
        std::str::from_utf8(bytes)
            .map_err(|e| ParseError::new("document", &format!("byte {}", e.valid_up_to()), "UTF-8"))
    }

    /// The document as JSON text that is nowhere deeper than `depth`; nothing is built from it.
    ///
    /// # Errors
    /// Names the limit.
    pub fn json<'a>(&self, bytes: &'a [u8]) -> Result<&'a str, ParseError> {
        let text = self.text(bytes)?;
        let shape = Shape::of(text);
        if shape.depth > self.depth {
            return Err(too_many("document", shape.depth, self.depth, "levels of JSON"));
        }
        let values_max = self.objects.max(VALUES_MIN);
        match shape.values > values_max {
            true => Err(too_many("document", shape.values, values_max, "values in its outer lists")),
            false => Ok(text),
        }
    }

    /// Is `count` within `objects`?
    ///
    /// # Errors
    /// Names the limit.
    pub fn count(&self, field: &str, count: usize) -> Result<(), ParseError> {
        match count > self.objects {
            true => Err(too_many(field, count, self.objects, "entries")),
            false => Ok(()),
        }
    }
}

/// An object may list this many references, whatever the number of objects is.
const VALUES_MIN: usize = 100_000;

fn too_many(field: &str, found: usize, max: usize, of_what: &str) -> ParseError {
    ParseError::new(field, &format!("{found} {of_what}"), format_args!("at most {max} {of_what}"))
}

/// What one pass over the bytes tells.
struct Shape {
    /// Deepest nesting.
    depth: usize,
    /// Commas in the two outermost levels: an upper bound for what a list of objects holds.
    values: usize,
}

impl Shape {
    /// Also right on what is no JSON: the parser complains later.
    fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let (mut at, mut level, mut shape) = (0, 0_usize, Self { depth: 0, values: 0 });
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'"' => at = string_end(bytes, at + 1),
                b'{' | b'[' => {
                    level += 1;
                    shape.depth = shape.depth.max(level);
                }
                b'}' | b']' => level = level.saturating_sub(1),
                b',' if level <= 2 => shape.values += 1,
                _ => {}
            }
            at += 1;
        }
        shape
    }
}

/// The place of the quote that ends the string which begins at `at`.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        let rest = bytes.get(at..).unwrap_or(&[]);
        match memchr::memchr2(b'"', b'\\', rest) {
            None => return bytes.len(),
            Some(found) if rest[found] == b'"' => return at + found,
            Some(found) => at += found + 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_limited_and_brackets_in_text_do_not_count() {
        let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
        let limits = Limits::ENVELOPE;
        assert!(limits.json(deep(limits.depth).as_bytes()).is_ok());
        let error = limits.json(deep(10_000).as_bytes()).unwrap_err();
        assert_eq!(
            (error.value.as_str(), error.allowed.as_str()),
            ("10000 levels of JSON", "at most 32 levels of JSON")
        );
        assert!(limits.json(format!(r#"["\"\\{}"]"#, "[".repeat(100)).as_bytes()).is_ok());
        assert!(limits.json(br#""never closed \"#).is_ok());
    }

    #[test]
    fn size_and_text_are_checked_first() {
        let limits = Limits { bytes: 4, ..Limits::ENVELOPE };
        assert!(limits.text(b"12345").unwrap_err().allowed.contains("4 bytes"));
        assert!(limits.text(b"ab\xff").unwrap_err().value.contains("byte 2"));
    }

    #[test]
    fn a_list_of_millions_is_refused_before_it_is_built() {
        let many = format!("[{}0]", "0,".repeat(VALUES_MIN + 1));
        assert!(Limits::ENVELOPE.json(many.as_bytes()).is_err());
    }
}
