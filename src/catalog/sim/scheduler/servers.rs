//! Servers that start, crash, stop and resume, as far as their events and tasks are concerned.

use super::event_queue::{Action, Incarnation, Status};
use super::{Scheduler, State};

impl Scheduler {
    /// Whether this start of the server has not crashed.
    pub(crate) fn is_alive(&self, incarnation: Incarnation) -> bool {
        self.lock().queue.status(incarnation) != Status::Crashed
    }

    /// Whether the server is up, stopped or not.
    pub(crate) fn is_up(&self, node: usize) -> bool {
        self.lock().queue.is_up(node)
    }

    /// Whether the server is up and not stopped.
    pub(crate) fn is_running(&self, node: usize) -> bool {
        let state = self.lock();
        state.queue.status(state.queue.incarnation(node)) == Status::Running
    }

    pub(crate) fn incarnation(&self, node: usize) -> Incarnation {
        self.lock().queue.incarnation(node)
    }

    pub(crate) fn start(&self, node: usize) -> Incarnation {
        self.lock().queue.start(node)
    }

    /// Drops all that the server was about to do, and ends its tasks now.
    pub(crate) fn crash(&self, node: usize) {
        let mut state = self.lock();
        let deferred = state.queue.crash(node);
        let of_node = |(_, of): &(usize, Option<Incarnation>)| of.is_some_and(|of| of.node == node);
        let State { waits, queue, .. } = &mut *state;
        for (wait, _) in waits.iter().filter(|(_, wait)| of_node(wait)) {
            queue.add(0, None, Action::Wake(*wait));
        }
        drop(state);
        drop(deferred);
    }

    pub(crate) fn stop(&self, node: usize) {
        self.lock().queue.stop(node);
    }

    /// Ends a stop: what the server missed happens now, in the same order or in any (`shuffle`).
    pub(crate) fn resume(&self, node: usize, shuffle: bool) {
        let State { queue, rng, .. } = &mut *self.lock();
        queue.resume(node, shuffle.then_some(rng));
    }
}
