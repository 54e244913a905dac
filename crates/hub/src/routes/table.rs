//! The table of routes, in the order of the flow.

use super::{
    charter, collections, join, journal, keys, membership, plain, read, search, stream, submit, tokens, witness,
};
use crate::core::Core;
use crate::gate::Need;
use crate::taxii;
use alliance::Scope;
use axum::routing::{MethodRouter, delete, get, post, put};
use std::sync::Arc;

/// One route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The HTTP method.
    pub method: &'static str,
    /// The path, with `{names}` for its parts.
    pub path: &'static str,
    /// What the caller has to show.
    pub need: Need,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Its query.
    pub query: &'static [Param],
    /// Its body.
    pub request: Request,
    /// Its answer when all is well.
    pub answer: Answer,
    pub(crate) handler: fn() -> MethodRouter<Arc<Core>>,
}

/// One parameter of a query.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// Its type: a name of a schema, or `integer`.
    pub schema: &'static str,
    /// Must it be there?
    pub required: bool,
    /// What it means.
    pub explains: &'static str,
}

/// What a route takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// Nothing.
    Nothing,
    /// JSON of this schema.
    Json(&'static str),
    /// JSON lines: a report.
    Report,
    /// Bytes.
    Bytes,
    /// JSON of this schema in TAXII's media type.
    Taxii(&'static str),
}

/// What a route answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// JSON of this schema.
    Json(&'static str),
    /// JSON of this schema, and the position in a header.
    Written(&'static str),
    /// A list of this schema.
    List(&'static str),
    /// Text.
    Text,
    /// Bytes.
    Bytes,
    /// Server-sent events.
    Events,
    /// JSON of this schema in TAXII's media type.
    Taxii(&'static str),
}

const fn param(name: &'static str, schema: &'static str, required: bool, explains: &'static str) -> Param {
    Param { name, schema, required, explains }
}

const LIMIT: Param = param("limit", "integer", false, "How many items, 1 to 1000; 100 where it is left out.");

/// A row: method, path, need, request, answer, handler, summary, query.
macro_rules! route {
    ($method:literal $path:literal $need:expr, $request:expr => $answer:expr, $handler:expr, $summary:literal
     $(, [$($param:expr),+])?) => {
        Route {
            method: $method,
            path: $path,
            need: $need,
            summary: $summary,
            query: &[$($($param),+)?],
            request: $request,
            answer: $answer,
            handler: || $handler,
        }
    };
}

use Answer::{Bytes, Events, Json, List, Taxii, Text, Written};
use Need::{Guest, Loopback, Nothing, Stranger, Token};

const ADDED: Param = param("added_after", "text", false, "Only what was added after this time.");
const TAXII_LIMIT: Param = param("limit", "integer", false, "How many objects at most; never more than 1000.");
const NEXT: Param = param("next", "text", false, "Go on where an earlier answer said.");
const IDS: Param = param("match[id]", "text", false, "Only these identifiers, commas between them.");
const TYPES: Param = param("match[type]", "text", false, "Only these types, commas between them.");
const VERSIONS: Param =
    param("match[version]", "text", false, "first, last, all, or times; last where it is left out.");
const SPECS: Param = param("match[spec_version]", "text", false, "2.0, 2.1; the latest where it is left out.");

const VALUE: Param =
    param("value", "Observable", false, "Only what speaks of this address, prefix, domain, web address or file hash.");
const BELOW: Param = param("below", "boolean", false, "Also what lies in the value: in a prefix, below a domain.");
const ABOVE: Param = param("above", "boolean", false, "Also what the value lies in: prefixes around it, names above.");
const KIND: Param = param("type", "text", false, "Only of observables of this kind, as ipv4-addr.");
const BEHAVIOUR: Param = param("behaviour", "Behaviour", false, "Only this behaviour.");
const MEMBER: Param = param("member", "MemberId", false, "Only reported by this member.");
const SINCE: Param = param("since", "Timestamp", false, "Only what was seen at this time or later.");
const UNTIL: Param = param("until", "Timestamp", false, "Only what was seen at this time or earlier.");
const TLP: Param = param("tlp", "Tlp", false, "Only with this marking.");
const GROUP: Param = param("group", "GroupId", false, "Only for this sharing group.");
const FURTHER: Param = param(
    "after",
    "integer",
    false,
    "Go on where an earlier answer's `next` said. A page may be \
                             short, even empty, and have a next one.",
);

const REPORT: Need = Need::Scope(Scope::Report);
const RECEIVE: Need = Need::Scope(Scope::Receive);
const APPROVE: Need = Need::Scope(Scope::Approve);
const READ: Need = Need::Scope(Scope::Read);
const AUDIT: Need = Need::Scope(Scope::Audit);
const ADMIN: Need = Need::Scope(Scope::Admin);
const NONE: Request = Request::Nothing;

/// Every route of the hub.
// Long because: one row a route.
#[rustfmt::skip]
pub static TABLE: &[Route] = &[
    route!("GET" "/api/v1/nonce" Stranger, NONE => Json("Nonce"), get(join::nonce),
        "A nonce for a wish; it is taken once, within a minute."),
    route!("POST" "/api/v1/join" Stranger, Request::Json("JoinRequest") => Written("Certified"), post(join::join),
        "An agent joins with a join token: a certificate for its TLS key."),
    route!("POST" "/api/v1/certificate" Stranger, Request::Json("SignedWish") => Written("Certified"),
        post(join::renew), "An agent's next certificate: asked for with the present one or, after an outage, by the \
         member's key alone."),
    route!("POST" "/api/v1/sightings" REPORT, Request::Report => Written("Written"), post(submit::sightings),
        "Report sightings, whole or refused whole. The first line is a ReportHead and one Opening a line follows; \
         without a head it is one Sighting a line, for which the hub vouches and on which no machine acts."),
    route!("POST" "/api/v1/retractions" REPORT, Request::Json("SignedRetraction") => Written("Written"),
        post(submit::retractions), "Take back what was reported of one observable."),
    route!("GET" "/api/v1/stream" RECEIVE, NONE => Events, get(stream::stream),
        "What is in force for the member, then everything new, as server-sent events. An event's id is the position \
         up to which everything was sent: resume with it.",
        [param("after", "integer", false, "Only what is newer than this position.")]),
    route!("POST" "/api/v1/receipts" RECEIVE, Request::Json("SignedReceipts") => Written("Written"),
        post(submit::receipts), "Report what was done with mitigations."),
    route!("GET" "/api/v1/members/{member}/sequence" Token, NONE => Json("NextSequence"), get(read::sequence),
        "The number that the caller's next submission carries."),
    route!("POST" "/api/v1/plans" APPROVE, Request::Json("SignedProposal") => Written("Written"), post(submit::plans),
        "Propose a plan."),
    route!("POST" "/api/v1/approvals" APPROVE, Request::Json("SignedApproval") => Written("Written"),
        post(submit::approvals), "Say yes or no to a plan."),
    route!("POST" "/api/v1/disputes" APPROVE, Request::Json("SignedDispute") => Written("Written"),
        post(submit::disputes), "Object to a finding."),
    route!("GET" "/api/v1/status" READ, NONE => Json("Status"), get(read::status), "The alliance in one screen."),
    route!("GET" "/api/v1/findings" READ, NONE => List("Finding"), get(read::findings),
        "Findings that the caller may see, by identifier.",
        [param("state", "FindingState", false, "Only those in this state."), LIMIT,
         param("after", "FindingId", false, "Those after this one.")]),
    route!("GET" "/api/v1/findings/{id}" READ, NONE => Json("Finding"), get(read::finding), "One finding."),
    route!("GET" "/api/v1/plans" READ, NONE => List("PlanView"), get(read::plans),
        "Plans that the caller may see, the newest first.",
        [LIMIT, param("after", "PlanId", false, "Those after this one.")]),
    route!("GET" "/api/v1/plans/{id}" READ, NONE => Json("PlanShown"), get(read::plan),
        "One plan, whole, with its evidence and approvals."),
    route!("GET" "/api/v1/plans/{id}/proof" Token, NONE => Text, get(journal::plan_proof),
        "The proof that a plan is in force (C2SP tlog-proof), with the cosignatures there are."),
    route!("GET" "/api/v1/mitigations" READ, NONE => List("MitigationView"), get(read::mitigations),
        "Mitigations in force or lately ended, by identifier.",
        [param("member", "MemberId", false, "Only this member's."), LIMIT,
         param("after", "MitigationId", false, "Those after this one.")]),
    route!("GET" "/api/v1/members" READ, NONE => List("MemberView"), get(read::members), "The members."),
    route!("GET" "/api/v1/membership" READ, NONE => List("CompanyView"), get(membership::companies),
        "Every company and where it stands: applicants, members, who is suspended, who has left."),
    route!("POST" "/api/v1/membership" APPROVE, Request::Json("MembershipStatement") => Written("Written"),
        post(membership::step), "A step of somebody's membership: an application, a claim, or a person's word."),
    route!("GET" "/api/v1/why" READ, NONE => Json("Why"), get(read::why),
        "Why is this blocked, or not: by whom, since when, until when.",
        [param("value", "text", true, "An address, prefix, domain, web address, file hash, or a finding's id.")]),
    route!("GET" "/api/v1/search/findings" READ, NONE => List("Finding"), get(search::findings),
        "Findings by what they are about, each as it is now, those that changed last first.",
        [VALUE, BELOW, ABOVE, KIND, BEHAVIOUR,
         param("state", "FindingState", false, "Only those in this state."), MEMBER, SINCE, UNTIL, TLP, GROUP, LIMIT,
         FURTHER]),
    route!("GET" "/api/v1/search/sightings" READ, NONE => List("FoundSighting"), get(search::sightings),
        "The latest sightings by what was seen, the newest first; as many as the hub is set to keep at hand.",
        [VALUE, BELOW, ABOVE, KIND, BEHAVIOUR,
         MEMBER, SINCE, UNTIL, TLP, GROUP, LIMIT, FURTHER]),
    route!("GET" "/api/v1/search/objects" READ, NONE => List("FoundObject"), get(search::objects),
        "Objects that members shared, by the observables that they name; those that were added last first.",
        [VALUE, BELOW, ABOVE, param("type", "text", false, "Only objects of this STIX type."),
         param("id", "text", false, "Only the object with this identifier."),
         param("version", "text", false, "all, or the time of a version; the latest where it is left out."),
         param("member", "MemberId", false, "Only brought by this member."),
         param("since", "Timestamp", false, "Only added at this time or later."),
         param("until", "Timestamp", false, "Only added at this time or earlier."), TLP, GROUP, LIMIT, FURTHER]),
    route!("GET" "/api/v1/charter" Token, NONE => Json("SignedCharter"), get(charter::shown),
        "The charter in force with its signatures, or an earlier one.",
        [param("version", "integer", false, "The charter of this version.")]),
    route!("POST" "/api/v1/charter" ADMIN, Request::Json("SignedCharter") => Written("Written"), post(charter::adopt),
        "Put a charter in force that a quorum has signed."),
    route!("GET" "/api/v1/charter/draft" READ, NONE => Text, get(membership::draft),
        "The text that the hub would write as the next charter. It is signed by nobody.",
        [param("admit", "MemberId", false, "With this applicant, which was admitted, on probation."),
         param("vet", "MemberId", false, "With this member on probation as a vetted one.")]),
    route!("PUT" "/api/v1/charter/lists" ADMIN, Request::Bytes => Json("ListTaken"), put(charter::put_list),
        "Hand in a guard list before the charter that names it."),
    route!("GET" "/api/v1/charter/lists/{sha256}" Token, NONE => Bytes, get(charter::list),
        "A guard list by its digest."),
    route!("GET" "/api/v1/keys" Token, NONE => Json("Keys"), get(keys::keys),
        "Which keys count, what changed since the charter in force was adopted, and what was revoked for ever.",
        [param("member", "MemberId", false, "Only this member's.")]),
    route!("POST" "/api/v1/keys" Token, Request::Json("SignedKeyChange") => Written("Written"), post(keys::change),
        "Add, retire or revoke a key of the caller's own member; who may is in the change's signature."),
    route!("GET" "/api/v1/collections" Token, NONE => List("CollectionShown"), get(collections::list),
        "Collections that members opened, of the audiences that the caller belongs to."),
    route!("POST" "/api/v1/collections" REPORT, Request::Json("NewCollection") => Written("CollectionShown"),
        post(collections::open), "Open a collection for objects of other tools."),
    route!("DELETE" "/api/v1/collections/{id}" REPORT, NONE => Written("Written"), delete(collections::close),
        "Close a collection of the caller's member: it is read as before, and nothing is put into it any more."),
    route!("GET" "/api/v1/tokens" Need::Credentials, NONE => List("TokenRecord"), get(tokens::list),
        "All tokens, without their secrets."),
    route!("POST" "/api/v1/tokens" Need::Admin, Request::Json("NewToken") => Written("TokenShown"), post(tokens::make),
        "Make a token. Its secret is shown this once."),
    route!("GET" "/api/v1/tokens/{id}" Need::Credentials, NONE => Json("TokenRecord"), get(tokens::one), "One token."),
    route!("DELETE" "/api/v1/tokens/{id}" Need::Admin, NONE => Written("Written"),
        delete(tokens::revoke), "Revoke a token."),
    route!("GET" "/api/v1/join-tokens" Need::Credentials, NONE => List("JoinTokenRecord"), get(join::join_tokens),
        "Join tokens that are open, without their secrets."),
    route!("POST" "/api/v1/join-tokens" Need::Admin, Request::Json("Invitation") => Written("Invited"),
        post(join::invite), "Invite an agent of a member. The join token is shown this once."),
    route!("DELETE" "/api/v1/join-tokens/{id}" Need::Admin, NONE => Written("Written"), delete(join::revoke_join_token),
        "Revoke a join token."),
    route!("GET" "/api/v1/certificates" Need::Credentials, NONE => List("CertificateView"), get(join::certificates),
        "Agents' certificates, also those that ended lately."),
    route!("POST" "/api/v1/certificates/{id}/revocation" Need::Admin, Request::Json("Reason") => Written("Written"),
        post(join::revoke_certificate), "Lock an agent out, by one of its certificates."),
    route!("GET" "/api/v1/journal" AUDIT, NONE => List("JournalItem"), get(journal::entries),
        "Entries that the caller may see. `next` is the last position looked at.",
        [param("after", "integer", false, "Entries after this position."),
         param("max", "integer", false, "How many entries, 1 to 1000; 100 where it is left out.")]),
    route!("GET" "/api/v1/log/consistency" Token, NONE => Json("ConsistencyPath"), get(journal::consistency),
        "Hashes that prove the log of `to` entries to begin with that of `from` (RFC 9162 §2.1.4).",
        [param("from", "integer", true, "Entries of the older log."),
         param("to", "integer", true, "Entries of the newer log, at most the newest checkpoint's.")]),
    route!("POST" "/api/v1/log/cosignatures" RECEIVE, Request::Json("Cosignature") => Json("CosignatureTaken"),
        post(witness::cosignatures), "Say with the member's witness key that a checkpoint continues what its agent saw \
         (C2SP tlog-cosignature)."),
    route!("GET" "/api/v1/log/proof/{position}" Token, NONE => Text, get(journal::proof),
        "The proof of one entry (C2SP tlog-proof) with the cosignatures there are; it shows the entry only to those \
         who may see it."),
    route!("GET" "/log/checkpoint" Token, NONE => Text, get(journal::checkpoint),
        "The newest checkpoint that members cosigned, with their cosignatures; where nobody did, the newest \
         (C2SP tlog-checkpoint, tlog-cosignature)."),
    route!("GET" "/log/tile/{*path}" Token, NONE => Bytes, get(journal::tile),
        "A tile or a bundle of leaves (C2SP tlog-tiles). Leaves are salted commitments and show nothing."),
    route!("GET" "/taxii2/" Guest, NONE => Taxii("TaxiiDiscovery"), get(taxii::discovery),
        "TAXII 2.1: the API roots that the caller may know of."),
    route!("GET" "/taxii2/{root}/" Guest, NONE => Taxii("TaxiiApiRoot"), get(taxii::root), "TAXII 2.1: an API root."),
    route!("GET" "/taxii2/{root}/status/{id}/" Guest, NONE => Taxii("TaxiiStatus"), get(taxii::status),
        "TAXII 2.1: what became of objects that were added."),
    route!("GET" "/taxii2/{root}/collections/" Guest, NONE => Taxii("TaxiiCollections"), get(taxii::collections),
        "TAXII 2.1: the collections of an API root."),
    route!("GET" "/taxii2/{root}/collections/{id}/" Guest, NONE => Taxii("TaxiiCollection"), get(taxii::collection),
        "TAXII 2.1: a collection, by its identifier or alias."),
    route!("GET" "/taxii2/{root}/collections/{id}/manifest/" Guest, NONE => Taxii("TaxiiManifest"),
        get(taxii::manifest), "TAXII 2.1: what a collection holds.",
        [ADDED, TAXII_LIMIT, NEXT, IDS, TYPES, VERSIONS, SPECS]),
    route!("GET" "/taxii2/{root}/collections/{id}/objects/" Guest, NONE => Taxii("TaxiiEnvelope"),
        get(taxii::objects), "TAXII 2.1: objects, in the order of adding.",
        [ADDED, TAXII_LIMIT, NEXT, IDS, TYPES, VERSIONS, SPECS]),
    route!("POST" "/taxii2/{root}/collections/{id}/objects/" Guest, Request::Taxii("TaxiiEnvelope") =>
        Taxii("TaxiiStatus"), post(taxii::add), "TAXII 2.1: add objects. They stand in the journal as they came; what \
        they say as evidence counts as the caller's, informs people, and no machine acts on it."),
    route!("GET" "/taxii2/{root}/collections/{id}/objects/{object}/" Guest, NONE => Taxii("TaxiiEnvelope"),
        get(taxii::object), "TAXII 2.1: one object.", [ADDED, TAXII_LIMIT, NEXT, VERSIONS, SPECS]),
    route!("DELETE" "/taxii2/{root}/collections/{id}/objects/{object}/" Guest, NONE => Taxii("TaxiiNothing"),
        delete(taxii::remove), "TAXII 2.1: take an object of the caller's out of a collection.", [VERSIONS, SPECS]),
    route!("GET" "/taxii2/{root}/collections/{id}/objects/{object}/versions/" Guest, NONE => Taxii("TaxiiVersions"),
        get(taxii::versions), "TAXII 2.1: the versions of an object.", [ADDED, TAXII_LIMIT, NEXT, SPECS]),
    route!("GET" "/metrics" Loopback, NONE => Text, get(plain::metrics),
        "Figures for Prometheus; from loopback only, unless metrics.public is set."),
    route!("GET" "/health" Nothing, NONE => Json("Health"), get(plain::health),
        "200 only if statements are taken and the newest checkpoint is fresh."),
    route!("GET" "/api/v1/openapi.json" Nothing, NONE => Json("OpenApi"), get(plain::openapi), "This document."),
];
