//! The shop's nouns as plain values: no threads, no I/O.

pub mod address;
pub mod applied_orders;
pub mod book;
pub mod error;
pub mod invalidation;
pub mod number;
pub mod order;
pub mod order_ids;
pub mod validation;
