//! One member's record: confirmations, survivals, faults, and what its word weighs for them.

use crate::clock::{DAY, days};
use crate::rules::Rules;
use model::Standing;

/// Who confirmed a member: enough distinct ones to decide whether it may publish alone.
const CONFIRMERS: usize = 4;
/// How much of a record confirmations by too few members make: the rest must have stood undisputed.
const ONE_CONFIRMER_MAX: f64 = 0.5;

/// A member as the engine knows it. K is `confirmed + survived`.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Member {
    pub standing: Standing,
    /// When the decayed numbers were right.
    pub at: u32,
    pub confirmed: f64,
    pub survived: f64,
    /// F.
    pub faults: f64,
    /// Credit ever gained by survival; bounded by the rules, never decays.
    pub survived_ever: f64,
    /// Confirmations ever, those taken back left out; never decays.
    pub confirmed_ever: u32,
    /// Reports waiting to have survived.
    pub surviving: u16,
    /// Distinct members that confirmed this one, the first four.
    pub confirmers: Vec<u16>,
    /// Upheld disputes of the last 24 h.
    pub strikes: Vec<u32>,
    pub suspect_until: u32,
    pub suspected: u8,
}

/// A member's weight at a time, in parts.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Weight {
    pub prior: f64,
    pub k: f64,
    pub f: f64,
    pub p: f64,
    /// After clamps.
    pub w: f64,
    pub suspect: bool,
    /// May publish alone.
    pub solo: bool,
}

impl Member {
    pub fn new(standing: Standing) -> Self {
        Self {
            standing,
            at: 0,
            confirmed: 0.0,
            survived: 0.0,
            faults: 0.0,
            survived_ever: 0.0,
            confirmed_ever: 0,
            surviving: 0,
            confirmers: Vec::new(),
            strikes: Vec::new(),
            suspect_until: 0,
            suspected: 0,
        }
    }

    /// Whether this member's word may give credit to others and its reports may survive.
    pub fn is_vetted(&self) -> bool {
        self.standing == Standing::Vetted
    }

    pub fn weight(&self, now: u32, rules: &Rules) -> Weight {
        let decay = self.decay(now, rules);
        let prior = if self.is_vetted() { rules.prior_vetted } else { rules.prior_probation };
        let (k, f) = ((self.confirmed + self.survived) * decay, self.faults * decay);
        let suspect = now < self.suspect_until;
        let most = if suspect { rules.weight_suspect } else { rules.weight_max };
        Weight {
            prior,
            k,
            f,
            p: (prior + k) / (prior + 1.0 + k + f),
            w: ((prior + k) / (1.0 + f)).ln().clamp(0.0, most.max(0.0)),
            suspect,
            solo: self.has_record(rules),
        }
    }

    /// What the weight would be without faults and suspicion: decides who counts before whom, so that no dispute can
    /// raise a sum.
    pub fn unfaulted(&self, weight: &Weight, rules: &Rules) -> f64 {
        if weight.f == 0.0 && !weight.suspect {
            return weight.w;
        }
        (weight.prior + weight.k).ln().clamp(0.0, rules.weight_max)
    }

    /// Whether this member has a record for publishing alone. Confirmations and reports that stood undisputed add up,
    /// each as its share of what would be enough by itself. One confirmer alone gives half of it at most, and silence
    /// alone gives nothing: what nobody looked at was not disputed either. Counted over the member's whole time: what
    /// wears off is its weight, and a member without weight publishes nothing alone.
    fn has_record(&self, rules: &Rules) -> bool {
        if self.confirmed_ever == 0 {
            return false;
        }
        let several = self.confirmers.len() >= usize::from(rules.solo_confirmers);
        let confirmed = f64::from(self.confirmed_ever) / f64::from(rules.solo_confirmations);
        let confirmed = if several { confirmed } else { confirmed.min(ONE_CONFIRMER_MAX) };
        let stood = self.survived_ever / (f64::from(rules.solo_survivals) * rules.survival_credit);
        confirmed + stood >= 1.0 - 1e-9
    }

    /// Whether this member's report alone can never be enough, cheaply.
    pub fn may_not_publish_alone(&self, now: u32, rules: &Rules) -> bool {
        let weight = self.weight(now, rules);
        weight.w < rules.threshold || (rules.closings.solo_record && !weight.solo)
    }

    pub fn confirm(&mut self, by: u16, now: u32, rules: &Rules) {
        self.bring_to(now, rules);
        self.confirmed += 1.0;
        self.confirmed_ever = self.confirmed_ever.saturating_add(1);
        if self.confirmers.len() < CONFIRMERS && !self.confirmers.contains(&by) {
            self.confirmers.push(by);
        }
    }

    /// Takes one confirmation back: the member withdrew the report that earned it.
    pub fn unconfirm(&mut self, now: u32, rules: &Rules) {
        self.bring_to(now, rules);
        self.confirmed = (self.confirmed - 1.0).max(0.0);
        self.confirmed_ever = self.confirmed_ever.saturating_sub(1);
    }

    pub fn survive(&mut self, now: u32, rules: &Rules) {
        if self.survived_ever < rules.survival_cap {
            self.bring_to(now, rules);
            self.survived += rules.survival_credit;
            self.survived_ever += rules.survival_credit;
        }
    }

    /// One upheld dispute: F, and suspicion when there are too many in a day.
    pub fn fault(&mut self, points: f64, now: u32, rules: &Rules) {
        self.bring_to(now, rules);
        self.faults += points;
        self.strikes.push(now);
        self.strikes.retain(|at| now.saturating_sub(*at) <= DAY);
        if self.strikes.len() >= usize::from(rules.strikes) && now >= self.suspect_until {
            let times = 2_f64.powi(i32::from(self.suspected.min(10)));
            self.suspect_until = now.saturating_add(days(rules.suspect_for * times));
            self.suspected = self.suspected.saturating_add(1);
            self.strikes.clear();
        }
        let newest = self.strikes.len().saturating_sub(usize::from(rules.strikes));
        self.strikes.drain(..newest);
    }

    /// F without a strike: a report that met a guard.
    pub fn blame(&mut self, points: f64, now: u32, rules: &Rules) {
        self.bring_to(now, rules);
        self.faults += points;
    }

    /// How many reports may wait for survival: twice what is missing to the cap, since some will be disputed.
    pub fn may_wait(&self, rules: &Rules) -> bool {
        let missing = (rules.survival_cap - self.survived_ever) / rules.survival_credit;
        f64::from(self.surviving) < missing * 2.0
    }

    fn bring_to(&mut self, now: u32, rules: &Rules) {
        let decay = self.decay(now, rules);
        self.confirmed *= decay;
        self.survived *= decay;
        self.faults *= decay;
        self.at = self.at.max(now);
    }

    fn decay(&self, now: u32, rules: &Rules) -> f64 {
        let elapsed = f64::from(now.saturating_sub(self.at)) / f64::from(DAY);
        (-elapsed / rules.half_life_record).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vetted() -> Member {
        Member::new(Standing::Vetted)
    }

    #[test]
    fn weights_begin_as_the_design_says() {
        let rules = Rules::default();
        assert!((vetted().weight(0, &rules).w - 1.79).abs() < 0.002);
        assert!((Member::new(Standing::Probation).weight(0, &rules).w - 0.69).abs() < 0.004);
    }

    #[test]
    fn two_confirmations_make_a_founder_weigh_2_08_and_do_not_let_it_publish_alone() {
        let (rules, mut member) = (Rules::default(), vetted());
        member.confirm(1, 0, &rules);
        member.confirm(2, 0, &rules);
        assert!((member.weight(0, &rules).w - 2.08).abs() < 0.003);
        assert!(!member.weight(0, &rules).solo);
    }

    #[test]
    fn many_confirmations_by_one_other_are_no_record() {
        let (rules, mut member) = (Rules::default(), vetted());
        (0..100).for_each(|_| member.confirm(1, 0, &rules));
        assert!(!member.weight(0, &rules).solo);
        member.confirm(2, 0, &rules);
        assert!(member.weight(0, &rules).solo);
    }

    #[test]
    fn reports_that_stood_are_a_record_once_somebody_confirmed_one() {
        let (rules, mut member) = (Rules::default(), vetted());
        (0..10 * rules.solo_survivals).for_each(|_| member.survive(0, &rules));
        assert!(!member.weight(0, &rules).solo, "what nobody looked at is no record");
        member.confirm(1, 0, &rules);
        assert!(member.weight(0, &rules).solo);
    }

    #[test]
    fn confirmations_and_reports_that_stood_add_up() {
        let (rules, mut member) = (Rules::default(), vetted());
        (0..3).for_each(|by| member.confirm(by, 0, &rules));
        (1..12).for_each(|_| member.survive(0, &rules));
        assert!(!member.weight(0, &rules).solo);
        member.survive(0, &rules);
        assert!(member.weight(0, &rules).solo, "3 of 5 and 12 of 30");
    }

    #[test]
    fn confirmations_by_one_other_are_half_a_record_at_most() {
        let (rules, mut member) = (Rules::default(), vetted());
        (0..100).for_each(|_| member.confirm(1, 0, &rules));
        (1..15).for_each(|_| member.survive(0, &rules));
        assert!(!member.weight(0, &rules).solo);
        member.survive(0, &rules);
        assert!(member.weight(0, &rules).solo);
    }

    #[test]
    fn three_faults_in_a_day_make_suspect_for_a_week_then_for_two() {
        let (rules, mut member) = (Rules::default(), vetted());
        (0..50).for_each(|_| member.confirm(1, 0, &rules));
        (0..3).for_each(|i| member.fault(0.1, i, &rules));
        assert_eq!(member.suspect_until, 2 + 7 * DAY);
        assert_eq!(member.weight(3, &rules).w, rules.weight_suspect);
        let later = 8 * DAY;
        (0..3).for_each(|_| member.fault(0.1, later, &rules));
        assert_eq!(member.suspect_until, later + 14 * DAY);
    }

    #[test]
    fn faults_spread_over_days_make_nobody_suspect() {
        let (rules, mut member) = (Rules::default(), vetted());
        (0..20).for_each(|i| member.fault(5.0, i * DAY, &rules));
        assert_eq!(member.suspect_until, 0);
        assert!(member.strikes.len() <= 3);
    }

    #[test]
    fn record_halves_in_thirty_days() {
        let (rules, mut member) = (Rules::default(), vetted());
        (0..8).for_each(|_| member.confirm(1, 0, &rules));
        assert!((member.weight(30 * DAY, &rules).k - 4.0).abs() < 1e-9);
    }

    #[test]
    fn survival_stops_at_its_cap() {
        let (rules, mut member) = (Rules::default(), vetted());
        (0..1000).for_each(|_| member.survive(0, &rules));
        assert!((member.weight(0, &rules).k - rules.survival_cap).abs() < 0.06);
        assert!(!member.may_wait(&rules));
    }

    #[test]
    fn a_clock_that_goes_back_neither_grows_nor_decays_a_record() {
        let (rules, mut member) = (Rules::default(), vetted());
        member.confirm(1, 10 * DAY, &rules);
        assert_eq!(member.weight(DAY, &rules).k, 1.0);
    }
}
