//! Bazar: an online book store that survives its own servers.
//!
//! ```text
//!             customers (curl, a browser, a program)
//!                      |
//!                 front-end            keeps two LRU caches; takes the servers behind it in turn
//!                /         \
//!      order servers     catalog servers      any number of each
//!                \         /   \  /
//!                 catalog   <-> catalog        every catalog holds every book; they replicate to each other
//! ```
//!
//! Three kinds of server, each a process of its own, speak JSON over HTTP on blocking threads. This
//! page is the way through the code; `README.md` is the way to run it.
//!
//! # A buy, from the door to the disk
//!
//! 1. [`front_end`]: the request is received by [`http::server`], matched in `front_end/routes.rs`,
//!    and given an order id by the [`till`]. `front_end/turns.rs` says which order server is next;
//!    whatever fails, the next one is tried with the same id, so one click sells one copy.
//!    Customers who come at the same moment go there in one request ([`gathering`]), each with the
//!    own order and the own answer.
//! 2. [`order`]: customers of one book stand in line. The first reads the book from the catalog and
//!    takes copies for all who wait, with one conditional update that carries all their order ids.
//!    A crowd that came in one request needs one read and one update for all of its books.
//! 3. [`catalog`]: the update becomes a new, tentative copy here and at every live catalog, on
//!    disk; the front-ends forget the old one; then it is valid, and the answer goes back.
//!    [`catalog::replica`] is this agreement, without HTTP in it.
//!
//! A lookup ends at the front-end when the book is in its cache and the cache may be trusted
//! ([`contact`]); otherwise at the next catalog in turn, which answers without a message to anybody
//! when its copy is valid.
//!
//! # What holds it together
//!
//! - **Who is live, and how long a copy may be trusted**: [`contact`]. Heartbeat every 100 ms,
//!   leases of 500 ms.
//! - **Definite or not**: [`error::Error`] and [`http::client::Failure`] tell "nothing happened"
//!   from "nobody knows". Only the second makes a retry dangerous, and order ids ([`orders`]) make
//!   it harmless.
//! - **On disk before the answer**: [`catalog::store`]: files replaced whole, shared by those who
//!   wait for the same file.
//! - **It must be able to fail**: [`history`] checks that what customers saw could have happened at
//!   one shop with one copy of each book; the simulation runs the same replica under thousands of
//!   seeded accidents, the tests in `tests/it/` run real processes and kill them.
//!
//! # Who may use what
//!
//! | row | modules | may use |
//! |---|---|---|
//! | 3 | [`catalog`], [`order`], [`front_end`], and the tools | rows below, never each other |
//! | 2 | [`http`], [`contact`], [`config`], … | row 1 |
//! | 1 | [`book`], [`orders`], [`error`], … | serde and std |

pub mod catalog;
pub mod config;
pub mod front_end;
pub mod http;
pub mod membership;
pub mod model;
pub mod order;
pub mod runtime;
pub mod testing;
pub mod tools;
