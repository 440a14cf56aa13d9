//! Bazar: an online book store that survives its own servers.
//!
//! ```text
//!             customers (curl, a browser, a program)
//!                      |
//!                 front-end            keeps two LRU caches; asks the servers behind it in turn
//!                /         \
//!      order servers     catalog servers      any number of each
//!                \         /   \  /
//!                 catalog   <-> catalog        every catalog holds every book; they replicate
//! ```
//!
//! Three kinds of server, each a process of its own, speak JSON over HTTP on blocking threads. This
//! page is the way through the code; `README.md` is the way to run it; `src/API.md` is the
//! interface.
//!
//! # A buy, from the request to the disk
//!
//! 1. [`front_end`]: `http::server` receives the request, `front_end/routes.rs` matches it, and
//!    `model::order_ids` gives it an order id. `front_end/round_robin.rs` says which order server
//!    is next; after a failure the next one is tried with the same id, so one click sells one copy.
//!    Buys that arrive at the same moment travel in one request (`runtime::batcher`), each with its
//!    own order id and its own answer.
//! 2. [`order`]: the buys of one book wait in a queue. The first one reads the book from the
//!    catalog and takes copies for all that wait, with one conditional update that carries all
//!    order ids.
//! 3. [`catalog`]: the update becomes a new, tentative copy here and at every live catalog, on
//!    disk; the front-ends drop the old one from their caches; then the copy is valid, and the
//!    answer goes back. `catalog/replication` is this protocol, without HTTP in it; `PROTOCOL.md`
//!    beside it is the protocol in prose.
//!
//! As `bazar trace` draws it (times left out):
//!
//! ```text
#![doc = include_str!("../tests/it/figures/buy.txt")]
//! ```
//!
//! A lookup ends at the front-end when the book is in its cache and the cache's lease holds
//! (`membership`). Otherwise it goes to the next catalog in turn, which answers without a message
//! to anybody when its copy is valid.
//!
//! # The layers
//!
//! | layer | may use |
//! |---|---|
//! | `main.rs` | everything |
//! | [`tools`] (import, trace, bench, scale) | all below but the insides of the tiers |
//! | [`supervisor`] (`bazar shop`) | membership and below: tiers are processes to it |
//! | [`catalog`], [`order`], [`front_end`]: the tiers | the layers below, never each other |
//! | `membership` | http, config, runtime, model |
//! | `http` | config, runtime, model |
//! | [`config`] | runtime, model |
//! | `model`, [`runtime`] | std, serde, serde_json, fastrand; not each other |
//!
//! No two files import each other except a parent and its child. `testing` (the linearizability
//! checker, a checker of metrics pages) is for tests. A test reads the `use` lines and checks all
//! this.
//!
//! # Where to look
//!
//! | question | answer |
//! |---|---|
//! | Why may a cached answer not be used? | [`front_end`], "When a cached answer may be used" |
//! | What happens when a catalog's disk is full? | `PROTOCOL.md`, "When a catalog's disk is full" |
//! | Which peers acknowledge a write? | `PROTOCOL.md`, "Which peers must acknowledge a write" |
//! | What happens after a restart? | the same, "What a restarted catalog does before it answers" |
//! | Where does the LRU cache evict? | `front_end/cache/lru.rs`, `insert` |
//! | How is an order id made? | `model::order_ids` |
//! | Which places answer 409? | `src/API.md`, "409" |
//! | When does a server count as down? | `membership`, "When a server counts as down" |
//! | Which thread answers a cached look-up? | `http::server`, "Threads" |
//! | Which servers did one request touch? | `runtime::span`; `src/API.md`, `GET /traces/<trace>` |
//! | How often and how long is a buy retried? | [`order`], "Retries", for all tiers |
//!
//! # What holds it together
//!
//! - **Definite or not**: `model::error::Error` and `http::client`'s failures tell "nothing
//!   happened" from "nobody knows". Only the second makes a retry dangerous, and order ids
//!   (`model::applied_orders`) make it harmless.
//! - **On disk before the answer**: `catalog/storage`, files replaced whole; writers that wait for
//!   the same file share one replacement.
//! - **It must be able to fail**: `testing/linearizability` checks that what customers saw could
//!   have happened at one shop with one copy of each book. `catalog/sim` runs the real replica
//!   through thousands of seeded faults, and leaves out each rule of the protocol to see the check
//!   fail. The tests in `tests/it/` run real processes and kill them.
//!
//! # Glossary
//!
//! | in Bazar | in the field |
//! |---|---|
//! | catalog, order server, front-end | storage replica, application server, gateway with a cache |
//! | sequence number, stamp | Lamport timestamp with a random tie-break; together the *version* |
//! | copy | one replica's value of a book |
//! | valid, tentative, unknown | Hermes: Valid; Invalid, a write in flight; unverified |
//! | valid list | the keys that a replica may serve local reads of |
//! | check | validation of a write's base version before it is proposed |
//! | update, confirm | Hermes: INV and VAL; propose and commit |
//! | hop | a read that is forwarded from replica to replica |
//! | claim | write-back of the newest copy found, as it is, to all live replicas |
//! | read repair | completing a write whose writer is gone, before a read is answered |
//! | catch-up | anti-entropy: version lists are compared page by page, the better copies fetched |
//! | start number | incarnation number of a process |
//! | live peer, write set | a member of the current view; the replicas that must acknowledge |
//! | lease, holder | Gray and Cheriton's lease; the front-end that holds one |
//! | order id, open | request id with a client epoch; the window of requests that may still come |
//! | closed order | an id below the window: refused, never executed |
//! | flight | one fetch that many readers of a cache key share (Go's `singleflight`) |
//! | shelf | the in-memory table of books, with an index by topic |
//! | group commit | saves that share one fsync |
//! | first stock | seed data |
//! | invalidate | cache invalidation that is pushed, and acknowledged, before a write is |

#![warn(unreachable_pub)]

pub mod catalog;
pub mod config;
pub mod front_end;
mod http;
mod membership;
mod model;
pub mod order;
pub mod runtime;
pub mod supervisor;
pub mod testing;
pub mod tools;
