//! Any bytes as pages and outcomes of a TAXII server: a walk through them ends, takes nothing twice in a row, and never
//! panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use share::taxii::client::{Outcome, PAGES_MAX, Page, Place, Walk, Wish, retry_after};

fuzz_target!(|bytes: &[u8]| {
    let Some((dates, body)) = bytes.split_at_checked(16) else { return };
    let _ = Outcome::read(body).map(|outcome| outcome.is_pending());
    let text = String::from_utf8_lossy(body);
    let _ = retry_after(&text, model::Timestamp::MIN);
    let Ok(page) = Page::read(body) else { return };
    for picked in &page.good {
        assert!(text.contains(picked.head.raw.get()), "the object's own bytes");
    }
    let date = |at: usize| dates[at..at + 8].try_into().ok().map(i64::from_le_bytes);
    let mut walk = Walk::new(Wish::default(), Place::default());
    for n in 0..=PAGES_MAX {
        assert!(walk.ask().iter().any(|(name, _)| *name == "limit"));
        let taken = walk.take(&page, date(0), date(8));
        if page.good.len() <= 1_000 {
            assert!(n == 0 || taken.fresh.iter().all(|fresh| !fresh), "the same page is new once");
        }
        if !taken.more {
            return;
        }
    }
    panic!("a walk without an end");
});
