//! The same [`Replica`](super::replication::Replica) in a simulated shop: many threads of which one
//! runs at a time, virtual time, and a seed that decides every interleaving, delay, loss, crash and
//! stop.
//!
//! `cargo test` runs a thousand seeds and some of each world, `SEEDS=100000 cargo test sim::worlds`
//! more. A seed that fails is printed with the command that replays it: `SEED=7 cargo test
//! sim::seeds -- --nocapture` prints that run as a sequence of messages. `RULE=Token` leaves out a
//! rule, and `TRACE=1` prints a schedule of `scenarios` without its rule.
//!
//! To read, from the bottom up:
//!
//! - `scheduler` is threads and time; `trace` is what happened; `network` is messages;
//!   `parameters` says how much of everything there is.
//! - `cluster` is the servers: the real replica with a simulated disk, and front-ends.
//! - `clients` and `faults` are what goes on, `history` what the clients were told. A client or a
//!   fault of a new kind is a file there.
//! - `ledgers` is what the catalogs wrote down of it.
//! - `world` puts these together for one run, `runner` runs many seeds of a world.
//!
//! Tests:
//!
//! - `seeds` and `worlds` are worlds of the promise, `splits` are those in which less is promised.
//!   Another world is a row in `worlds`.
//! - `rule_mutations`: each rule of the protocol is left out once, and a wrong history is found.
//!   `scenarios` does the same with schedules that random seeds seldom meet.
//! - `figures` are the figures of the original design, message by message.

mod clients;
mod cluster;
mod faults;
mod figures;
mod history;
mod hour;
mod ledgers;
mod network;
mod parameters;
mod rule_mutations;
mod runner;
mod scenarios;
mod scheduler;
mod seeds;
mod splits;
mod trace;
mod world;
mod worlds;
