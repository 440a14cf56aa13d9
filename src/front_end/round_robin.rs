//! Taking the servers behind in turn: round robin, those known to be down last.

use std::sync::{Arc, Mutex};

use crate::membership::health_check::HealthCheck;

/// The servers of one kind, and whose turn it is.
#[derive(Debug)]
pub struct RoundRobin {
    servers: Vec<Arc<HealthCheck>>,
    /// Held for a moment only.
    next: Mutex<usize>,
}

/// The tries of one request: each server at most once.
#[derive(Debug)]
pub struct Attempts<'a> {
    turns: &'a RoundRobin,
    tried: Vec<usize>,
}

impl RoundRobin {
    pub fn new(servers: Vec<Arc<HealthCheck>>) -> RoundRobin {
        RoundRobin {
            servers,
            next: Mutex::new(0),
        }
    }

    /// Gives each server once: first those that are up, from the one whose turn it is, then those
    /// known to be down. The turn moves on with each.
    pub fn tries(&self) -> Attempts<'_> {
        Attempts {
            turns: self,
            tried: Vec::new(),
        }
    }

    pub fn servers(&self) -> &[Arc<HealthCheck>] {
        &self.servers
    }

    pub fn any_up(&self) -> bool {
        self.servers.iter().any(|server| server.up())
    }
}

impl<'a> Iterator for Attempts<'a> {
    type Item = (usize, &'a HealthCheck);

    fn next(&mut self) -> Option<(usize, &'a HealthCheck)> {
        let servers = &self.turns.servers;
        let mut next = self.turns.next.lock().expect("no holder panics");
        let turn = (0..servers.len()).map(|i| (*next + i) % servers.len());
        let left: Vec<usize> = turn.filter(|i| !self.tried.contains(i)).collect();
        let up = left.iter().find(|i| servers[**i].up());
        let chosen = *up.or(left.first())?;
        *next = (chosen + 1) % servers.len();
        self.tried.push(chosen);
        Some((chosen, &servers[chosen]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::address::Address;

    fn turns(up: &[bool]) -> RoundRobin {
        let watch = |up: &bool| {
            let watch = HealthCheck::new(Address::parse("http://a:1").unwrap());
            watch.found(*up);
            Arc::new(watch)
        };
        RoundRobin::new(up.iter().map(watch).collect())
    }

    /// The server that each of `n` requests tries first.
    fn firsts(turns: &RoundRobin, n: usize) -> Vec<usize> {
        (0..n).map(|_| turns.tries().next().unwrap().0).collect()
    }

    #[test]
    fn each_is_taken_in_turn() {
        assert_eq!(
            firsts(&turns(&[true, true, true]), 7),
            [0, 1, 2, 0, 1, 2, 0]
        );
    }

    #[test]
    fn a_server_known_to_be_down_is_tried_last() {
        let turns = turns(&[true, false, true]);
        assert_eq!(firsts(&turns, 4), [0, 2, 0, 2]);
        let all: Vec<usize> = turns.tries().map(|(i, _)| i).collect();
        assert_eq!(all, [0, 2, 1]);
    }

    #[test]
    fn a_server_that_is_back_takes_its_turn() {
        let turns = turns(&[true, false]);
        assert_eq!(firsts(&turns, 2), [0, 0]);
        turns.servers()[1].found(true);
        assert_eq!(firsts(&turns, 2), [1, 0]);
    }

    #[test]
    fn when_all_are_down_each_is_tried_once() {
        let turns = turns(&[false, false]);
        assert!(!turns.any_up());
        assert_eq!(turns.tries().count(), 2);
        assert_eq!(RoundRobin::new(Vec::new()).tries().count(), 0);
    }
}
