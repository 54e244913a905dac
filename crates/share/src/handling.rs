//! Who may see a statement, under whose name, and who may act on it: one function each, for every format and every
//! door.

use model::{Actions, Handling, MemberId, Tlp};
use std::collections::BTreeSet;

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Viewer<'a> {
    /// Nobody in particular: a public page or collection.
    Public,
    /// Another alliance, with which this one exchanges.
    Partner,
    /// Every member of this alliance alike: a file that goes to all of them.
    EveryMember,
    /// A member of this alliance.
    Member(&'a MemberId),
}

/// What the sender asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms<'a> {
    /// The marking and the sharing group.
    pub handling: &'a Handling,
    /// The members of that sharing group; `None` where the charter does not know it. Nothing without a group.
    pub group: Option<&'a BTreeSet<MemberId>>,
    /// Who sent it.
    pub author: Option<&'a MemberId>,
    /// Does the sender wish to stay unnamed?
    pub unnamed: bool,
}

/// May `viewer` see a statement under these terms? (FIRST TLP 2.0.)
///
/// RED: nobody here, it stays with its recipients. A group: its members and the sender, never the public or another
/// alliance; an unknown or empty group is nobody. Else CLEAR: everybody; GREEN: members and other alliances; AMBER and
/// AMBER+STRICT: members.
pub fn may_see(viewer: Viewer<'_>, terms: &Terms<'_>) -> bool {
    if terms.handling.tlp == Tlp::Red {
        return false;
    }
    let Viewer::Member(member) = viewer else {
        return terms.handling.group.is_none() && reaches(viewer, terms.handling.tlp);
    };
    let own = terms.author == Some(member);
    let in_group = match &terms.handling.group {
        None => true,
        Some(_) => terms.group.is_some_and(|members| members.contains(member)),
    };
    own || in_group
}

/// How far a marking reaches outside of the alliance.
fn reaches(viewer: Viewer<'_>, tlp: Tlp) -> bool {
    match viewer {
        Viewer::Public => tlp == Tlp::Clear,
        Viewer::Partner => matches!(tlp, Tlp::Clear | Tlp::Green),
        Viewer::EveryMember | Viewer::Member(_) => tlp != Tlp::Red,
    }
}

/// Under which name `viewer` sees a statement that it may see: a sender who wishes to stay unnamed is named to
/// itself only,
/// to all others it is "a member". Outside of the alliance no member is named at all.
pub fn shown_author<'a>(viewer: Viewer<'_>, terms: &Terms<'a>) -> Option<&'a MemberId> {
    let author = terms.author?;
    match viewer {
        Viewer::Member(member) if member == author || !terms.unnamed => Some(author),
        _ => None,
    }
}

/// The standard's words for what recipients may do (FIRST IEP 2.0, `permitted_actions`).
pub const fn iep_words(actions: Actions) -> &'static str {
    match actions {
        Actions::None => "none",
        Actions::AskFirst => "contact for instruction",
        Actions::Internal => "internally visible actions",
        Actions::Indirect => "externally visible indirect actions",
        Actions::Direct => "externally visible direct actions",
    }
}

/// What the standard's words mean, in any case and also with hyphens; `None` for others.
pub fn of_iep_words(text: &str) -> Option<Actions> {
    let text = text.replace(['-', '_'], " ");
    Actions::ALL.iter().copied().find(|actions| iep_words(*actions).eq_ignore_ascii_case(&text))
}

/// How visible an action is to others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Visibility {
    /// On the own network only: filtering, limiting, alerting.
    Internal,
    /// Noticed by others: a sinkhole, a note to a subscriber.
    Indirect,
    /// Noticed by the other side itself: a takedown.
    Direct,
}

/// May a recipient act in this way by itself? `AskFirst` is no: a person asks the sender.
pub fn may_act(permitted: Actions, visibility: Visibility) -> bool {
    let needed = match visibility {
        Visibility::Internal => Actions::Internal,
        Visibility::Indirect => Actions::Indirect,
        Visibility::Direct => Actions::Direct,
    };
    permitted >= needed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str) -> MemberId {
        name.parse().unwrap()
    }

    /// Each row: marking, group; then public, partner, every member, a member, a member of the group, the sender.
    const TABLE: [(Tlp, Option<&str>, &str); 16] = [
        (Tlp::Clear, None, "yyyyyy"),
        (Tlp::Green, None, "-yyyyy"),
        (Tlp::Amber, None, "--yyyy"),
        (Tlp::AmberStrict, None, "--yyyy"),
        (Tlp::Red, None, "------"),
        (Tlp::Clear, Some("banks"), "----yy"),
        (Tlp::Green, Some("banks"), "----yy"),
        (Tlp::Amber, Some("banks"), "----yy"),
        (Tlp::AmberStrict, Some("banks"), "----yy"),
        (Tlp::Red, Some("banks"), "------"),
        (Tlp::Clear, Some("empty"), "-----y"),
        (Tlp::Green, Some("empty"), "-----y"),
        (Tlp::Amber, Some("empty"), "-----y"),
        (Tlp::AmberStrict, Some("empty"), "-----y"),
        (Tlp::Green, Some("unknown"), "-----y"),
        (Tlp::Red, Some("unknown"), "------"),
    ];

    #[test]
    fn who_may_see_what_is_this_table() {
        let (other, bank, author) = (member("other"), member("bank"), member("author"));
        let members = [&other, &bank, &author].map(Viewer::Member);
        let viewers = [Viewer::Public, Viewer::Partner, Viewer::EveryMember].into_iter().chain(members);
        let (banks, empty) = (BTreeSet::from([bank.clone()]), BTreeSet::new());
        for (tlp, group, wanted) in TABLE {
            let handling = Handling::new(tlp, group.map(|name| name.parse().unwrap()));
            let in_group = match group {
                Some("banks") => Some(&banks),
                Some("empty") => Some(&empty),
                _ => None,
            };
            let terms = Terms { handling: &handling, group: in_group, author: Some(&author), unnamed: false };
            let found: String = viewers.clone().map(|v| if may_see(v, &terms) { 'y' } else { '-' }).collect();
            assert_eq!(found, wanted, "{handling}");
        }
    }

    #[test]
    fn an_unnamed_sender_is_named_to_itself_only_and_nobody_is_named_outside() {
        let (other, author) = (member("other"), member("author"));
        let handling = Handling::alliance(Tlp::Clear);
        for (unnamed, viewer, named) in [
            (false, Viewer::Member(&other), true),
            (false, Viewer::Partner, false),
            (false, Viewer::Public, false),
            (true, Viewer::Member(&other), false),
            (true, Viewer::Member(&author), true),
            (true, Viewer::Public, false),
        ] {
            let terms = Terms { handling: &handling, group: None, author: Some(&author), unnamed };
            assert_eq!(shown_author(viewer, &terms).is_some(), named, "{unnamed} {viewer:?}");
        }
    }

    #[test]
    fn who_may_act_is_what_the_sender_permitted() {
        let all = [Visibility::Internal, Visibility::Indirect, Visibility::Direct];
        let rows: Vec<_> =
            Actions::ALL.iter().map(|permitted| all.map(|visibility| may_act(*permitted, visibility))).collect();
        assert_eq!(rows, [[false; 3], [false; 3], [true, false, false], [true, true, false], [true; 3]]);
        for actions in Actions::ALL {
            let words = iep_words(*actions).to_uppercase();
            assert_eq!(
                (of_iep_words(&words), of_iep_words(&words.replace(' ', "-"))),
                (Some(*actions), Some(*actions))
            );
        }
        assert_eq!(of_iep_words("anything"), None);
    }
}
