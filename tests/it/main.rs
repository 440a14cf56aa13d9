//! Tests against real processes. One binary: it links once, and its tests run in parallel.
//!
//! [`harness`] starts servers and speaks to them; every other module is about one subject.

mod harness;

mod auth;
mod batch;
mod bench;
mod black_hole;
mod browser;
mod byzantine;
mod caching;
mod chaos;
mod cluster_page;
mod crashes;
mod create_books;
mod disks;
mod etcd;
mod example;
mod figures;
mod floods;
mod fuzz;
mod hung;
mod import;
mod interface;
mod layout;
mod leaked_connections;
mod load;
mod messages;
mod metrics;
mod observability;
mod old_data_folder;
mod operating;
mod operations;
mod orders;
mod otlp;
mod outages;
mod partition;
mod refusals;
mod removing;
mod rolling_restart;
mod run_sh;
mod scale;
mod selling;
mod settings;
mod soak;
mod status;
mod teaching;
mod total_failures;
mod traces;
mod upgrade;
