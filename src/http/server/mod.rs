//! ServerConfig: what every server has in common, on top of tiny_http.
//!
//! A [`Service`] is what one kind of server adds: its routes, and where each is answered. Common to
//! all are `/livez`, `/readyz`, `/version` and `/metrics`, the token, the limits on paths, heads
//! and bodies, `HEAD`, request ids, the log of requests and their figures. [`desk`] tells the way
//! of a request.
//!
//! tiny_http does much that one would not expect; what is done about it, and where:
//!
//! | what | where |
//! |---|---|
//! | answers of 1 KB take 44 ms | NODELAY on the listener, head and body in one write: [`prepare`], [`reply`] |
//! | connections of a burst are never served | [`nudges`] |
//! | a length of 10^14 ends the process | [`exchange::announces_too_much`]; a forgotten request, counted in [`tally`] |
//! | bodies are read on the thread that answers | intake crews: [`desk`], [`crew`] |
//! | accepting ends at the first error or silence | a master listener and new posts: [`post`], [`keeper`] |
//! | `HTTP/2.0` loses a thread and two descriptors | the process is restarted in time: [`keeper`] |
//! | no limits, lenient lengths | [`head`], [`visit`] |
//! | a panic costs its thread | `Dispatcher::guarded` in [`desk`] |
//! | a quick request waits, with its thread, for a slow one before it | [`visitors`] |
//! | a client that does not read holds up its writer | a short write time-out, and crews: [`reply`], [`outbox`] |
//!
//! What cannot be done through it: to close a connection (a client that sends a byte now and then
//! keeps its own, until the process leaves because descriptors run out), or to see a head before it
//! is whole.

pub mod acceptor;
pub mod auth;
pub mod common_routes;
pub mod connections;
pub mod dispatch;
pub mod encoded_response;
pub mod exchange;
pub mod fast_path;
pub mod head;
pub mod metrics;
pub mod response_writer;
pub mod supervisor;
#[cfg(test)]
mod tests;
pub mod wakeups;
pub mod worker_pool;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::http::{Request, Response};
use crate::runtime::exit::Exit;

/// How long a write waits for a client to read. Then the answer goes to a thread that has the time.
/// Receiving threads wait no longer than that for anybody.
const WRITE_WAIT: Duration = Duration::from_millis(10);

/// Where a request is answered. A request that waits must not keep those from being answered that
/// do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// On the receiving thread: it waits for nobody.
    Inline,
    /// Customers' requests, which may wait for other servers or the disk.
    Client,
    /// A peer's request that waits for this server's disk.
    PeerWrite,
    /// A peer's request that itself waits for other servers.
    PeerRead,
}

/// An answer that is ready: 200, this header, this JSON.
pub struct FastAnswer {
    /// As [`Service::route`] names it.
    pub route: &'static str,
    pub header: (&'static str, &'static str),
    /// Short: it is sent in one write.
    pub body: Arc<[u8]>,
}

/// What one kind of server answers. The common answers (`/livez`, `/readyz`, `/version`,
/// `/metrics`) are the server's.
pub trait Service: Send + Sync + 'static {
    /// Prepared from method and path alone.
    fn lane(&self, request: &Request) -> Lane;

    /// Tried on the receiving thread for requests of [`Lane::Client`] without a body; must not wait
    /// for anybody. `None`: the request goes to its lane.
    fn at_once(&self, _request: &Request) -> Option<Response> {
        None
    }

    /// Tried before the request is taken apart, on the receiving thread, for a `GET` without a body
    /// of a path that needs no token; must not wait for anybody. `url` is as the client sent it.
    /// `None`: the request goes the usual way.
    fn fast_path(&self, _url: &str) -> Option<FastAnswer> {
        None
    }

    fn answer(&self, request: &Request) -> Response;

    /// A label for metrics and logs, such as `/lookup/<id>`: one of a few.
    fn route(&self, request: &Request) -> &'static str;

    /// Whether this may be asked without the service token.
    fn is_public(&self, request: &Request) -> bool;

    /// For `/readyz`: what is missing before this server can do its job. Asked on a receiving
    /// thread: it must not wait.
    fn ready(&self) -> Result<(), Vec<String>>;

    /// Appends this service's own figures to `/metrics`.
    fn metrics(&self, page: &mut crate::runtime::metrics::Exposition);
}

/// How to serve.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The kind of server: `catalog`, `order`, `front-end`.
    pub server: &'static str,
    /// What the other servers must show; `None`: every door is open.
    pub token: Option<String>,
    /// How long a silent connection is kept, and a read of a request may take.
    pub idle: Duration,
    /// Threads of [`Lane::Client`]. Whoever waits for one is not seen by those behind: with 64 of
    /// them at the front-end 256 customers of one book bought 3,500 copies a second, with 256 of
    /// them 4,200.
    pub client_threads_max: usize,
    /// Threads of [`Lane::PeerWrite`].
    pub peer_write_threads_max: usize,
    /// Threads of [`Lane::PeerRead`].
    pub peer_read_threads_max: usize,
    /// Requests that may wait for a thread of their lane. Beyond: 503 with `Retry-After`, at once.
    pub waiting_max: usize,
}

impl ServerConfig {
    /// With the usual numbers of threads.
    pub fn new(server: &'static str, token: Option<String>, idle: Duration) -> ServerConfig {
        ServerConfig {
            server,
            token,
            idle,
            client_threads_max: 256,
            peer_write_threads_max: 16,
            peer_read_threads_max: 16,
            waiting_max: 256,
        }
    }
}

/// Sets what connections inherit from their listener on Linux: tiny_http does not let anybody else
/// near them. To be called as soon as the listener is there, because a connection inherits when it
/// is made, not when it is accepted.
///
/// Fails when the system refuses.
pub fn prepare(listener: &TcpListener, idle: Duration) -> io::Result<()> {
    let socket: TcpStream = OwnedFd::from(listener.try_clone()?).into();
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(idle))?;
    socket.set_write_timeout(Some(WRITE_WAIT))
}

/// Serves, and does not return while all is well.
///
/// Fails when the listener cannot be used, or when the server can no longer serve well: too many
/// connections are lost, or descriptors have nearly run out for long. The process should end with
/// [`Exit::Degraded`] then and be started again; threads of this server go on until it does.
pub fn serve(
    listener: TcpListener,
    serving: ServerConfig,
    service: Arc<dyn Service>,
) -> Result<(), Exit> {
    let unusable = |error| format!("cannot use the listener: {error}");
    prepare(&listener, serving.idle).map_err(unusable)?;
    let address = reachable(listener.local_addr().map_err(unusable)?);
    let desk = Arc::new(dispatch::Dispatcher::new(serving, service, address));
    Err(Exit::Degraded(supervisor::keep(listener, desk, address)?))
}

/// Where this process reaches itself, also when it listens everywhere.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        match address {
            SocketAddr::V4(_) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            SocketAddr::V6(_) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        }
    }
    address
}
