//! The relay of `bazar shop --demo`: the servers reach each other through it, so that each link
//! between two of them can be cut, slowed, or made to lose messages.
//!
//! It is an HTTP proxy that knows only `CONNECT`, with a port of its own for each server that calls
//! others: so it knows both ends of every connection, reads no message, and a server that does not
//! run refuses as it would without. It connects to nothing but the servers of this shop.
//!
//! # What a link in trouble is like
//!
//! As the network is to TCP, never as a server that ends: nobody is told anything.
//!
//! - **Cut**: nothing passes, and who connects gets no answer: both sides wait until their own
//!   deadlines. Once the cut is healed, what was under way arrives late, as packets do that TCP
//!   sends again.
//! - **Slow**: whatever passes comes [`link::DELAY`] later, in both directions.
//! - **Lossy**: of 100 pieces [`link::LOST_PERCENT`] are lost. TCP sends them again, after
//!   [`link::RESEND_AFTER`], then after twice as long, and so on; whatever follows on the same
//!   connection waits, as nothing gets past a gap in TCP. So all arrives, some of it too late.
//!
//! # Bounds
//!
//! At most [`CONNECTIONS_MAX`] connections in all, [`link::CONNECTIONS_MAX`] a link; each has two
//! threads, with a buffer of [`tunnel::CHUNK_BYTES`] each. One more is answered 503: that nothing
//! has happened. Each wait has a deadline. All of it ends with this process.

pub(crate) mod link;
#[cfg(test)]
mod tests;
mod tunnel;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use crate::runtime::sync;
use crate::supervisor::topology::{Kind, Topology};
use link::Link;

/// Connections of all links together. A shop of five servers under the page's heaviest load keeps
/// some 100.
const CONNECTIONS_MAX: usize = 400;

/// While the system has no descriptor for a connection that waits.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The relay of one shop.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) links: Vec<Arc<Link>>,
    servers: Vec<Server>,
    /// Connections that are open now.
    open: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Server {
    name: String,
    /// `host:port`, as others ask for it.
    authority: String,
    /// Where it calls others.
    proxy: SocketAddr,
}

/// A place among all connections of the relay or of a link, until this is dropped.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Relay {
    /// Opens a port for each server, on a loopback address.
    ///
    /// Fails when the system has no port or no thread.
    pub(crate) fn open(topology: &Topology, host: &str) -> Result<Arc<Relay>, String> {
        let cannot = |error: io::Error| format!("cannot open the relay on {host}: {error}");
        let (mut servers, mut listeners) = (Vec::new(), Vec::new());
        for member in &topology.members {
            let listener = TcpListener::bind((host, 0)).map_err(cannot)?;
            servers.push(Server {
                name: member.name.clone(),
                authority: member.address.authority().to_string(),
                proxy: listener.local_addr().map_err(cannot)?,
            });
            listeners.push(listener);
        }
        let relay = Arc::new(Relay {
            links: links(topology),
            servers,
            open: Arc::default(),
        });
        for (source, listener) in listeners.into_iter().enumerate() {
            let relay = relay.clone();
            sync::spawn("relay", move || relay.accept(source, &listener))?;
        }
        Ok(relay)
    }

    /// The port through which a server calls others.
    pub(crate) fn proxy_of(&self, name: &str) -> SocketAddr {
        let mut servers = self.servers.iter();
        let server = servers.find(|server| server.name == name);
        server.expect("every server has one").proxy
    }

    /// The link between two servers, whichever is named first. `None`: these do not talk.
    pub(crate) fn link(&self, one: &str, other: &str) -> Option<&Arc<Link>> {
        self.links.iter().find(|link| link.is_between(one, other))
    }

    fn accept(self: &Arc<Relay>, source: usize, listener: &TcpListener) {
        for client in listener.incoming() {
            let Ok(client) = client else {
                thread::sleep(ACCEPT_PAUSE);
                continue;
            };
            let Some(place) = Place::take(&self.open, CONNECTIONS_MAX) else {
                tunnel::refuse(&client, tunnel::TOO_MANY);
                continue;
            };
            let relay = self.clone();
            // Without a thread the connection is closed here, before anything has happened.
            let _ = sync::spawn("relay", move || {
                tunnel::carry(&relay, source, &client);
                drop(place);
            });
        }
    }

    /// The way from a server to another one, which it names `host:port`.
    fn way(&self, source: usize, authority: &str) -> Option<(&Arc<Link>, &str)> {
        let mut servers = self.servers.iter();
        let target = servers.find(|server| server.authority == authority)?;
        let link = self.link(&self.servers[source].name, &target.name)?;
        Some((link, &target.authority))
    }

    #[cfg(test)]
    fn connections(&self) -> usize {
        self.open.load(Relaxed)
    }
}

impl Place {
    /// `None`: so many are taken.
    fn take(count: &Arc<AtomicUsize>, max: usize) -> Option<Place> {
        let more = |taken: usize| (taken < max).then_some(taken + 1);
        count.fetch_update(Relaxed, Relaxed, more).ok()?;
        Some(Place(count.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// A link for each two servers that talk.
fn links(topology: &Topology) -> Vec<Arc<Link>> {
    let of = |kind| topology.of(kind).collect::<Vec<_>>();
    let (catalogs, orders) = (of(Kind::Catalog), of(Kind::Order));
    let mut links = Vec::new();
    let mut link = |one: &str, other: &str| links.push(Arc::new(Link::new(one, other)));
    for front_end in of(Kind::FrontEnd) {
        for other in orders.iter().chain(&catalogs) {
            link(&front_end.name, &other.name);
        }
    }
    for order in orders {
        link(&order.name, &topology.catalog_of(order).name);
    }
    for (n, catalog) in catalogs.iter().enumerate() {
        for other in &catalogs[n + 1..] {
            link(&catalog.name, &other.name);
        }
    }
    links
}
