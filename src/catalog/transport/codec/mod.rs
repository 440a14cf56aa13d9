//! The messages between catalogs as HTTP: `PUT /rep/<kind>`, or `/rep/<kind>/<id>` for a message
//! about one book, with a JSON body. [`request`] and [`reply`] encode and decode the two
//! directions; each decoder rejects what no catalog sends. `src/API.md` has the whole table.
//!
//! | status | means |
//! |---|---|
//! | 200 | the reply that was asked for |
//! | 403 to a heartbeat | the sender is not in the settings |
//! | 409 | nothing newer (get), or the books that conflict with what was sent |
//! | any other | no reply: [`Outcome::Silent`](super::super::replication::messages::Outcome) |

pub(crate) mod reply;
pub(crate) mod request;
#[cfg(test)]
mod tests;
