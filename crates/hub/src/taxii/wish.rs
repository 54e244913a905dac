//! What is asked of a collection: by whom, of which, for what. One place for what every such request begins with.

use super::answer::Trouble;
use super::ask;
use super::roots::{Access, access};
use crate::core::Core;
use crate::gate::Caller;
use axum::Extension;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::Deserialize;
use share::taxii::Filter;
use std::sync::Arc;

/// A request for what is in a collection.
pub(crate) struct Wish {
    /// The collection, as this caller may use it.
    pub(super) access: Access,
    /// The collection as the path names it.
    pub(super) id: String,
    /// The object, where the path names one.
    pub(super) object: String,
    query: Option<String>,
}

#[derive(Deserialize)]
struct Place {
    root: String,
    id: String,
    #[serde(default)]
    object: String,
}

impl FromRequestParts<Arc<Core>> for Wish {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, core: &Arc<Core>) -> Result<Self, Trouble> {
        ask::acceptable(&parts.headers)?;
        let place = Path::<Place>::from_request_parts(parts, core).await;
        let Path(Place { root, id, object }) =
            place.map_err(|_| Trouble::not_found("an API root, a collection, an object", parts.uri.path()))?;
        let caller = parts.extensions.get::<Caller>().cloned();
        let access = access(core, caller.map(Extension), &root, &id)?;
        Ok(Self { access, id, object, query: parts.uri.query().map(str::to_owned) })
    }
}

impl Wish {
    /// What to read there.
    ///
    /// # Errors
    /// 403 or 404 for whoever may not read; 400 for a filter that is none.
    pub(super) fn reading(self) -> Result<(Access, Filter, String), Trouble> {
        self.access.require_read()?;
        let filter = self.filter()?;
        Ok((self.access, filter, self.object))
    }

    pub(super) fn filter(&self) -> Result<Filter, Trouble> {
        ask::filter(self.query.as_deref())
    }

    /// Are versions named?
    pub(super) fn chooses_versions(&self) -> bool {
        ask::chooses_versions(self.query.as_deref())
    }
}
