//! Tests against real processes. One binary: it links once, and its tests run in parallel.

mod connection;
mod http;
mod liar;
mod process;
mod relay;
mod shop;

mod adding;
mod bench;
mod black_hole;
mod caching;
mod chaos;
mod crashes;
mod disks;
mod doors;
mod example;
mod figures;
mod floods;
mod import;
mod interface;
mod lies;
mod load;
mod losses;
mod messages;
mod mutants;
mod outages;
mod partition;
mod run_sh;
mod scale;
mod selling;
mod settings;
mod soak;
mod together;
mod watched;
