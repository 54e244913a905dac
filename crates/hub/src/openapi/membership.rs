//! Membership as schemas, one row a field, in the form of `schemas`.

use super::schemas::Field;

/// Objects: name, what it is, its fields.
#[rustfmt::skip]
pub(super) const OBJECTS: &[(&str, &str, &[Field])] = &[
    ("Application", "A company wants to belong (context epimachia/application/v1).", &[
        ("alliance", "text", "Which alliance."),
        ("member", "MemberId", "The short name it wants."),
        ("name", "text", "The company's name, 1 to 500 characters."),
        ("kind", "MemberKind", "How far it wants to belong."),
        ("segments", "[]Segment", "One or more."),
        ("capabilities", "[]Capability", "What it can do for others."),
        ("key", "PublicKey", "Its agent's signing key, which signs this."),
        ("persons", "{}PublicKey", "Its persons, at most 64, each with a key of their own."),
        ("contact", "text", "How a person reaches it, 1 to 500 characters."),
        ("made", "Timestamp", "When."),
    ]),
    ("Claim", "What an applicant says to be its own (context epimachia/claim/v1).", &[
        ("alliance", "text", "Which alliance."),
        ("member", "MemberId", "Who claims."),
        ("prefixes", "[]Observable", "Networks."),
        ("domains", "[]Observable", "Names, each with everything below it."),
        ("asns", "[]integer", "Autonomous systems; at most 64 assets in all."),
        ("proof", "text", "Why anybody should believe it, 1 to 2,000 characters."),
        ("made", "Timestamp", "When."),
    ]),
    ("MembershipWord", "A person's word on somebody's membership (context epimachia/membership/v1).", &[
        ("alliance", "text", "Which alliance."),
        ("member", "MemberId", "About whom."),
        ("say", "any", "sponsor, yes, no, object, restore, leave, or {suspend: {until}}."),
        ("person", "PersonId", "Who says it."),
        ("key", "KeyId", "The person's key."),
        ("made", "Timestamp", "When."),
        ("reason", "text", "Why, 1 to 500 characters."),
    ]),
    ("MembershipStatement", "One of the three: a pair of what is signed, and its signature.", &[
        ("apply", "[]any?", "Application, Signature by its own key."),
        ("claim", "[]any?", "Claim, Signature by the application's key."),
        ("say", "[]any?", "MembershipWord, Signature by the person's key."),
    ]),
    ("CompanyView", "One company and where it stands.", &[
        ("member", "MemberId", "Its short name."),
        ("name", "text", "Its name as people write it."),
        ("stage", "MembershipStage", "Where it stands."),
        ("since", "Timestamp|null", "Since when; null where the charter alone says so."),
        ("until", "Timestamp|null", "Until when the vote or the suspension lasts."),
        ("by", "PersonId|null", "Who suspended it."),
        ("reason", "text|null", "Why."),
        ("applicant", "ApplicantView|null", "What is known of it while it is on its way in."),
    ]),
    ("ApplicantView", "A company on its way in.", &[
        ("kind", "MemberKind", "How far it wants to belong."),
        ("segments", "[]Segment", "Segments."),
        ("capabilities", "[]Capability", "Capabilities."),
        ("contact", "text", "How a person reaches it."),
        ("key", "KeyId", "The key that its agent will sign with."),
        ("persons", "{}KeyId", "Its persons and their keys."),
        ("handed_in_by", "MemberId", "Which member handed it in."),
        ("claims", "[]Claim", "What it claims to own."),
        ("sponsor", "PersonId|null", "Who stands for it."),
        ("votes", "{}boolean", "Each member's last word."),
        ("needed", "integer", "How many yeses it needs."),
        ("objections", "[]ApplicantObjection", "All of them for admins, the caller's own for everybody else."),
    ]),
    ("ApplicantObjection", "An objection to an applicant.", &[
        ("person", "PersonId", "Who objects."),
        ("reason", "text", "Why."),
        ("made", "Timestamp", "When."),
    ]),
];
