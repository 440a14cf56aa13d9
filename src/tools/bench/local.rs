//! A shop of real processes in a temporary folder, on addresses of its own.

use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::model::address::Address;
use crate::tools::bench::process::Process;
use crate::tools::bench::shop::Shop;
use crate::tools::bench::warden::Warden;

/// How long a shop may take until every server is ready.
const READY_MAX: Duration = Duration::from_secs(60);

/// The usual shop has two order servers.
const ORDERS: usize = 2;

/// How a shop is set up.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub catalogs: usize,
    /// Otherwise the front-end keeps nothing.
    pub cached: bool,
}

/// Where a shop is.
#[derive(Clone, Debug)]
pub struct Place {
    /// Tells it from others in the same folder.
    pub name: String,
    /// For it alone.
    pub host: String,
    pub warden: Arc<Warden>,
    /// The limit for a call from server to server, if not the shop's own.
    pub call_max: Option<Duration>,
}

impl Place {
    /// Where the files of a catalog are.
    pub fn data_of_catalog(&self, n: usize) -> PathBuf {
        let folder = self.warden.folder();
        folder.join(format!("{}-catalog{n}", self.name))
    }
}

/// An address of this machine that nobody else uses: all of 127.0.0.0/8 is here. Each shop of this
/// process has a number of its own.
pub fn own_host(shop: u8) -> String {
    let [_, b, c, d] = (process::id().wrapping_mul(64) + u32::from(shop)).to_be_bytes();
    format!("127.{}.{c}.{}", 1 + b % 254, 1 + d % 254)
}

/// A shop that runs until this is dropped. Servers are numbered from 0; order server n has catalog
/// n, after the last one the first again.
#[derive(Debug)]
pub struct LocalShop {
    pub shop: Shop,
    pub catalogs: Vec<Process>,
    pub orders: Vec<Process>,
    _front_end: Process,
    /// Of every server.
    addresses: Vec<Address>,
}

impl LocalShop {
    /// Opens a shop with the first stock.
    ///
    /// Fails when a server does not start or does not become ready.
    pub fn open(plan: Plan, place: &Place) -> Result<LocalShop, String> {
        let site = Site { plan, place };
        let catalogs: Vec<_> = (0..plan.catalogs).map(|n| site.catalog(n)).collect();
        let orders: Vec<_> = (0..ORDERS).map(|n| site.order(n)).collect();
        let front_end = site.front_end();
        for process in catalogs.iter().chain(&orders).chain([&front_end]) {
            process.start()?;
        }
        let places = site.catalogs().into_iter().chain(site.orders());
        let mut addresses: Vec<Address> = places.collect();
        addresses.push(site.own(FRONT_END_PORT));
        Ok(LocalShop {
            shop: site.shop(&addresses)?,
            catalogs,
            orders,
            _front_end: front_end,
            addresses,
        })
    }

    /// Waits until every server can do its job.
    ///
    /// Fails when that takes too long.
    pub fn await_ready(&self) -> Result<(), String> {
        await_ready(&self.shop, &self.addresses)
    }
}

fn await_ready(shop: &Shop, addresses: &[Address]) -> Result<(), String> {
    let until = Instant::now() + READY_MAX;
    for address in addresses {
        while !shop.is_ready(address) {
            if until < Instant::now() {
                return Err(format!("{address} is not ready after {READY_MAX:?}"));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}

const CATALOG_PORT: u16 = 5000;
const ORDER_PORT: u16 = 5001;
const FRONT_END_PORT: u16 = 5002;

/// What the servers of a shop are told.
struct Site<'a> {
    plan: Plan,
    place: &'a Place,
}

impl Site<'_> {
    fn own(&self, port: u16) -> Address {
        Address::of(&self.place.host, port)
    }

    fn catalogs(&self) -> Vec<Address> {
        let ports = (0..self.plan.catalogs as u16).map(|n| CATALOG_PORT + 1000 * n);
        ports.map(|port| self.own(port)).collect()
    }

    fn orders(&self) -> Vec<Address> {
        let ports = (0..ORDERS as u16).map(|n| ORDER_PORT + 1000 * n);
        ports.map(|port| self.own(port)).collect()
    }

    /// Asks only once all servers are ready: before, the stock may be unsettled.
    fn shop(&self, addresses: &[Address]) -> Result<Shop, String> {
        let front_end = self.own(FRONT_END_PORT);
        let nobody_yet = Shop::new(&front_end, &[], None)?;
        await_ready(&nobody_yet, addresses)?;
        Shop::new(&front_end, &self.catalogs(), None)
    }

    fn catalog(&self, n: usize) -> Process {
        let all = self.catalogs();
        let others = all.iter().filter(|other| **other != all[n]);
        let folder = self.place.data_of_catalog(n);
        let own = vec![
            ("CATALOG_ADDRESSES", list(others)),
            ("FRONT_END_ADDRESS", self.own(FRONT_END_PORT).to_string()),
            ("DATA_DIR", folder.display().to_string()),
        ];
        self.process("catalog", n, CATALOG_PORT, own)
    }

    fn order(&self, n: usize) -> Process {
        let catalog = &self.catalogs()[n % self.plan.catalogs];
        let own = vec![("CATALOG_ADDRESS", catalog.to_string())];
        self.process("order", n, ORDER_PORT, own)
    }

    fn front_end(&self) -> Process {
        let mut own = vec![
            ("CATALOG_ADDRESSES", list(&self.catalogs())),
            ("ORDER_ADDRESSES", list(&self.orders())),
        ];
        if !self.plan.cached {
            own.push(("LOOKUP_CACHE_SIZE", "0".into()));
            own.push(("SEARCH_CACHE_SIZE", "0".into()));
        }
        self.process("front-end", 0, FRONT_END_PORT, own)
    }

    fn process(
        &self,
        command: &str,
        n: usize,
        port: u16,
        own: Vec<(&'static str, String)>,
    ) -> Process {
        let port = port + 1000 * n as u16;
        let common = [
            ("HOST", self.place.host.clone()),
            ("PORT", port.to_string()),
            ("LOG", "warn".to_string()),
        ];
        let limit = self.place.call_max;
        let limit = limit.map(|limit| ("TIMEOUT_MS", limit.as_millis().to_string()));
        let settings = own.into_iter().chain(common).chain(limit).collect();
        let name = format!("{}-{command}{n}", self.place.name);
        Process::new(&name, &[command], settings, &self.place.warden)
    }
}

/// Addresses as a setting.
fn list<'a>(addresses: impl IntoIterator<Item = &'a Address>) -> String {
    let all: Vec<&str> = addresses.into_iter().map(Address::as_str).collect();
    all.join("|")
}
