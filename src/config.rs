//! Settings: environment and arguments become a [`Command`].

use std::path::PathBuf;
use std::time::Duration;

use crate::address::Address;
use crate::contact::Timing;

/// What every server has.
#[derive(Clone, Debug, PartialEq)]
pub struct Common {
    /// `HOST`, as given: a name or an address.
    pub host: String,
    pub port: u16,
    /// How the others reach this server.
    pub address: Address,
    /// `SERVICE_TOKEN`: what the servers show each other.
    pub token: Option<String>,
    /// How long a silent connection is kept, and a read of a request may take.
    pub idle: Duration,
}

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    pub connect: Duration,
    /// The whole exchange.
    pub whole: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CatalogSettings {
    pub common: Common,
    pub peers: Vec<Address>,
    pub front_ends: Vec<Address>,
    pub data_dir: PathBuf,
    /// The first stock; `None`: the one that is built in.
    pub books: Option<PathBuf>,
    pub limits: Limits,
    pub timing: Timing,
}

#[derive(Clone, Debug, PartialEq)]
pub struct OrderSettings {
    pub common: Common,
    pub catalog: Address,
    pub limits: Limits,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FrontEndSettings {
    pub common: Common,
    pub catalogs: Vec<Address>,
    pub orders: Vec<Address>,
    pub lookup_cache_size: usize,
    pub search_cache_size: usize,
    pub limits: Limits,
    pub timing: Timing,
}
