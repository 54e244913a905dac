//! The words of the wire as schemas: closed sets from the types' own lists, texts, and objects, one row a field.
//!
//! Long because: one row a field of the API.
//!
//! A field's type is a name of this table, `text`, `integer`, `number`, `boolean` or `any`; `[]` before it is a list,
//! `{}` an object with such values; `?` after it may be absent, `|null` may be null.

use model::{
    Actions, Behaviour, Capability, Family, Grade, KeyAct, MemberKind, MembershipStage, Role, Rule, Segment, Sensor,
    Standing, Tlp,
};
use serde_json::{Map, Value, json};

/// Texts of one form: name, what it is, a pattern.
const TEXTS: &[(&str, &str, &str)] = &[
    ("Timestamp", "A time in UTC, RFC 3339, 2000 to 2199.", "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z$"),
    ("Span", "A length of time, like `90s`, `10m`, `24h`, `7d`.", "^[0-9]+(ms|s|m|h|d)$"),
    ("Digest", "A SHA-256 digest.", "^[0-9a-f]{64}$"),
    ("Uuid", "A UUID (RFC 9562).", "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"),
    ("Salt", "16 random bytes.", "^[0-9a-f]{32}$"),
    ("PublicKey", "An Ed25519 public key, base64.", "^[A-Za-z0-9+/]{43}=$"),
    (
        "Signature",
        "An Ed25519 signature, base64, over the statement's context, a line feed, and its JSON.",
        "^[A-Za-z0-9+/]{86}==$",
    ),
    ("MemberId", "A member.", "^[a-z][a-z0-9-]{0,31}$"),
    ("GroupId", "A sharing group.", "^[a-z][a-z0-9-]{0,31}$"),
    ("CollectionName", "A collection that a member opened.", "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$"),
    ("PointName", "An enforcement point.", "^[a-z][a-z0-9-]{0,31}$"),
    ("PersonId", "A person of a member.", "^[a-z][a-z0-9-]{0,31}@[a-z][a-z0-9-]{0,31}$"),
    ("FindingId", "A finding.", "^fin-[0-9a-z]{12}$"),
    ("PlanId", "A plan.", "^plan-[0-9a-z]{12}$"),
    ("MitigationId", "A mitigation.", "^mit-[0-9a-z]{12}$"),
    ("KeyId", "A key.", "^key-[0-9a-z]{12}$"),
    ("AgentName", "An agent of a member.", "^[a-z][a-z0-9-]{0,31}$"),
    ("JoinTokenId", "A join token; safe to show.", "^join-[0-9a-z]{12}$"),
    ("CertificateId", "An agent's certificate.", "^crt-[0-9a-z]{12}$"),
    ("JoinSecret", "The secret of a join token.", "^[A-Za-z0-9_-]{43}$"),
    ("TokenId", "A token; safe to show.", "^tok-[0-9a-z]{12}$"),
    ("Observable", "An IP address, prefix, domain, web address or file hash, in canonical form.", "^.{1,2048}$"),
];

/// Closed sets that have no list in their type.
const WORDS: &[(&str, &str, &[&str])] = &[
    ("Scope", "What a token allows.", &["report", "receive", "approve", "read", "audit", "admin"]),
    ("Writers", "Who puts objects into a collection.", &["own", "all"]),
    ("Class", "How a plan comes into force.", &["automatic", "quorum", "owner"]),
    ("Verdict", "Yes or no.", &["approve", "reject"]),
    ("Ground", "Why a finding is disputed.", &["false-positive", "own-asset", "stale"]),
    ("Inverse", "What undoes a measure.", &["lift", "release", "correct", "nothing"]),
    ("MeasureScope", "Whose side of the traffic it stands on.", &["protect-own", "contain-own", "border", "own-asset"]),
    ("FindingState", "Where a finding stands.", &["observed", "corroborated", "guarded", "faded", "revoked"]),
    ("PlanState", "Where a plan stands.", &["proposed", "in-force", "closed"]),
    (
        "MitigationState",
        "Where a mitigation stands; only `verified` may be called active.",
        &["due", "applied", "verified", "withdrawn", "expired", "refused", "failed"],
    ),
    (
        "MitigationNow",
        "What is known of a mitigation now; `unreported`: its end has passed, and its agent has not said how it ended.",
        &["due", "applied", "verified", "withdrawn", "expired", "refused", "failed", "unreported"],
    ),
    ("Kind", "What to do about a problem.", &["refused", "unavailable", "broken"]),
    ("Condition", "How the hub is.", &["serving", "read-only", "broken"]),
];

/// A field: name, type, meaning.
pub(super) type Field = (&'static str, &'static str, &'static str);

/// Objects: name, what it is, its fields.
#[rustfmt::skip]
const OBJECTS: &[(&str, &str, &[Field])] = &[
    ("Problem", "An RFC 9457 problem.", &[
        ("type", "text", "urn:epimachia:rule:RULE, or urn:epimachia:KIND."),
        ("title", "text", "The rule or the hub's state, in one sentence."),
        ("status", "integer", "The HTTP status."),
        ("detail", "text", "What was wrong here."),
        ("kind", "Kind", "What to do about it."),
        ("rule", "Rule|null", "The rule that said no."),
        ("value", "text", "What was refused."),
        ("limit", "text", "What would have been allowed; for out_of_sequence the next number."),
        ("next", "text", "What to do next."),
    ]),
    ("Cosignature", "A witness's word on a checkpoint.", &[
        ("note", "text", "The checkpoint as the hub signed it, with the witness's line."),
    ]),
    ("CosignatureTaken", "What became of a cosignature.", &[
        ("schema", "integer", "1."),
        ("size", "integer", "Entries under the checkpoint."),
        ("standing", "text", "new, again or older."),
        ("cosigned", "integer", "Witnesses that have cosigned it; 0 for one that is not asked about any more."),
    ]),
    ("Written", "A statement that is durable.", &[
        ("schema", "integer", "1."),
        ("position", "integer", "Where it stands in the journal."),
        ("accepted", "integer", "How many sightings, receipts or statements were accepted."),
        ("sequence", "integer|null", "The author's number of this submission."),
        ("duplicate", "boolean", "It was accepted before: nothing has changed."),
    ]),
    ("Nonce", "A nonce of the hub.", &[
        ("nonce", "Digest", "What goes into a wish."),
        ("expires", "Timestamp", "Until when it is taken."),
    ]),
    ("CertificateWish", "What an agent signs with its member's key (epimachia/certificate-wish/v1).", &[
        ("alliance", "text", "The alliance."),
        ("member", "MemberId", "The member."),
        ("agent", "AgentName", "The agent."),
        ("nonce", "Digest", "A nonce of the hub."),
        ("request", "Digest", "SHA-256 of the certificate signing request."),
    ]),
    ("SignedWish", "A wish for a certificate.", &[
        ("wish", "CertificateWish", "What is signed."),
        ("key", "PublicKey", "The member's key."),
        ("signature", "Signature", "By that key."),
        ("request", "text", "The certificate signing request (PKCS #10, DER) as base64, at most 4,096 bytes; its only \
         name is the URI epimachia://ALLIANCE/MEMBER/AGENT."),
    ]),
    ("JoinRequest", "An agent joins.", &[
        ("secret", "JoinSecret", "The join token's secret."),
        ("signed", "SignedWish", "What it wants."),
    ]),
    ("Certified", "A certificate for its agent.", &[
        ("schema", "integer", "1."),
        ("id", "CertificateId", "Its identifier."),
        ("certificate", "text", "The certificate as PEM."),
        ("ca", "text", "The certificates that the hub's own may lead to, as PEM."),
        ("from", "Timestamp", "From when it counts."),
        ("until", "Timestamp", "Until when it counts."),
        ("key_in_charter", "boolean", "The charter lists the key that signed the wish."),
    ]),
    ("Invitation", "A wish for a join token.", &[
        ("member", "MemberId", "Whose agent may join."),
        ("valid", "Span", "For how long, at most 30d."),
        ("hub", "text", "The hub's address as the member reaches it, https://…"),
    ]),
    ("Invited", "A join token, shown this once.", &[
        ("token", "text", "The token, one line."),
        ("id", "JoinTokenId", "What the hub remembers it by."),
        ("member", "MemberId", "Whose agent may join."),
        ("expires", "Timestamp", "When it ends."),
    ]),
    ("JoinTokenRecord", "A join token, without its secret.", &[
        ("id", "JoinTokenId", "Its identifier."),
        ("hash", "Digest", "The digest of its secret."),
        ("member", "MemberId", "Whose agent may join."),
        ("made", "Timestamp", "When it was made."),
        ("expires", "Timestamp", "When it ends."),
    ]),
    ("CertificateView", "An agent's certificate.", &[
        ("id", "CertificateId", "Its identifier."),
        ("serial", "text", "Its serial number, hexadecimal."),
        ("member", "MemberId", "Whose agent it names."),
        ("agent", "AgentName", "Which agent."),
        ("from", "Timestamp", "From when it counts."),
        ("until", "Timestamp", "Until when it counts."),
        ("live", "boolean", "It counts now."),
        ("ended", "text|null", "Why it counts no longer, where it was ended before its time."),
    ]),
    ("Reason", "Why something is done.", &[
        ("reason", "text", "1 to 500 characters."),
    ]),
    ("Handling", "Who may see a statement.", &[
        ("tlp", "Tlp", "The marking."),
        ("group", "GroupId?", "The sharing group; absent: all members."),
        ("unnamed", "boolean?", "The sender wishes to stay unnamed: to all others it is a member."),
        ("actions", "Actions?", "What recipients may do (FIRST IEP 2.0 permitted_actions); direct where absent."),
    ]),
    ("Sighting", "A member saw an observable in a behaviour.", &[
        ("observable", "Observable", "What was seen."),
        ("behaviour", "Behaviour", "What it did."),
        ("first", "Timestamp", "When it was first seen."),
        ("last", "Timestamp", "When it was last seen."),
        ("count", "integer?", "How many times; 1 where absent."),
        ("sensor", "Sensor", "The kind of sensor."),
        ("grade", "Grade", "How hard it is to forge."),
        ("handling", "Handling", "Who may see it."),
    ]),
    ("BatchHeader", "What a report's author signs (context epimachia/batch/v1).", &[
        ("author", "MemberId", "Whose report it is."),
        ("key", "KeyId", "The key that signs."),
        ("sequence", "integer", "The author's running number, from 1, without gaps."),
        ("made", "Timestamp", "When it was made."),
        ("count", "integer", "How many openings; 1 to 10,000."),
        ("root", "Digest", "Root of the tree over the openings' leaves (RFC 9162 §2.1.1)."),
    ]),
    ("ReportHead", "The first line of a signed report.", &[
        ("header", "BatchHeader", "What is signed."),
        ("signature", "Signature", "By the author's key."),
    ]),
    ("Opening", "One sighting of a signed report.", &[
        ("salt", "Salt", "Keeps its commitment from being guessed."),
        ("sighting", "Sighting", "The sighting; its bytes are what was signed."),
    ]),
    ("Evidence", "One sighting, shown with the proof that its author signed it.", &[
        ("header", "BatchHeader", "The report's header."),
        ("signature", "Signature", "The author's."),
        ("index", "integer", "The opening's place in the report, from 0."),
        ("opening", "Opening", "The opening."),
        ("path", "[]Digest", "From its leaf to the root (RFC 9162 §2.1.3)."),
    ]),
    ("Retraction", "A member takes back what it reported (context epimachia/retraction/v1).", &[
        ("author", "MemberId", "Who."),
        ("key", "KeyId", "The key that signs."),
        ("sequence", "integer", "The author's running number."),
        ("made", "Timestamp", "When."),
        ("observable", "Observable", "What was reported."),
        ("behaviour", "Behaviour", "As which behaviour; its whole family is taken back."),
        ("reason", "text", "Why, 1 to 500 characters."),
    ]),
    ("SignedRetraction", "A retraction with its signature.", &[
        ("retraction", "Retraction", "What is signed."),
        ("signature", "Signature", "By the member's key."),
    ]),
    ("Refusal", "A rule that said no.", &[
        ("rule", "Rule", "The rule."),
        ("value", "text", "What was refused."),
        ("limit", "text", "What would have been allowed."),
    ]),
    ("Receipt", "What an agent did with a mitigation.", &[
        ("mitigation", "MitigationId", "Which."),
        ("state", "MitigationState", "Where it stands."),
        ("point", "PointName?", "The enforcement point."),
        ("at", "Timestamp", "When this was so."),
        ("evidence", "text?", "What was read back, at most 200 characters."),
        ("packets", "integer?", "Packets or answers affected."),
        ("bytes", "integer?", "Bytes affected."),
        ("refusal", "Refusal?", "Which rule said no."),
    ]),
    ("Receipts", "What an agent signs (context epimachia/receipts/v1).", &[
        ("author", "MemberId", "Who."),
        ("key", "KeyId", "The key that signs."),
        ("sequence", "integer", "The author's running number, shared with its reports."),
        ("made", "Timestamp", "When."),
        ("receipts", "[]Receipt", "1 to 10,000."),
    ]),
    ("SignedReceipts", "Receipts with their signature.", &[
        ("receipts", "Receipts", "What is signed."),
        ("signature", "Signature", "By the agent's key."),
    ]),
    ("NextSequence", "The number of the next submission.", &[("next", "integer", "The number.")]),
    ("Measure", "One protective step at the acting member's own enforcement points.", &[
        ("action", "any", "deny, contain, notify, investigate, or {limit: {bits_per_second}} or {redirect: {to}}."),
        ("target", "any", "One of {host}, {net}, {domain_name}, {uri}, {file}."),
        ("scope", "MeasureScope", "Whose side of the traffic it stands on."),
    ]),
    ("Proposal", "A plan that a person proposes.", &[
        ("person", "PersonId", "Who."),
        ("finding", "FindingId", "The finding behind it."),
        ("measure", "Measure", "What is to be done."),
        ("members", "[]MemberId", "By whom; empty means nobody."),
        ("lasts", "Span", "For how long."),
        ("reason", "text", "Why, at most 200 characters."),
        ("made", "Timestamp", "When it was signed."),
        ("expires", "Timestamp", "Until when it may become a plan."),
    ]),
    ("SignedProposal", "A proposal with its signature (context epimachia/proposal/v1).", &[
        ("proposal", "Proposal", "What is signed."),
        ("key", "KeyId", "Which of the person's keys."),
        ("signature", "Signature", "By the person's own key."),
    ]),
    ("Approval", "A person's yes or no to one plan (context epimachia/approval/v1).", &[
        ("plan", "Digest", "Digest of the plan's header."),
        ("person", "PersonId", "Who."),
        ("key", "KeyId", "Which of the person's keys."),
        ("verdict", "Verdict", "What is said."),
        ("made", "Timestamp", "When."),
        ("expires", "Timestamp", "Until when it counts."),
    ]),
    ("SignedApproval", "An approval with its signature.", &[
        ("approval", "Approval", "What is signed."),
        ("signature", "Signature", "By the person's own key."),
    ]),
    ("Dispute", "A person's objection to a finding (context epimachia/dispute/v1).", &[
        ("finding", "FindingId", "Which."),
        ("person", "PersonId", "Who."),
        ("key", "KeyId", "Which of the person's keys."),
        ("ground", "Ground", "On what ground."),
        ("reason", "text", "1 to 500 characters."),
        ("made", "Timestamp", "When."),
    ]),
    ("SignedDispute", "A dispute with its signature.", &[
        ("dispute", "Dispute", "What is signed."),
        ("signature", "Signature", "By the person's own key."),
    ]),
    ("Status", "The alliance in one screen.", &[
        ("schema", "integer", "1."),
        ("condition", "Condition", "How the hub is."),
        ("time", "Timestamp", "The hub's time."),
        ("alliance", "text", "The alliance's name."),
        ("charter", "integer", "The charter's version; 0 before the first."),
        ("entries", "integer", "Entries in the journal."),
        ("latest", "Timestamp|null", "Time of the latest entry."),
        ("members", "integer", "Members of the charter."),
        ("sightings", "integer", "Sightings accepted in all."),
        ("observables", "integer", "Observables held."),
        ("findings", "{}integer", "Findings by state."),
        ("plans_waiting", "integer", "Plans that wait for approvals."),
        ("mitigations", "{}integer", "Mitigations by state."),
        ("refusals", "{}integer", "Refusals in the journal, by rule."),
        ("entries_by_kind", "{}integer", "Entries by kind."),
        ("time_to_protection", "TimeToProtection|null", "From the corroborating sighting to the read-back."),
    ]),
    ("TimeToProtection", "Time to protection of the last mitigations, milliseconds.", &[
        ("count", "integer", "How many were measured."),
        ("p50_ms", "integer", "Half were protected within this."),
        ("p99_ms", "integer", "99 of 100 were."),
        ("last_ms", "integer", "All were."),
    ]),
    ("SumLine", "What one reporter contributes; numbers to three decimals.", &[
        ("member", "MemberId", "The reporter."),
        ("grade", "Grade", "The best evidence it gave."),
        ("weight", "number", "Its weight in points."),
        ("age_days", "number", "Age of its latest report."),
        ("decay", "number", "2^(-age / half-life)."),
        ("dependence", "number", "Share taken off for reporting what an earlier line's member reports."),
        ("points", "number", "weight * decay * (1 - dependence), or 0 where note says why."),
        ("retracted", "boolean?", "Taken back, or signed with a key that was revoked."),
        ("copies", "MemberId?", "Whose reports it seems to copy."),
        ("note", "text?", "Why the points are fewer than the weight."),
    ]),
    ("Sum", "The sum of a finding.", &[
        ("lines", "[]SumLine", "One line a reporter."),
        ("cut", "number", "Points taken off weak evidence, which counts jointly up to a limit only."),
        ("total", "number", "The total."),
        ("threshold", "number", "What it had to reach."),
    ]),
    ("GuardHit", "A guard's word.", &[
        ("class", "text", "The class of the list."),
        ("entry", "text", "The entry that overlaps."),
        ("list", "text", "The list that holds it."),
        ("owner", "MemberId?", "Whose proven asset it is."),
        ("absolute", "boolean", "Machines are held back altogether."),
    ]),
    ("Finding", "What the alliance holds of one observable and one family of behaviours.", &[
        ("id", "FindingId", "The same for ever."),
        ("observable", "Observable", "What it is about."),
        ("family", "Family", "The family."),
        ("behaviours", "[]Behaviour", "Those that were reported."),
        ("state", "FindingState", "Where it stands."),
        ("actionable", "boolean", "May machines act on it? Only upon the signed evidence of enough members."),
        ("sum", "Sum", "The sum that led here."),
        ("guard", "GuardHit|null", "What a guard said."),
        ("handling", "Handling", "The strictest marking of its evidence."),
        ("first", "Timestamp", "First sighting."),
        ("last", "Timestamp", "Latest sighting."),
        ("made", "Timestamp", "When this version was made."),
    ]),
    ("BlastRadius", "How much a plan touches.", &[
        ("mitigations", "integer", "In all."),
        ("members", "integer", "Members asked."),
        ("most_for_one_member", "integer", "Most for one member."),
        ("widest_v4_addresses", "integer", "IPv4 addresses of the widest measure."),
        ("widest_v6_networks", "integer", "IPv6 /64 networks of the widest measure."),
        ("names", "integer", "Names denied or redirected."),
    ]),
    ("PlannedView", "One mitigation as a plan proposes it.", &[
        ("id", "MitigationId", "Which."),
        ("member", "MemberId", "Who is asked."),
        ("measure", "text", "What is to be done."),
        ("finding", "FindingId", "The finding behind it."),
        ("expires", "Timestamp", "When it ends."),
    ]),
    ("PlanView", "One plan as people read it.", &[
        ("id", "PlanId", "Which."),
        ("digest", "Digest", "What approvals sign."),
        ("state", "PlanState", "Where it stands."),
        ("note", "text", "Why it was closed, or since when it is in force."),
        ("class", "Class", "How it comes into force."),
        ("generation", "integer", "Its number."),
        ("parent", "PlanId|null", "The plan it follows."),
        ("made", "Timestamp", "When it was made."),
        ("reasons", "[]text", "Why."),
        ("blast_radius", "BlastRadius", "How much it touches."),
        ("approved_by", "[]text", "Who has said yes."),
        ("rejected_by", "[]text", "Who has said no."),
        ("approvals_needed", "integer", "How many must say yes."),
        ("mitigations", "[]PlannedView", "The mitigations."),
    ]),
    ("Mitigation", "One member's measure (context epimachia/mitigation/v1).", &[
        ("member", "MemberId", "Who is asked."),
        ("finding", "FindingId", "The finding behind it."),
        ("observable", "Observable", "The finding's observable."),
        ("family", "Family", "The finding's family."),
        ("generation", "integer", "Rises with each plan."),
        ("measure", "Measure", "What is to be done."),
        ("expires", "Timestamp", "When it ends by itself."),
        ("inverse", "Inverse", "What undoes it."),
    ]),
    ("PlanHeader", "What a plan's digest is taken of (context epimachia/plan/v1).", &[
        ("alliance", "text", "The alliance."),
        ("charter", "integer", "The charter's version."),
        ("parent", "PlanId|null", "The plan it follows."),
        ("generation", "integer", "Its number."),
        ("class", "Class", "How it comes into force."),
        ("made", "Timestamp", "When."),
        ("reasons", "[]text", "Why."),
        ("blast_radius", "BlastRadius", "How much it touches."),
        ("count", "integer", "Number of mitigations."),
        ("root", "Digest", "Root of the tree over the mitigations' leaves."),
    ]),
    ("Plan", "An immutable proposal.", &[
        ("header", "PlanHeader", "What the digest is taken of."),
        ("mitigations", "[]Mitigation", "In the order of the tree."),
        ("evidence", "{}[]Evidence", "For each finding, the signed sightings that support it."),
    ]),
    ("PlanShown", "One plan, whole.", &[
        ("view", "PlanView", "As people read it."),
        ("plan", "Plan", "The plan itself."),
        ("approvals", "[]SignedApproval", "Approvals so far."),
    ]),
    ("PartItem", "One mitigation with the proof that the plan holds it.", &[
        ("index", "integer", "Its place in the plan, from 0."),
        ("mitigation", "Mitigation", "The mitigation."),
        ("path", "[]Digest", "The path to the plan's root."),
    ]),
    ("PlanPart", "One member's part of a plan.", &[
        ("header", "PlanHeader", "The plan's header."),
        ("items", "[]PartItem", "The member's mitigations."),
        ("evidence", "{}[]Evidence", "For each finding, the signed sightings that support it."),
        ("approvals", "[]SignedApproval", "The approvals that the plan has."),
    ]),
    ("Withdrawal", "A mitigation is to end now.", &[
        ("member", "MemberId", "Whose."),
        ("finding", "FindingId", "The finding: everything of it ends."),
        ("reason", "text", "Why."),
        ("made", "Timestamp", "Since when."),
    ]),
    ("Hello", "The first event of a stream.", &[
        ("position", "integer", "Entries in the journal."),
        ("alliance", "text", "The alliance."),
        ("charter", "integer", "The charter's version; 0 before the first."),
    ]),
    ("StreamMessage", "One message of a stream.", &[
        ("type", "text", "part, withdraw, withdrawn, findings, checkpoint, grown, witnessed, keys or charter."),
        ("body", "any", "PlanPart, a list of Withdrawal, a list of Finding, a signed note, \
            {note, from, path, wanted}, a proof, a list of SignedKeyChange, or {version}."),
    ]),
    ("MitigationView", "One mitigation in force or lately ended.", &[
        ("id", "MitigationId", "Which."),
        ("member", "MemberId", "Whose."),
        ("finding", "FindingId", "The finding behind it."),
        ("plan", "PlanId", "Which plan asks for it."),
        ("measure", "text", "What is asked."),
        ("class", "Class", "How the plan came into force."),
        ("since", "Timestamp", "When it came into force."),
        ("expires", "Timestamp", "When it ends by itself."),
        ("state", "MitigationState", "Where it stands, as its agent reported."),
        ("point", "PointName|null", "The enforcement point."),
        ("reported", "Timestamp|null", "When the member last said so."),
        ("verified", "Timestamp|null", "When it was first read back as enforcing."),
        ("evidence", "text", "What was read back."),
        ("packets", "integer|null", "Packets or answers affected."),
        ("bytes", "integer|null", "Bytes affected."),
        ("refusal", "Refusal|null", "Which rule said no."),
        ("withdrawn", "Timestamp?", "When it was withdrawn; its agent may not have heard yet."),
        ("now", "MitigationNow", "What is known as of now: after its end, that its agent has not said how it ended."),
    ]),
    ("MemberView", "One member.", &[
        ("id", "MemberId", "Short name."),
        ("name", "text", "The company."),
        ("kind", "MemberKind", "How far it belongs."),
        ("standing", "Standing", "How far it is trusted."),
        ("segments", "[]Segment", "Segments."),
        ("roles", "[]Role", "Roles."),
        ("capabilities", "[]Capability", "Capabilities."),
        ("weight", "number", "Points its word weighs now."),
        ("sightings", "integer", "Sightings it sent in all."),
        ("heard", "Timestamp|null", "When it last sent something."),
        ("protection_millis", "integer|null", "Median time to protection of its last mitigations."),
    ]),
    ("WhyFinding", "One finding of a why.", &[
        ("finding", "Finding", "As it stands now."),
        ("sentence", "text", "The state in one sentence."),
        ("mitigations", "[]MitigationView", "Where it is blocked, by whom, since, until."),
        ("disputes", "[]SignedDispute", "Who disputes it."),
        ("objections", "[]Objection", "Who objects without a person's signature."),
        ("held", "[]Rule", "Rules that kept it from going further."),
    ]),
    ("Why", "Why is this blocked, or not?", &[
        ("schema", "integer", "1."),
        ("observable", "Observable", "What was asked."),
        ("known", "boolean", "Is it known to the alliance at all?"),
        ("guard", "GuardHit|null", "What a guard says of it."),
        ("owner", "MemberId|null", "Who has proven it to be its own."),
        ("findings", "[]WhyFinding", "What is held of it, by family."),
    ]),
    ("Objection", "A member objects to a finding through a tool that does not sign.", &[
        ("member", "MemberId|null", "Who objects; null: a member that wishes to stay unnamed."),
        ("finding", "FindingId", "To which finding."),
        ("ground", "Ground", "On what ground."),
        ("reason", "text", "In its words."),
    ]),
    ("FoundSighting", "A sighting that was found.", &[
        ("position", "integer", "The entry of the journal that holds it."),
        ("member", "MemberId|null", "Who reported it; null: a member that wishes to stay unnamed."),
        ("signed", "boolean", "Did the reporter sign it?"),
        ("observable", "Observable", "What was seen."),
        ("behaviour", "Behaviour", "What it did."),
        ("first", "Timestamp", "When it was first seen."),
        ("last", "Timestamp", "When it was last seen."),
        ("count", "integer", "How many times."),
        ("sensor", "Sensor", "The kind of sensor."),
        ("grade", "Grade", "How hard it is to forge."),
        ("handling", "Handling", "Who may see it."),
    ]),
    ("FoundObject", "An object that was found.", &[
        ("root", "text", "The TAXII API root that it stands under."),
        ("collection", "text", "Its collection there."),
        ("id", "text", "Its identifier."),
        ("version", "text", "Its version: `modified`, else `created`, else when it was added."),
        ("added", "text", "When it was added (TAXII's date_added)."),
        ("member", "MemberId|null", "Who brought it; null: a member that wishes to stay unnamed."),
        ("handling", "Handling", "Who may see it."),
        ("object", "any", "The object, byte for byte."),
    ]),
    ("TaxiiDiscovery", "TAXII 2.1 §4.1.1.", &[
        ("title", "text", "The server's name."),
        ("description", "text?", "What it is."),
        ("contact", "text?", "Whom to ask."),
        ("default", "text?", "Where to begin."),
        ("api_roots", "[]text?", "Where the API roots are."),
    ]),
    ("TaxiiApiRoot", "TAXII 2.1 §4.2.1.", &[
        ("title", "text", "Its name."),
        ("description", "text?", "What it is."),
        ("versions", "[]text", "Media types of TAXII that it speaks."),
        ("max_content_length", "integer", "Longest request body, in bytes."),
    ]),
    ("TaxiiCollection", "TAXII 2.1 §5.2.1.", &[
        ("id", "text", "A UUID."),
        ("title", "text", "Its name."),
        ("description", "text?", "What it holds."),
        ("alias", "text?", "A name to type in place of the identifier."),
        ("can_read", "boolean", "May the caller read from it?"),
        ("can_write", "boolean", "May the caller add to it?"),
        ("media_types", "[]text?", "What it holds, by media type."),
    ]),
    ("TaxiiCollections", "TAXII 2.1 §5.1.1.", &[("collections", "[]TaxiiCollection?", "The collections.")]),
    ("TaxiiManifestRecord", "TAXII 2.1 §5.3.1.", &[
        ("id", "text", "The object."),
        ("date_added", "text", "When it was added."),
        ("version", "text", "Its version."),
        ("media_type", "text?", "What it is."),
    ]),
    ("TaxiiManifest", "TAXII 2.1 §5.3.1.", &[
        ("more", "boolean?", "There is more."),
        ("next", "text?", "Where to go on."),
        ("objects", "[]TaxiiManifestRecord?", "What there is."),
    ]),
    ("TaxiiEnvelope", "TAXII 2.1 §3.7.", &[
        ("more", "boolean?", "There is more."),
        ("next", "text?", "Where to go on."),
        ("objects", "[]any?", "STIX objects."),
    ]),
    ("TaxiiVersions", "TAXII 2.1 §5.8.1.", &[
        ("more", "boolean?", "There is more."),
        ("next", "text?", "Where to go on."),
        ("versions", "[]text?", "Versions, in the order of adding."),
    ]),
    ("TaxiiStatusDetails", "TAXII 2.1 §4.3.1.", &[
        ("id", "text", "The object."),
        ("version", "text", "Its version."),
        ("message", "text?", "What there is to say of it."),
    ]),
    ("TaxiiStatus", "TAXII 2.1 §4.3.1.", &[
        ("id", "text", "A UUID."),
        ("status", "text", "`complete`, or `pending`."),
        ("request_timestamp", "text?", "When the request came."),
        ("total_count", "integer", "Objects in all."),
        ("success_count", "integer", "Objects that stand there now."),
        ("successes", "[]TaxiiStatusDetails?", "Which."),
        ("failure_count", "integer", "Objects that were refused."),
        ("failures", "[]TaxiiStatusDetails?", "Which, and why."),
        ("pending_count", "integer", "Objects that wait."),
        ("pendings", "[]TaxiiStatusDetails?", "Which."),
    ]),
    ("TaxiiNothing", "An empty body (TAXII 2.1 §5.7).", &[]),
    ("TaxiiError", "TAXII 2.1 §3.6.1.", &[
        ("title", "text", "What went wrong, in a few words."),
        ("description", "text?", "In more."),
        ("http_status", "text?", "The HTTP status."),
        ("details", "any?", "kind, rule, value, limit and next, as in Problem."),
    ]),
    ("CharterConsent", "What a member signs (context epimachia/charter/v1).", &[
        ("charter", "Digest", "Digest of the charter's text."),
        ("version", "integer", "Its version."),
        ("member", "MemberId", "Who."),
        ("key", "KeyId", "The member's key."),
    ]),
    ("SignedConsent", "A consent with its signature.", &[
        ("consent", "CharterConsent", "What is signed."),
        ("signature", "Signature", "By a key of the member."),
    ]),
    ("SignedCharter", "A charter with the signatures that put it in force.", &[
        ("text", "text", "The TOML, byte for byte."),
        ("consents", "[]SignedConsent", "Consents of members."),
        ("keys", "[]SignedKeyChange?", "The changes of keys under the charter before, by which the consents count."),
    ]),
    ("KeyChange", "What becomes of a key (context epimachia/key-change/v1).", &[
        ("charter", "Digest", "Digest of the charter's text under which the member's chain began."),
        ("member", "MemberId", "Whose chain it is."),
        ("person", "PersonId?", "Whose key it is; absent: the member's agents'."),
        ("number", "integer", "The running number in the chain, from 1."),
        ("previous", "Digest", "Digest of the change before; of the charter's text for number 1."),
        ("act", "KeyAct", "What becomes of it."),
        ("key", "PublicKey", "The key."),
        ("made", "Timestamp", "From when it counts."),
        ("reason", "text", "Why, 1 to 200 characters."),
        ("signer", "PersonId?", "Who signs; absent: the member."),
        ("signed_with", "KeyId", "With which key."),
    ]),
    ("SignedKeyChange", "A change with its signature.", &[
        ("change", "KeyChange", "What is signed."),
        ("signature", "Signature", "By a live key of the member or of a person of it."),
        ("proof", "Signature?", "For add: by the new key over {alliance, member, person, key} \
         (context epimachia/key-possession/v1)."),
    ]),
    ("KeyView", "A key that counts or has counted.", &[
        ("id", "KeyId", "Its identifier."),
        ("member", "MemberId", "Whose."),
        ("person", "PersonId|null", "Whose own; null: the member's agents'."),
        ("public", "PublicKey", "The key."),
        ("from", "Timestamp", "Live from then on."),
        ("until", "Timestamp|null", "Live before then."),
        ("live", "boolean", "It is live now."),
    ]),
    ("Keys", "The keys of the alliance and how they came to be.", &[
        ("schema", "integer", "1."),
        ("alliance", "text", "The alliance."),
        ("charter", "Digest", "Digest of the charter in force, under which the chains began."),
        ("keys", "[]KeyView", "The keys."),
        ("changes", "[]SignedKeyChange", "The changes since, in order."),
        ("revoked", "[]KeyId", "Keys that never count again."),
    ]),
    ("ListTaken", "A guard list that was taken in.", &[
        ("sha256", "Digest", "By which a charter names it."),
        ("bytes", "integer", "Its length."),
    ]),
    ("NewCollection", "A wish for a collection of objects.", &[
        ("name", "CollectionName", "Its name: its alias in TAXII."),
        ("title", "text", "Its title, 1 to 100 characters."),
        ("description", "text?", "What it is for, at most 1,000 characters."),
        ("group", "GroupId?", "For which sharing group; all members where there is none."),
        ("writers", "Writers?", "Who puts objects into it; own where it is left out."),
    ]),
    ("CollectionShown", "A collection that a member opened.", &[
        ("id", "Uuid", "Its identifier in TAXII."),
        ("root", "text", "The API root that it stands under."),
        ("name", "CollectionName", "Its alias in TAXII."),
        ("title", "text", "Its title."),
        ("description", "text", "What it is for."),
        ("writers", "Writers", "Who puts objects into it."),
        ("member", "MemberId", "Who opened it."),
        ("opened", "Timestamp", "When."),
        ("closed", "Timestamp|null", "Since when nothing may be put into it."),
        ("path", "text", "Where TAXII clients find it."),
    ]),
    ("NewToken", "A wish for a token.", &[
        ("member", "MemberId", "For whom."),
        ("scopes", "[]Scope", "What for."),
        ("label", "text", "A note, at most 100 characters."),
        ("valid", "Span", "For how long, at most 400d."),
    ]),
    ("TokenRecord", "A token, without its secret.", &[
        ("id", "TokenId", "Safe to show."),
        ("hash", "Digest", "Of the secret."),
        ("member", "MemberId", "For whom."),
        ("scopes", "[]Scope", "What for."),
        ("label", "text", "A note."),
        ("made", "Timestamp", "When it was made."),
        ("expires", "Timestamp", "When it ends."),
    ]),
    ("TokenShown", "A token, shown this once.", &[
        ("token", "text", "The secret."),
        ("record", "TokenRecord", "What the hub remembers of it."),
    ]),
    ("Entry", "One entry of the journal.", &[
        ("v", "integer", "Version of the form."),
        ("time", "Timestamp", "When the hub accepted it."),
        ("author", "any", "hub, {member} or {person}."),
        ("handling", "Handling", "Who may see it."),
        ("event", "any", "{kind, body}."),
    ]),
    ("JournalItem", "An entry with what opens its leaf.", &[
        ("position", "integer", "Where it stands."),
        ("nonce", "Digest", "The nonce of its leaf."),
        ("entry", "Entry", "The entry; its bytes are what the leaf commits to."),
    ]),
    ("ConsistencyPath", "Hashes that prove one log to begin with another.", &[
        ("schema", "integer", "1."),
        ("path", "[]Digest", "The hashes."),
    ]),
    ("Health", "A hub that is well.", &[
        ("status", "text", "ok."),
        ("journal", "integer", "Entries in the journal."),
        ("checkpoint", "integer", "Entries under the newest checkpoint."),
    ]),
];

/// All schemas by name.
pub(super) fn all() -> Map<String, Value> {
    let mut all = Map::new();
    for (name, explains, words) in lists() {
        all.insert(name.to_owned(), json!({ "type": "string", "description": explains, "enum": words }));
    }
    for (name, explains, pattern) in TEXTS {
        all.insert((*name).to_owned(), json!({ "type": "string", "description": explains, "pattern": pattern }));
    }
    for (name, explains, fields) in OBJECTS.iter().chain(super::membership::OBJECTS) {
        all.insert((*name).to_owned(), object(explains, fields));
    }
    all.insert("OpenApi".to_owned(), json!({ "type": "object", "description": "An OpenAPI document." }));
    all
}

/// Closed sets, from the types where they have a list.
fn lists() -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
    macro_rules! of {
        ($type:ident, $explains:literal) => {
            (stringify!($type), $explains, $type::ALL.iter().map(|word| word.as_str()).collect())
        };
    }
    let mut lists = vec![
        of!(Behaviour, "What an observable did."),
        of!(Family, "What behaviours have in common."),
        of!(Grade, "How hard evidence is to forge, from the weakest."),
        of!(Sensor, "The kind of sensor."),
        of!(Segment, "Part of the ecosystem."),
        of!(MemberKind, "How far a member belongs."),
        of!(Standing, "How far a member's word is trusted."),
        of!(Role, "What somebody may do."),
        of!(Capability, "What a member can do for others."),
        of!(KeyAct, "What becomes of a key."),
        of!(MembershipStage, "Where a company stands."),
        of!(Actions, "What recipients may do, from the narrowest."),
        of!(Tlp, "Traffic Light Protocol 2.0; red is not accepted."),
        ("Rule", "A rule's name.", Rule::ALL.iter().map(|rule| rule.name()).collect()),
    ];
    lists.extend(WORDS.iter().map(|(name, explains, words)| (*name, *explains, words.to_vec())));
    lists
}

fn object(explains: &str, fields: &[Field]) -> Value {
    let mut properties = Map::new();
    for (name, kind, meaning) in fields {
        let mut schema = named(kind.trim_end_matches('?'));
        schema["description"] = (*meaning).into();
        properties.insert((*name).to_owned(), schema);
    }
    let required: Vec<&str> = fields.iter().filter(|field| !field.1.ends_with('?')).map(|field| field.0).collect();
    json!({
        "type": "object",
        "description": explains,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// The schema of a type as the table writes it.
pub(super) fn named(kind: &str) -> Value {
    if let Some(kind) = kind.strip_suffix("|null") {
        return json!({ "anyOf": [named(kind), { "type": "null" }] });
    }
    if let Some(kind) = kind.strip_prefix("[]") {
        return json!({ "type": "array", "items": named(kind) });
    }
    if let Some(kind) = kind.strip_prefix("{}") {
        return json!({ "type": "object", "additionalProperties": named(kind) });
    }
    match kind {
        "text" => json!({ "type": "string" }),
        "integer" | "number" | "boolean" => json!({ "type": kind }),
        "any" => json!({}),
        name => json!({ "$ref": format!("#/components/schemas/{name}") }),
    }
}

/// The schema of a list of a type.
pub(super) fn list_of(kind: &str) -> Value {
    let fields = [
        ("schema", "integer", "1."),
        ("next", "text|null", "Give this as `after` for the rest; null where there is none."),
    ];
    let mut list = object("A list, or a part of one.", &fields);
    list["properties"]["items"] = json!({ "type": "array", "items": named(kind) });
    list["required"] = json!(["schema", "items", "next"]);
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use alliance::Scope;
    use model::FindingState;

    #[test]
    fn every_name_is_a_schema() {
        let all = all();
        for (object, _, fields) in OBJECTS.iter().chain(super::super::membership::OBJECTS) {
            for (field, kind, _) in *fields {
                let name =
                    kind.trim_end_matches('?').trim_end_matches("|null").trim_start_matches(['[', ']', '{', '}']);
                let plain = ["text", "integer", "number", "boolean", "any"].contains(&name);
                assert!(plain || all.contains_key(name), "{object}.{field}: {name}");
            }
        }
    }

    #[test]
    fn closed_sets_are_those_of_the_types() {
        let words = |name: &str| WORDS.iter().find(|set| set.0 == name).unwrap().2.to_vec();
        assert_eq!(words("Scope"), Scope::ALL.map(Scope::as_str));
        for word in words("FindingState") {
            serde_json::from_value::<FindingState>(word.into()).unwrap();
        }
        for word in words("MitigationState") {
            serde_json::from_value::<model::MitigationState>(word.into()).unwrap();
        }
        for word in words("Class") {
            serde_json::from_value::<model::Class>(word.into()).unwrap();
        }
        for word in words("Verdict") {
            serde_json::from_value::<model::Verdict>(word.into()).unwrap();
        }
        for word in words("Ground") {
            serde_json::from_value::<model::Ground>(word.into()).unwrap();
        }
        for word in words("Inverse") {
            serde_json::from_value::<model::Inverse>(word.into()).unwrap();
        }
    }
}
