//! How long to wait before the broker is tried again.

use std::time::Duration;

/// Delays that double, each shortened by chance so that servers do not come all at once.
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    /// The next delay, between a half and all of the undisturbed one.
    pub(super) fn delay(&mut self) -> Duration {
        self.delay_with(rand::random())
    }

    /// With a chance from 0 to 1.
    fn delay_with(&mut self, chance: f64) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.longest);
        full.mul_f64(1.0 - chance / 2.0)
    }

    /// The broker was there and stayed: begin anew.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_begin_anew() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(1500));
        let delays: Vec<_> = (0..6).map(|_| backoff.delay_with(0.0)).collect();
        assert_eq!(
            delays,
            [ms(100), ms(200), ms(400), ms(800), ms(1500), ms(1500)]
        );
        assert_eq!(backoff.delay_with(1.0), ms(750));
        backoff.reset();
        assert_eq!(backoff.delay_with(0.0), ms(100));
        let delay = backoff.delay();
        assert!((ms(100)..=ms(200)).contains(&delay), "{delay:?}");
    }
}
