//! How many requests does a target bear at once before they queue?
//!
//! Hosted models do not slow down with one more request; self-hosted ones have slots, and
//! a request beyond them waits. The queue itself shows their number: with `n` under way at
//! `c` slots that are held for `h` seconds each, a request waits `(n − c)·h/c`, so a wait of
//! `w` means `c = n / (1 + w/h)`. A target that never showed a queue is never charged for
//! what it has in flight.
//!
//! A brown-out also lengthens the wait. It is told from a queue by sending less: if the wait
//! stays when only half as many are under way, it was none.

/// How the fast average of log first-token times moves with a sample.
const FAST: f64 = 0.25;
/// Step of the slow lower quartile (a stochastic approximation).
const SLOW: f64 = 0.02;
/// The fast average has to stand this far above the quartile: a part that is the noise's
/// own (a quartile lies 0.67 deviations below the mean, and averages of eight still move)
/// and a part that is a real wait.
const NOISE_PART: f64 = 1.5;
const REAL_PART: f64 = 0.4;
/// How far the window moves towards what a queue shows, per sample.
const SHRINK: f64 = 0.3;
/// The largest window.
const MOST: f64 = 10_000.0;
/// Samples before a queue is believed.
const ENOUGH: u32 = 8;

/// What is known of a target's capacity.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Window {
    /// Requests that it bears at once.
    size: f64,
    /// It has shown a queue.
    queued: bool,
    fast: f64,
    quartile: f64,
    samples: u32,
    /// In flight when the samples' requests were sent, averaged.
    in_flight: f64,
    /// Seconds that a request holds a slot.
    holding: f64,
    /// Before the window shrank: its size, how many were in flight then.
    before: Option<(f64, f64)>,
    /// Samples since then that came with half as many in flight.
    halved: u32,
    /// The most in flight at which no queue showed.
    peak: f64,
    /// Doubles until the first queue.
    slow_start: bool,
    /// What another replica knew of its best.
    adopted: Option<f64>,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            size: 8.0,
            queued: false,
            fast: 0.0,
            quartile: 0.0,
            samples: 0,
            in_flight: 0.0,
            holding: 0.0,
            before: None,
            halved: 0,
            peak: 0.0,
            slow_start: true,
            adopted: None,
        }
    }
}

impl Window {
    /// The first content of a request came. `level` is the logarithm of its time to the
    /// first token at an empty prompt, `in_flight` how many were under way with it when it
    /// was sent, `noise` the variance of levels.
    pub fn first_token(&mut self, level: f64, in_flight: u32, noise: f64) {
        let in_flight = f64::from(in_flight.max(1));
        self.samples = self.samples.saturating_add(1);
        if self.samples == 1 {
            (self.fast, self.quartile, self.in_flight) = (level, level, in_flight);
            return;
        }
        self.in_flight += FAST * (in_flight - self.in_flight);
        let (standing, threshold) = self.follow(level, noise);
        if standing > threshold && self.samples > ENOUGH {
            self.waits();
        } else if standing < threshold / 2.0 {
            self.peak = self.peak.max(in_flight);
            self.grow(in_flight);
        }
    }

    /// How far the fast average stands above the quartile, and from where on that is a wait.
    fn follow(&mut self, level: f64, noise: f64) -> (f64, f64) {
        self.fast += FAST * (level - self.fast);
        let spread = noise.sqrt();
        // The step of the lower quartile, in units of the noise; larger at first.
        let step = (SLOW + 1.0 / f64::from(self.samples)) * (spread + 0.05) * 2.0;
        self.quartile += step * (0.25 - f64::from(u8::from(level < self.quartile)));
        (self.fast - self.quartile, REAL_PART + NOISE_PART * spread)
    }

    /// The first content of another replica's request came. It waited in the same queue, so
    /// that the wait says as much as that of one from here would; how many are under way from
    /// here is what it says it about. So each replica finds its part of the slots, and all of
    /// them as soon as one that had seen all requests. That there was no wait only shows that
    /// others are well with what they have: it makes nobody grow.
    pub fn heard(&mut self, level: f64, noise: f64) {
        self.samples = self.samples.saturating_add(1);
        if self.samples == 1 {
            (self.fast, self.quartile, self.in_flight) = (level, level, 1.0);
            return;
        }
        let (standing, threshold) = self.follow(level, noise);
        if standing > threshold && self.samples > ENOUGH {
            self.waits();
        }
    }

    /// A request held its slot for so many seconds, waiting not counted.
    pub fn held(&mut self, seconds: f64) {
        if self.holding == 0.0 {
            self.holding = seconds;
        } else {
            self.holding += 0.1 * (seconds - self.holding);
        }
    }

    fn waits(&mut self) {
        if let Some((size, in_flight)) = self.before
            && self.in_flight <= in_flight / 2.0
        {
            self.halved += 1;
            if self.halved >= 4 {
                // It is slow, not full: this is its speed now.
                self.size = size;
                self.queued = false;
                self.quartile = self.fast;
                (self.before, self.halved) = (None, 0);
                return;
            }
        }
        if self.in_flight < 1.5 {
            // Nobody to queue behind.
            return;
        }
        let wait = self.fast.exp() - self.quartile.exp();
        let holding = self.holding.max(self.quartile.exp());
        let shown = (self.in_flight / (1.0 + wait / holding)).max(1.0);
        if shown < self.size {
            if self.before.is_none() {
                self.before = Some((self.size.min(2.0 * self.in_flight), self.in_flight));
            }
            // A window far beyond what is in flight says nothing; start from there.
            let from = self.size.min(self.in_flight.max(1.0));
            self.size = (from + SHRINK * (shown - from)).max(1.0);
            self.queued = true;
            self.slow_start = false;
        }
    }

    fn grow(&mut self, in_flight: f64) {
        if in_flight < 0.8 * self.size {
            return;
        }
        self.before = None;
        self.halved = 0;
        let step = if self.slow_start { 1.0 } else { 1.0 / self.size };
        self.size = (self.size + step).min(MOST);
    }

    /// Requests that it bears at once, as far as is known.
    pub fn size(&self) -> f64 {
        self.size
    }

    /// Whether it has ever shown a queue.
    pub fn queued(&self) -> bool {
        self.queued
    }

    /// Seconds that a request holds a slot; 0 where that is not known.
    pub fn holding_s(&self) -> f64 {
        self.holding
    }

    /// The most in flight at which no queue showed.
    pub fn peak(&self) -> f64 {
        self.peak
    }

    /// Takes over what another replica knows of its best, where nothing is known here.
    pub fn adopt_potential(&mut self, level: f64) {
        if self.samples <= ENOUGH && !level.is_nan() {
            self.adopted = Some(level);
        }
    }

    /// The lower quartile of log first-token times, slowly followed: what it can do at best.
    /// `None` before there are enough samples.
    pub fn potential(&self) -> Option<f64> {
        if self.samples > ENOUGH { Some(self.quartile) } else { self.adopted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOISE: f64 = 0.01;

    /// A target with `slots` that are held for a second, first tokens after 0.2 s, at a
    /// steady number in flight.
    fn run(window: &mut Window, slots: f64, in_flight: u32, samples: u32) {
        for _ in 0..samples {
            let wait = (f64::from(in_flight) - slots).max(0.0) / slots;
            window.first_token((0.2 + wait).ln(), in_flight, NOISE);
            window.held(1.0);
        }
    }

    #[test]
    fn a_target_without_a_queue_grows_and_is_never_charged() {
        let mut window = Window::default();
        run(&mut window, 1e9, 40, 100);
        assert!(!window.queued());
        assert!(window.size() > 40.0, "{}", window.size());
        assert_eq!(window.peak(), 40.0);
    }

    #[test]
    fn a_queue_shows_the_number_of_slots() {
        let mut window = Window::default();
        run(&mut window, 6.0, 3, 20);
        run(&mut window, 6.0, 14, 12);
        assert!(window.queued());
        assert!((4.0..8.5).contains(&window.size()), "{}", window.size());
    }

    #[test]
    fn what_stays_slow_with_half_as_many_is_a_brown_out() {
        let mut window = Window::default();
        run(&mut window, 1e9, 10, 30);
        let slow = |window: &mut Window, in_flight, samples| {
            for _ in 0..samples {
                window.first_token(1.5f64.ln(), in_flight, NOISE);
            }
        };
        slow(&mut window, 10, 6);
        assert!(window.queued());
        slow(&mut window, 2, 20);
        assert!(!window.queued(), "{window:?}");
        assert!(window.size() >= 8.0, "{window:?}");
    }
}
