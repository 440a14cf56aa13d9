//! Holds and releases to a front-end, of catalogs that have their books in etcd.

use std::sync::Arc;
use std::time::Duration;

use super::{Destination, Payload, Sender, THREADS_MAX};
use crate::catalog::replication::messages::Outcome;
use crate::config::Limits;
use crate::http::Method::Put;
use crate::model::address::Address;
use crate::model::hold::Hold;

/// The holds and releases to one front-end.
pub(crate) type HoldSender = Sender<Sent>;

/// What is sent.
pub(crate) enum Sent {
    Hold(Arc<Hold>),
    Release(Arc<Hold>),
}

impl HoldSender {
    /// `timeout` is the time that a front-end has to obey.
    pub(crate) fn to(
        address: &Address,
        limits: Limits,
        timeout: Duration,
        token: Option<&str>,
    ) -> HoldSender {
        let to = Destination::front_end(address, limits, timeout, token);
        Sender::for_destination(to, &format!("hold {address}"), THREADS_MAX, None)
    }
}

impl Payload for Sent {
    /// A hold has the changes of a whole txn already.
    fn joins(&self, _: &Sent) -> bool {
        false
    }

    fn send(batch: &[&Sent], to: &Destination) -> Option<Outcome> {
        let (path, hold) = match batch[0] {
            Sent::Hold(hold) => ("/hold", hold),
            Sent::Release(release) => ("/release", release),
        };
        let body = serde_json::to_vec(&**hold).expect("a hold is JSON");
        Some(to.obeyed(Put, path, Some(&body)))
    }
}
