//! Everything random of a run, drawn from its seed.

use super::Scheduler;
use super::event_queue::Micros;

impl Scheduler {
    /// Draws from the seed.
    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut self.lock().rng)
    }

    /// Whether something of this probability happens. What never happens draws nothing.
    pub(crate) fn chance(&self, probability: f64) -> bool {
        let state = &mut *self.lock();
        0.0 < probability && !state.chance_is_over && state.rng.f64() < probability
    }

    /// From now on nothing happens by [`Scheduler::chance`].
    pub(crate) fn end_chance(&self) {
        self.lock().chance_is_over = true;
    }

    pub(crate) fn chance_is_over(&self) -> bool {
        self.lock().chance_is_over
    }

    /// A random time between two numbers of milliseconds.
    pub(crate) fn between(&self, low_ms: f64, high_ms: f64) -> Micros {
        self.draw(|rng| ((low_ms + (high_ms - low_ms) * rng.f64()) * 1000.0) as Micros)
    }
}
