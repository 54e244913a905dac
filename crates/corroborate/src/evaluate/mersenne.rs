//! The Mersenne Twister as Python's `random` uses it, so that a scenario draws the same numbers as the reference
//! script.
//!
//! Matsumoto and Nishimura 1998, MT19937; seeding and `random`, `randrange`, `expovariate` as in CPython. Reproducible
//! numbers for scenarios, never for secrets.

const N: usize = 624;
const M: usize = 397;

/// A generator with its state.
pub(crate) struct Mersenne {
    state: [u32; N],
    at: usize,
}

impl Mersenne {
    /// As `random.Random(seed)`.
    pub fn new(seed: u32) -> Self {
        let mut twister = Self { state: [0; N], at: N };
        twister.init(19_650_218);
        let (mut i, s) = (1, &mut twister.state);
        for _ in 0..N {
            s[i] = (s[i] ^ (s[i - 1] ^ s[i - 1] >> 30).wrapping_mul(1_664_525)).wrapping_add(seed);
            i = next(i, s);
        }
        for _ in 0..N - 1 {
            s[i] = (s[i] ^ (s[i - 1] ^ s[i - 1] >> 30).wrapping_mul(1_566_083_941)).wrapping_sub(i as u32);
            i = next(i, s);
        }
        s[0] = 0x8000_0000;
        twister
    }

    /// A number of [0, 1) with 53 random bits.
    pub fn random(&mut self) -> f64 {
        let (a, b) = (self.word() >> 5, self.word() >> 6);
        (f64::from(a) * 67_108_864.0 + f64::from(b)) / 9_007_199_254_740_992.0
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: u32) -> u32 {
        let bits = u32::BITS - n.leading_zeros();
        loop {
            let drawn = self.word() >> (u32::BITS - bits);
            if drawn < n {
                return drawn;
            }
        }
    }

    /// An exponentially distributed number with mean 1 / `rate`.
    pub fn exponential(&mut self, rate: f64) -> f64 {
        -(1.0 - self.random()).ln() / rate
    }

    fn init(&mut self, seed: u32) {
        self.state[0] = seed;
        for i in 1..N {
            let before = self.state[i - 1];
            self.state[i] = (before ^ before >> 30).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
    }

    fn word(&mut self) -> u32 {
        if self.at == N {
            self.twist();
        }
        let mut y = self.state[self.at];
        self.at += 1;
        y ^= y >> 11;
        y ^= y << 7 & 0x9d2c_5680;
        y ^= y << 15 & 0xefc6_0000;
        y ^ y >> 18
    }

    fn twist(&mut self) {
        for i in 0..N {
            let y = self.state[i] & 0x8000_0000 | self.state[(i + 1) % N] & 0x7fff_ffff;
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + M) % N] ^ y >> 1 ^ odd;
        }
        self.at = 0;
    }
}

fn next(i: usize, state: &mut [u32; N]) -> usize {
    if i + 1 < N {
        return i + 1;
    }
    state[0] = state[N - 1];
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_what_python_draws_for_seed_7() {
        let mut twister = Mersenne::new(7);
        let drawn: Vec<f64> = (0..3).map(|_| twister.random()).collect();
        assert_eq!(drawn, [0.32383276483316237, 0.15084917392450192, 0.6509344730398537]);
        assert_eq!((0..4).map(|_| twister.below(5000)).collect::<Vec<_>>(), EXPECTED_BELOW);
        assert!((twister.exponential(4.0) - EXPECTED_EXPONENTIAL).abs() < 1e-15);
    }

    const EXPECTED_BELOW: [u32; 4] = [593, 4389, 771, 2995];
    const EXPECTED_EXPONENTIAL: f64 = 0.218540201808895;
}
