//! Invalidations to a front-end.

use std::time::Duration;

use super::{BATCHES_ENOUGH, Destination, Payload, Sender, THREADS_MAX};
use crate::catalog::replication::messages::Outcome;
use crate::config::Limits;
use crate::http::Method::Delete;
use crate::http::encode;
use crate::model::address::Address;
use crate::model::invalidation::{self, Invalidation};

/// The invalidations to one front-end.
pub(crate) type InvalidationSender = Sender<Invalidation>;

impl InvalidationSender {
    /// `timeout` is the time that a front-end has to obey.
    pub(crate) fn new(
        address: &Address,
        limits: Limits,
        timeout: Duration,
        token: Option<&str>,
    ) -> InvalidationSender {
        let to = Destination::front_end(address, limits, timeout, token);
        Sender::for_destination(to, &format!("to {address}"), THREADS_MAX, BATCHES_ENOUGH)
    }
}

impl Payload for Invalidation {
    fn joins(&self, other: &Invalidation) -> bool {
        matches!(
            (self, other),
            (Invalidation::Item(_), Invalidation::Item(_))
        )
    }

    fn send(batch: &[&Invalidation], to: &Destination) -> Option<Outcome> {
        let path = invalidation::path(batch.iter().copied(), encode);
        Some(to.obeyed(Delete, &path, None))
    }
}
