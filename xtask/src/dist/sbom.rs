//! What is in the program, as CycloneDX 1.5 JSON (ECMA-424): every package of others with version, licence, check sum.

use serde_json::{Value, json};

use super::metadata::{Metadata, Package};

/// The document; the same for the same `Cargo.lock` and time.
pub fn render(metadata: &Metadata, epoch: u64) -> String {
    let packages = metadata.program();
    let others: Vec<Value> =
        packages.iter().filter(|package| package.source.is_some()).map(|package| component(package)).collect();
    let version = metadata.version();
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": rfc3339(epoch),
            "component": {
                "type": "application", "bom-ref": "epimachia", "name": "epimachia", "version": version,
                "licenses": [{ "license": { "id": "Apache-2.0" } }],
                "purl": format!("pkg:generic/epimachia@{version}"),
            },
        },
        "components": others,
    });
    // A plain document: it cannot fail.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

fn component(package: &Package) -> Value {
    let purl = format!("pkg:cargo/{}@{}", package.name, package.version);
    let mut component = json!({
        "type": "library", "bom-ref": purl, "name": package.name, "version": package.version, "purl": purl,
        // Older packages write a slash for "or".
        "licenses": [{ "expression": package.license.replace('/', " OR ") }],
    });
    if let Some(sum) = &package.sum {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
    }
    component
}

/// Seconds since 1970 as RFC 3339 in UTC (the days by Howard Hinnant's civil_from_days).
fn rfc3339(epoch: u64) -> String {
    let (days, seconds) = (epoch / 86_400, epoch % 86_400);
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (epoch, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(epoch), text);
        }
    }
}
