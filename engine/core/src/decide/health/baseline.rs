//! What is normal for an endpoint: quantiles of the time to first content, by size of the input and
//! by streamed or plain, over the last seven days, from successes while the breaker is closed. What is
//! learnt while an endpoint is unwell would make unwell normal, so nothing is learnt then.
//!
//! Histograms with geometric buckets (relative error 2 %, Masson, Rim and Lee, VLDB 2019).

const GROWTH: f64 = 1.04;
const BUCKETS: usize = 400;
const DAYS: usize = 7;
const DAY_S: f64 = 86_400.0;
/// Upper ends of the input buckets, in tokens; the last is open.
const INPUT_TOKENS: [u64; 4] = [1_000, 4_000, 16_000, 64_000];

#[derive(Debug, Clone, Default)]
struct Cell {
    days: [Vec<u32>; DAYS],
    day: i64,
    samples: u64,
    quantiles: Option<Normal>,
    /// Samples since the quantiles were taken.
    since: u64,
}

/// Milliseconds to first content that 95 and 99 of 100 healthy answers need at most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normal {
    pub p95_ms: f64,
    pub p99_ms: f64,
}

/// One endpoint's baselines.
#[derive(Debug, Clone)]
pub struct Baseline {
    cells: Vec<Cell>,
    pooled: [Cell; 2],
}

impl Default for Baseline {
    fn default() -> Self {
        Self { cells: vec![Cell::default(); 2 * (INPUT_TOKENS.len() + 1)], pooled: Default::default() }
    }
}

impl Baseline {
    /// Takes in a healthy answer.
    pub fn learn(&mut self, input_tokens: u64, stream: bool, first_content_ms: f64, now: f64) {
        let cell = cell_of(input_tokens, stream);
        self.cells[cell].add(first_content_ms, now);
        self.pooled[usize::from(stream)].add(first_content_ms, now);
    }

    /// What is normal for such a request: its own cell, else all sizes together, else unknown.
    /// `least`: answers that show it.
    pub fn normal(&mut self, input_tokens: u64, stream: bool, least: u64) -> Option<Normal> {
        let own = self.cells[cell_of(input_tokens, stream)].normal(least);
        own.or_else(|| self.pooled[usize::from(stream)].normal(least))
    }
}

fn cell_of(input_tokens: u64, stream: bool) -> usize {
    let size = INPUT_TOKENS.iter().take_while(|&&limit| input_tokens > limit).count();
    2 * size + usize::from(stream)
}

impl Cell {
    fn add(&mut self, value_ms: f64, now: f64) {
        #[expect(clippy::cast_possible_truncation, reason = "days of uptime")]
        let day = (now / DAY_S).floor() as i64;
        if day > self.day {
            for passed in (self.day + 1..=day).rev().take(DAYS) {
                self.samples -= self.days[slot(passed)].iter().map(|&count| u64::from(count)).sum::<u64>();
                self.days[slot(passed)] = Vec::new();
            }
            self.day = day;
        }
        let counts = &mut self.days[slot(self.day)];
        if counts.is_empty() {
            counts.resize(BUCKETS, 0);
        }
        counts[bucket_of(value_ms)] += 1;
        self.samples += 1;
        self.since += 1;
    }

    fn normal(&mut self, least: u64) -> Option<Normal> {
        if self.samples < least {
            return None;
        }
        // A part of 1/64 moves a quantile by less than a bucket is wide.
        if self.quantiles.is_none() || self.since > self.samples / 64 {
            self.quantiles = Some(Normal { p95_ms: self.quantile(0.95), p99_ms: self.quantile(0.99) });
            self.since = 0;
        }
        self.quantiles
    }

    fn quantile(&self, share: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "sample counts stay far below 2^53")]
        let wanted = share * self.samples as f64;
        let mut seen = 0.0;
        for bucket in 0..BUCKETS {
            seen += self
                .days
                .iter()
                .filter_map(|day| day.get(bucket))
                .map(|&count| f64::from(count))
                .sum::<f64>();
            if seen >= wanted {
                return upper_end(bucket);
            }
        }
        upper_end(BUCKETS - 1)
    }
}

fn slot(day: i64) -> usize {
    usize::try_from(day.rem_euclid(7)).unwrap_or(0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the buckets")]
fn bucket_of(value_ms: f64) -> usize {
    let place = value_ms.max(1.0).ln() / GROWTH.ln();
    (place.ceil() as usize).min(BUCKETS - 1)
}

fn upper_end(bucket: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "at most 400")]
    let place = bucket as f64;
    GROWTH.powf(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENOUGH: u64 = 200;

    #[test]
    fn quantiles_are_within_four_percent() {
        let mut baseline = Baseline::default();
        for i in 1..=10_000 {
            baseline.learn(10, true, f64::from(i), 5.0);
        }
        let normal = baseline.normal(10, true, ENOUGH).unwrap();

        assert!((normal.p95_ms / 9_500.0 - 1.0).abs() < 0.045, "{normal:?}");
        assert!((normal.p99_ms / 9_900.0 - 1.0).abs() < 0.045, "{normal:?}");
    }

    #[test]
    fn a_cell_with_few_samples_borrows_and_nothing_comes_from_nothing() {
        let mut baseline = Baseline::default();
        assert_eq!(baseline.normal(10, true, ENOUGH), None);
        for _ in 0..ENOUGH {
            baseline.learn(10, true, 100.0, 5.0);
        }

        assert!(baseline.normal(1_000_000, true, ENOUGH).is_some(), "pooled over sizes");
        assert_eq!(baseline.normal(10, false, ENOUGH), None, "plain calls are another thing");
    }

    #[test]
    fn a_week_old_sample_is_forgotten() {
        let mut baseline = Baseline::default();
        for _ in 0..ENOUGH {
            baseline.learn(10, true, 100.0, 0.0);
        }
        for _ in 0..ENOUGH {
            baseline.learn(10, true, 1000.0, 7.5 * DAY_S);
        }

        assert!(baseline.normal(10, true, ENOUGH).unwrap().p95_ms > 900.0);
        assert_eq!(baseline.cells[1].samples, ENOUGH);
    }
}
