//! The rule about long functions: a scanner that counts braces.

use super::Violation;
use super::lex::{Source, is_word};
use super::text::LONG;
use super::tree::Tree;

const FUNCTION_LINES_MAX: usize = 70;

/// A function has at most 70 lines, from its `fn` to its closing brace, unless a comment above it says why not.
pub fn length(tree: &Tree) -> Vec<Violation> {
    tree.ending(".rs").flat_map(|(path, text)| long_ones(path, text)).collect()
}

fn long_ones(path: &str, text: &str) -> Vec<Violation> {
    if text.lines().count() <= FUNCTION_LINES_MAX {
        return Vec::new();
    }
    let lines: Vec<&str> = text.lines().collect();
    let long = functions(text).into_iter().filter(|f| f.lines > FUNCTION_LINES_MAX && !is_excused(&lines, f.line));
    long.map(|f| {
        let what = format!("`{}` has {} lines, at most {FUNCTION_LINES_MAX}", f.name, f.lines);
        Violation::new(path, f.line, what, format!("name its parts as functions, or say `// {LONG} …` above it"))
    })
    .collect()
}

/// Whether a comment directly above line `line` (from 1), among comments and attributes, gives the reason.
fn is_excused(lines: &[&str], line: usize) -> bool {
    let above = lines[..line - 1].iter().rev().map(|line| line.trim_start());
    let attached = above.take_while(|line| line.starts_with("//") || line.starts_with("#["));
    attached.into_iter().any(|line| line.starts_with("//") && line.contains(LONG))
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
struct Function {
    name: String,
    /// The line of its `fn`, from 1.
    line: usize,
    /// From the line of `fn` to that of the closing brace, both counted.
    lines: usize,
}

fn functions(text: &str) -> Vec<Function> {
    let code: Vec<char> = Source::read(text).code.chars().collect();
    let mut found = Vec::new();
    let mut line = 1;
    for at in 0..code.len() {
        if code[at] == '\n' {
            line += 1;
        }
        if let Some((name, after)) = function_name(&code, at)
            && let Some(end) = body_end(&code, after)
        {
            let lines = 1 + code[at..end].iter().filter(|c| **c == '\n').count();
            found.push(Function { name, line, lines });
        }
    }
    found
}

/// The name of a function whose `fn` begins at `at`, and where the name ends. Function pointers have none.
fn function_name(code: &[char], at: usize) -> Option<(String, usize)> {
    let begins = at == 0 || !is_word(code[at - 1]);
    let is_fn = begins && code[at..].starts_with(&['f', 'n']) && code.get(at + 2).is_some_and(|c| c.is_whitespace());
    let start = is_fn.then(|| (at + 2..code.len()).find(|&i| !code[i].is_whitespace()))??;
    let end = (start..code.len()).find(|&i| !is_word(code[i]))?;
    (end > start).then(|| (code[start..end].iter().collect(), end))
}

/// The place of the brace that closes the body; nothing for a declaration without one.
fn body_end(code: &[char], from: usize) -> Option<usize> {
    let mut depth = 0_i32;
    let mut in_body = false;
    for (i, c) in code.iter().enumerate().skip(from) {
        match c {
            ';' if depth == 0 => return None,
            '{' if depth == 0 => (depth, in_body) = (1, true),
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth <= 0 && in_body {
            return Some(i);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(text: &str) -> Vec<(String, usize, usize)> {
        functions(text).into_iter().map(|f| (f.name, f.line, f.lines)).collect()
    }

    #[test]
    fn functions_are_measured_from_fn_to_closing_brace() {
        let text = "fn a() {}\n\npub async fn b<T>(\n    x: [u8; 4],\n) -> T\nwhere\n    T: X,\n{\n    { \"}\" }\n}\n";
        assert_eq!(lengths(text), [("a".into(), 1, 1), ("b".into(), 3, 8)]);
    }

    #[test]
    fn declarations_pointers_and_words_with_fn_are_no_functions() {
        assert_eq!(
            lengths("trait T { fn a(&self, x: [u8; 2]) -> u8; }\ntype F = fn(u8) -> u8;\nlet my_fn x = {};"),
            []
        );
    }

    #[test]
    fn inner_functions_count_by_themselves_and_within_the_outer_one() {
        let text = "fn outer() {\n    fn inner() {\n    }\n}\n";
        assert_eq!(lengths(text), [("outer".into(), 1, 4), ("inner".into(), 2, 2)]);
    }

    #[test]
    fn a_long_function_may_say_why_above_itself() {
        let body = "    x();\n".repeat(70);
        let tree = |above: &str| Tree::of(&[("a.rs", &format!("//! A.\n\n{above}fn a() {{\n{body}}}\n"))]);
        assert_eq!(length(&tree("")).len(), 1);
        assert_eq!(length(&tree("/// A.\n// Long because: a table.\n#[inline]\n")), []);
        assert_eq!(length(&tree("// Long because: another.\n\n")).len(), 1);
    }
}
