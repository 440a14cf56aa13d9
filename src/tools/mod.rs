//! The tools beside the servers: import, bench, scale.

pub mod bench;
pub mod import;
pub mod scale;
