//! Which behaviour other tools' words mean: labels, types, tags, categories, scenarios.

use model::Behaviour;

/// Parts of words, most specific first; the first that a word contains decides.
const PARTS: [(&str, Behaviour); 36] = [
    ("command-and-control", Behaviour::C2),
    ("command-control", Behaviour::C2),
    ("c-and-c", Behaviour::C2),
    ("botnet-c2", Behaviour::C2),
    ("infected-host", Behaviour::InfectedHost),
    ("compromised", Behaviour::InfectedHost),
    ("infected", Behaviour::InfectedHost),
    ("drone", Behaviour::InfectedHost),
    ("phish", Behaviour::Phishing),
    ("credential-harvest", Behaviour::Phishing),
    ("brute-force", Behaviour::Bruteforce),
    ("bruteforce", Behaviour::Bruteforce),
    ("password-spray", Behaviour::Bruteforce),
    ("credential-stuffing", Behaviour::Bruteforce),
    ("ddos", Behaviour::Ddos),
    ("denial-of-service", Behaviour::Ddos),
    ("amplification", Behaviour::Ddos),
    ("hosting-malware", Behaviour::MalwareDistribution),
    ("malware-distribution", Behaviour::MalwareDistribution),
    ("malware-download", Behaviour::MalwareDistribution),
    ("payload-delivery", Behaviour::MalwareDistribution),
    ("dropper", Behaviour::MalwareDistribution),
    ("downloader", Behaviour::MalwareDistribution),
    ("exploit", Behaviour::Exploit),
    ("cve-", Behaviour::Exploit),
    ("sqli", Behaviour::Exploit),
    ("path-traversal", Behaviour::Exploit),
    ("backdoors-attempts", Behaviour::Exploit),
    ("spam", Behaviour::Spam),
    ("scan", Behaviour::Scan),
    ("probing", Behaviour::Scan),
    ("reconnaissance", Behaviour::Scan),
    ("crawl", Behaviour::Scan),
    ("bad-user-agent", Behaviour::Scan),
    ("botnet", Behaviour::C2),
    ("malware", Behaviour::MalwareDistribution),
];

/// Whole words that are too short to look for inside of others.
const WHOLE: [(&str, Behaviour); 7] = [
    ("c2", Behaviour::C2),
    ("cc", Behaviour::C2),
    ("cnc", Behaviour::C2),
    ("bf", Behaviour::Bruteforce),
    ("dos", Behaviour::Ddos),
    ("flood", Behaviour::Ddos),
    ("recon", Behaviour::Scan),
];

/// The behaviour that the first telling word means; `None` where none of them tells one. At most 1,000 words are
/// looked at.
pub fn behaviour<'a>(words: impl IntoIterator<Item = &'a str>) -> Option<Behaviour> {
    words.into_iter().take(1_000).find_map(of_word)
}

fn of_word(word: &str) -> Option<Behaviour> {
    let word: String = word.chars().take(256).map(plain).collect();
    if let Ok(behaviour) = word.parse() {
        return Some(behaviour);
    }
    let tokens: Vec<&str> = word.split(['-', ':', '=', '"', '/', '.']).filter(|token| !token.is_empty()).collect();
    let whole = WHOLE.iter().find(|(text, _)| tokens.contains(text));
    whole.or_else(|| PARTS.iter().find(|(part, _)| word.contains(part))).map(|(_, behaviour)| *behaviour)
}

fn plain(c: char) -> char {
    match c {
        ' ' | '_' => '-',
        c => c.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_other_tools_are_understood() {
        for (word, wanted) in [
            ("c2", Some(Behaviour::C2)),
            ("Command and Control", Some(Behaviour::C2)),
            ("kill-chain:Command and Control", Some(Behaviour::C2)),
            ("misp-galaxy:botnet=\"Mirai\"", Some(Behaviour::C2)),
            ("crowdsecurity/ssh-bf", Some(Behaviour::Bruteforce)),
            ("crowdsecurity/ssh-slow-bf", Some(Behaviour::Bruteforce)),
            ("crowdsecurity/http-probing", Some(Behaviour::Scan)),
            ("crowdsecurity/CVE-2021-41773", Some(Behaviour::Exploit)),
            ("crowdsecurity/iptables-scan-multi_ports", Some(Behaviour::Scan)),
            ("hosting-malware", Some(Behaviour::MalwareDistribution)),
            ("circl:incident-classification=\"phishing\"", Some(Behaviour::Phishing)),
            ("infected-host", Some(Behaviour::InfectedHost)),
            ("compromised", Some(Behaviour::InfectedHost)),
            ("malicious-activity", None),
            ("accc2x", None),
            ("", None),
        ] {
            assert_eq!(behaviour([word]), wanted, "{word}");
        }
        assert_eq!(behaviour(["tlp:green", "type:osint", "scanner"]), Some(Behaviour::Scan));
    }

    #[test]
    fn every_behaviour_of_ours_is_its_own_word() {
        assert!(Behaviour::ALL.iter().all(|b| behaviour([b.as_str()]) == Some(*b)));
    }
}
