//! (under construction)

pub mod if_match;
pub mod protocol;
pub mod replica;
pub mod shelf;
pub mod store;
pub mod topics;
