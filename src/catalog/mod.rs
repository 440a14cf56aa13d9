//! (under construction)

pub mod protocol;
pub mod store;
pub mod topics;
