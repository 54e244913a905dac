//! The object types of STIX 2.1, and what class each belongs to.

/// What sort of thing an object type is (STIX 2.1 §1.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// A domain object.
    Domain,
    /// A relationship object.
    Relation,
    /// A cyber-observable object.
    Observable,
    /// A meta object: markings, extensions, languages.
    Meta,
    /// Of a type that the standard does not have.
    Custom,
}

/// One table: the types of the standard, their names, their class.
macro_rules! kinds {
    ($($variant:ident = $text:literal $class:ident,)+) => {
        /// The type of an object.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Kind {
            $(#[doc = concat!("`", $text, "`.")] $variant,)+
            /// A type that the standard does not have: kept as it is.
            Custom,
        }

        impl Kind {
            /// Every type of the standard.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The type with this name.
            pub fn of(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)+
                    _ => Self::Custom,
                }
            }

            /// The type's name; `x-custom` stands for all custom ones.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Custom => "x-custom",
                }
            }

            /// What sort of thing it is.
            pub const fn class(self) -> Class {
                match self {
                    $(Self::$variant => Class::$class,)+
                    Self::Custom => Class::Custom,
                }
            }
        }
    };
}

kinds! {
    AttackPattern = "attack-pattern" Domain,
    Campaign = "campaign" Domain,
    CourseOfAction = "course-of-action" Domain,
    Grouping = "grouping" Domain,
    Identity = "identity" Domain,
    Incident = "incident" Domain,
    Indicator = "indicator" Domain,
    Infrastructure = "infrastructure" Domain,
    IntrusionSet = "intrusion-set" Domain,
    Location = "location" Domain,
    Malware = "malware" Domain,
    MalwareAnalysis = "malware-analysis" Domain,
    Note = "note" Domain,
    ObservedData = "observed-data" Domain,
    Opinion = "opinion" Domain,
    Report = "report" Domain,
    ThreatActor = "threat-actor" Domain,
    Tool = "tool" Domain,
    Vulnerability = "vulnerability" Domain,
    Relationship = "relationship" Relation,
    Sighting = "sighting" Relation,
    Artifact = "artifact" Observable,
    AutonomousSystem = "autonomous-system" Observable,
    Directory = "directory" Observable,
    DomainName = "domain-name" Observable,
    EmailAddr = "email-addr" Observable,
    EmailMessage = "email-message" Observable,
    File = "file" Observable,
    Ipv4Addr = "ipv4-addr" Observable,
    Ipv6Addr = "ipv6-addr" Observable,
    MacAddr = "mac-addr" Observable,
    Mutex = "mutex" Observable,
    NetworkTraffic = "network-traffic" Observable,
    Process = "process" Observable,
    Software = "software" Observable,
    Url = "url" Observable,
    UserAccount = "user-account" Observable,
    WindowsRegistryKey = "windows-registry-key" Observable,
    X509Certificate = "x509-certificate" Observable,
    ExtensionDefinition = "extension-definition" Meta,
    LanguageContent = "language-content" Meta,
    MarkingDefinition = "marking-definition" Meta,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_the_classes_have_the_standards_counts() {
        assert!(Kind::ALL.iter().all(|kind| Kind::of(kind.as_str()) == *kind));
        let count = |class| Kind::ALL.iter().filter(|kind| kind.class() == class).count();
        let counts = [Class::Domain, Class::Relation, Class::Observable, Class::Meta].map(count);
        assert_eq!(counts, [19, 2, 18, 3]);
        assert_eq!(Kind::of("x-mitre-tactic").class(), Class::Custom);
    }
}
