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
    /// Whether the front-end has its caches.
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
    _front_end: Process,
    setup: Setup,
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
    pub(crate) fn start(setup: Setup) -> Result<LocalShop, String> {
        let catalogs: Vec<_> = (0..setup.catalogs).map(|n| setup.catalog(n)).collect();
        let order_servers: Vec<_> = (0..ORDER_SERVERS).map(|n| setup.order_server(n)).collect();
        let front_end = setup.front_end();
        for process in catalogs.iter().chain(&order_servers).chain([&front_end]) {
            process.start()?;
        }
        let address = setup.address(FRONT_END_PORT, 0);
        let mut local = LocalShop {
            shop: Shop::new(&address, &setup.catalog_addresses(), None)?,
            catalogs,
            order_servers,
            _front_end: front_end,
            setup,
        };
        local.await_ready()?;
        // Only now: before, the catalogs may still be settling their stock.
        local.shop.read_stock()?;
        Ok(local)
    }

    /// Waits until every server is ready.
    ///
    /// Fails when that takes too long.
    pub(crate) fn await_ready(&self) -> Result<(), String> {
        let setup = &self.setup;
        let catalogs = setup.catalog_addresses();
        let order_servers = setup.order_addresses();
        let front_end = setup.address(FRONT_END_PORT, 0);
        let mut all = catalogs.iter().chain(&order_servers).chain([&front_end]);
        all.try_for_each(|address| self.shop.await_ready(address))
    }

    pub(crate) fn data_dir(&self, catalog: usize) -> PathBuf {
        self.setup.data_dir(catalog)
    }
}

impl Setup {
    fn catalog(&self, n: usize) -> Process {
        let all = self.catalog_addresses();
        let peers = all.iter().filter(|peer| **peer != all[n]);
        let settings = vec![
            ("CATALOG_ADDRESSES", list(peers)),
            (
                "FRONT_END_ADDRESS",
                self.address(FRONT_END_PORT, 0).to_string(),
            ),
            ("DATA_DIR", self.data_dir(n).display().to_string()),
        ];
        self.process("catalog", n, CATALOG_PORT, settings)
    }

    fn order_server(&self, n: usize) -> Process {
        let catalog = self.address(CATALOG_PORT, n % self.catalogs);
        let settings = vec![("CATALOG_ADDRESS", catalog.to_string())];
        self.process("order", n, ORDER_PORT, settings)
    }

    fn front_end(&self) -> Process {
        let mut settings = vec![
            ("CATALOG_ADDRESSES", list(&self.catalog_addresses())),
            ("ORDER_ADDRESSES", list(&self.order_addresses())),
        ];
        if !self.cached {
            settings.push(("LOOKUP_CACHE_SIZE", "0".into()));
            settings.push(("SEARCH_CACHE_SIZE", "0".into()));
        }
        self.process("front-end", 0, FRONT_END_PORT, settings)
    }

    /// A server with these settings and those that every server has.
    fn process(
        &self,
        command: &str,
        n: usize,
        port: u16,
        mut settings: Vec<(&'static str, String)>,
    ) -> Process {
        settings.push(("HOST", unique_host(self.number)));
        settings.push(("PORT", nth_port(port, n).to_string()));
        settings.push(("LOG", "warn".into()));
        if let Some(timeout) = self.timeout {
            settings.push(("TIMEOUT_MS", timeout.as_millis().to_string()));
        }
        let name = format!("shop{}-{command}{n}", self.number);
        Process::new(name, &[command], settings, &self.scratch)
    }

    fn data_dir(&self, catalog: usize) -> PathBuf {
        let name = format!("shop{}-catalog{catalog}", self.number);
        self.scratch.path().join(name)
    }

    fn catalog_addresses(&self) -> Vec<Address> {
        let all = 0..self.catalogs;
        all.map(|n| self.address(CATALOG_PORT, n)).collect()
    }

    fn order_addresses(&self) -> Vec<Address> {
        let all = 0..ORDER_SERVERS;
        all.map(|n| self.address(ORDER_PORT, n)).collect()
    }

    fn address(&self, port: u16, n: usize) -> Address {
        Address::of(&unique_host(self.number), nth_port(port, n))
    }
}

fn nth_port(first: u16, n: usize) -> u16 {
    first + 1000 * n as u16
}

/// Addresses as a setting.
fn list<'a>(addresses: impl IntoIterator<Item = &'a Address>) -> String {
    let all: Vec<&str> = addresses.into_iter().map(Address::as_str).collect();
    all.join("|")
}
