//! Messages to another catalog.

use std::sync::Arc;
use std::time::Duration;

use super::{BATCHES_ENOUGH, Destination, Payload, Sender, THREADS_MAX};
use crate::catalog::replication::env::OnOutcome;
use crate::catalog::replication::messages::{Message, Outcome, Reply, UpdatedReply};
use crate::catalog::transport::codec::{reply, request};
use crate::config::Limits;
use crate::http::Method::Put;
use crate::http::client::Client;
use crate::model::address::Address;
use crate::runtime::metrics::Histogram;

/// The messages to one catalog.
pub(crate) struct PeerSender {
    /// A thread and a connection that nothing else can occupy.
    heartbeats: Sender<Message>,
    updates: Sender<Message>,
    confirms: Sender<Message>,
    others: Sender<Message>,
}

impl PeerSender {
    /// `heartbeat_timeout` is the time limit of a heartbeat; `update_seconds` observes how long
    /// updates take.
    pub(crate) fn new(
        address: &Address,
        limits: Limits,
        heartbeat_timeout: Duration,
        token: Option<&str>,
        update_seconds: &Arc<Histogram>,
    ) -> PeerSender {
        let heartbeat_limits = Limits {
            connect: limits.connect.min(heartbeat_timeout),
            whole: heartbeat_timeout,
        };
        // Every message between catalogs may arrive twice.
        let client = Client::new(limits, token).idempotent();
        let heartbeat_client = Client::new(heartbeat_limits, token).idempotent();
        let sender = |client: &Client, seconds, kind: &str, threads_max, batches_enough| {
            let to = Destination {
                address: address.clone(),
                client: client.clone(),
                seconds,
            };
            let name = format!("{kind} {address}");
            Sender::for_destination(to, &name, threads_max, batches_enough)
        };
        let seconds = Some(update_seconds.clone());
        PeerSender {
            heartbeats: sender(&heartbeat_client, None, "heartbeat", 1, None),
            updates: sender(&client, seconds, "update to", THREADS_MAX, BATCHES_ENOUGH),
            confirms: sender(&client, None, "confirm to", THREADS_MAX, BATCHES_ENOUGH),
            others: sender(&client, None, "to", THREADS_MAX, None),
        }
    }

    pub(crate) fn send(&self, message: Message, on_outcome: OnOutcome) {
        let sender = match message {
            Message::Heartbeat(_) => &self.heartbeats,
            Message::Update(_) => &self.updates,
            Message::Confirm(_) => &self.confirms,
            _ => &self.others,
        };
        sender.send(message, on_outcome);
    }
}

impl Payload for Message {
    /// Changes of single books travel together, each of another book, if their sender says the same
    /// of itself with each.
    fn joins(&self, other: &Message) -> bool {
        let same_kind = match (self, other) {
            (Message::Update(ours), Message::Update(theirs)) => ours.sender == theirs.sender,
            (Message::Confirm(_), Message::Confirm(_)) => true,
            _ => false,
        };
        let (id, other_id) = (request::subject(self), request::subject(other));
        same_kind && id.is_some() && other_id.is_some() && id != other_id
    }

    fn send(batch: &[&Message], to: &Destination) -> Option<Outcome> {
        let message = combine(batch);
        let body = request::body(&message);
        let answer = to.call(Put, &request::path(&message), Some(&body));
        let answered = answer.is_ok();
        let outcome = reply::outcome(&message, answer);
        let refused = answered && outcome == Outcome::Silent && 1 < batch.len();
        (!refused).then_some(outcome)
    }

    /// Conflicts concern the message about their book.
    fn part_of(&self, outcome: &Outcome) -> Outcome {
        match (outcome, request::subject(self)) {
            (Outcome::Reply(Reply::Updated(updated)), Some(id)) => {
                let own = updated.conflicts.iter().filter(|(book, _)| book.id == id);
                let conflicts = own.cloned().collect();
                Outcome::Reply(Reply::Updated(UpdatedReply {
                    conflicts,
                    ..*updated
                }))
            }
            _ => outcome.clone(),
        }
    }
}

fn combine(batch: &[&Message]) -> Message {
    let (first, others) = batch.split_first().expect("a batch has a message");
    let mut combined = (*first).clone();
    for other in others {
        match (&mut combined, other) {
            (Message::Update(all), Message::Update(one)) => all.books.extend_from_slice(&one.books),
            (Message::Confirm(all), Message::Confirm(one)) => {
                all.versions.extend_from_slice(&one.versions);
            }
            _ => unreachable!("no other kinds join"),
        }
    }
    combined
}
