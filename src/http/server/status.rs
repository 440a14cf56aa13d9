//! `GET /status`: what a server knows of itself and of the servers that it has to do with.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::model::address::Address;

/// What one kind of server adds to `/status`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Status {
    /// The other servers that its settings name.
    pub(crate) contacts: Vec<Contact>,
    #[serde(flatten)]
    pub(crate) own: Map<String, Value>,
}

/// Another server, as this one sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Contact {
    /// Its kind.
    pub(crate) server: &'static str,
    pub(crate) address: Address,
    /// Whether this server is in contact with it, or would send it a request.
    pub(crate) live: bool,
}

impl Status {
    /// `own` is an object.
    pub(crate) fn new(contacts: Vec<Contact>, own: Value) -> Status {
        let Value::Object(own) = own else {
            unreachable!("it is written so in the code")
        };
        Status { contacts, own }
    }
}
