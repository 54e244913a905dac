//! Guarded names: sorted by their labels from the right, asked upwards and downwards by binary search.

use super::class::GuardClass;
use model::Domain;

/// Guarded names. A name may stand in several classes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names<L> {
    sorted: Vec<Named<L>>,
}

/// One guarded name and what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Named<L> {
    /// The labels from the right, joined by dots: `com.example.www`.
    key: Box<str>,
    /// Its class.
    pub class: GuardClass,
    /// Which list holds it, or which member owns it.
    pub label: L,
}

impl<L> Named<L> {
    /// The name as it is usually written.
    pub fn name(&self) -> String {
        reversed(&self.key)
    }
}

impl<L> Names<L> {
    /// Sorts the names. They are in canonical form: those of [`Domain`], or single labels.
    pub fn new(names: impl IntoIterator<Item = (String, GuardClass, L)>) -> Self {
        let named = |(name, class, label): (String, GuardClass, L)| Named { key: key_of(&name), class, label };
        let mut sorted: Vec<Named<L>> = names.into_iter().map(named).collect();
        sorted.sort_by(|a, b| (&a.key, a.class).cmp(&(&b.key, b.class)));
        sorted.dedup_by(|a, b| (&a.key, a.class) == (&b.key, b.class));
        Self { sorted }
    }

    /// The strictest guard that a measure against the name `host` would hit: the name itself, one above it whose class
    /// guards what is below, and, if the measure `takes_below` with it, any listed name below.
    pub fn strictest(&self, host: &Domain, takes_below: bool) -> Option<&Named<L>> {
        let key = key_of(host.as_str());
        let below = if takes_below { self.below(&key) } else { &[] };
        let above = above(&key).flat_map(|upper| self.exactly(upper)).filter(|named| named.class.guards_below());
        self.exactly(&key).iter().chain(above).chain(below).min_by_key(|named| named.class)
    }

    /// The entries of this very name.
    fn exactly(&self, key: &str) -> &[Named<L>] {
        let start = self.sorted.partition_point(|named| *named.key < *key);
        let rest = &self.sorted[start..];
        // A handful at most: one for each class.
        &rest[..rest.iter().take_while(|named| *named.key == *key).count()]
    }

    /// The entries of names below this one.
    fn below(&self, key: &str) -> &[Named<L>] {
        let front = format!("{key}.");
        let start = self.sorted.partition_point(|named| *named.key < *front);
        let rest = &self.sorted[start..];
        match rest.first().is_some_and(|named| named.key.starts_with(&front)) {
            true => &rest[..rest.partition_point(|named| named.key.starts_with(&front))],
            false => &[],
        }
    }

    /// The names, each as often as it has classes.
    pub fn iter(&self) -> impl Iterator<Item = &Named<L>> {
        self.sorted.iter()
    }
}

/// `www.` in front of a name is the same site.
fn key_of(name: &str) -> Box<str> {
    let bare = name.strip_prefix("www.").filter(|rest| rest.contains('.')).unwrap_or(name);
    reversed(bare).into()
}

fn reversed(name: &str) -> String {
    name.rsplit('.').collect::<Vec<_>>().join(".")
}

/// The names above one, from the nearest: `com.example` and `com` above `com.example.www`.
fn above(key: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(key.rsplit_once('.'), |(upper, _)| upper.rsplit_once('.')).map(|(upper, _)| upper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(entries: &[(&str, GuardClass)]) -> Names<()> {
        Names::new(entries.iter().map(|(name, class)| ((*name).to_owned(), *class, ())))
    }

    fn class(names: &Names<()>, host: &str) -> Option<GuardClass> {
        names.strictest(&host.parse().unwrap(), true).map(|named| named.class)
    }

    #[test]
    fn a_name_above_a_listed_one_is_guarded_and_one_beside_it_is_not() {
        let names = names(&[("pay.shop.com", GuardClass::Top)]);
        assert_eq!(class(&names, "shop.com"), Some(GuardClass::Top));
        assert_eq!(class(&names, "pay.shop.com"), Some(GuardClass::Top));
        for free in ["shop.net", "y.shop.com", "xpay.shop.com", "pay-shop.com", "evil.pay.shop.com"] {
            assert_eq!(class(&names, free), None, "{free}");
        }
    }

    #[test]
    fn www_is_the_same_site() {
        let names = names(&[("shop.com", GuardClass::Top), ("www.news.com", GuardClass::Top)]);
        for listed in ["shop.com", "www.shop.com", "news.com", "www.news.com"] {
            assert_eq!(class(&names, listed), Some(GuardClass::Top), "{listed}");
        }
    }

    #[test]
    fn below_a_bank_all_is_guarded_and_below_shared_hosting_nothing() {
        let names = names(&[("bank.com", GuardClass::Bank), ("pages.com", GuardClass::SharedHosting)]);
        assert_eq!(class(&names, "login.eu.bank.com"), Some(GuardClass::Bank));
        assert_eq!(class(&names, "evil.pages.com"), None);
        assert_eq!(class(&names, "pages.com"), Some(GuardClass::SharedHosting));
    }

    #[test]
    fn of_several_classes_the_strictest_counts() {
        let names = names(&[("x.com", GuardClass::SharedHosting), ("x.com", GuardClass::Vendor)]);
        assert_eq!(class(&names, "x.com"), Some(GuardClass::Vendor));
    }

    fn name() -> impl Strategy<Value = String> {
        prop::collection::vec("[ab]-?[ab]|a|b|www", 2..5).prop_map(|labels| labels.join("."))
    }

    fn entry() -> impl Strategy<Value = (String, GuardClass)> {
        (name(), prop::sample::select(GuardClass::ALL.to_vec()))
    }

    /// The rule of `strictest`, by a walk over everything.
    fn walked(entries: &[(String, GuardClass)], host: &str, takes_below: bool) -> Option<GuardClass> {
        let bare = |name: &str| match name.strip_prefix("www.") {
            Some(rest) if rest.contains('.') => rest.to_owned(),
            _ => name.to_owned(),
        };
        let host = bare(host);
        let within = |inner: &str, outer: &str| inner.ends_with(&format!(".{outer}"));
        let hit = |(listed, class): &&(String, GuardClass)| {
            let listed = bare(listed);
            listed == host
                || (class.guards_below() && within(&host, &listed))
                || (takes_below && within(&listed, &host))
        };
        entries.iter().filter(hit).map(|(_, class)| *class).min()
    }

    proptest! {
        #[test]
        fn the_answer_is_that_of_a_walk_over_all_names(
            entries in prop::collection::vec(entry(), 0..10),
            host in name(),
            takes_below: bool,
        ) {
            let names = Names::new(entries.iter().map(|(name, class)| (name.clone(), *class, ())));
            let found = names.strictest(&host.parse().unwrap(), takes_below).map(|named| named.class);
            prop_assert_eq!(found, walked(&entries, &host, takes_below));
        }
    }
}
