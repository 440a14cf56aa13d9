//! The HTTP server, the same for every kind of server, on top of tiny_http.
//!
//! A `Service` is what one kind of server adds: its routes, and which threads answer each. Common
//! to all are `/livez`, `/readyz`, `/version`, `/openapi.json`, `/status`, `/metrics` and
//! `/traces`, the token, the limits on paths, heads and bodies, `HEAD`, request ids, the log of
//! requests and their metrics.
//!
//! To read: `dispatch/` is the way of a request through the threads. `head` and `exchange` take it
//! apart, with `target` and `chunks`; `encoded_response` puts its response together, `connections`
//! keeps the requests of a connection in order, `auth` checks the token, `origin` where a page is
//! from. `supervisor/` opens the acceptors and replaces them.
//!
//! # Threads
//!
//! - tiny_http's own: one for each acceptor accepts; one for each connection parses its requests.
//! - `http-receive`, two: takes requests from tiny_http, and answers those that wait for nothing:
//!   `Lane::Inline`, the common routes, and what `Service::try_answer` has ready, such as a cached
//!   look-up.
//! - `http-client`, up to 256: answers clients' requests that wait for other servers or the disk,
//!   and those that have joined them.
//! - `http-peer-write`, `http-peer-read`, up to 16 each: answers peers' requests that wait for the
//!   disk, or for other servers.
//! - `http-client-body`, `http-peer-body`: waits for bodies.
//! - `http-pipelined`: begins with requests that waited for their predecessors.
//! - `http-long-response`, `http-slow-reader`: sends what a client does not take in one write.
//! - `http-wakeups`, `http-self-probe`, `http-half-closed`: keep tiny_http going and watch it, see
//!   below.
//! - the one that called `serve`: replaces acceptors.
//!
//! The rest of this page is why there are so many.
//!
#![doc = include_str!("HTTP.md")]

mod auth;
mod chunks;
mod connections;
mod date;
mod dispatch;
mod encoded_response;
mod exchange;
mod head;
mod metrics;
mod origin;
pub(crate) mod status;
mod supervisor;
mod target;
#[cfg(test)]
mod tests;
mod unread;
mod wakeups;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::http::server::status::Status;
use crate::http::{Request, RequestHead, Response};
use crate::model::address::Address;
use crate::model::origin::Origin;
use crate::runtime::exit::Exit;
use crate::runtime::metrics::Exposition;
use dispatch::Dispatcher;
pub(crate) use dispatch::Pending;
pub(crate) use exchange::BODY_BYTES_MAX;

/// How long a write waits for a client to read. Then another thread sends the rest. A receiving
/// thread waits for nothing longer than that.
const WRITE_WAIT: Duration = Duration::from_millis(10);

/// Which threads answer a request. Requests that wait have threads of their own, so that they do
/// not delay those that do not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// The receiving thread: the request waits for nothing.
    Inline,
    /// Clients' requests, which may wait for other servers or the disk.
    Client,
    /// A peer's request that waits for this server's disk.
    PeerWrite,
    /// A peer's request that itself waits for other servers.
    PeerRead,
}

/// What one kind of server answers. The common answers (`/livez`, `/metrics`, …) are the
/// server's.
pub(crate) trait Service: Send + Sync + 'static {
    /// Chosen from method and path alone.
    fn lane(&self, request: &Request) -> Lane;

    /// Answers a `GET` or `HEAD` without a body, if the answer is ready: its route, as
    /// [`Service::route`] names it, and the response. Called on a receiving thread before anything
    /// of the request is copied, so it must not wait. `None`: [`Service::answer`] is asked, on the
    /// request's lane.
    fn try_answer(&self, _head: &RequestHead) -> Option<(&'static str, Response)> {
        None
    }

    /// Takes a request that can be answered together with others which wait already, and answers
    /// it later. Called on a receiving thread, so it must not wait. What it gives back goes to
    /// [`Service::answer`], on the request's lane.
    fn try_join(self: Arc<Self>, pending: Pending) -> std::result::Result<(), Pending> {
        Err(pending)
    }

    /// Answers any request but those for the common routes. May wait as its lane allows.
    fn answer(&self, request: &Request) -> Response;

    /// A label for metrics and logs, such as `/lookup/<id>`: one of a few.
    fn route(&self, request: &Request) -> &'static str;

    /// Whether paths that begin with this segment need no service token.
    fn is_public(&self, first_segment: &str) -> bool;

    /// For `/readyz`: what is missing before this server can do its job. Called on a receiving
    /// thread, so it must not wait.
    fn missing(&self) -> Vec<String>;

    /// For `/status`: what this service knows of itself and of others. It must not wait.
    fn status(&self) -> Status {
        Status::default()
    }

    /// Appends this service's own metrics to those of the server.
    fn metrics(&self, page: &mut Exposition);
}

/// How to serve.
#[derive(Clone, Debug)]
pub(crate) struct ServerConfig {
    /// The kind of server: `catalog`, `order`, `front-end`.
    pub(crate) server: &'static str,
    /// How it is called in logs and tables.
    pub(crate) name: String,
    /// What the other servers must show. `None`: no request needs a token.
    pub(crate) token: Option<String>,
    /// How the others reach this server, if it is known.
    pub(crate) address: Option<Address>,
    /// Whose pages may write here.
    pub(crate) allowed_origins: Vec<Origin>,
    /// How long a silent connection is kept, and a read of a request may take.
    pub(crate) idle: Duration,
    /// Threads of [`Lane::Client`]. Requests that wait for a thread do not reach the servers
    /// behind, where they could join a batch: with 64 threads at the front-end 256 clients of one
    /// book bought 3,500 copies a second, with 256 threads 4,200.
    pub(crate) client_threads_max: usize,
    /// Threads of [`Lane::PeerWrite`], and of [`Lane::PeerRead`].
    pub(crate) peer_threads_max: usize,
    /// Whether all requests are traced, not only those whose `traceparent` is sampled.
    pub(crate) traces_all: bool,
    /// Requests that may wait for a thread of their lane. Beyond: 503 with `Retry-After`, at once.
    pub(crate) waiting_max: usize,
    /// Whether the server is to finish what it has, and end.
    pub(crate) should_end: &'static AtomicBool,
}

impl ServerConfig {
    /// With the usual numbers of threads.
    pub(crate) fn new(server: &'static str, token: Option<String>, idle: Duration) -> ServerConfig {
        static NEVER: AtomicBool = AtomicBool::new(false);
        ServerConfig {
            server,
            name: server.into(),
            token,
            address: None,
            allowed_origins: Vec::new(),
            idle,
            traces_all: false,
            client_threads_max: 256,
            peer_threads_max: 16,
            waiting_max: 256,
            should_end: &NEVER,
        }
    }
}

/// Sets the options that connections inherit from their listener on Linux, since tiny_http gives no
/// access to them (HTTP.md, 1 and 4). To be called as soon as the listener exists, because a
/// connection inherits when it is made, not when it is accepted.
///
/// Fails when the system refuses.
pub(crate) fn prepare(listener: &TcpListener, idle: Duration) -> io::Result<()> {
    let socket: TcpStream = OwnedFd::from(listener.try_clone()?).into();
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(idle))?;
    socket.set_write_timeout(Some(WRITE_WAIT))
}

/// Serves, and returns once it was told to end ([`ServerConfig::should_end`]) and what it had is
/// answered, or after a second.
///
/// Fails when the listener cannot be used, or when the server can no longer serve well: too many
/// connections are lost, or nearly all descriptors have been in use for long. The process should
/// end with [`Exit::Degraded`] then and be started again; the threads of this server go on until it
/// does.
pub(crate) fn serve(
    listener: TcpListener,
    config: ServerConfig,
    service: Arc<dyn Service>,
) -> Result<(), Exit> {
    let unusable = |error| format!("cannot use the listener: {error}");
    prepare(&listener, config.idle).map_err(unusable)?;
    let address = reachable(listener.local_addr().map_err(unusable)?);
    let dispatcher = Arc::new(Dispatcher::new(config, service, address));
    let degraded = supervisor::run(listener, dispatcher, address)?;
    degraded.map_or(Ok(()), |why| Err(Exit::Degraded(why)))
}

/// The address at which this process reaches itself, even if it listens at all addresses.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        match address {
            SocketAddr::V4(_) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            SocketAddr::V6(_) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        }
    }
    address
}
