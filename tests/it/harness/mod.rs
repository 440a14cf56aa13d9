//! What the tests share: servers as real processes, an HTTP client, and things that fail on
//! purpose.
//!
//! In reading order: `process` (run, signal, wait), `server` (one server), `shop` (a whole shop for
//! one test), `http` and `connection` (two clients), `clients` (many at once, and one that
//! retries), `history` (what clients did and saw), `proxy` (a network that fails), `fake_server` (a
//! server that answers what a test wants), and `etcd` (the other store of catalogs).

pub mod clients;
pub mod connection;
pub mod etcd;
pub mod fake_server;
pub mod history;
pub mod http;
pub mod process;
pub mod proxy;
pub mod server;
pub mod shop;
