//! Outages of single servers: a crash or a stop, and its end. One catalog that has caught up always
//! stays, because that is the protocol's promise.

use std::sync::Arc;

use super::Cluster;
use crate::catalog::shelf::copy_state::CopyState;
use crate::catalog::sim::scheduler::event_queue::{Incarnation, Micros};

impl Cluster {
    /// Crashes or stops the server, and ends that after a while. The caller has asked
    /// [`Cluster::may_fail`].
    pub(crate) fn outage(self: &Arc<Self>, node: usize) {
        if self.scheduler.chance(self.parameters.faults.crash) {
            self.crash(node);
            let pause = self.either_between((1.0, 20.0), (20.0, 1500.0));
            self.scheduler.sleep(pause);
            self.start_if_down(node);
        } else {
            let incarnation = self.scheduler.incarnation(node);
            self.stop(node);
            let pause = self.either_between((1.0, 100.0), (300.0, 2500.0));
            self.scheduler.sleep(pause);
            if self.scheduler.is_alive(incarnation) {
                self.resume(node);
            }
        }
    }

    /// Starts the server unless another task has done so.
    pub(crate) fn start_if_down(self: &Arc<Self>, node: usize) {
        if !self.scheduler.is_up(node) {
            self.change_folder(node);
            self.start(node);
        }
    }

    /// What may have become of a catalog's folder. Another catalog must serve then, or the shop's
    /// books would really be gone.
    fn change_folder(&self, node: usize) {
        let faults = &self.parameters.faults;
        let lost = self.scheduler.chance(faults.lost_folder);
        let old = self.scheduler.chance(faults.old_folder);
        let mut others = (0..self.parameters.catalogs).filter(|other| *other != node);
        if !lost && !old || !others.any(|other| self.runs_and_has_caught_up(other)) {
            return;
        }
        let mut state = self.state();
        let Some(catalog) = state.catalogs.get_mut(node) else {
            return;
        };
        let earlier = catalog.disk.older.len().saturating_sub(1);
        if lost {
            self.trace.count("lost folder");
            catalog.disk.lose();
        } else if 0 < earlier {
            self.trace.count("old folder");
            let crash = self.scheduler.draw(|rng| rng.usize(..earlier));
            catalog.disk.put_back(crash);
        }
    }

    /// A random time in one of two ranges of milliseconds.
    pub(crate) fn either_between(&self, short: (f64, f64), long: (f64, f64)) -> Micros {
        let is_short = self.scheduler.draw(|rng| rng.bool());
        let (low, high) = if is_short { short } else { long };
        self.scheduler.between(low, high)
    }

    /// A catalog takes a step of a write, which may be its last for a while.
    pub(super) fn step(self: &Arc<Self>, incarnation: Incarnation) {
        if self.scheduler.chance(self.parameters.faults.at_step) {
            self.outage_soon(incarnation);
        }
    }

    /// A catalog asks another one for something, to come back or to catch up. One of the two fails.
    pub(super) fn return_step(self: &Arc<Self>, node: usize, asked: usize) {
        if self.scheduler.chance(self.parameters.faults.at_return) {
            let fails = self.scheduler.draw(|rng| [node, asked][rng.usize(..2)]);
            if self.scheduler.is_up(fails) {
                self.trace.count("outage in a return");
                self.outage_soon(self.scheduler.incarnation(fails));
            }
        }
    }

    fn outage_soon(self: &Arc<Self>, incarnation: Incarnation) {
        let delay = match self.scheduler.draw(|rng| rng.u8(..3)) {
            0 => 0,
            1 => self.scheduler.between(0.0, 3.0),
            _ => self.scheduler.between(0.0, 30.0),
        };
        let cluster = self.clone();
        self.scheduler.spawn_in(delay, None, move || {
            let alive = cluster.scheduler.is_alive(incarnation);
            if alive && !cluster.scheduler.chance_is_over() && cluster.may_fail(incarnation.node) {
                cluster.trace.count("outage at a step");
                cluster.outage(incarnation.node);
            }
        });
    }

    /// Whether this server runs, and a catalog that has caught up runs beside it.
    pub(crate) fn may_fail(&self, node: usize) -> bool {
        let mut others = (0..self.parameters.catalogs).filter(|other| *other != node);
        self.scheduler.is_running(node)
            && (self.parameters.catalogs <= node
                || !self.parameters.faults.spares_one
                || others.any(|other| self.runs_and_has_caught_up(other)))
    }

    fn runs_and_has_caught_up(&self, node: usize) -> bool {
        self.scheduler.is_running(node) && {
            let replica = self.replica(node);
            let copy = |id| replica.peek(id);
            let valid = |id| copy(id).is_some_and(|(_, state, _)| state == CopyState::Valid);
            self.parameters.stock.iter().all(|book| valid(book.id)) && self.serves(node)
        }
    }
}
