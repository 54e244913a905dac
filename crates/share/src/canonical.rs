//! JSON in one canonical form (RFC 8785): what deterministic identifiers are computed over.

use model::ParseError;
use serde_json::{Number, Value};

/// Deepest nesting that is written.
pub const DEPTH_MAX: usize = 64;

/// The canonical form of `value`: no blanks, members sorted by the UTF-16 code units of their names, numbers as
/// ECMAScript
/// writes them (RFC 8785 §3.2).
///
/// # Errors
/// Nesting beyond [`DEPTH_MAX`]; a number that no double can hold.
pub fn canonical(value: &Value) -> Result<String, ParseError> {
    let mut out = String::new();
    write(value, &mut out, 0)?;
    Ok(out)
}

fn write(value: &Value, out: &mut String, depth: usize) -> Result<(), ParseError> {
    if depth > DEPTH_MAX {
        return Err(ParseError::new("json", &format!("{depth} levels"), format_args!("at most {DEPTH_MAX} levels")));
    }
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(&number_text(number)?),
        Value::String(text) => string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                comma(i, out);
                write(item, out, depth + 1)?;
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            for (i, (name, member)) in sorted.into_iter().enumerate() {
                comma(i, out);
                string(name, out);
                out.push(':');
                write(member, out, depth + 1)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn comma(index: usize, out: &mut String) {
    if index > 0 {
        out.push(',');
    }
}

/// RFC 8785 §3.2.2.2: the short escapes where there is one, `\u00xx` for other control characters, nothing else.
fn string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Every number is a double (RFC 8785 §3.2.2.3).
fn number_text(number: &Number) -> Result<String, ParseError> {
    let double = number.as_f64().filter(|double| double.is_finite());
    let double = double.ok_or_else(|| ParseError::new("number", &number.to_string(), "what a double can hold"))?;
    Ok(ecmascript(double))
}

/// ECMAScript's `Number::toString` (ECMA-262 §6.1.6.1.20): the shortest digits that read back, of two equally near
/// ones the
/// even, laid out by exponent. serde_json finds the same digits; only its layout differs.
fn ecmascript(double: f64) -> String {
    let written = Number::from_f64(double.abs()).map_or_else(String::new, |number| number.to_string());
    let (mantissa, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let leading = digits.len() - digits.trim_start_matches('0').len();
    let significant = digits[leading..].trim_end_matches('0');
    if significant.is_empty() {
        return "0".to_owned();
    }
    // At most 308 digits: no sum here leaves 32 bits.
    let point = exponent.parse::<i32>().unwrap_or(0) + whole.len() as i32 - leading as i32;
    let sign = if double < 0.0 { "-" } else { "" };
    format!("{sign}{}", lay_out(significant, point))
}

/// `digits` with the decimal point after the first `point` of them.
fn lay_out(digits: &str, point: i32) -> String {
    let count = digits.len();
    let whole = usize::try_from(point).unwrap_or(0);
    match point {
        1..=21 if count <= whole => format!("{digits}{}", "0".repeat(whole - count)),
        1..=21 => format!("{}.{}", &digits[..whole], &digits[whole..]),
        -5..=0 => format!("0.{}{digits}", "0".repeat(point.unsigned_abs() as usize)),
        _ => {
            let exponent = point - 1;
            let sign = if exponent < 0 { '-' } else { '+' };
            let fraction = if count > 1 { format!(".{}", &digits[1..]) } else { String::new() };
            format!("{}{fraction}e{sign}{}", &digits[..1], exponent.unsigned_abs())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn form(json: &str) -> String {
        canonical(&serde_json::from_str(json).unwrap()).unwrap()
    }

    /// RFC 8785 §3.2.2 and §3.2.3.
    #[test]
    fn the_examples_of_the_standard_come_out_right() {
        let given = r#"{"numbers":[333333333.3333333,1E30,4.50,2e-3,0.000000000000000000000000001],
            "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#;
        let wanted = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
            \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(form(given), wanted);
        let names = r#"{"\u20ac":"Euro","\r":"CR","\ufb33":"Dalet","1":"One",
            "\ud83d\ude00":"Smiley","\u0080":"C","\u00f6":"o"}"#;
        let order: Vec<usize> =
            ["CR", "One", "\"C\"", "\"o\"", "Euro", "Smiley", "Dalet"].map(|v| form(names).find(v).unwrap()).to_vec();
        assert!(order.is_sorted(), "{}", form(names));
    }

    /// RFC 8785 appendix B.
    #[test]
    fn numbers_are_written_as_ecmascript_writes_them() {
        for (bits, wanted) in [
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            assert_eq!(ecmascript(f64::from_bits(bits)), wanted);
        }
    }

    proptest! {
        #[test]
        fn every_double_reads_back(bits: u64) {
            let double = f64::from_bits(bits);
            prop_assume!(double.is_finite());
            prop_assert_eq!(ecmascript(double).parse::<f64>().unwrap(), double);
        }

        #[test]
        fn the_canonical_form_is_its_own(text in "\\PC{0,20}", n: i32) {
            let value = serde_json::json!({ text.clone(): [n, { "b": text, "a": null }] });
            let once = canonical(&value).unwrap();
            prop_assert_eq!(canonical(&serde_json::from_str(&once).unwrap()).unwrap(), once);
        }
    }
}
