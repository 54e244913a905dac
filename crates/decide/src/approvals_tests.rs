//! Counting approvals: distinct members, own persons, later verdicts, times, other plans.

use super::*;
use crate::testing::World;
use model::{Approval, Behaviour, Span};

fn header(world: &World, class: Class) -> PlanHeader {
    let finding = world.finding(&"60.0.0.1".parse().unwrap(), Behaviour::Bruteforce);
    PlanHeader { class, ..world.plan(&[finding]).plans.remove(0).header }
}

/// Verdicts like `ada@cloud` or, for a no, `-ada@cloud`.
fn said(world: &World, header: &PlanHeader, texts: &[&str]) -> Vec<SignedApproval> {
    let one = |text: &&str| match text.strip_prefix('-') {
        Some(person) => world.approval(header, person, Verdict::Reject),
        None => world.approval(header, text, Verdict::Approve),
    };
    texts.iter().map(one).collect()
}

fn quorum(texts: &[&str]) -> Vote {
    let world = World::new();
    let header = header(&world, Class::Quorum);
    standing(&header, None, &said(&world, &header, texts), &world.charter, world.now)
}

/// Signed again with the right key after a change.
fn changed(world: &World, header: &PlanHeader, person: &str, change: impl Fn(&mut Approval)) -> SignedApproval {
    let mut approval = world.approval(header, person, Verdict::Approve).approval;
    change(&mut approval);
    SignedApproval::sign(approval, &world.person_key(&person.parse().unwrap()))
}

#[test]
fn two_members_make_a_quorum_and_two_persons_of_one_do_not() {
    assert_eq!(quorum(&[]), Vote::Waiting { have: 0, need: 2 });
    assert_eq!(quorum(&["ada@cloud"]), Vote::Waiting { have: 1, need: 2 });
    assert_eq!(quorum(&["ada@cloud", "bob@cloud", "ada@cloud"]), Vote::Waiting { have: 1, need: 2 });
    assert_eq!(quorum(&["ada@cloud", "ada@bank"]), Vote::Approved { at: World::new().now });
}

#[test]
fn a_member_whose_persons_disagree_says_no() {
    assert_eq!(quorum(&["ada@cloud", "-bob@cloud", "ada@bank"]), Vote::Waiting { have: 1, need: 2 });
}

#[test]
fn as_many_noes_as_would_have_been_needed_reject() {
    assert_eq!(quorum(&["-ada@cloud", "-ada@bank", "ada@vendor", "ada@hosting"]), Vote::Rejected);
    assert!(matches!(quorum(&["-ada@cloud", "-bob@cloud", "ada@vendor", "ada@bank"]), Vote::Approved { .. }));
}

#[test]
fn observers_and_strangers_do_not_count() {
    assert_eq!(quorum(&["ada@cloud", "ada@watcher", "eve@nowhere"]), Vote::Waiting { have: 1, need: 2 });
    assert!(matches!(quorum(&["ada@cloud", "ada@newcomer"]), Vote::Approved { .. }), "associates approve");
}

#[test]
fn a_persons_later_verdict_replaces_the_earlier_one_in_any_order() {
    let world = World::new();
    let header = header(&world, Class::Quorum);
    let yes = world.approval(&header, "ada@cloud", Verdict::Approve);
    let no = changed(&world, &header, "ada@cloud", |a| {
        (a.verdict, a.made) = (Verdict::Reject, a.made.plus(Span::seconds(1)));
    });
    let other = world.approval(&header, "ada@bank", Verdict::Approve);
    for order in [[&yes, &no, &other], [&no, &yes, &other]] {
        let approvals: Vec<_> = order.into_iter().cloned().collect();
        let tally = count(&header, None, &approvals, &world.charter, world.now);
        assert_eq!(tally.vote, Vote::Waiting { have: 1, need: 2 });
        assert_eq!(tally.rejecting.len(), 1);
    }
    let again = changed(&world, &header, "ada@cloud", |a| a.made = a.made.plus(Span::seconds(2)));
    let vote = standing(&header, None, &[yes, no, other, again], &world.charter, world.now);
    assert_eq!(vote, Vote::Approved { at: world.now.plus(Span::seconds(2)) });
}

#[test]
fn an_owners_plan_counts_the_owners_persons_only() {
    let world = World::new();
    let header = header(&world, Class::Owner);
    let bank = "bank".parse().unwrap();
    let vote =
        |texts: &[&str]| count(&header, Some(&bank), &said(&world, &header, texts), &world.charter, world.now).vote;
    assert_eq!(vote(&["ada@bank", "ada@cloud", "ada@vendor"]), Vote::Waiting { have: 1, need: 2 });
    assert_eq!(vote(&["ada@bank", "ada@bank"]), Vote::Waiting { have: 1, need: 2 });
    assert!(matches!(vote(&["ada@bank", "bob@bank"]), Vote::Approved { .. }));
    let nobody = count(&header, None, &said(&world, &header, &["ada@bank", "bob@bank"]), &world.charter, world.now);
    assert_eq!(nobody.vote, Vote::Waiting { have: 0, need: 2 });
}

#[test]
fn an_approval_counts_for_its_plan_its_time_and_its_key_only() {
    let world = World::new();
    let plan = header(&world, Class::Quorum);
    let rule = |signed: &SignedApproval| admit(signed, &plan, None, &world.charter, world.now).map_err(|r| r.rule);
    let good = world.approval(&plan, "ada@cloud", Verdict::Approve);
    assert_eq!(rule(&good), Ok(()));
    let other = PlanHeader { generation: 2, ..plan.clone() };
    assert_eq!(rule(&world.approval(&other, "ada@cloud", Verdict::Approve)), Err(Rule::ApprovalReplayed));
    let expired = changed(&world, &plan, "ada@cloud", |a| a.expires = world.now);
    assert_eq!(rule(&expired), Err(Rule::ApprovalExpired));
    let endless = changed(&world, &plan, "ada@cloud", |a| {
        (a.made, a.expires) = (world.now.minus(Span::hours(24)), world.now.plus(Span::days(365)));
    });
    assert_eq!(rule(&endless), Err(Rule::ApprovalExpired), "at most approval_valid_max");
    let future = changed(&world, &plan, "ada@cloud", |a| a.made = world.now.plus(Span::hours(1)));
    assert_eq!(rule(&future), Err(Rule::ClockSkew));
    let mut altered = good.clone();
    altered.approval.verdict = Verdict::Reject;
    assert_eq!(rule(&altered), Err(Rule::BadSignature));
    let mut borrowed = good;
    borrowed.approval.person = "bob@cloud".parse().unwrap();
    assert_eq!(rule(&borrowed), Err(Rule::UnknownKey));
}

#[test]
fn a_suspended_members_persons_do_not_count() {
    let world = World::with(|charter| charter.members[1].standing = model::Standing::Suspended);
    let plan = header(&World::new(), Class::Quorum);
    let signed = world.approval(&plan, "ada@cloud", Verdict::Approve);
    assert_eq!(admit(&signed, &plan, None, &world.charter, world.now).unwrap_err().rule, Rule::MemberSuspended);
}

#[test]
fn what_lacks_approvals_says_why() {
    let world = World::new();
    let plan = header(&world, Class::Quorum);
    let refused = |texts: &[&str]| {
        let tally = count(&plan, None, &said(&world, &plan, texts), &world.charter, world.now);
        tally.require().map_err(|refusal| refusal.rule)
    };
    assert_eq!(refused(&["ada@cloud"]), Err(Rule::ApprovalMissing));
    assert_eq!(refused(&["ada@cloud", "ada@watcher"]), Err(Rule::RoleMissing));
    assert_eq!(refused(&["-ada@cloud", "-ada@bank"]), Err(Rule::ApprovalMissing));
    assert_eq!(refused(&["ada@bank", "ada@cloud"]), Ok(()));
}

#[test]
fn a_plan_heard_of_after_its_approvals_ran_out_is_what_they_made_it() {
    let world = World::new();
    let header = header(&world, Class::Quorum);
    let minutes = |made, lasts| {
        move |approval: &mut Approval| {
            approval.made = World::new().now.plus(Span::minutes(made));
            approval.expires = approval.made.plus(Span::minutes(lasts));
        }
    };
    let later = world.now.plus(Span::hours(3));
    let vote = |second_made| {
        let approvals = [
            changed(&world, &header, "ada@cloud", minutes(0, 60)),
            changed(&world, &header, "ada@bank", minutes(second_made, 60)),
        ];
        assert!(matches!(standing(&header, None, &approvals, &world.charter, later), Vote::Waiting { have: 0, .. }));
        count_when_made(&header, None, &approvals, &world.charter, later).vote
    };
    assert!(matches!(vote(30), Vote::Approved { .. }), "both counted at that moment");
    assert_eq!(vote(61), Vote::Waiting { have: 0, need: 2 }, "one had run out before the other was made");
}

#[test]
fn a_word_taken_back_before_the_second_yes_is_not_counted_for_whoever_hears_of_it_later() {
    let world = World::new();
    let header = header(&world, Class::Quorum);
    let at = |person: &str, minutes, verdict| {
        changed(&world, &header, person, |approval| {
            approval.made = world.now.plus(Span::minutes(minutes));
            (approval.expires, approval.verdict) = (approval.made.plus(Span::hours(1)), verdict);
        })
    };
    let approvals = [
        at("ada@cloud", 0, Verdict::Approve),
        at("ada@cloud", 10, Verdict::Reject),
        at("ada@bank", 20, Verdict::Approve),
    ];
    let later = world.now.plus(Span::hours(3));
    let vote = count_when_made(&header, None, &approvals, &world.charter, later).vote;
    assert!(matches!(vote, Vote::Waiting { .. }), "{vote:?}");
}
