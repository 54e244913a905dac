//! Which behaviour an alert's category means. The categories are those that Suricata ships (`classification.config`,
//! version 7); EVE carries their descriptions.
//!
//! Left out on purpose: what says nothing about harm ("Misc activity", "Generic Protocol Command Decode", "Potentially
//! Bad Traffic"), what is a matter of one's own house ("Potential Corporate Privacy Violation"), and "Misc Attack",
//! which in the common rule sets means that an address stands on somebody's list: repeating that would be no evidence.

use model::{Behaviour, Family};

/// What a category means, by who began the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meaning {
    /// The remote side began.
    pub from_remote: Option<Behaviour>,
    /// An own machine went to the remote side.
    pub at_remote: Option<Behaviour>,
}

impl Meaning {
    /// One behaviour: it counts against whoever began, or whom one went to, as its family says.
    pub fn only(behaviour: Behaviour) -> Self {
        match behaviour.family() {
            Family::Source => Self { from_remote: Some(behaviour), at_remote: None },
            Family::Destination => Self { from_remote: None, at_remote: Some(behaviour) },
        }
    }

    const fn either(from_remote: Behaviour, at_remote: Behaviour) -> Self {
        Self { from_remote: Some(from_remote), at_remote: Some(at_remote) }
    }
}

/// The meaning of a category's description, in lower case; `None`: no evidence.
pub fn meaning(category: &str) -> Option<Meaning> {
    use Behaviour::{Bruteforce, C2, Ddos, Exploit, InfectedHost, MalwareDistribution, Phishing, Scan};
    Some(match category {
        "attempted information leak"
        | "information leak"
        | "large scale information leak"
        | "detection of a network scan"
        | "decode of an rpc query" => Meaning::only(Scan),
        "attempted denial of service" | "denial of service" | "detection of a denial of service attack" => {
            Meaning::only(Ddos)
        }
        "attempted user privilege gain"
        | "unsuccessful user privilege gain"
        | "successful user privilege gain"
        | "attempted administrator privilege gain"
        | "successful administrator privilege gain"
        | "executable code was detected"
        | "web application attack" => Meaning::only(Exploit),
        "an attempted login using a suspicious username was detected"
        | "attempt to login by a default username and password" => Meaning::only(Bruteforce),
        "a network trojan was detected"
        | "malware command and control activity detected"
        | "domain observed used for c2 detected" => Meaning::either(InfectedHost, C2),
        "targeted malicious activity was detected" => Meaning::either(Exploit, C2),
        "exploit kit activity detected" => Meaning::either(Exploit, MalwareDistribution),
        "successful credential theft detected" | "possible social engineering attempted" => Meaning::only(Phishing),
        _ => return None,
    })
}
