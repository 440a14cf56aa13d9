//! Checkers for tests: of the histories of clients, and of the answers of `/metrics`. The unit
//! tests and `tests/it` share them, so they are part of the library.

pub mod linearizability;
pub mod prometheus_check;
