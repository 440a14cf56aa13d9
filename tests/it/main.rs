//! Tests against real processes. One binary: it links once, and its tests run in parallel.

mod http;
mod process;
mod relay;
mod shop;

mod adding;
mod black_hole;
mod caching;
mod chaos;
mod crashes;
mod disks;
mod example;
mod import;
mod interface;
mod load;
mod messages;
mod outages;
mod partition;
mod run_sh;
mod selling;
mod settings;
