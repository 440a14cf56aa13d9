//! The cluster page: every server of the shop with its state, its books or its caches, buttons to
//! kill, stop, continue and start it, customers, and stories.
//!
//! It is a server of its own in the process of `bazar shop`, on loopback only. `routes` has its
//! paths and says who may use them; `state` is what the page is told; `observer` looks at the
//! servers while somebody looks at the page; `load` has the customers; `account` checks the
//! sum of stock and sales. The page itself is HTML, CSS and JS under `src/supervisor/page/`.
//!
//! The page polls JSON; no connection is held. All that a button does is a path that `curl` can
//! use as well.

mod account;
mod load;
mod observer;
mod routes;
mod state;

use std::net::{IpAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::http::server::{self, ServerConfig};
use crate::model::address::Address;
use crate::runtime::sync;
use crate::supervisor::Shop;
use crate::supervisor::topology::Kind;
use account::Account;
use load::Load;
use observer::{Look, Watch};

/// A silent connection of a browser is kept so long.
const IDLE: Duration = Duration::from_secs(10);

/// How often the curves are looked at.
const TICK: Duration = Duration::from_millis(100);

/// What the page shows and does.
#[derive(Debug)]
pub(super) struct Cluster {
    shop: Arc<Shop>,
    account: Account,
    load: Load,
    watch: Watch,
    /// The last look at each server.
    looks: Vec<Mutex<Look>>,
}

/// Opens the page, and returns its address.
///
/// Fails when the port is taken, or when no thread can be started: the shop can do without.
pub(super) fn open(shop: &Arc<Shop>, port: u16) -> Result<Address, String> {
    let host = loopback_host(&shop.local);
    let bound = TcpListener::bind((host.as_str(), port));
    let listener = bound.map_err(|error| format!("cannot listen on {host}:{port}: {error}"))?;
    let bound = listener.local_addr().map_err(|error| error.to_string())?;
    let address = Address::of(&host, bound.port());
    let cluster = Arc::new(Cluster {
        shop: shop.clone(),
        account: Account::default(),
        load: Load::new(),
        watch: Watch::new(),
        looks: shop.servers.iter().map(|_| Mutex::default()).collect(),
    });
    observer::start(&cluster)?;
    let ticking = cluster.clone();
    sync::spawn("load", move || {
        loop {
            thread::sleep(TICK);
            load::tick(&ticking.load);
        }
    })?;
    let shop = shop.clone();
    sync::spawn("cluster-page", move || {
        let config = ServerConfig::new("cluster-page", None, IDLE);
        let service = Arc::new(routes::Page(cluster));
        if let Err(exit) = server::serve(listener, config, service) {
            shop.events
                .say(&format!("the cluster page has ended: {exit}"));
        }
    })?;
    Ok(address)
}

/// The servers' own host if only this machine reaches it.
pub(super) fn loopback_host(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(ip) if ip.is_loopback() => host.to_string(),
        Ok(IpAddr::V6(_)) => "::1".into(),
        _ => "127.0.0.1".into(),
    }
}

impl Cluster {
    /// Where this machine reaches the servers of a kind.
    fn addresses(&self, kind: Kind) -> Vec<Address> {
        let servers = self
            .shop
            .servers
            .iter()
            .filter(|server| server.member.kind == kind);
        servers
            .map(|server| server.member.listens_at(&self.shop.local))
            .collect()
    }
}
