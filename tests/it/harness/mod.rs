//! What the tests share: servers as real processes, an HTTP client, and things that fail on
//! purpose.
//!
//! In reading order: `process` (run, signal, wait), `server` (one server), `shop` (a whole shop for
//! one test), `http` and `connection` (two clients), `proxy` (a network that fails), and
//! `byzantine_peer` (a catalog that responses nonsense).

pub mod byzantine_peer;
pub mod connection;
pub mod http;
pub mod process;
pub mod proxy;
pub mod server;
pub mod shop;
