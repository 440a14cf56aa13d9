//! Rounds: messages sent together, whose outcomes are collected as they arrive.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::messages::{Message, Outcome};
use crate::catalog::replication::{Inner, Replica};
use crate::model::invalidation::Invalidation;

/// What came of messages, by peer or front-end.
pub(super) type Outcomes = Vec<(usize, Outcome)>;

/// A round of messages. Outcomes that arrive after it was dropped are dropped too.
pub(super) struct RpcRound<'a, E: Environment> {
    replica: &'a Arc<Replica<E>>,
    pub(super) number: u64,
}

impl<E: Environment> Drop for RpcRound<'_, E> {
    fn drop(&mut self) {
        self.replica.lock().rounds.remove(&self.number);
    }
}

impl<E: Environment> RpcRound<'_, E> {
    /// Sends a message to a peer. What came of it also tells something about the peer.
    pub(super) fn send(&self, peer: usize, message: Message) {
        let (replica, number) = (self.replica.clone(), self.number);
        let on_outcome = move |outcome| {
            replica.on_outcome(peer, &outcome);
            replica.add_outcome(number, peer, outcome);
        };
        self.replica.env.send(peer, message, Box::new(on_outcome));
    }

    /// Sends an invalidation to a front-end.
    pub(super) fn invalidate(&self, front_end: usize, invalidation: &Invalidation) {
        let (replica, number) = (self.replica.clone(), self.number);
        let on_outcome = Box::new(move |outcome| replica.add_outcome(number, front_end, outcome));
        let env = &self.replica.env;
        env.invalidate(front_end, invalidation.clone(), on_outcome);
    }

    /// Takes the outcomes that have arrived, by peer or front-end.
    pub(super) fn take(&self, inner: &mut Inner) -> Outcomes {
        let arrived = inner.rounds.get_mut(&self.number);
        std::mem::take(arrived.expect("a round lasts until it is dropped"))
    }

    /// Waits until `wanted` outcomes have arrived, at most for `timeout`, and takes them.
    pub(super) fn collect(&self, wanted: usize, timeout: Duration) -> Outcomes {
        let replica = self.replica;
        let until = replica.deadline(timeout);
        let more = |inner: &Inner| inner.rounds[&self.number].len() < wanted;
        let key = WaitKey::Round(self.number);
        self.take(&mut replica.wait_while(replica.lock(), key, until, more))
    }
}

impl<E: Environment> Replica<E> {
    pub(super) fn rpc_round(self: &Arc<Self>) -> RpcRound<'_, E> {
        let mut inner = self.lock();
        let number = inner.next_round;
        inner.next_round += 1;
        inner.rounds.insert(number, Vec::new());
        RpcRound {
            replica: self,
            number,
        }
    }

    /// Adds an outcome to its round, unless that is over.
    fn add_outcome(&self, round: u64, from: usize, outcome: Outcome) {
        if let Some(arrived) = self.lock().rounds.get_mut(&round) {
            arrived.push((from, outcome));
        }
        self.env.wake(WaitKey::Round(round));
    }

    /// Sends one message to these peers and waits for every outcome. A peer whose outcome does not
    /// arrive in time is missing in the result.
    pub(super) fn ask_all(self: &Arc<Self>, peers: &[usize], message: &Message) -> Outcomes {
        let round = self.rpc_round();
        for peer in peers {
            round.send(*peer, message.clone());
        }
        round.collect(peers.len(), self.config.timeout)
    }

    /// Sends one message to one peer.
    pub(super) fn ask(self: &Arc<Self>, peer: usize, message: Message) -> Outcome {
        let outcome = self.ask_all(&[peer], &message).pop();
        outcome.map_or(Outcome::Silent, |(_, outcome)| outcome)
    }
}
