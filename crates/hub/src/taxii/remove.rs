//! Taking an object out of a collection (TAXII 2.1 §5.7): its bytes stay in the journal, nobody is shown them any more,
//! and what it said as evidence is taken back with it.

use super::answer::{Trouble, body};
use super::push::words_of;
use super::roots::{Access, shown};
use super::wish::Wish;
use crate::core::Core;
use alliance::{Command, Deleted, Said, Unshare};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use model::{Handling, MemberId};
use share::taxii::{Filter, Row};
use std::sync::Arc;

/// `DELETE /taxii2/{root}/collections/{id}/objects/{object}/`
pub(crate) async fn remove(State(core): State<Arc<Core>>, wish: Wish) -> Result<Response, Trouble> {
    match (wish.access.can_read, wish.access.can_write) {
        (false, false) => return Err(Trouble::not_found("a collection of this API root", &wish.id)),
        (true, true) => {}
        _ => return Err(Trouble::forbidden("this collection", "one whose can_read and can_write are true")),
    }
    let (filter, named) = (wish.filter()?, wish.chooses_versions());
    let Wish { access, object, .. } = wish;
    let unshare = core.work(move |core| Ok(prepare(core, &access, &object, &filter, named))).await??;
    core.submit(Command::Unshare(Box::new(unshare))).await?;
    Ok(body(StatusCode::OK, Vec::new()))
}

fn prepare(core: &Core, access: &Access, object: &str, filter: &Filter, named: bool) -> Result<Unshare, Trouble> {
    let caller = access.writer()?;
    let (rows, handling) = own_rows(core, access, &caller.member, object, filter, named)?;
    let mut said: Vec<Said> = Vec::new();
    core.taxii.each(&rows, |text| said.extend(words_of(core, access, text)))?;
    said.sort();
    said.dedup();
    let versions = if named { rows.iter().map(|row| row.version.to_string()).collect() } else { Vec::new() };
    let deleted = Deleted {
        collection: access.shelf,
        member: caller.member.clone(),
        by: shown(caller),
        id: object.to_owned(),
        versions,
    };
    Ok(Unshare { deleted, handling, said })
}

/// The versions that are meant, which are the caller's own; in the journal's order.
fn own_rows(
    core: &Core,
    access: &Access,
    member: &MemberId,
    object: &str,
    filter: &Filter,
    named: bool,
) -> Result<(Vec<Row>, Handling), Trouble> {
    let index = core.taxii.index();
    let seen: Vec<&Row> = index
        .versions(access.shelf, object)
        .filter(|row| match (index.handling(row), index.author(row)) {
            (Some(handling), Some(author)) => access.sees(handling, author),
            _ => false,
        })
        .collect();
    let all: Vec<_> =
        seen.iter().map(|row| share::taxii::filter::Version { time: row.version, spec: row.spec() }).collect();
    let ends = all.iter().copied().collect();
    let meant = seen.iter().zip(&all).filter(|(_, version)| !named || filter.keeps(**version, &ends));
    let meant: Vec<&Row> = meant.map(|(row, _)| *row).collect();
    if meant.is_empty() {
        return Err(Trouble::not_found("an object, or a version of it, of this collection", object));
    }
    if meant.iter().any(|row| index.author(row) != Some(member)) {
        return Err(Trouble::forbidden("an object of another member", "objects that this member brought"));
    }
    let handling = meant.iter().filter_map(|row| index.handling(row)).max().cloned();
    let mut rows: Vec<Row> = meant.into_iter().copied().collect();
    rows.sort_by_key(|row| row.sequence);
    Ok((rows, handling.unwrap_or_else(|| access.default_handling())))
}
