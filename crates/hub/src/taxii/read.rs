//! Reading: objects, one object, its versions, the manifest (TAXII 2.1 §5.3, §5.4, §5.6, §5.8).

use super::answer::{Trouble, body, dated, json};
use super::roots::{Access, Holds};
use super::subjects;
use super::wish::Wish;
use crate::core::Core;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use model::{Handling, MemberId};
use serde::Serialize;
use share::taxii::{Ask, Filter, ManifestRecord, Next, Page, Root, cursor, resources};
use std::sync::Arc;

/// A page of a collection as this caller may see it: made here if that is next to no work, else none.
fn brief(core: &Core, access: &Access, filter: &Filter) -> Option<Page> {
    asked(access, filter, |ask| {
        let index = core.taxii.index();
        index.is_brief(ask).then(|| index.page(ask))
    })
}

/// A page of a collection as this caller may see it: work for a worker.
fn page(core: &Core, access: &Access, filter: &Filter) -> Page {
    asked(access, filter, |ask| core.taxii.index().page(ask))
}

fn asked<T>(access: &Access, filter: &Filter, then: impl FnOnce(&Ask<'_>) -> T) -> T {
    let sees = |handling: &Handling, author: &MemberId| access.sees(handling, author);
    then(&Ask { collection: access.shelf, public: access.root == Root::Public, filter, sees: &sees })
}

/// A page, made where it costs nobody else's time.
async fn paged(core: &Arc<Core>, access: Access, filter: Filter) -> Result<Page, Trouble> {
    match brief(core, &access, &filter) {
        Some(page) => Ok(page),
        None => Ok(core.work(move |core| Ok(page(core, &access, &filter))).await?),
    }
}

/// When the first and the last object of a page were added.
fn ends(page: &Page) -> Option<(i64, i64)> {
    Some((page.rows.first()?.added, page.rows.last()?.added))
}

/// `GET /taxii2/{root}/collections/{id}/objects/` (§5.4)
pub(crate) async fn objects(State(core): State<Arc<Core>>, wish: Wish) -> Result<Response, Trouble> {
    let (access, filter, _) = wish.reading()?;
    if access.holds != Holds::Objects {
        return subjects::objects(&core, access, filter).await;
    }
    envelope(&core, access, filter).await
}

/// `GET /taxii2/{root}/collections/{id}/objects/{object}/` (§5.6)
pub(crate) async fn object(State(core): State<Arc<Core>>, wish: Wish) -> Result<Response, Trouble> {
    let (access, filter, object) = wish.reading()?;
    if access.holds != Holds::Objects {
        return subjects::object(&core, access, object, filter).await;
    }
    let filter = of_one(&core, &access, &object, filter)?;
    envelope(&core, access, filter).await
}

/// The filter of a request for one object, which is there.
fn of_one(core: &Core, access: &Access, object: &str, mut filter: Filter) -> Result<Filter, Trouble> {
    let index = core.taxii.index();
    let seen = index.versions(access.shelf, object).any(|row| match (index.handling(row), index.author(row)) {
        (Some(handling), Some(author)) => access.sees(handling, author),
        _ => false,
    });
    if !seen {
        return Err(Trouble::not_found("an object of this collection", object));
    }
    // Only the versions may be chosen.
    filter.types.clear();
    filter.ids = [object.to_owned()].into();
    Ok(filter)
}

async fn envelope(core: &Arc<Core>, access: Access, filter: Filter) -> Result<Response, Trouble> {
    let after = filter.added_after;
    let brief = brief(core, &access, &filter);
    let (page, bytes) = match brief {
        // Nothing new: what members hear all day needs nobody else's time.
        Some(page) if page.rows.is_empty() => {
            let bytes = share::taxii::Envelope::new(page.next, 0).finish();
            (page, bytes)
        }
        brief => {
            let write = move |core: &Core| {
                let page = brief.unwrap_or_else(|| page(core, &access, &filter));
                let bytes = core.taxii.envelope(&page)?;
                Ok((page, bytes))
            };
            core.work(write).await?
        }
    };
    Ok(dated(body(StatusCode::OK, bytes), ends(&page), after))
}

/// A manifest (§5.3.1).
#[derive(Serialize)]
pub(super) struct Manifest {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) objects: Vec<ManifestRecord>,
}

/// `GET /taxii2/{root}/collections/{id}/manifest/` (§5.3)
pub(crate) async fn manifest(State(core): State<Arc<Core>>, wish: Wish) -> Result<Response, Trouble> {
    let (access, filter, _) = wish.reading()?;
    if access.holds != Holds::Objects {
        return subjects::manifest(&core, access, filter).await;
    }
    let after = filter.added_after;
    let page = paged(&core, access, filter).await?;
    let index = core.taxii.index();
    let record = |row| ManifestRecord {
        id: index.id(row),
        date_added: cursor::text(row.added),
        version: row.version.to_string(),
        media_type: media_type(row.spec()),
    };
    let objects = page.rows.iter().map(record).collect();
    drop(index);
    let manifest = Manifest { more: page.next.is_some(), next: page.next.as_ref().map(Next::to_string), objects };
    Ok(dated(json(StatusCode::OK, &manifest), ends(&page), after))
}

/// Collections hold both versions of the standard, each object as it came.
const fn media_type(spec: share::stix::SpecVersion) -> &'static str {
    match spec {
        share::stix::SpecVersion::V20 => resources::STIX_20,
        share::stix::SpecVersion::V21 => resources::STIX,
    }
}

/// Versions of an object (§5.8.1).
#[derive(Serialize)]
pub(super) struct Versions {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) versions: Vec<String>,
}

/// `GET /taxii2/{root}/collections/{id}/objects/{object}/versions/` (§5.8)
pub(crate) async fn versions(State(core): State<Arc<Core>>, wish: Wish) -> Result<Response, Trouble> {
    let (access, filter, object) = wish.reading()?;
    if access.holds != Holds::Objects {
        return subjects::versions(&core, access, object, filter).await;
    }
    let mut filter = of_one(&core, &access, &object, filter)?;
    filter.versions = share::taxii::Versions { all: true, ..share::taxii::Versions::default() };
    let after = filter.added_after;
    let page = paged(&core, access, filter).await?;
    let versions = page.rows.iter().map(|row| row.version.to_string()).collect();
    let document = Versions { more: page.next.is_some(), next: page.next.as_ref().map(Next::to_string), versions };
    Ok(dated(json(StatusCode::OK, &document), ends(&page), after))
}
