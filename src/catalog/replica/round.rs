//! Rounds: messages sent at once, and the answers gathered as they come.

use std::sync::Arc;

use super::Replica;
use crate::book::{BookId, Version};
use crate::catalog::protocol::{Key, Message, Outcome, Peers};

/// A round's number; what came in late for it is dropped with it.
pub(super) struct Round<'a, P: Peers> {
    replica: &'a Arc<Replica<P>>,
    pub number: u64,
}

impl<P: Peers> Drop for Round<'_, P> {
    fn drop(&mut self) {
        self.replica.lock().rounds.remove(&self.number);
    }
}

impl<P: Peers> Replica<P> {
    pub(super) fn round(self: &Arc<Self>) -> Round<'_, P> {
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
        self.world.send(peer, message, done);
    }

    fn arrived(self: &Arc<Self>, round: u64, peer: usize, outcome: Outcome) {
        self.hear(peer, &outcome);
        if let Some(arrived) = self.lock().rounds.get_mut(&round) {
            arrived.push((peer, outcome));
        }
        self.world.wake(Key::Round(round));
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
        let until = self.in_time(self.setup.whole);
        let mut inner = self.lock();
        while inner.rounds[&round.number].len() < peers.len() && self.now().monotonic < until {
            inner = self.wait(inner, Key::Round(round.number), until);
        }
        let arrived = inner
            .rounds
            .get_mut(&round.number)
            .map(std::mem::take)
            .unwrap_or_default();
        drop(inner);
        arrived
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
            self.world.send(peer, message, Box::new(|_| ()));
        }
    }
}
