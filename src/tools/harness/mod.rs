//! What `bazar bench` and `bazar scale` measure with.
//!
//! [`scratch_dir`] holds the files and ends the processes, whatever happens; [`local_shop`] starts
//! all servers of a shop, as `bazar shop` does; [`shop`] knows its stock and its sales; [`dataset`]
//! fills it with books. [`connection`] sends requests, [`load`] decides when, and
//! [`measurement`] collects what came of them. [`machine`] says on which machine all of that ran.

pub(crate) mod connection;
pub(crate) mod dataset;
pub(crate) mod load;
pub(crate) mod local_shop;
pub(crate) mod machine;
pub(crate) mod measurement;
pub(crate) mod scratch_dir;
pub(crate) mod shop;
