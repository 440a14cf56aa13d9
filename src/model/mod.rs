//! The shop's nouns as plain values, and how they are read and written as text and JSON. No
//! threads, no I/O, nothing of HTTP but the status of an [`error`].
//!
//! Read [`book`] first, then [`order`], [`order_ids`] and [`applied_orders`], which make a buy that
//! is sent twice sell one copy. [`error`] has every failure that a client can be told.

pub(crate) mod address;
pub(crate) mod applied_orders;
pub(crate) mod audit;
pub(crate) mod book;
pub(crate) mod error;
pub(crate) mod fold;
pub(crate) mod hold;
pub(crate) mod invalidation;
pub(crate) mod number;
pub(crate) mod order;
pub(crate) mod order_ids;
pub(crate) mod origin;
pub(crate) mod text;
pub(crate) mod trace;
pub(crate) mod validation;
