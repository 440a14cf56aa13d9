//! The shop's nouns as plain values, and how they are read and written as text and JSON. No
//! threads, no I/O, nothing of HTTP but the status of an [`error`].
//!
//! Read [`book`] first, then [`order`], [`order_ids`] and [`applied_orders`], which make a buy that
//! is sent twice sell one copy. [`error`] has every failure that a client can be told.

pub mod address;
pub mod applied_orders;
pub mod book;
pub mod error;
pub mod invalidation;
pub mod number;
pub mod order;
pub mod order_ids;
pub mod validation;
