//! The catalog's way to the outside: HTTP to peers and front-ends, files, clocks.

pub mod codec;
pub mod http_env;
pub mod outbound;
