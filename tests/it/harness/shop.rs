//! A whole shop of real processes for one test, on addresses and in folders of its own.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process, thread};

use serde_json::{Value, json};

use crate::harness::etcd::{self, Etcd};
use crate::harness::http::Response;
use crate::harness::process::eventually;
use crate::harness::proxy::{Proxy, Trace};
use crate::harness::server::Server;

/// Time limits ten times the default ones: a test machine may be slow for seconds.
pub const PATIENT_TIMES: [(&str, &str); 7] = [
    ("HEARTBEAT_TIMEOUT_MS", "3000"),
    ("LEASE_MS", "5000"),
    ("STALL_MS", "2500"),
    ("CONNECT_TIMEOUT_MS", "2000"),
    ("TIMEOUT_MS", "10000"),
    ("HEDGE_AFTER_MS", "500"),
    ("LOG", "debug"),
];

/// How many servers of each kind, and how they are set up.
pub struct ShopOptions {
    pub catalogs: usize,
    pub orders: usize,
    pub front_ends: usize,
    /// For every server, over the harness's own.
    pub environment: Vec<(&'static str, String)>,
    /// Whether the servers keep their default time limits. Otherwise these are ten times as long.
    pub default_timeouts: bool,
    pub proxies: Proxies,
    /// Where catalogs keep their books.
    pub store: Store,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// What the setting of the tests says.
    Default,
    /// Their own folders, because a test is about those, about their versions, or about how catalogs
    /// agree.
    Own,
    /// An etcd of so many members. It must be installed.
    Etcd(usize),
}

/// Before which servers proxies stand, and which others go through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxies {
    None,
    /// Catalogs reach each other through them, all others reach catalogs directly.
    BetweenCatalogs,
    /// All servers reach each other through them. Only the test itself does not.
    Everywhere,
}

impl Default for ShopOptions {
    fn default() -> ShopOptions {
        ShopOptions {
            catalogs: 2,
            orders: 2,
            front_ends: 1,
            environment: Vec::new(),
            default_timeouts: false,
            proxies: Proxies::None,
            store: Store::Default,
        }
    }
}

impl ShopOptions {
    /// The usual ones, of a shop whose catalogs have their books in folders.
    pub fn own() -> ShopOptions {
        ShopOptions {
            store: Store::Own,
            ..ShopOptions::default()
        }
    }
}

/// Servers are numbered from 1, as in `run.sh`: order server n has catalog n (after the last one
/// the first again).
pub struct Shop {
    catalogs: Vec<Server>,
    orders: Vec<Server>,
    front_ends: Vec<Server>,
    proxies: Vec<(String, Proxy)>,
    pub trace: Arc<Trace>,
    folder: PathBuf,
    etcd: Option<Etcd>,
}

impl Shop {
    /// A shop whose servers are all ready.
    #[track_caller]
    pub fn started(options: ShopOptions) -> Shop {
        let shop = Shop::new(options);
        shop.start();
        shop
    }

    /// A shop with addresses and empty folders, of which no server runs yet.
    pub fn new(options: ShopOptions) -> Shop {
        let host = own_host();
        let folder = own_folder();
        let addresses = |count: usize, port: usize| -> Vec<String> {
            (0..count)
                .map(|n| format!("{host}:{}", port + 1000 * n))
                .collect()
        };
        let catalogs = addresses(options.catalogs, 5000);
        let orders = addresses(options.orders, 5001);
        let front_ends = addresses(options.front_ends, 5002);
        let trace = Arc::<Trace>::default();
        let before = |command: &'static str, addresses: &[String]| {
            let names = (1..).map(move |n| format!("{command}{n}"));
            // In the order of the servers, as their own ports are.
            let listener = |_: &String| TcpListener::bind((host.as_str(), 0)).unwrap();
            let mut listeners: Vec<TcpListener> = addresses.iter().map(listener).collect();
            listeners.sort_by_key(|listener| listener.local_addr().unwrap().port());
            let proxy = |((name, address), listener): ((String, &String), TcpListener)| {
                let proxy = Proxy::new(listener, &name, address, trace.clone());
                (name, address.clone(), proxy)
            };
            let servers = names.zip(addresses).zip(listeners);
            servers.map(proxy).collect::<Vec<_>>()
        };
        let proxies = match options.proxies {
            Proxies::None => Vec::new(),
            Proxies::BetweenCatalogs => before("catalog", &catalogs),
            Proxies::Everywhere => {
                let mut proxies = before("catalog", &catalogs);
                proxies.extend(before("order", &orders));
                proxies.extend(before("front-end", &front_ends));
                proxies
            }
        };
        // How catalogs reach a server, and how others do.
        let by_catalogs = |address: &String| {
            let proxy = proxies.iter().find(|(_, target, _)| target == address);
            proxy
                .map_or(address, |(_, _, proxy)| &proxy.address)
                .clone()
        };
        let by_others = |address: &String| match options.proxies {
            Proxies::BetweenCatalogs => address.clone(),
            _ => by_catalogs(address),
        };
        let shared = || {
            let patient = PATIENT_TIMES.iter().filter(|_| !options.default_timeouts);
            let patient = patient.map(|(name, value)| (*name, value.to_string()));
            patient.chain(options.environment.iter().cloned())
        };
        let server = |command, n: usize, address: &String, own: Vec<(&'static str, String)>| {
            let name = format!("{command}{}", n + 1);
            let reached_at = ("ADDRESS", format!("http://{}", by_catalogs(address)));
            let settings = own.into_iter().chain([reached_at]).chain(shared());
            let settings = settings.collect();
            Server::new(command, &name, address, settings, &folder)
        };
        let etcd = match options.store {
            Store::Etcd(members) => Some(Etcd::started(members).expect("etcd is installed")),
            Store::Default if etcd::is_default() => {
                Some(Etcd::started(1).expect("etcd is installed"))
            }
            _ => None,
        };
        let catalog = |(n, address): (usize, &String)| {
            let others = catalogs.iter().filter(|other| *other != address);
            let mut own = vec![
                ("CATALOG_ADDRESSES", list(others.map(by_catalogs))),
                (
                    "FRONT_END_ADDRESS",
                    list(front_ends.iter().map(by_catalogs)),
                ),
                (
                    "DATA_DIR",
                    folder
                        .join(format!("catalog{}", n + 1))
                        .display()
                        .to_string(),
                ),
            ];
            if let Some(etcd) = &etcd {
                own.extend([("STORE", "etcd".into()), ("ETCD", etcd.urls())]);
            }
            server("catalog", n, address, own)
        };
        let order = |(n, address): (usize, &String)| {
            let catalog = &catalogs[n % catalogs.len()];
            let own = vec![("CATALOG_ADDRESS", list([by_others(catalog)]))];
            server("order", n, address, own)
        };
        let front_end = |(n, address): (usize, &String)| {
            let own = vec![
                ("CATALOG_ADDRESSES", list(catalogs.iter().map(by_others))),
                ("ORDER_ADDRESSES", list(orders.iter().map(by_others))),
            ];
            server("front-end", n, address, own)
        };
        Shop {
            catalogs: catalogs.iter().enumerate().map(catalog).collect(),
            orders: orders.iter().enumerate().map(order).collect(),
            front_ends: front_ends.iter().enumerate().map(front_end).collect(),
            proxies: proxies
                .into_iter()
                .map(|(n, _, proxy)| (n, proxy))
                .collect(),
            trace,
            folder,
            etcd,
        }
    }

    /// Whether the books are in etcd.
    pub fn has_etcd(&self) -> bool {
        self.etcd.is_some()
    }

    /// Where the books are, if that is etcd.
    pub fn etcd(&self) -> &Etcd {
        self.etcd.as_ref().expect("the books are in etcd")
    }

    /// Starts every server, tier by tier, and waits until each is ready. Until its server listens,
    /// a proxy refuses connections as the server would: silence would cost the others a time-out.
    #[track_caller]
    pub fn start(&self) {
        self.proxies.iter().for_each(|(_, proxy)| proxy.cut());
        for tier in [&self.catalogs, &self.orders, &self.front_ends] {
            // At once: catalogs wait for each other.
            thread::scope(|scope| {
                for server in tier {
                    scope.spawn(|| {
                        self.launch(server);
                        server.await_ready();
                    });
                }
            });
        }
    }

    /// Starts a server, and opens the proxy before it.
    #[track_caller]
    pub fn launch(&self, server: &Server) {
        server.launch();
        self.proxy_before(server).inspect(|proxy| proxy.heal());
    }

    /// Kills a server. The proxy before it refuses connections as the server would.
    #[track_caller]
    pub fn kill(&self, server: &Server) {
        server.kill();
        self.proxy_before(server).inspect(|proxy| proxy.cut());
    }

    fn proxy_before(&self, server: &Server) -> Option<&Proxy> {
        let mut proxies = self.proxies.iter();
        let before = proxies.find(|(name, _)| *name == server.name);
        before.map(|(_, proxy)| proxy)
    }

    /// Catalog `n`, from 1.
    pub fn catalog(&self, n: usize) -> &Server {
        &self.catalogs[n - 1]
    }

    /// Order server `n`, from 1.
    pub fn order(&self, n: usize) -> &Server {
        &self.orders[n - 1]
    }

    pub fn front_end(&self) -> &Server {
        &self.front_ends[0]
    }

    pub fn front_ends(&self) -> &[Server] {
        &self.front_ends
    }

    /// Front-end `n`, from 1.
    pub fn front_end_number(&self, n: usize) -> &Server {
        &self.front_ends[n - 1]
    }

    /// The proxy before a server, such as `catalog1`.
    pub fn proxy(&self, name: &str) -> &Proxy {
        let proxy = self.proxies.iter().find(|(before, _)| before == name);
        &proxy.expect("a proxy stands before it").1
    }

    pub fn catalogs(&self) -> &[Server] {
        &self.catalogs
    }

    pub fn orders(&self) -> &[Server] {
        &self.orders
    }

    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        let tiers = [&self.catalogs, &self.orders, &self.front_ends];
        tiers.into_iter().flatten()
    }

    /// A front-end's lookup of a book that exists.
    #[track_caller]
    pub fn lookup(&self, id: u64) -> Value {
        let response = self.front_end().get(&format!("/lookup/{id}"));
        assert_eq!(response.status, 200, "{response:?}");
        response.json()
    }

    /// How many copies a front-end's lookup shows.
    #[track_caller]
    pub fn quantity(&self, id: u64) -> u64 {
        self.lookup(id)["quantity"].as_u64().unwrap()
    }

    /// Sets how many copies there are of a book. A test machine's disk may be busy for longer than
    /// a catalog waits.
    #[track_caller]
    pub fn stock_up(&self, id: u64, quantity: usize) {
        let (path, body) = (format!("/update/{id}"), json!({ "quantity": quantity }));
        eventually("the copies are there", || {
            self.catalog(1).put(&path, &body.to_string()).status == 200
        });
    }

    /// How many copies of a book are left, according to each catalog.
    #[track_caller]
    pub fn quantities(&self, id: u64) -> Vec<u64> {
        let catalogs = self.catalogs.iter();
        catalogs.map(|catalog| catalog.quantity(id)).collect()
    }

    pub fn buy(&self, id: u64) -> Response {
        self.front_end().put(&format!("/buy/{id}"), "")
    }

    /// Puts the first stock into the folder of catalog `n`, as an earlier version left it: such a
    /// folder is whole.
    pub fn write_first_stock(&self, n: usize) {
        let stock = include_str!("../../../data/books.json");
        self.write_books(n, serde_json::from_str(stock).unwrap());
    }

    /// As [`Shop::write_first_stock`], of other books with ids up to 199.
    pub fn write_books(&self, n: usize, mut books: Vec<Value>) {
        for book in &mut books {
            book["version"] = "0-0".into();
        }
        let folder = self.data_folder(n);
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("books-0000000-0000199.json");
        fs::write(file, Value::from(books).to_string()).unwrap();
    }

    /// Lets catalog `n`, which is not running, go on without catalog `without`, as if it had left
    /// that one out.
    pub fn leave_out(&self, n: usize, without: usize) {
        let left_out = [self.catalog(without).url()];
        let record = json!({"starts": 9, "whole": true, "left_out": left_out});
        let file = self.data_folder(n).join("standing.json");
        fs::write(file, record.to_string()).unwrap();
    }

    /// Where everything of this shop is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where catalog `n` keeps its books. It may be written to before the first start.
    pub fn data_folder(&self, n: usize) -> PathBuf {
        self.folder.join(format!("catalog{n}"))
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        for server in self.servers().filter(|server| server.is_running()) {
            server.kill();
        }
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
            return;
        }
        eprintln!(
            "the shop's folder, with all of stderr: {}",
            self.folder.display()
        );
        for server in self.servers() {
            let stderr = server.stderr();
            let lines: Vec<&str> = stderr.lines().collect();
            let last = lines[lines.len().saturating_sub(20)..].join("\n");
            eprintln!("--- {} ({})\n{last}", server.name, server.address);
        }
    }
}

/// Addresses as a setting.
pub fn list(addresses: impl IntoIterator<Item = String>) -> String {
    let urls: Vec<String> = addresses
        .into_iter()
        .map(|address| format!("http://{address}"))
        .collect();
    urls.join("|")
}

static SHOPS: AtomicU32 = AtomicU32::new(0);

/// An address of this machine that no other test uses: all of 127.0.0.0/8 is here.
pub fn own_host() -> String {
    let count = SHOPS.fetch_add(1, Ordering::Relaxed);
    let number = process::id().wrapping_mul(256).wrapping_add(count);
    // 127.0.x.y is left to people, 127.255.255.255 to broadcasts.
    let [_, b, c, d] = number.to_be_bytes();
    format!("127.{}.{}.{}", 1 + b % 254, c, 1 + d % 254)
}

/// A new folder for temporary files.
pub fn own_folder() -> PathBuf {
    let count = SHOPS.fetch_add(1, Ordering::Relaxed);
    let folder = env::temp_dir().join(format!("bazar-test-{}-{count}", process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}
