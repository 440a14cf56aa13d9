//! Bazar: an online book store that survives its own servers.

pub mod address;
pub mod book;
pub mod ending;
pub mod error;
pub mod judge;
pub mod log;
pub mod metrics;
pub mod orders;
pub mod till;

pub mod config;
pub mod contact;
pub mod history;
pub mod http;
pub mod listening;
pub mod watch;

pub mod catalog;
pub mod front_end;
pub mod import;
pub mod order;
