//! What connects a replica to everything outside its process: peers and front-ends over HTTP, the
//! data folder, the clocks.
//!
//! In which order to read: `http_env` (the environment of a replica, made of the rest), `outbound`
//! (the queues of outgoing requests), `codec` (messages as HTTP), `wait_queues` (how a thread waits
//! for a change of one book).

pub(super) mod codec;
pub(super) mod http_env;
pub(super) mod outbound;
mod wait_queues;
