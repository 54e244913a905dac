//! Blanks what differs from run to run: times, identifiers, digests, keys, ports, the test's own directory.

/// The line with its changing parts blanked.
pub fn line(line: &str, place: &str) -> String {
    let line = line.replace(place, ".");
    let words: Vec<String> = split(&line).map(token).collect();
    squeezed(&distances(&positions(&words.concat())))
}

/// `entry 12` and `12 entries`: an agent's receipts come when they come.
fn positions(line: &str) -> String {
    let number = |word: &str| word.trim_end_matches(['.', ',']).bytes().all(|b| b.is_ascii_digit()) && !word.is_empty();
    let words: Vec<&str> = line.split(' ').collect();
    let blank = |(at, word): (usize, &&str)| {
        let after = at.checked_sub(1).is_some_and(|before| words[before].eq_ignore_ascii_case("entry"));
        let before = words.get(at + 1).is_some_and(|next| next.starts_with("entries"));
        match number(word) && (after || before) {
            true => word.replace(|c: char| c.is_ascii_digit(), "").replacen("", "{n}", 1),
            false => (*word).to_owned(),
        }
    };
    words.iter().enumerate().map(blank).collect::<Vec<_>>().join(" ")
}

/// Columns are as wide as what was blanked in them: runs of blanks after the first word count as two.
fn squeezed(line: &str) -> String {
    let indent = line.len() - line.trim_start().len();
    let (before, rest) = line.split_at(indent);
    let words: Vec<&str> = rest.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
    format!("{before}{}", words.join("  "))
}

/// Cuts a line into words and what stands between them.
fn split(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let inside = is_inside(first);
        let end = rest.find(|c| is_inside(c) != inside).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(word)
    })
}

fn is_inside(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '/' | '=' | ':' | '.' | '_')
}

fn token(word: &str) -> String {
    let ends = |c: char| matches!(c, '.' | ':');
    let (core, tail) = word.split_at(word.trim_end_matches(ends).len());
    let known =
        || time(core).or_else(|| id(core)).or_else(|| digits(core)).or_else(|| key(core)).or_else(|| port(core));
    known().map_or_else(|| word.to_owned(), |blank| format!("{blank}{tail}"))
}

fn time(word: &str) -> Option<String> {
    let form: String = word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    (form.starts_with("0000-00-00T00:00:00") && form.ends_with('Z')).then(|| "{time}".to_owned())
}

fn id(word: &str) -> Option<String> {
    let (kind, rest) = word.split_once('-')?;
    let known = ["fin", "sig", "plan", "mit", "dsp", "key", "tok"].contains(&kind);
    (known && rest.len() == 12 && rest.bytes().all(|b| b.is_ascii_alphanumeric())).then(|| format!("{kind}-{{id}}"))
}

/// Digests, whole or cut, and checksums.
fn digits(word: &str) -> Option<String> {
    let hex = |c: &u8| c.is_ascii_digit() || (b'a'..=b'f').contains(c);
    let length = matches!(word.len(), 8 | 12) || word.len() >= 40;
    (length && word.as_bytes().iter().all(hex)).then(|| "{digest}".to_owned())
}

/// Keys and signatures in base64, and verifier keys `name+hash+key`.
fn key(word: &str) -> Option<String> {
    if let [name, hash, key] = word.splitn(3, '+').collect::<Vec<_>>()[..]
        && hash.len() == 8
        && key.len() == 44
    {
        return Some(format!("{name}+{{key}}"));
    }
    match word.len() {
        44 if word.ends_with('=') => Some("{key}".to_owned()),
        88 if word.ends_with("==") => Some("{signature}".to_owned()),
        _ => None,
    }
}

fn port(word: &str) -> Option<String> {
    let (before, port) = word.rsplit_once("127.0.0.1:")?;
    let rest = port.trim_start_matches(|c: char| c.is_ascii_digit());
    (rest.is_empty() || rest.starts_with('/')).then(|| format!("{before}127.0.0.1:{{port}}{rest}"))
}

/// `(3 min ago)` and `(in 5 h 57 min)`.
fn distances(line: &str) -> String {
    let (mut out, mut rest) = (String::new(), line);
    while let Some((before, after)) = rest.split_once('(') {
        let Some((inside, behind)) = after.split_once(')') else { break };
        let far = inside.ends_with(" ago")
            || inside.strip_prefix("in ").is_some_and(|i| i.starts_with(|c: char| c.is_ascii_digit()));
        out.push_str(before);
        out.push_str(&if far { "({far})".to_owned() } else { format!("({inside})") });
        rest = behind;
    }
    out + rest
}

#[test]
fn what_differs_is_blanked_and_the_rest_is_kept() {
    for (given, blanked) in [
        ("since 2026-01-01T00:00:00.25Z (3 min ago)", "since {time} ({far})"),
        ("fin-7k2q00000001, mit-7k2q00000001.", "fin-{id}, mit-{id}."),
        ("until (in 5 h 57 min) (in force)", "until ({far}) (in force)"),
        ("https://127.0.0.1:40001/x 10.0.0.1", "https://127.0.0.1:{port}/x 10.0.0.1"),
        ("https://127.0.0.1:40001x", "https://127.0.0.1:40001x"),
        ("https://127.0.0.1:40001", "https://127.0.0.1:{port}"),
        ("adopted, entry 12. The 14 entries of 3", "adopted, entry {n}. The {n} entries of 3"),
        ("/tmp/x/hub/ca.pem", "./hub/ca.pem"),
    ] {
        assert_eq!(line(given, "/tmp/x"), blanked);
    }
}
