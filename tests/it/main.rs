//! Tests against real processes. One binary: it links once, and its tests run in parallel.

mod http;
mod process;
mod shop;

mod adding;
mod caching;
mod crashes;
mod disks;
mod example;
mod import;
mod interface;
mod outages;
mod run_sh;
mod settings;
