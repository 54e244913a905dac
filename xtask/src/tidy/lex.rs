//! Just enough of Rust's lexical grammar to tell code, comments and literals apart (Rust Reference, "Tokens").

/// What a character belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Code,
    Comment,
    Literal,
}

/// A Rust source, its characters sorted into code, comments and literals.
pub struct Source {
    /// The text with every character of comments and literals replaced by a blank; line ends stay.
    pub code: String,
    /// The text with every character of literals replaced by a blank; line ends stay.
    pub prose: String,
    /// For each line, whether it begins inside a literal that an earlier line opened.
    pub continues_literal: Vec<bool>,
}

impl Source {
    /// Reads a source. Text that is not valid Rust gives a sorting of no meaning, never an error.
    pub fn read(text: &str) -> Source {
        let chars: Vec<char> = text.chars().collect();
        let classes = classify(&chars);
        let keep = |wanted: fn(Class) -> bool| {
            let pick = |(&c, &class): (&char, &Class)| if c == '\n' || wanted(class) { c } else { ' ' };
            chars.iter().zip(&classes).map(pick).collect()
        };
        Source {
            code: keep(|class| class == Class::Code),
            prose: keep(|class| class != Class::Literal),
            continues_literal: line_starts(&chars, &classes),
        }
    }
}

/// Whether a character may stand in an identifier.
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_starts(chars: &[char], classes: &[Class]) -> Vec<bool> {
    let after_line_ends = chars.iter().zip(classes).filter(|(c, _)| **c == '\n');
    std::iter::once(false).chain(after_line_ends.map(|(_, class)| *class == Class::Literal)).collect()
}

fn classify(chars: &[char]) -> Vec<Class> {
    let mut classes = Vec::with_capacity(chars.len());
    while classes.len() < chars.len() {
        let at = classes.len();
        let (class, end) = token(chars, at);
        classes.resize(end.clamp(at + 1, chars.len()), class);
    }
    classes
}

/// The class of the token that begins at `at`, and where it ends.
fn token(chars: &[char], at: usize) -> (Class, usize) {
    match (chars[at], chars.get(at + 1)) {
        ('/', Some('/')) => (Class::Comment, find(chars, at, |c| c == '\n')),
        ('/', Some('*')) => (Class::Comment, block_comment_end(chars, at)),
        ('"', _) => (Class::Literal, quoted_end(chars, at, '"')),
        ('\'', Some('\\')) => (Class::Literal, quoted_end(chars, at, '\'')),
        ('\'', Some(_)) if chars.get(at + 2) == Some(&'\'') => (Class::Literal, at + 3),
        (c, _) if is_word(c) => word(chars, at),
        _ => (Class::Code, at + 1),
    }
}

/// An identifier, or a raw string where the identifier is `r`, `br` or `cr` and hashes and a quote follow.
fn word(chars: &[char], at: usize) -> (Class, usize) {
    let end = find(chars, at, |c| !is_word(c));
    let quote = find(chars, end, |c| c != '#');
    let is_raw = matches!(&chars[at..end], ['r'] | ['b' | 'c', 'r']);
    if is_raw && chars.get(quote) == Some(&'"') {
        return (Class::Literal, raw_end(chars, quote + 1, quote - end));
    }
    (Class::Code, end)
}

/// The first place from `at` on where `stop` holds, or the end.
fn find(chars: &[char], at: usize, stop: impl Fn(char) -> bool) -> usize {
    chars[at..].iter().position(|&c| stop(c)).map_or(chars.len(), |n| at + n)
}

/// Block comments nest.
fn block_comment_end(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut i = at;
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

/// One behind the closing quote; a backslash takes the next character with it.
fn quoted_end(chars: &[char], at: usize, quote: char) -> usize {
    let mut i = at + 1;
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 2,
            c if c == quote => return i + 1,
            _ => i += 1,
        }
    }
    i
}

/// One behind the quote and its hashes that close a raw string.
fn raw_end(chars: &[char], from: usize, hashes: usize) -> usize {
    let closes = |i: usize| chars[i] == '"' && chars[i + 1..].iter().take_while(|c| **c == '#').count() >= hashes;
    (from..chars.len()).find(|&i| closes(i)).map_or(chars.len(), |i| i + 1 + hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        Source::read(text).code.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn braces_in_literals_and_comments_are_no_code() {
        assert_eq!(code(r#"a "{" b"#), "a b");
        assert_eq!(code("a '{' b '\\'' c '\\u{7b}' d"), "a b c d");
        assert_eq!(code("a // {\nb /* { /* } */ { */ c"), "a b c");
        assert_eq!(code("a \"x\\\"{\" b"), "a b");
    }

    #[test]
    fn raw_strings_end_at_their_own_number_of_hashes() {
        assert_eq!(code(r####"a r#"{ "quoted" { "# b"####), "a b");
        assert_eq!(code(r####"a br##"{ "# { "## b"####), "a b");
        assert_eq!(code(r####"a r"\" b"####), "a b");
    }

    #[test]
    fn lifetimes_and_raw_identifiers_stay_code() {
        assert_eq!(code("fn f<'a>(x: &'a str, r#type: u8) {}"), "fn f<'a>(x: &'a str, r#type: u8) {}");
        assert_eq!(code("let var = car; b'x'"), "let var = car; b");
    }

    #[test]
    fn prose_keeps_comments_and_drops_literals() {
        let source = Source::read("a // why\n\"no\" b");
        assert_eq!(source.prose, "a // why\n     b");
    }

    #[test]
    fn lines_within_a_literal_are_told_from_lines_that_open_one() {
        let source = Source::read("let a = \"one\ntwo\nthree\";\nlet b;\n");
        assert_eq!(source.continues_literal, [false, true, true, false, false]);
    }

    #[test]
    fn unfinished_literals_and_comments_end_with_the_text() {
        for text in ["\"abc", "r#\"abc\"", "/* abc /* */", "'\\", "\"abc\\", "r#"] {
            assert_eq!(Source::read(text).code.len(), text.len(), "{text}");
        }
    }
}
