//! Serving.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use crate::http::{Request, Response};

/// Where a request is answered. A request that waits must not keep those from being answered that do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// On the receiving thread: it waits for nobody.
    Here,
    /// Customers' requests, which may wait for other servers or the disk.
    Customers,
    /// A peer's request that waits for this server's disk.
    Writes,
    /// A peer's request that itself waits for other servers.
    Asks,
}

/// What one kind of server answers. The common answers (`/livez`, `/readyz`, `/version`, `/metrics`) are the server's.
pub trait Service: Send + Sync + 'static {
    /// Judged from method and path alone; the body has not been read.
    fn lane(&self, request: &Request) -> Lane;

    /// Tried on the receiving thread for requests of [`Lane::Customers`] without a body; must not wait for anybody.
    /// `None`: the request goes to its lane.
    fn at_once(&self, _request: &Request) -> Option<Response> {
        None
    }

    fn answer(&self, request: &Request) -> Response;

    /// A label for metrics and logs, such as `/lookup/<id>`: one of a few.
    fn route(&self, request: &Request) -> &'static str;

    /// Whether this may be asked without the service token.
    fn open_door(&self, request: &Request) -> bool;

    /// For `/readyz`: what is missing before this server can do its job.
    fn ready(&self) -> Result<(), Vec<String>>;

    /// Appends this service's own figures to `/metrics`.
    fn metrics(&self, page: &mut crate::metrics::Page);
}

/// How to serve.
#[derive(Clone, Debug)]
pub struct Serving {
    /// The kind of server: `catalog`, `order`, `front-end`.
    pub server: &'static str,
    /// What the other servers must show; `None`: every door is open.
    pub token: Option<String>,
    /// How long a silent connection is kept, and a read of a request may take.
    pub idle: Duration,
}

impl Serving {
    pub fn new(server: &'static str, token: Option<String>, idle: Duration) -> Serving {
        Serving {
            server,
            token,
            idle,
        }
    }
}

/// Serves, and does not return while all is well.
///
/// Fails when the listener cannot be used.
pub fn serve(
    listener: TcpListener,
    serving: Serving,
    service: Arc<dyn Service>,
) -> Result<(), String> {
    let _ = (listener, serving, service);
    Err("cannot serve".into())
}
