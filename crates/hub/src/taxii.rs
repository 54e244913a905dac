//! The TAXII 2.1 server (OASIS Standard) at `/taxii2/`: existing tools push STIX in and pull it out.
//!
//! `ask` reads requests, `roots` says which collections a caller has, `push` and `read` answer, `store` holds the index
//! of what is where in the journal. What a document, a filter or a page is, `share::taxii` decides.

mod answer;
mod ask;
mod kept;
mod push;
mod read;
mod remove;
mod reserved;
mod roots;
mod status;
mod store;
mod stored;
mod subjects;
mod wish;

pub(crate) use answer::{Trouble, is_ours};
pub(crate) use ask::as_bearer;
pub(crate) use push::add;
pub(crate) use read::{manifest, object, objects, versions};
pub(crate) use remove::remove;
pub(crate) use reserved::Identities;
pub(crate) use roots::{collection, collections, discovery, root, shown};
pub(crate) use status::status;
pub(crate) use store::{Fate, Store, from_kind};
