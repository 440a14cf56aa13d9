//! Tests against real processes. One binary: it links once, and its tests run in parallel.

mod connection;
mod http;
mod process;
mod shop;

mod adding;
mod caching;
mod crashes;
mod disks;
mod doors;
mod example;
mod floods;
mod import;
mod interface;
mod losses;
mod mutants;
mod outages;
mod run_sh;
mod settings;
mod watched;
