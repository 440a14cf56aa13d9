//! A shop of real processes in a scratch directory, on an address of its own.

use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use crate::model::address::Address;
use crate::tools::harness::process::Process;
use crate::tools::harness::scratch_dir::ScratchDir;
use crate::tools::harness::shop::Shop;

/// As in the usual shop.
const ORDER_SERVERS: usize = 2;

/// The ports of the first server of each tier; the second one's is 1000 higher.
const CATALOG_PORT: u16 = 5000;
const ORDER_PORT: u16 = 5001;
const FRONT_END_PORT: u16 = 5002;

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
    /// `TIMEOUT_MS` of every server; `None`: the default.
    pub(crate) timeout: Option<Duration>,
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
        let catalog_addresses = setup.addresses(CATALOG_PORT, setup.catalogs);
        let order_addresses = setup.addresses(ORDER_PORT, ORDER_SERVERS);
        let front_end_addresses = setup.addresses(FRONT_END_PORT, setup.front_ends);
        let catalog = |n: usize| {
            let mut peers = catalog_addresses.clone();
            peers.remove(n);
            let settings = [
                ("CATALOG_ADDRESSES", list(&peers)),
                ("FRONT_END_ADDRESS", list(&front_end_addresses)),
                ("DATA_DIR", setup.data_dir(n).display().to_string()),
            ];
            setup.process("catalog", n, CATALOG_PORT, &settings)
        };
        let order_server = |n: usize| {
            let catalog = &catalog_addresses[n % setup.catalogs];
            let settings = [("CATALOG_ADDRESS", catalog.to_string())];
            setup.process("order", n, ORDER_PORT, &settings)
        };
        let catalogs: Vec<_> = (0..setup.catalogs).map(catalog).collect();
        let order_servers: Vec<_> = (0..ORDER_SERVERS).map(order_server).collect();
        let mut settings = vec![
            ("CATALOG_ADDRESSES", list(&catalog_addresses)),
            ("ORDER_ADDRESSES", list(&order_addresses)),
        ];
        if !setup.cached {
            settings.push(("LOOKUP_CACHE_SIZE", "0".into()));
            settings.push(("SEARCH_CACHE_SIZE", "0".into()));
        }
        let front_end = |n| setup.process("front-end", n, FRONT_END_PORT, &settings);
        let front_ends: Vec<_> = (0..setup.front_ends).map(front_end).collect();
        for process in catalogs.iter().chain(&order_servers).chain(&front_ends) {
            process.start()?;
        }
        let local = LocalShop {
            shop: Shop::new(&front_end_addresses[0], &catalog_addresses, None),
            catalogs,
            order_servers,
            front_ends,
            addresses: [catalog_addresses, order_addresses, front_end_addresses].concat(),
        };
        local.await_ready()?;
        // Only now: a catalog that is not ready may not know the latest quantities.
        local.shop.read_stock()?;
        Ok(local)
    }

    /// Waits until every server is ready.
    ///
    /// Fails when that takes too long.
    pub(crate) fn await_ready(&self) -> Result<(), String> {
        let mut addresses = self.addresses.iter();
        addresses.try_for_each(|address| self.shop.await_ready(address))
    }
}

impl Setup {
    /// A server with these settings and those that every server has.
    fn process(
        &self,
        command: &str,
        n: usize,
        first_port: u16,
        settings: &[(&'static str, String)],
    ) -> Process {
        let mut settings = settings.to_vec();
        settings.push(("HOST", unique_host(self.number)));
        settings.push(("PORT", nth_port(first_port, n).to_string()));
        settings.push(("LOG", "warn".into()));
        if let Some(timeout) = self.timeout {
            settings.push(("TIMEOUT_MS", timeout.as_millis().to_string()));
        }
        let name = format!("shop{}-{command}{n}", self.number);
        Process::new(name, &[command], settings, &self.scratch)
    }

    pub(crate) fn data_dir(&self, catalog: usize) -> PathBuf {
        let name = format!("shop{}-catalog{catalog}", self.number);
        self.scratch.path().join(name)
    }

    fn addresses(&self, first_port: u16, count: usize) -> Vec<Address> {
        (0..count).map(|n| self.address(first_port, n)).collect()
    }

    fn address(&self, first_port: u16, n: usize) -> Address {
        Address::of(&unique_host(self.number), nth_port(first_port, n))
    }
}

fn nth_port(first: u16, n: usize) -> u16 {
    first + 1000 * n as u16
}

/// Addresses as a setting.
fn list(addresses: &[Address]) -> String {
    let all: Vec<&str> = addresses.iter().map(Address::as_str).collect();
    all.join("|")
}
