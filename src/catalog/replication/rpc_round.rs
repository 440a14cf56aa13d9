//! Rounds: messages sent at once, and the answers gathered as they come.

use std::sync::Arc;
use std::time::Duration;

use super::Replica;
use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::messages::{Message, Outcome};
use crate::model::book::{BookId, Version};

/// A round's number; what came in late for it is dropped with it.
pub(super) struct Round<'a, E: Environment> {
    replica: &'a Arc<Replica<E>>,
    pub number: u64,
}

impl<E: Environment> Drop for Round<'_, E> {
    fn drop(&mut self) {
        self.replica.lock().rounds.remove(&self.number);
    }
}

impl<E: Environment> Replica<E> {
    pub(super) fn round(self: &Arc<Self>) -> Round<'_, E> {
        let mut inner = self.lock();
        let number = inner.next_round;
        inner.next_round += 1;
        inner.rounds.insert(number, Vec::new());
        Round {
            replica: self,
            number,
        }
    }

    /// Sends within a round; the outcome is put with the round's answers.
    pub(super) fn post(self: &Arc<Self>, round: u64, peer: usize, message: Message) {
        let replica = self.clone();
        let done = Box::new(move |outcome| replica.arrived(round, peer, outcome));
        self.env.send(peer, message, done);
    }

    fn arrived(self: &Arc<Self>, round: u64, peer: usize, outcome: Outcome) {
        self.hear(peer, &outcome);
        self.came_in(round, peer, outcome);
    }

    /// Puts an answer with its round's, unless that is over.
    pub(super) fn came_in(&self, round: u64, from: usize, outcome: Outcome) {
        if let Some(arrived) = self.lock().rounds.get_mut(&round) {
            arrived.push((from, outcome));
        }
        self.env.wake(WaitKey::Round(round));
    }

    /// Takes the answers of a round, once so many have come in or the time is over.
    pub(super) fn gather(
        &self,
        round: u64,
        wanted: usize,
        time: Duration,
    ) -> Vec<(usize, Outcome)> {
        let until = self.in_time(time);
        let mut inner = self.lock();
        while inner.rounds[&round].len() < wanted && self.now().monotonic < until {
            inner = self.wait(inner, WaitKey::Round(round), until);
        }
        let arrived = inner.rounds.get_mut(&round).map(std::mem::take);
        arrived.unwrap_or_default()
    }

    /// Sends one message to these peers and waits for every outcome.
    pub(super) fn ask_all(
        self: &Arc<Self>,
        peers: &[usize],
        message: &Message,
    ) -> Vec<(usize, Outcome)> {
        let round = self.round();
        for peer in peers {
            self.post(round.number, *peer, message.clone());
        }
        self.gather(round.number, peers.len(), self.config.timeout)
    }

    /// Sends one message to one peer.
    pub(super) fn ask(self: &Arc<Self>, peer: usize, message: Message) -> Outcome {
        self.ask_all(&[peer], &message)
            .pop()
            .map_or(Outcome::Silent, |(_, outcome)| outcome)
    }

    /// Step 7: tells the live peers that these have come true; need not wait for their answers.
    pub(super) fn confirm(self: &Arc<Self>, versions: Vec<(BookId, Version)>) {
        let live: Vec<usize> = self.lock().contact.live_peers().collect();
        for peer in live {
            let message = Message::Confirm {
                versions: versions.clone(),
            };
            self.env.send(peer, message, Box::new(|_| ()));
        }
    }
}
