//! Calls to other servers: the only file that knows ureq.
