//! Objects to send: indicators of about 720 bytes, each with an identifier made from its number; one in a hundred is
//! malware.

/// The TLP 2.0 marking GREEN.
const GREEN: &str = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb";

pub fn id(number: u32) -> String {
    let kind = if number % 100 == 99 { "malware" } else { "indicator" };
    format!(
        "{kind}--{number:08x}-5e1f-4c11-8a2b-{:012x}",
        u64::from(number).wrapping_mul(0x9e37_79b9) & 0xffff_ffff_ffff
    )
}

/// An envelope of so many objects from this number on.
pub fn envelope(from: u32, count: u32, made: &str) -> String {
    let objects: Vec<String> = (from..from + count).map(|number| object(number, made)).collect();
    format!("{{\"objects\":[{}]}}", objects.join(","))
}

fn object(number: u32, made: &str) -> String {
    let head = format!(
        "\"spec_version\":\"2.1\",\"id\":\"{}\",\"created\":\"2026-01-01T00:00:00.000Z\",\"modified\":\"{made}\",\
         \"created_by_ref\":\"identity--f431f809-377b-45e0-aa1c-6a4751cae5ff\",\"object_marking_refs\":[\"{GREEN}\"]",
        id(number)
    );
    if number % 100 == 99 {
        return format!(
            "{{\"type\":\"malware\",{head},\"name\":\"mirai variant {number:08x}\",\"is_family\":true,\
             \"malware_types\":[\"bot\",\"ddos\"]}}"
        );
    }
    let address = std::net::Ipv4Addr::from_bits((0x5000_0000 + number) & 0x7fff_ffff);
    format!(
        "{{\"type\":\"indicator\",{head},\"name\":\"botnet node {number:08x}\",\
         \"description\":\"Seen attacking member services; reported by a sensor at the edge of the network.\",\
         \"indicator_types\":[\"malicious-activity\"],\"pattern\":\"[ipv4-addr:value = '{address}']\",\
         \"pattern_type\":\"stix\",\"pattern_version\":\"2.1\",\"valid_from\":\"{made}\",\"confidence\":70,\
         \"labels\":[\"scan\",\"botnet\"]}}"
    )
}
