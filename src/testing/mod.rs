//! What tests check with: histories, metrics pages.

pub mod linearizability;
pub mod prometheus_check;
