//! API roots and collections: which there are, and what a caller may do with each. One root an audience: everybody,
//! the alliance, each sharing group.

use super::answer::{Trouble, json};
use super::ask;
use crate::core::Core;
use crate::gate::{Caller, Credential, Pass};
use alliance::{CollectionRecord, Scope, Shown};
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::{Handling, MemberId, Role, Tlp};
use serde::Serialize;
use share::taxii::{ApiRoot, Collection, CollectionId, Discovery, Root, resources};
use share::{Terms, Viewer};
use std::borrow::Cow;
use std::sync::Arc;

/// Who asks, if it is not just anybody.
pub(super) type Asking = Option<Extension<Caller>>;

/// What a caller may do with a collection.
pub(super) struct Access {
    /// Whose rules hold.
    pub(super) pass: Arc<Pass>,
    /// Who asks.
    pub(super) caller: Option<Caller>,
    /// Under which root.
    pub(super) root: Root,
    /// The collection that holds the rows; another root may show a part of it under another identifier.
    pub(super) shelf: CollectionId,
    /// What it holds.
    pub(super) holds: Holds,
    /// Its objects may be asked for.
    pub(super) can_read: bool,
    /// Objects may be added to it.
    pub(super) can_write: bool,
}

/// What a collection holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Holds {
    /// Objects that members shared.
    Objects,
    /// Findings, written from the journal.
    Findings,
    /// Plans, written from the journal.
    Plans,
}

/// A collection of an API root.
struct Known {
    name: Cow<'static, str>,
    title: Cow<'static, str>,
    description: Cow<'static, str>,
    holds: Holds,
    writers: Writing,
    /// The root that holds its rows, where it only shows another's.
    of: Option<Root>,
}

/// Who puts objects into a collection.
enum Writing {
    Nobody,
    Reporters,
    /// As the member said that opened it.
    Opened(Arc<CollectionRecord>),
}

const FINDINGS: &str = "findings";
const PLANS: &str = "plans";
const SIGHTINGS: &str = "sightings";
const SHARES: &str = "shares";

const fn written(name: &'static str, title: &'static str, holds: Holds, description: &'static str) -> Known {
    let (name, title, description) = (Cow::Borrowed(name), Cow::Borrowed(title), Cow::Borrowed(description));
    Known { name, title, description, holds, writers: Writing::Nobody, of: None }
}

fn of_objects(name: &'static str, title: &'static str, writers: Writing, description: &'static str) -> Known {
    Known { writers, ..written(name, title, Holds::Objects, description) }
}

/// The collections that every root of its kind has.
fn given(root: &Root) -> Vec<Known> {
    match root {
        Root::Public => vec![
            written(FINDINGS, "Findings", Holds::Findings, "Findings for everybody, marked CLEAR"),
            Known {
                of: Some(Root::Alliance),
                ..of_objects(
                    SIGHTINGS,
                    "Sightings for everybody",
                    Writing::Nobody,
                    "What members share with the marking CLEAR",
                )
            },
        ],
        Root::Alliance => vec![
            written(FINDINGS, "Findings", Holds::Findings, "What the alliance holds, each with its reasons"),
            written(PLANS, "Plans", Holds::Plans, "What members are asked to do: proposed, in force, closed"),
            of_objects(
                SIGHTINGS,
                "Sightings",
                Writing::Reporters,
                "What members share with all members: STIX as it was sent. Evidence in it counts as its sender's",
            ),
        ],
        Root::Group(_) => vec![
            written(FINDINGS, "Findings", Holds::Findings, "What rests on what this sharing group shares"),
            written(PLANS, "Plans", Holds::Plans, "What is asked because of what this sharing group shares"),
            of_objects(
                SHARES,
                "Shares",
                Writing::Reporters,
                "What members of this sharing group share among themselves",
            ),
        ],
    }
}

/// The collection of a root with this identifier or name: one that the root has, or that a member opened there.
fn find(core: &Core, pass: &Pass, root: &Root, named: &str) -> Option<Known> {
    let id_of = |name: &str| CollectionId::of(core.taxii.alliance(), root, name);
    let wanted = named.parse().unwrap_or_else(|_| id_of(named));
    let given = given(root).into_iter().find(|known| id_of(&known.name) == wanted);
    let of_members = || pass.collections.get(&wanted).filter(|record| record.wish.root() == *root);
    given.or_else(|| of_members().map(opened))
}

fn opened(record: &Arc<CollectionRecord>) -> Known {
    let wish = &record.wish;
    let by = format!("Opened by {}, {}", record.member, record.opened);
    let description = match wish.description.as_str() {
        "" => by,
        text => format!("{text}\n{by}"),
    };
    Known {
        name: wish.name.to_string().into(),
        title: wish.title.clone().into(),
        description: description.into(),
        holds: Holds::Objects,
        writers: Writing::Opened(Arc::clone(record)),
        of: None,
    }
}

impl Access {
    /// May the caller see what `author` brought under this handling?
    pub(super) fn sees(&self, handling: &Handling, author: &MemberId) -> bool {
        let charter = self.pass.charter.as_deref();
        let group = handling.group.as_ref().and_then(|id| charter.and_then(|charter| charter.group(id)));
        let terms = Terms { handling, group: group.map(|group| &group.members), author: Some(author), unnamed: false };
        self.reads(handling) && share::may_see(self.viewer(), &terms)
    }

    /// Observers read what is CLEAR or GREEN.
    fn reads(&self, handling: &Handling) -> bool {
        let (Some(caller), Some(charter)) = (&self.caller, &self.pass.charter) else { return true };
        charter.member(&caller.member).ok().is_none_or(|member| member.reads(handling.tlp))
    }

    /// May the caller see a finding, or a plan, of this handling under this root?
    pub(super) fn sees_subject(&self, handling: &Handling) -> bool {
        let charter = self.pass.charter.as_deref();
        let group = handling.group.as_ref().and_then(|id| charter.and_then(|charter| charter.group(id)));
        let terms = Terms { handling, group: group.map(|group| &group.members), author: None, unnamed: false };
        handling.group.as_ref() == self.root.group() && self.reads(handling) && share::may_see(self.viewer(), &terms)
    }

    /// As whom the caller looks: under the public root everybody is nobody in particular.
    pub(super) fn viewer(&self) -> Viewer<'_> {
        match (&self.root, &self.caller) {
            (Root::Public, _) | (_, None) => Viewer::Public,
            (_, Some(caller)) => Viewer::Member(&caller.member),
        }
    }

    /// What objects have that say nothing of who may see them.
    pub(super) fn default_handling(&self) -> Handling {
        Handling::new(Tlp::Amber, self.root.group().cloned())
    }

    /// The caller, who may add and take out.
    pub(super) fn writer(&self) -> Result<&Caller, Trouble> {
        match &self.caller {
            Some(caller) if self.can_write => Ok(caller),
            _ => Err(Trouble::forbidden("this collection", "a collection whose can_write is true")),
        }
    }

    /// Who asks, where the root is there for it.
    pub(super) fn caller(core: &Core, asking: Asking, root: &str) -> Result<Option<Caller>, Trouble> {
        enter(core, asking, root).map(|(_, caller, _)| caller)
    }

    /// The collection may be read.
    pub(super) fn require_read(&self) -> Result<(), Trouble> {
        match self.can_read {
            true => Ok(()),
            false => Err(Trouble::forbidden("this collection", "a collection whose can_read is true")),
        }
    }
}

/// What lets the caller in, as the journal names it.
pub(crate) fn shown(caller: &Caller) -> Shown {
    match &caller.credential {
        Credential::Token(token) => Shown::Token(token.id),
        Credential::Certificate(issued) => Shown::Certificate(issued.record.id),
    }
}

fn has(caller: &Caller, scopes: &[Scope]) -> bool {
    match &caller.credential {
        Credential::Token(token) => scopes.iter().any(|scope| token.scopes.contains(scope)),
        Credential::Certificate(_) => scopes.iter().any(|scope| crate::gate::AGENT_SCOPES.contains(scope)),
    }
}

/// Is the root there for this caller? A group that does not hold it is not found, and neither is an unknown one: a
/// stranger is asked who it is.
fn enter(core: &Core, asking: Asking, root: &str) -> Result<(Arc<Pass>, Option<Caller>, Root), Trouble> {
    let (pass, caller) = (core.gate.pass(), asking.map(|Extension(caller)| caller));
    let none = || Trouble::not_found("an API root that /taxii2/ names", root);
    let named: Root = root.parse().map_err(|_| none())?;
    let open = match (&named, &caller) {
        (Root::Public, _) => true,
        (_, None) => {
            let limit = "a token as HTTP Basic password or as Bearer, or an agent's certificate";
            return Err(model::Refusal::new(model::Rule::TokenInvalid, "no token", limit).into());
        }
        (Root::Alliance, Some(_)) => true,
        (Root::Group(group), Some(caller)) => {
            pass.charter()?.group(group).is_some_and(|group| group.members.contains(&caller.member))
        }
    };
    if open { Ok((pass, caller, named)) } else { Err(none()) }
}

/// The collection, if it is there for this caller.
pub(super) fn access(core: &Core, asking: Asking, root: &str, collection: &str) -> Result<Access, Trouble> {
    let (pass, caller, root) = enter(core, asking, root)?;
    let wanted = find(core, &pass, &root, collection);
    let wanted = wanted.ok_or_else(|| Trouble::not_found("a collection of this API root", collection))?;
    let shelf = CollectionId::of(core.taxii.alliance(), wanted.of.as_ref().unwrap_or(&root), &wanted.name);
    let (can_read, can_write) = allowed(&pass, caller.as_ref(), &root, &wanted.writers);
    core.taxii.require_ready()?;
    Ok(Access { pass, caller, root, shelf, holds: wanted.holds, can_read, can_write })
}

/// Reading needs the scope `read` or `receive`, writing `report` and the role of a reporter.
fn allowed(pass: &Pass, caller: Option<&Caller>, root: &Root, writers: &Writing) -> (bool, bool) {
    let Some(caller) = caller else { return (*root == Root::Public, false) };
    let reporter = || {
        let member = pass.charter().ok().and_then(|charter| charter.member(&caller.member).ok());
        member.is_some_and(|member| member.require(Role::Reporter).is_ok())
    };
    let can_read = *root == Root::Public || has(caller, &[Scope::Read, Scope::Receive]);
    let open = match writers {
        Writing::Nobody => false,
        Writing::Reporters => true,
        Writing::Opened(record) => record.require_writer(&caller.member).is_ok(),
    };
    (can_read, open && has(caller, &[Scope::Report]) && reporter())
}

fn document(core: &Core, known: &Known, pass: &Pass, caller: Option<&Caller>, root: &Root) -> Collection {
    let (can_read, can_write) = allowed(pass, caller, root, &known.writers);
    Collection {
        id: CollectionId::of(core.taxii.alliance(), root, &known.name).to_string(),
        title: known.title.to_string(),
        description: Some(known.description.to_string()),
        alias: Some(known.name.to_string()),
        can_read,
        can_write,
        media_types: vec![resources::STIX, resources::STIX_20],
    }
}

/// `GET /taxii2/` (§4.1)
pub(crate) async fn discovery(
    State(core): State<Arc<Core>>,
    asking: Asking,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    ask::acceptable(&headers)?;
    let pass = core.gate.pass();
    let mut roots = Vec::new();
    if let Some(Extension(caller)) = &asking {
        roots.push(Root::Alliance);
        let groups = pass.charter.iter().flat_map(|charter| &charter.groups);
        roots.extend(groups.filter(|g| g.members.contains(&caller.member)).map(|g| Root::Group(g.id.clone())));
    }
    roots.push(Root::Public);
    let url = |root: &Root| format!("/taxii2/{root}/");
    let document = Discovery {
        title: format!("Epimachia: {}", core.taxii.alliance()),
        description: Some("An alliance for defence only. One API root for each audience".to_owned()),
        contact: None,
        default: roots.first().map(url),
        api_roots: roots.iter().map(url).collect(),
    };
    Ok(json(StatusCode::OK, &document))
}

/// `GET /taxii2/{root}/` (§4.2)
pub(crate) async fn root(
    State(core): State<Arc<Core>>,
    asking: Asking,
    Path(root): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    ask::acceptable(&headers)?;
    let (.., root) = enter(&core, asking, &root)?;
    let bytes_max = usize::try_from(core.config.limits.body_bytes_max).unwrap_or(usize::MAX);
    let title = match &root {
        Root::Public => "What everybody may see".to_owned(),
        Root::Alliance => format!("The alliance {}", core.taxii.alliance()),
        Root::Group(group) => format!("The sharing group {group}"),
    };
    Ok(json(StatusCode::OK, &ApiRoot::new(title, bytes_max)))
}

#[derive(Serialize)]
struct Collections {
    collections: Vec<Collection>,
}

/// `GET /taxii2/{root}/collections/` (§5.1)
pub(crate) async fn collections(
    State(core): State<Arc<Core>>,
    asking: Asking,
    Path(root): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    ask::acceptable(&headers)?;
    let (pass, caller, root) = enter(&core, asking, &root)?;
    let of_members = pass.collections.values().filter(|record| record.wish.root() == root);
    let all = given(&root).into_iter().chain(of_members.map(opened));
    let all = all.map(|known| document(&core, &known, &pass, caller.as_ref(), &root)).collect();
    Ok(json(StatusCode::OK, &Collections { collections: all }))
}

/// `GET /taxii2/{root}/collections/{id}/` (§5.2)
pub(crate) async fn collection(
    State(core): State<Arc<Core>>,
    asking: Asking,
    Path((root, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    ask::acceptable(&headers)?;
    let (pass, caller, root) = enter(&core, asking, &root)?;
    let found = find(&core, &pass, &root, &id);
    let found = found.ok_or_else(|| Trouble::not_found("a collection of this API root", &id))?;
    Ok(json(StatusCode::OK, &document(&core, &found, &pass, caller.as_ref(), &root)))
}
