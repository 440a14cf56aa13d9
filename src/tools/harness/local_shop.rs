//! A shop of real processes in a scratch directory, on an address of its own.

use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use crate::config::shop::Ports;
use crate::model::address::Address;
use crate::supervisor::ports;
use crate::supervisor::process::{Output, Process, Spec};
use crate::supervisor::topology::{Kind, Member, Topology};
use crate::tools::harness::scratch_dir::ScratchDir;
use crate::tools::harness::shop::Shop;

/// As in the usual shop.
const ORDER_SERVERS: usize = 2;

const PORTS: Ports = Ports {
    catalog: 5000,
    order: 5001,
    front_end: 5002,
};

/// Longer than any request takes.
const NEVER_MS: &str = "60000";

/// The routes of the requests that servers send each other because of a customer's.
const ROUTES_BETWEEN: [&str; 8] = [
    "/query/",
    "/update/",
    "/buy/",
    "/batch/",
    "/rep/update",
    "/rep/confirm",
    "/rep/get",
    "/invalidate/",
];

/// How a local shop is set up.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// Keeps the files and addresses of this process's shops apart.
    pub(crate) number: u8,
    pub(crate) catalogs: usize,
    /// The shop is measured through the first one.
    pub(crate) front_ends: usize,
    /// Whether a front-end has its caches.
    pub(crate) cached: bool,
    /// Whether a second server is asked when the first is slow.
    pub(crate) hedged: bool,
    /// `TIMEOUT_MS` of every server; `None`: the default.
    pub(crate) timeout: Option<Duration>,
    /// The members of etcd that have the books; `None`: the catalogs' folders have them.
    pub(crate) etcd: Option<String>,
    pub(crate) scratch: Arc<ScratchDir>,
}

/// A running shop with the first stock, until this is dropped. Servers are numbered from 0. Order
/// server n uses catalog n; after the last catalog, the first again.
#[derive(Debug)]
pub(crate) struct LocalShop {
    pub(crate) shop: Shop,
    pub(crate) catalogs: Vec<Process>,
    pub(crate) order_servers: Vec<Process>,
    pub(crate) front_ends: Vec<Process>,
    addresses: Vec<Address>,
    /// Where the servers' logs and data are.
    _scratch: Arc<ScratchDir>,
}

/// An address of this machine that no other program uses: all of 127.0.0.0/8 is local. It depends
/// on the id of this process and on `number`.
pub(crate) fn unique_host(number: u8) -> String {
    let [_, b, c, d] = (process::id().wrapping_mul(64) + u32::from(number)).to_be_bytes();
    format!("127.{}.{c}.{}", 1 + b % 254, 1 + d % 254)
}

impl LocalShop {
    /// Starts a shop, and returns once every server is ready.
    ///
    /// Fails when a server does not start or does not become ready.
    pub(crate) fn start(setup: &Setup) -> Result<LocalShop, String> {
        let topology = setup.topology();
        let processes = |kind| -> Vec<Process> {
            let members = topology.of(kind);
            members
                .map(|member| setup.process(&topology, member))
                .collect()
        };
        let [catalogs, order_servers, front_ends] = Kind::ALL.map(processes);
        for process in catalogs.iter().chain(&order_servers).chain(&front_ends) {
            process.start()?;
        }
        let addresses = |kind| -> Vec<Address> {
            topology
                .of(kind)
                .map(|member| member.address.clone())
                .collect()
        };
        let front_end = &addresses(Kind::FrontEnd)[0];
        let local = LocalShop {
            shop: Shop::new(front_end, &addresses(Kind::Catalog), None),
            catalogs,
            order_servers,
            front_ends,
            addresses: Kind::ALL.map(addresses).concat(),
            _scratch: setup.scratch.clone(),
        };
        local.await_ready()?;
        // Only now: a catalog that is not ready may not know the latest quantities.
        local.shop.read_stock()?;
        Ok(local)
    }

    /// How many requests the servers have had from each other because of customers', heartbeats
    /// and health checks aside.
    ///
    /// Fails when a server does not say.
    pub(crate) fn requests_between(&self) -> Result<u64, String> {
        let behind = self.addresses.len() - self.front_ends.len();
        let mut sum = 0;
        for (n, address) in self.addresses.iter().enumerate() {
            let page = self.shop.get(address, "/metrics")?.body;
            let page = String::from_utf8_lossy(&page);
            let is_between = |route: &str| {
                let mut routes = ROUTES_BETWEEN.iter();
                // A customer buys at a front-end.
                let at_front_end = n < behind || route.starts_with("/invalidate/");
                at_front_end && routes.any(|between| route.starts_with(between))
            };
            let requests = page.lines().filter_map(requests_of_route);
            let between = requests.filter(|(route, _)| is_between(route));
            sum += between.map(|(_, count)| count).sum::<u64>();
        }
        Ok(sum)
    }

    /// Waits until every server is ready.
    ///
    /// Fails when that takes too long.
    pub(crate) fn await_ready(&self) -> Result<(), String> {
        let mut addresses = self.addresses.iter();
        addresses.try_for_each(|address| self.shop.await_ready(address))
    }
}

/// A line of `/metrics`, if it counts requests: their route, and how many.
fn requests_of_route(line: &str) -> Option<(&str, u64)> {
    let rest = line.strip_prefix("bazar_http_requests_total{route=\"")?;
    let (route, rest) = rest.split_once('"')?;
    let (_, count) = rest.rsplit_once(' ')?;
    Some((route, count.parse().ok()?))
}

impl Setup {
    fn topology(&self) -> Topology {
        let host = unique_host(self.number);
        let member = |kind: Kind, n: usize| {
            let port = ports::nth(PORTS, kind, n);
            Member {
                kind,
                name: format!("shop{}-{}{n}", self.number, kind.word()),
                host: host.clone(),
                port,
                address: Address::of(&host, port),
            }
        };
        let count = |kind| match kind {
            Kind::Catalog => self.catalogs,
            Kind::Order => ORDER_SERVERS,
            Kind::FrontEnd => self.front_ends,
        };
        let members = |kind| (0..count(kind)).map(move |n| (kind, n));
        let members = Kind::ALL.into_iter().flat_map(members);
        Topology {
            members: members.map(|(kind, n)| member(kind, n)).collect(),
            data: self.scratch.path().to_path_buf(),
            books: None,
            etcd: self.etcd.clone(),
        }
    }

    fn process(&self, topology: &Topology, member: &Member) -> Process {
        let mut environment = vec![("LOG", "warn".to_string())];
        if let Some(timeout) = self.timeout {
            environment.push(("TIMEOUT_MS", timeout.as_millis().to_string()));
        }
        if !self.cached {
            environment.push(("LOOKUP_CACHE_SIZE", "0".into()));
            environment.push(("SEARCH_CACHE_SIZE", "0".into()));
        }
        if !self.hedged {
            environment.push(("HEDGE_AFTER_MS", NEVER_MS.into()));
        }
        let spec = Spec {
            name: member.name.clone(),
            program: None,
            args: topology.args(member),
            environment,
            inherits: false,
        };
        Process::new(spec, Output::File(self.scratch.log(&member.name)))
    }

    pub(crate) fn data_dir(&self, catalog: usize) -> PathBuf {
        let topology = self.topology();
        topology.data.join(&topology.members[catalog].name)
    }
}
