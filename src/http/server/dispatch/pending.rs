//! A request that a service has taken, to answer it later on whatever thread has the answer: a
//! thread that waits for what another one does would have to be woken, which costs as much as the
//! answer.

use std::sync::Arc;

use super::Dispatcher;
use super::worker_pools::{Pool, Rest, Task};
use crate::http::server::exchange::Exchange;
use crate::http::{Request, Response};
use crate::model::error::Error;

/// A request that is to be answered. If it is dropped, its client gets a 500.
pub(crate) struct Pending {
    dispatcher: Arc<Dispatcher>,
    /// `None`: it is answered, or others answer it.
    exchange: Option<Box<Exchange>>,
}

impl Pending {
    pub(super) fn new(dispatcher: Arc<Dispatcher>, exchange: Box<Exchange>) -> Pending {
        Pending {
            dispatcher,
            exchange: Some(exchange),
        }
    }

    pub(crate) fn request(&self) -> &Request {
        let exchange = self.exchange.as_ref();
        &exchange.expect("only its end takes it").request
    }

    /// Sends the response. Waits for no client that does not read.
    pub(crate) fn reply(mut self, response: Response) {
        if let Some(exchange) = self.exchange.take() {
            self.dispatcher.reply(exchange, response);
        }
    }

    /// Lets a thread for clients' requests find the response. If too many wait for one, this thread
    /// does it: part of the work was done.
    pub(crate) fn finish_with(mut self, rest: impl FnOnce() -> Response + Send + 'static) {
        let Some(exchange) = self.exchange.take() else {
            return;
        };
        let task = Task::Finish(exchange, Box::new(rest));
        if let Err(Task::Finish(exchange, rest)) = self.dispatcher.try_submit(Pool::Client, task) {
            self.dispatcher.finish_with(exchange, rest);
        }
    }

    pub(super) fn into_exchange(mut self) -> Option<Box<Exchange>> {
        self.exchange.take()
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            self.dispatcher.fail(exchange, Error::Internal);
        }
    }
}

impl Dispatcher {
    /// Whether the service has taken the request. Otherwise gives it back. Nothing that is traced
    /// is taken: a thread that answers several requests notes for none what it does.
    pub(super) fn try_join(self: &Arc<Self>, exchange: Box<Exchange>) -> Option<Box<Exchange>> {
        if exchange.context.span.is_some() {
            return Some(exchange);
        }
        let pending = Pending::new(self.clone(), exchange);
        let joined = self.guarded(|| self.service.clone().try_join(pending));
        // If it panicked, it has dropped the request, which is answered thereby.
        let refused = joined.ok().and_then(Result::err);
        refused.and_then(Pending::into_exchange)
    }

    pub(super) fn finish_with(self: &Arc<Self>, exchange: Box<Exchange>, rest: Rest) {
        match self.guarded(rest) {
            Ok(response) => self.reply(exchange, response),
            Err(error) => self.fail(exchange, error),
        }
    }
}
