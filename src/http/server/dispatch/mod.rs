//! Decides which thread does what for a request: reads its body, answers it, sends the response.
//!
//! A receiving thread does only what does not wait:
//!
//! 1. [`Connections`] hold a request back whose predecessor on the connection is unanswered.
//! 2. `fast_path`: a response that the service has ready is sent right away.
//! 3. A body that has yet to come is read by a pool for bodies, unless its request is refused all
//!    the same: `early_refusal`.
//! 4. A request that a service can answer together with others joins them: `pending`.
//! 5. A request that waits for other servers or the disk is answered by the pool of its lane.
//! 6. `response_writer`: a long response, or one that the client does not take at once, is sent by
//!    a pool for that.
//!
//! `worker_pools` lists the pools, `common_routes` holds what every server answers.

mod common_routes;
mod early_refusal;
mod fast_path;
mod pending;
mod response_writer;
mod worker_pools;

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::http::server::auth;
use crate::http::server::connections::{Admission, Connections};
use crate::http::server::exchange::{self, Exchange};
use crate::http::server::head::{self, Raw};
use crate::http::server::metrics::ServerMetrics;
use crate::http::server::origin;
use crate::http::server::wakeups::{self, Wakeups};
use crate::http::server::{Lane, ServerConfig, Service};
use crate::http::{Method, Request, Response};
use crate::model::error::{Error, Result};
use crate::runtime::span;
pub(crate) use pending::Pending;
use worker_pools::{Pool, Task, WorkerPools};

/// How long a body may take, in multiples of the silence that closes a connection. Then its request
/// is forgotten.
const BODY_IDLES_MAX: u32 = 3;

/// All that the threads of one server share.
pub(super) struct Dispatcher {
    pub(super) config: ServerConfig,
    pub(super) connections: Connections,
    pub(super) wakeups: Wakeups,
    pub(super) metrics: ServerMetrics,
    service: Arc<dyn Service>,
    pools: WorkerPools,
    /// The headers of a response whose connection stays open.
    keep_alive: String,
    /// The answer to `/openapi.json`, once it was asked for.
    openapi: OnceLock<Arc<[u8]>>,
    /// This server ends: it is not ready for more, and every response closes its connection.
    is_ending: AtomicBool,
    /// Its threads end.
    has_ended: AtomicBool,
}

impl Dispatcher {
    pub(super) fn new(
        config: ServerConfig,
        service: Arc<dyn Service>,
        address: SocketAddr,
    ) -> Dispatcher {
        Dispatcher {
            pools: WorkerPools::new(&config),
            keep_alive: keep_alive(config.idle),
            connections: Connections::new(config.idle),
            wakeups: Wakeups::new(address),
            metrics: ServerMetrics::default(),
            config,
            service,
            openapi: OnceLock::new(),
            is_ending: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
        }
    }

    pub(super) fn begin_ending(&self) {
        self.is_ending.store(true, Relaxed);
    }

    fn is_ending(&self) -> bool {
        self.is_ending.load(Relaxed)
    }

    /// Ends the threads of this server.
    pub(super) fn end(&self) {
        self.has_ended.store(true, Relaxed);
        self.wakeups.end();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Relaxed)
    }

    /// Takes a request from a receiving thread and never keeps that thread waiting.
    pub(super) fn receive(self: &Arc<Self>, raw: Raw) {
        let now = Instant::now();
        match self.connections.admit(head::peer(&raw), raw, now) {
            Admission::Admit { raw, new } => {
                if new {
                    self.wakeups.request(wakeups::FOR_NEW_CONNECTION);
                }
                self.begin(raw, now);
            }
            Admission::Wait => (),
            Admission::Drop(raw) => self.drop_unanswered([raw]),
        }
    }

    /// Begins with an admitted request.
    fn begin(self: &Arc<Self>, raw: Raw, started: Instant) {
        let Some(raw) = self.try_answer(raw, started) else {
            return;
        };
        let exchange = Box::new(self.exchange(raw, started));
        if !exchange::is_unread(&exchange.raw) {
            return self.read_body(exchange);
        }
        if exchange.refused.is_some() {
            return self.refuse_unread(exchange);
        }
        let from_server = exchange.is_from_server() && self.admits(&exchange.raw);
        let pool = if from_server {
            Pool::PeerBody
        } else {
            Pool::ClientBody
        };
        if let Err(Task::ReadBody(exchange)) = self.try_submit(pool, Task::ReadBody(exchange)) {
            self.forget(exchange);
        }
    }

    fn exchange(&self, raw: Raw, started: Instant) -> Exchange {
        let span = head::span(&raw, started, self.config.traces_all);
        let mut exchange = Exchange::new(raw, started, |raw| self.admits(raw));
        exchange.context.span = span;
        exchange
    }

    fn read_body(self: &Arc<Self>, mut exchange: Box<Exchange>) {
        if head::has_body(&exchange.raw) {
            let deadline = exchange.context.started + self.config.idle * BODY_IDLES_MAX;
            let trusted = self.admits(&exchange.raw);
            if !exchange.read_body(trusted, deadline) {
                return self.forget(exchange);
            }
        }
        match exchange.refused.take() {
            Some(error) => self.reply(exchange, error.into()),
            None => self.dispatch(exchange),
        }
    }

    fn dispatch(self: &Arc<Self>, mut exchange: Box<Exchange>) {
        if head::is_options(&exchange.raw) {
            return match self.guarded(|| self.options(&exchange.request)) {
                Ok(response) => self.reply(exchange, response),
                Err(error) => self.fail(exchange, error),
            };
        }
        let lane = self.guarded(|| self.lane(&mut exchange));
        let pool = match lane.and_then(|lane| lane) {
            Ok(lane) => Pool::of_lane(lane),
            Err(error) => return self.fail(exchange, error),
        };
        let Some(pool) = pool else {
            return self.answer(exchange);
        };
        let Some(exchange) = self.try_join(exchange) else {
            return;
        };
        if let Err(Task::Answer(exchange)) = self.try_submit(pool, Task::Answer(exchange)) {
            self.metrics.rejected.inc();
            let response = outcome_of(&exchange.request, busy(), false);
            self.reply(exchange, response);
        }
    }

    /// Checks who asks and looks at the path: common routes first.
    fn lane(&self, exchange: &mut Exchange) -> Result<Lane> {
        let request = &exchange.request;
        let common = common_routes::route(request);
        exchange.context.route = common.unwrap_or_else(|| self.service.route(request));
        let is_public = match common {
            Some(route) => common_routes::is_public(route),
            None => {
                let first_segment = request.segments.first().map_or("", String::as_str);
                self.service.is_public(first_segment)
            }
        };
        if request.method != Method::Get {
            origin::check_write(&self.config, &exchange.raw)?;
        }
        if !is_public {
            auth::check(&self.config, &exchange.raw)?;
        }
        Ok(common.map_or_else(|| self.service.lane(request), |_| Lane::Inline))
    }

    fn answer(self: &Arc<Self>, mut exchange: Box<Exchange>) {
        let span = &mut exchange.context.span;
        let entered = span::enter([span.as_ref().map(|span| span.context)]);
        let request = &exchange.request;
        let response = self.guarded(|| match common_routes::route(request) {
            Some(route) => self.common_response(route, request),
            None => self.service.answer(request),
        });
        if let (Some(span), Some(entered)) = (span, entered) {
            span.attributes.extend(entered.attributes());
        }
        match response {
            Ok(response) => self.reply(exchange, response),
            Err(error) => self.fail(exchange, error),
        }
    }

    /// Answers with our own failure: a handler that panicked may have done its work before.
    fn fail(self: &Arc<Self>, exchange: Box<Exchange>, error: Error) {
        let response = outcome_of(&exchange.request, error.into(), true);
        self.reply(exchange, response);
    }

    /// Calls into a service. A panic there is a 500, not the end of this thread (HTTP.md, 9); the
    /// panic hook has logged where it was.
    fn guarded<T>(&self, call: impl FnOnce() -> T) -> Result<T> {
        catch_unwind(AssertUnwindSafe(call)).map_err(|_| {
            self.metrics.panics.inc();
            Error::Internal
        })
    }

    /// Gives up a request whose body would keep its reader, or the thread that drops it, waiting
    /// without end.
    fn forget(self: &Arc<Self>, exchange: Box<Exchange>) {
        self.metrics.forgotten.inc();
        self.drop_unanswered(self.connections.quarantine(exchange.context.peer));
        self.connections.finish(exchange.context.peer);
        // This costs a thread of tiny_http and two descriptors, but not this thread.
        std::mem::forget(exchange.raw);
    }

    fn admits(&self, raw: &Raw) -> bool {
        auth::check(&self.config, raw).is_ok()
    }
}

/// For how long a silent connection may be used again: a second less than it is kept, so that a
/// request does not meet its end.
fn keep_alive(idle: Duration) -> String {
    match idle.as_secs().saturating_sub(1) {
        0 => "Connection: keep-alive\r\n".to_string(),
        seconds => format!("Connection: keep-alive\r\nKeep-Alive: timeout={seconds}\r\n"),
    }
}

fn busy() -> Response {
    Error::Busy("The server has too much to do".into()).into()
}

/// A failed write says whether it may have happened.
fn outcome_of(request: &Request, response: Response, may_have_happened: bool) -> Response {
    match request.method {
        Method::Put | Method::Post | Method::Patch => response.with_outcome(may_have_happened),
        _ => response,
    }
}
