//! Round robin over the servers of one tier, those known to be slow or down last.

use std::iter;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::membership::health_check::HealthCheck;
use crate::model::address::Address;
use crate::runtime::sync;

/// How long the last server that is up has before one is asked that counts as slow or down: it may
/// hang, and the other be well. If that one hangs, too, "out of stock" is no promise any more.
pub(super) const LAST_PATIENCE: Duration = Duration::from_millis(200);

/// The servers of one tier, and the one whose turn is next.
#[derive(Debug)]
pub(crate) struct RoundRobin {
    servers: Vec<Arc<HealthCheck>>,
    /// Held for moments only.
    next: Mutex<usize>,
}

impl RoundRobin {
    pub(super) fn new(servers: Vec<Arc<HealthCheck>>) -> RoundRobin {
        let next = Mutex::default();
        RoundRobin { servers, next }
    }

    /// Every server once, with its index: first those that are up, beginning with the one whose
    /// turn it is, then those known to be slow or down. The turn moves on with each.
    pub(super) fn attempts(&self) -> impl Iterator<Item = (usize, &Arc<HealthCheck>)> {
        let servers = &self.servers;
        let mut tried: Vec<usize> = Vec::new();
        iter::from_fn(move || {
            let mut next = sync::lock(&self.next);
            let in_turn = (0..servers.len()).map(|i| (*next + i) % servers.len());
            let left: Vec<usize> = in_turn.filter(|i| !tried.contains(i)).collect();
            let up = left.iter().find(|i| servers[**i].up());
            let chosen = *up.or(left.first())?;
            *next = (chosen + 1) % servers.len();
            tried.push(chosen);
            Some((chosen, &servers[chosen]))
        })
    }

    /// Why those that are down are, for people.
    pub(super) fn why_down(&self) -> impl Iterator<Item = String> {
        let down = self.servers.iter().filter(|server| server.is_down());
        down.map(|server| server.why_down())
    }

    /// Every server, and whether it is up, or just slow.
    pub(super) fn servers(&self) -> impl Iterator<Item = (Address, bool)> {
        let seen = |server: &Arc<HealthCheck>| (server.address.clone(), !server.is_down());
        self.servers.iter().map(seen)
    }

    pub(super) fn count(&self) -> usize {
        self.servers.len()
    }

    /// How many servers are worth asking: those that are up; while none is, any may be the one that
    /// does not hang.
    pub(super) fn count_worth_asking(&self) -> usize {
        match self.up_count() {
            0 => self.servers.len(),
            up => up,
        }
    }

    /// How many servers are up.
    pub(super) fn up_count(&self) -> usize {
        self.servers.iter().filter(|server| server.up()).count()
    }

    /// How many servers are up, or just slow.
    pub(super) fn ready_count(&self) -> usize {
        let ready = self.servers.iter().filter(|server| !server.is_down());
        ready.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front_end::CATALOG;

    fn servers(up: &[bool]) -> RoundRobin {
        let health_check = |up: &bool| {
            let health_check = HealthCheck::new(Address::parse("http://a:1").unwrap(), CATALOG);
            health_check.report(*up);
            Arc::new(health_check)
        };
        RoundRobin::new(up.iter().map(health_check).collect())
    }

    /// The server that each of `n` requests tries first.
    fn firsts(servers: &RoundRobin, n: usize) -> Vec<usize> {
        (0..n)
            .map(|_| servers.attempts().next().unwrap().0)
            .collect()
    }

    #[test]
    fn each_server_takes_its_turn() {
        assert_eq!(
            firsts(&servers(&[true, true, true]), 7),
            [0, 1, 2, 0, 1, 2, 0]
        );
    }

    #[test]
    fn a_server_known_to_be_down_is_tried_last() {
        let servers = servers(&[true, false, true]);
        assert_eq!(firsts(&servers, 4), [0, 2, 0, 2]);
        let all: Vec<usize> = servers.attempts().map(|(i, _)| i).collect();
        assert_eq!(all, [0, 2, 1]);
    }

    #[test]
    fn a_server_that_is_back_takes_its_turn() {
        let servers = servers(&[true, false]);
        assert_eq!(firsts(&servers, 2), [0, 0]);
        servers.servers[1].report(true);
        assert_eq!(firsts(&servers, 2), [1, 0]);
    }

    #[test]
    fn when_all_are_down_each_is_tried_once() {
        let servers = servers(&[false, false]);
        assert!(servers.up_count() == 0);
        assert_eq!(servers.attempts().count(), 2);
        assert_eq!(RoundRobin::new(Vec::new()).attempts().count(), 0);
    }
}
