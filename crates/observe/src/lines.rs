//! Cuts a stream of bytes into lines, wherever the pieces end. Long lines are passed over, not stored.

use crate::source::LINE_BYTES_MAX;

/// A line that was cut out, or the place of one that was too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Line<'a> {
    /// Without its `\n` or `\r\n`.
    Whole(&'a [u8]),
    /// Longer than [`LINE_BYTES_MAX`]; its length in bytes.
    TooLong(u64),
}

/// The cutter. Holds at most one unfinished line of [`LINE_BYTES_MAX`] bytes.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    begun: Vec<u8>,
    /// Bytes of the unfinished line that were thrown away, when it is too long.
    dropped: u64,
    number: u64,
}

impl Lines {
    /// Takes the next piece and hands over each line that it ends, with its number from 1.
    pub fn push(&mut self, mut piece: &[u8], mut each: impl FnMut(u64, Line<'_>)) {
        while let Some(end) = piece.iter().position(|b| *b == b'\n') {
            let (head, rest) = (&piece[..end], &piece[end + 1..]);
            self.end_line(head, &mut each);
            piece = rest;
        }
        self.keep(piece);
    }

    /// At the end of the stream: a last line without an end counts too.
    pub fn finish(&mut self, mut each: impl FnMut(u64, Line<'_>)) {
        if !self.begun.is_empty() || self.dropped > 0 {
            self.end_line(&[], &mut each);
        }
    }

    fn end_line(&mut self, tail: &[u8], each: &mut impl FnMut(u64, Line<'_>)) {
        self.number += 1;
        let length = self.dropped + self.begun.len() as u64 + tail.len() as u64;
        if self.dropped > 0 || length > LINE_BYTES_MAX as u64 {
            each(self.number, Line::TooLong(length));
        } else if self.begun.is_empty() {
            each(self.number, Line::Whole(without_return(tail)));
        } else {
            self.begun.extend_from_slice(tail);
            each(self.number, Line::Whole(without_return(&self.begun)));
        }
        self.begun.clear();
        self.dropped = 0;
    }

    fn keep(&mut self, piece: &[u8]) {
        if self.dropped > 0 || self.begun.len() + piece.len() > LINE_BYTES_MAX {
            self.dropped += self.begun.len() as u64 + piece.len() as u64;
            self.begun = Vec::new();
        } else {
            self.begun.extend_from_slice(piece);
        }
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(pieces: &[&[u8]]) -> Vec<(u64, Result<Vec<u8>, u64>)> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        let mut each = |number, line: Line<'_>| {
            found.push((
                number,
                match line {
                    Line::Whole(bytes) => Ok(bytes.to_vec()),
                    Line::TooLong(length) => Err(length),
                },
            ));
        };
        pieces.iter().for_each(|piece| lines.push(piece, &mut each));
        lines.finish(&mut each);
        found
    }

    #[test]
    fn a_line_longer_than_the_limit_is_passed_over_and_the_next_is_read() {
        let long = vec![b'x'; LINE_BYTES_MAX + 1];
        let found = cut(&[&long[..40_000], &long[40_000..], b"y\nnext\r\n", &long, b"\n", b"last"]);
        let length = LINE_BYTES_MAX as u64 + 1;
        let wanted = [(1, Err(length + 1)), (2, Ok(b"next".to_vec())), (3, Err(length)), (4, Ok(b"last".to_vec()))];
        assert_eq!(found, wanted);
        let whole = vec![b'x'; LINE_BYTES_MAX];
        assert_eq!(cut(&[&whole, b"\n"]), [(1, Ok(whole.clone()))]);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_pieces_end(
            text in "[ab\r\n]{0,60}", cuts in proptest::collection::vec(0usize..60, 0..6)
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(text.len())).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &text.as_bytes()[w[0]..w[1]]).collect();
            prop_assert_eq!(cut(&pieces), cut(&[text.as_bytes()]));
        }
    }
}
