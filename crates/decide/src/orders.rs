//! Standing orders: what a member accepts by itself, what waits for its person, what it always refuses.

use model::{Class, Family, MemberId, Mitigation, PlanHeader, PointName, Span, Target};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// `[orders]` of an agent's configuration. Without any rule, narrow automatic measures are accepted and everything else
/// waits for a person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StandingOrders {
    /// `[[orders.rule]]`: the first that matches decides, except that one that refuses beats all others.
    #[serde(rename = "rule", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<OrderRule>,
    /// Members whose signed evidence this owner accepts without a second one. Wrong: that member alone can have
    /// anything unguarded blocked here.
    pub trust_alone: BTreeSet<MemberId>,
    /// Most mitigations in force here. Too low: protection is left out; too high: a point may grow slow.
    pub max_in_force: u32,
    /// Longest mitigation that is accepted; longer ones are refused.
    pub longest: Span,
}

impl Default for StandingOrders {
    fn default() -> Self {
        Self { rules: Vec::new(), trust_alone: BTreeSet::new(), max_in_force: 10_000, longest: Span::days(1) }
    }
}

/// One standing order. What is absent matches everything; all that is present must match.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderRule {
    /// What happens then: `accept`, `ask` or `refuse`.
    pub then: Then,
    /// The action's word: `deny`, `limit`, `redirect`, `contain`, `notify`, `investigate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionWord>,
    /// The target's kind: `host`, `net`, `domain_name`, `uri`, `file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetWord>,
    /// Matches IPv4 networks wider than this length in bits: 32 matches every network of more than one address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wider_than_v4: Option<u8>,
    /// Matches IPv6 networks wider than this length in bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wider_than_v6: Option<u8>,
    /// The plan's class: `automatic`, `quorum`, `owner`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// An enforcement point that would carry it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<PointName>,
    /// The finding's family: `source`, `destination`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
}

/// What a standing order says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// It is carried out at once.
    Accept,
    /// It waits for a person of this member.
    Ask,
    /// It is never carried out.
    Refuse,
}

/// An action without its parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the words are explained at model::Action")]
pub enum ActionWord {
    Deny,
    Limit,
    Redirect,
    Contain,
    Notify,
    Investigate,
}

/// A kind of target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words are explained at model::Target")]
pub enum TargetWord {
    Host,
    Net,
    DomainName,
    Uri,
    File,
}

impl StandingOrders {
    /// What the orders say to a mitigation that `points` would carry out, and which order says it, in words.
    pub fn say(&self, header: &PlanHeader, mitigation: &Mitigation, points: &BTreeSet<PointName>) -> (Then, String) {
        let matching = || (1..).zip(&self.rules).filter(|(_, rule)| rule.matches(header, mitigation, points));
        let decides = matching().find(|(_, rule)| rule.then == Then::Refuse).or_else(|| matching().next());
        match (decides, header.class) {
            (Some((number, rule)), _) => (rule.then, format!("standing order {number}")),
            (None, Class::Automatic) => (Then::Accept, "no standing order: narrow and automatic".to_owned()),
            (None, class) => (Then::Ask, format!("no standing order for class {}", class.as_str())),
        }
    }
}

impl OrderRule {
    /// An order that matches everything.
    pub const fn any(then: Then) -> Self {
        Self {
            then,
            action: None,
            target: None,
            wider_than_v4: None,
            wider_than_v6: None,
            class: None,
            point: None,
            family: None,
        }
    }

    fn matches(&self, header: &PlanHeader, mitigation: &Mitigation, points: &BTreeSet<PointName>) -> bool {
        let measure = &mitigation.measure;
        self.action.is_none_or(|word| word.as_str() == measure.action().word())
            && self.target.is_none_or(|word| word.as_str() == measure.target().kind())
            && self.wide(measure.target())
            && self.class.is_none_or(|class| class == header.class)
            && self.point.as_ref().is_none_or(|point| points.contains(point))
            && self.family.is_none_or(|family| family == mitigation.family)
    }

    fn wide(&self, target: &Target) -> bool {
        if self.wider_than_v4.is_none() && self.wider_than_v6.is_none() {
            return true;
        }
        let Some(net) = target.observable().network() else { return false };
        let limit = if net.addr().is_ipv4() { self.wider_than_v4 } else { self.wider_than_v6 };
        limit.is_some_and(|length| net.prefix_len() < length)
    }
}

impl ActionWord {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Limit => "limit",
            Self::Redirect => "redirect",
            Self::Contain => "contain",
            Self::Notify => "notify",
            Self::Investigate => "investigate",
        }
    }
}

impl TargetWord {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Net => "net",
            Self::DomainName => "domain_name",
            Self::Uri => "uri",
            Self::File => "file",
        }
    }
}
