//! Server-sent events from bytes (WHATWG HTML §9.2.6), as far as the hub uses them, with a limit on everything.

/// One thing that the stream brought.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Item {
    /// A comment: the hub is alive.
    Comment,
    /// An event.
    Event(Event),
}

/// An event as it stands on the wire.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Event {
    /// `id:`, the journal's position.
    pub id: String,
    /// `event:`, the type.
    pub kind: String,
    /// `data:`, lines joined by a line feed.
    pub data: String,
}

/// The event or line was longer than allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TooLong;

/// Cuts a stream of bytes into events.
#[derive(Debug)]
pub(crate) struct Parser {
    bytes_max: usize,
    line: Vec<u8>,
    event: Event,
    has_data: bool,
}

impl Parser {
    /// A parser that holds at most so many bytes of one event.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, line: Vec::new(), event: Event::default(), has_data: false }
    }

    /// Takes the next bytes; gives what they completed.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<Item>, TooLong> {
        let mut items = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (head, rest) = bytes.split_at(end);
            self.extend(head)?;
            items.extend(self.end_line());
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.extend(bytes)?;
        Ok(items)
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.line.len() + self.event.data.len() + bytes.len() > self.bytes_max {
            return Err(TooLong);
        }
        self.line.extend(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Option<Item> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = line.strip_suffix('\r').unwrap_or(&line);
        if line.is_empty() {
            return self.end_event();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => return Some(Item::Comment),
            "id" => self.event.id = value.to_owned(),
            "event" => self.event.kind = value.to_owned(),
            "data" => self.data(value),
            _ => {}
        }
        None
    }

    fn data(&mut self, value: &str) {
        if self.has_data {
            self.event.data.push('\n');
        }
        self.event.data.push_str(value);
        self.has_data = true;
    }

    fn end_event(&mut self) -> Option<Item> {
        let event = std::mem::take(&mut self.event);
        std::mem::take(&mut self.has_data).then_some(Item::Event(event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str =
        ": heartbeat\n\nid: 7\nevent: part\ndata: {\"a\":\ndata: 1}\n\nevent: hello\r\ndata:x\r\n\r\nid: 8\n\n";

    fn expected() -> Vec<Item> {
        let event = |id: &str, kind: &str, data: &str| {
            Item::Event(Event { id: id.into(), kind: kind.into(), data: data.into() })
        };
        vec![Item::Comment, event("7", "part", "{\"a\":\n1}"), event("", "hello", "x")]
    }

    proptest! {
        #[test]
        fn events_are_the_same_however_the_bytes_arrive(cuts in proptest::collection::vec(0..TEXT.len(), 0..12)) {
            let (mut cuts, mut parser, mut items, mut from) = (cuts, Parser::new(1_000), Vec::new(), 0);
            cuts.sort_unstable();
            for cut in cuts.into_iter().chain([TEXT.len()]) {
                items.extend(parser.push(&TEXT.as_bytes()[from..cut]).unwrap());
                from = cut;
            }
            prop_assert_eq!(items, expected());
        }

        #[test]
        fn any_bytes_are_taken_within_the_limit_and_without_panic(bytes: Vec<u8>) {
            let _ = Parser::new(64).push(&bytes);
        }
    }

    #[test]
    fn an_event_beyond_the_limit_is_refused_also_in_pieces() {
        let mut parser = Parser::new(100);
        assert!(parser.push(b"data: ").is_ok());
        assert_eq!((0..20).find_map(|_| parser.push(&[b'x'; 10]).err()), Some(TooLong));
        let mut parser = Parser::new(100);
        assert_eq!((0..20).find_map(|_| parser.push(b"data: xxxxxxxxxx\n").err()), Some(TooLong));
    }
}
