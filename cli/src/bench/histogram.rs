//! Where durations are counted.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Each power of two is divided into this many buckets, as a power of two: the error is under 1.6 %.
const BITS: u32 = 6;

/// Durations from 2^42 ns (73 minutes) on share the last bucket.
const POWERS: u32 = 42;

const BUCKETS: usize = ((POWERS - BITS + 1) << BITS) as usize;

/// A log-linear histogram that any number of threads may add to.
#[derive(Debug)]
pub(super) struct Histogram {
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
    min: AtomicU64,
    max: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
            min: AtomicU64::new(u64::MAX),
            max: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    pub(super) fn add(&self, nanos: u64) {
        self.counts[bucket(nanos)].fetch_add(1, Relaxed);
        self.sum.fetch_add(nanos, Relaxed);
        self.min.fetch_min(nanos, Relaxed);
        self.max.fetch_max(nanos, Relaxed);
    }

    pub(super) fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Relaxed)).sum()
    }

    pub(super) fn min(&self) -> Duration {
        let min = self.min.load(Relaxed);
        Duration::from_nanos(if min == u64::MAX { 0 } else { min })
    }

    pub(super) fn max(&self) -> Duration {
        Duration::from_nanos(self.max.load(Relaxed))
    }

    pub(super) fn mean(&self) -> Duration {
        Duration::from_nanos(self.sum.load(Relaxed) / self.count().max(1))
    }

    /// The least duration that at least `percent` of all do not exceed.
    pub(super) fn percentile(&self, percent: f64) -> Duration {
        let wanted = (self.count() as f64 * percent / 100.0).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count.load(Relaxed);
            if seen >= wanted {
                return Duration::from_nanos(highest(index))
                    .min(self.max())
                    .max(self.min());
            }
        }
        self.max()
    }
}

fn bucket(nanos: u64) -> usize {
    if nanos < 1 << BITS {
        return nanos as usize;
    }
    let power = nanos.ilog2();
    if power >= POWERS {
        return BUCKETS - 1;
    }
    let step = power - BITS;
    // The highest bit of the shifted value counts as one group: groups follow each other without a gap.
    ((step as usize) << BITS) + (nanos >> step) as usize
}

/// The highest value in a bucket.
fn highest(index: usize) -> u64 {
    let index = index as u64;
    if index < 2 << BITS {
        return index;
    }
    let step = (index >> BITS) - 1;
    let lowest = (index - (step << BITS)) << step;
    lowest + (1 << step) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_the_bucket_that_ends_at_or_just_above_it() {
        for nanos in (0..10_000).chain([65_535, 65_536, 123_456_789, (1 << 41) + 7, (1 << 42) - 1])
        {
            let index = bucket(nanos);
            assert!(highest(index) >= nanos, "{nanos}");
            assert!(index == 0 || highest(index - 1) < nanos, "{nanos}");
            assert!(
                (highest(index) - nanos) as f64 <= nanos as f64 * 0.016,
                "{nanos}"
            );
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_near_the_truth() {
        let histogram = Histogram::default();
        (1..=10_000).for_each(|micros| histogram.add(micros * 1000));
        for (percent, micros) in [(50.0, 5000.0), (90.0, 9000.0), (99.9, 9990.0)] {
            let got = histogram.percentile(percent).as_secs_f64() * 1e6;
            assert!((got / micros - 1.0).abs() < 0.016, "{percent}: {got}");
        }
        assert_eq!(histogram.percentile(100.0), Duration::from_millis(10));
        assert_eq!(
            (histogram.count(), histogram.min()),
            (10_000, Duration::from_micros(1))
        );
        assert_eq!(histogram.mean(), Duration::from_nanos(5_000_500));
    }

    #[test]
    fn an_empty_one_says_zero() {
        let histogram = Histogram::default();
        assert_eq!(histogram.percentile(99.0), Duration::ZERO);
        assert_eq!(
            (histogram.min(), histogram.max(), histogram.mean()),
            Default::default()
        );
    }
}
