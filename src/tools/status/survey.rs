//! Asks one server after another for `/status`, beginning with the one whose address is known.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::http::client::Client;
use crate::model::address::Address;
use crate::tools::failure_text;

/// No shop has more servers; a server that names any address must not lead on for ever.
const SERVERS_MAX: usize = 100;

/// A server of the shop.
#[derive(Debug, Serialize)]
pub(super) struct Server {
    pub(super) address: Address,
    /// Its kind, as it or another server says.
    pub(super) server: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<Status>,
    /// Why it has no status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
}

/// What a server says of itself. What its kind does not have is missing.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) server: String,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) uptime_s: u64,
    pub(super) missing: Vec<String>,
    pub(super) contacts: Vec<Contact>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) books: Option<Books>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lease: Option<bool>,
    pub(super) disk_refuses: bool,
    pub(super) left_out: Vec<Address>,
    pub(super) copies_dropped: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sold: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) caches: Option<Caches>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) buys: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Contact {
    pub(super) server: String,
    pub(super) address: Address,
    pub(super) live: bool,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Books {
    pub(super) valid: u64,
    pub(super) tentative: u64,
    pub(super) unknown: u64,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Caches {
    pub(super) lookups: u64,
    pub(super) searches: u64,
    pub(super) hits: u64,
    pub(super) misses: u64,
}

/// All servers that one leads to: front-ends first, catalogs last.
pub(super) fn ask_all(client: &Client, first: &Address) -> Vec<Server> {
    let mut found: BTreeMap<Address, Server> = BTreeMap::new();
    let mut to_ask = VecDeque::from([(first.clone(), "server".to_string())]);
    while let Some((address, kind)) = to_ask.pop_front() {
        if found.contains_key(&address) || SERVERS_MAX <= found.len() {
            continue;
        }
        let (status, why) = match ask(client, &address) {
            Ok(status) => (Some(status), None),
            Err(why) => (None, Some(why)),
        };
        let known = status.as_ref();
        let contacts = known.iter().flat_map(|status| &status.contacts);
        to_ask.extend(contacts.map(|it| (it.address.clone(), it.server.clone())));
        let server = known.map_or(kind, |status| status.server.clone());
        let found_one = Server {
            address: address.clone(),
            server,
            status,
            why,
        };
        found.insert(address, found_one);
    }
    let mut servers: Vec<Server> = found.into_values().collect();
    let tier = |server: &Server| {
        ["front-end", "order"]
            .iter()
            .position(|it| server.server == *it)
    };
    servers.sort_by_key(|server| tier(server).unwrap_or(usize::MAX));
    servers
}

fn ask(client: &Client, address: &Address) -> Result<Status, String> {
    let answer = client.get(&format!("{address}/status"), &[]);
    let answer = answer.map_err(failure_text)?;
    let status = answer.json::<Status>().ok();
    let status = status.filter(|_| answer.status == 200);
    status.ok_or_else(|| match answer.status {
        401 => "it wants another SERVICE_TOKEN".into(),
        status => format!("it answers /status with {status}"),
    })
}

impl Server {
    /// How it is called.
    pub(super) fn name(&self) -> String {
        match &self.status {
            Some(status) => status.name.clone(),
            None => format!("{} at {}", self.server, self.address),
        }
    }
}
