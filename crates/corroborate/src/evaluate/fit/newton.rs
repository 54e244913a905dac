//! Logistic regression over five terms and a constant by Newton's method (iteratively reweighted least squares), with a
//! small ridge so that there is always one answer.
//!
//! Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", section 4.4.1.

use crate::rules::RelevanceRules;

/// Terms and the constant.
const N: usize = 6;
/// The pull of every weight but the constant towards 0, as if by so many pairs.
const RIDGE: f64 = 1.0;
const STEPS_MAX: usize = 50;
/// A step that is halved so often leads nowhere.
const HALVINGS_MAX: usize = 20;
/// Steps shorter than this in every weight are the end.
const SHORT: f64 = 1e-7;

/// A constant and five weights.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Model {
    pub base: f64,
    pub weights: [f64; 5],
    /// How it was found.
    pub steps: usize,
}

impl Model {
    pub fn of(rules: &RelevanceRules) -> Self {
        let RelevanceRules { base, own, all, burst, recent, neighbourhood, .. } = *rules;
        Self { base, weights: [own, all, burst, recent, neighbourhood], steps: 0 }
    }

    pub fn log_odds(&self, x: &[f32; 5]) -> f64 {
        self.base + self.weights.iter().zip(x).map(|(w, x)| w * f64::from(*x)).sum::<f64>()
    }
}

/// How much an outcome surprises at these log-odds: -ln of its probability.
pub(super) fn loss(log_odds: f64, hit: bool) -> f64 {
    let against = if hit { -log_odds } else { log_odds };
    // ln(1 + e^z) without overflow.
    against.max(0.0) + (-against.abs()).exp().ln_1p()
}

/// Fits to the pairs that `pairs` walks over, as often as it is asked to. `None` where not both outcomes occur.
pub(super) fn fit(pairs: impl Fn(&mut dyn FnMut(&[f32; 5], bool))) -> Option<Model> {
    let (mut hits, mut all) = (0_u64, 0_u64);
    pairs(&mut |_, hit| (hits, all) = (hits + u64::from(hit), all + 1));
    if hits == 0 || hits == all {
        return None;
    }
    let odds = hits as f64 / (all - hits) as f64;
    let mut at = [0.0; N];
    at[0] = odds.ln();
    let mut before = cost(&pairs, &at);
    let mut steps = 0;
    while steps < STEPS_MAX {
        steps += 1;
        let (gradient, curvature) = slope(&pairs, &at);
        let step = solve(curvature, gradient)?;
        let mut size = 1.0;
        let moved = (0..HALVINGS_MAX).find_map(|_| {
            let next: [f64; N] = std::array::from_fn(|i| at[i] - size * step[i]);
            size /= 2.0;
            let cost = cost(&pairs, &next);
            (cost <= before).then_some((next, cost))
        });
        let Some((next, cost)) = moved else { break };
        let far = at.iter().zip(&next).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        (at, before) = (next, cost);
        if far < SHORT {
            break;
        }
    }
    let [base, weights @ ..] = at;
    Some(Model { base, weights, steps })
}

fn model(at: &[f64; N]) -> Model {
    let [base, weights @ ..] = *at;
    Model { base, weights, steps: 0 }
}

fn cost(pairs: &impl Fn(&mut dyn FnMut(&[f32; 5], bool)), at: &[f64; N]) -> f64 {
    let (model, mut sum) = (model(at), 0.0);
    pairs(&mut |x, hit| sum += loss(model.log_odds(x), hit));
    sum + RIDGE / 2.0 * model.weights.iter().map(|w| w * w).sum::<f64>()
}

/// Gradient and curvature of the cost.
fn slope(pairs: &impl Fn(&mut dyn FnMut(&[f32; 5], bool)), at: &[f64; N]) -> ([f64; N], [[f64; N]; N]) {
    let model = model(at);
    let (mut gradient, mut curvature) = ([0.0; N], [[0.0; N]; N]);
    pairs(&mut |x, hit| {
        let p = 1.0 / (1.0 + (-model.log_odds(x)).exp());
        let (error, spread) = (p - f64::from(u8::from(hit)), p * (1.0 - p));
        let x: [f64; N] = std::array::from_fn(|i| if i == 0 { 1.0 } else { f64::from(x[i - 1]) });
        for i in 0..N {
            gradient[i] += error * x[i];
            for j in 0..=i {
                curvature[i][j] += spread * x[i] * x[j];
            }
        }
    });
    for i in 1..N {
        gradient[i] += RIDGE * at[i];
        curvature[i][i] += RIDGE;
    }
    let lower = curvature;
    for (i, row) in curvature.iter_mut().enumerate() {
        for (cell, below) in row.iter_mut().zip(&lower).skip(i + 1) {
            *cell = below[i];
        }
    }
    (gradient, curvature)
}

/// The solution of `a x = b` by elimination with pivots; `None` if there is not one.
fn solve(mut a: [[f64; N]; N], mut b: [f64; N]) -> Option<[f64; N]> {
    for column in 0..N {
        let pivot = (column..N).max_by(|i, j| a[*i][column].abs().total_cmp(&a[*j][column].abs()))?;
        if a[pivot][column].abs() < 1e-12 {
            return None;
        }
        a.swap(column, pivot);
        b.swap(column, pivot);
        for row in column + 1..N {
            let factor = a[row][column] / a[column][column];
            let above = a[column];
            for (cell, above) in a[row].iter_mut().zip(above).skip(column) {
                *cell -= factor * above;
            }
            b[row] -= factor * b[column];
        }
    }
    let mut x = [0.0; N];
    for row in (0..N).rev() {
        let known: f64 = (row + 1..N).map(|k| a[row][k] * x[k]).sum();
        x[row] = (b[row] - known) / a[row][row];
    }
    Some(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs whose outcomes follow known log-odds exactly: each term's value with as many hits as they say.
    fn drawn(truth: &Model) -> Vec<([f32; 5], bool)> {
        let mut pairs = Vec::new();
        for bits in 0..32_u32 {
            let x: [f32; 5] = std::array::from_fn(|i| (bits >> i & 1) as f32);
            let p = 1.0 / (1.0 + (-truth.log_odds(&x)).exp());
            let hits = (p * 10_000.0).round() as usize;
            pairs.extend((0..10_000).map(|i| (x, i < hits)));
        }
        pairs
    }

    #[test]
    fn known_weights_are_found_again() {
        let truth = Model { base: -2.0, weights: [1.1, 0.6, 0.0, -0.4, 0.85], steps: 0 };
        let pairs = drawn(&truth);
        let found = fit(|each| pairs.iter().for_each(|(x, hit)| each(x, *hit))).unwrap();
        assert!((found.base - truth.base).abs() < 0.01, "{found:?}");
        for (found, truth) in found.weights.iter().zip(truth.weights) {
            assert!((found - truth).abs() < 0.01, "{found} for {truth}");
        }
    }

    #[test]
    fn one_outcome_alone_gives_no_model_and_a_perfect_term_a_finite_one() {
        let fit_of = |pairs: &[([f32; 5], bool)]| fit(|each| pairs.iter().for_each(|(x, hit)| each(x, *hit)));
        assert_eq!(fit_of(&[([1.0; 5], true); 9]), None);
        assert_eq!(fit_of(&[]), None);
        let perfect: Vec<_> = (0..100).map(|i| ([(i % 2) as f32, 0.0, 0.0, 0.0, 0.0], i % 2 == 1)).collect();
        let found = fit_of(&perfect).unwrap();
        assert!(found.weights[0] > 1.0 && found.weights[0] < 20.0 && found.weights[1] == 0.0, "{found:?}");
    }

    #[test]
    fn surprise_is_exact_and_never_overflows() {
        assert!((loss(0.0, true) - 2_f64.ln()).abs() < 1e-12);
        assert_eq!((loss(1e6, false), loss(1e6, true)), (1e6, 0.0));
    }
}
