//! `GET /state`: all that the page shows.

use std::env;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use serde_json::{Value, json};

use crate::runtime::sync::lock;
use crate::supervisor::cluster::Cluster;
use crate::supervisor::relay::Relay;
use crate::supervisor::relay::link::Link;
use crate::supervisor::supervised::Supervised;
use crate::supervisor::topology::Kind;

/// The sizes of the front-ends' caches, if no setting says otherwise.
const LOOKUPS_MAX: usize = 3;
const SEARCHES_MAX: usize = 10;

/// The state of the shop as JSON.
pub(super) fn state(cluster: &Cluster) -> Value {
    cluster.watch.watched();
    let servers = cluster.shop.servers.iter().enumerate();
    let shop = &cluster.shop;
    json!({
        "shop": cluster.addresses(Kind::FrontEnd),
        "restarting": shop.restarting.load(Relaxed),
        "has_token": shop.token.is_some(),
        "event": shop.events.last(),
        // Whether the books are there.
        "etcd": shop.etcd.is_some(),
        "caches_max": [
            size("LOOKUP_CACHE_SIZE", LOOKUPS_MAX),
            size("SEARCH_CACHE_SIZE", SEARCHES_MAX),
        ],
        "servers": servers.map(|(n, server)| self::server(cluster, n, server)).collect::<Vec<_>>(),
        "account": cluster.account.counts(),
        "load": cluster.load.shown(),
        // Without `--demo` there are none.
        "links": shop.relay.as_ref().map(|relay| links(relay)),
    })
}

fn links(relay: &Relay) -> Vec<Value> {
    let link = |link: &Arc<Link>| {
        json!({
            "ends": link.ends,
            "condition": link.condition().word(),
            "connections": link.connections(),
        })
    };
    relay.links.iter().map(link).collect()
}

/// A setting that the servers have from this process's environment.
fn size(name: &str, usual: usize) -> usize {
    let given = env::var(name).ok();
    given
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(usual)
}

fn server(cluster: &Cluster, n: usize, server: &Supervised) -> Value {
    let look = lock(&cluster.looks[n]).clone();
    let id = server.process.id();
    let (due, end) = server.outlook();
    let wait_ms = due.map(|due| due.saturating_duration_since(Instant::now()).as_millis() as u64);
    let state = match id {
        None if due.is_some() => "restarting",
        None => "down",
        Some(_) if server.process.is_paused() => "stopped",
        Some(_) if look.is_ready() => "up",
        Some(_) if look.answers() => "not ready",
        Some(_) => "silent",
    };
    json!({
        "name": server.member.name,
        "kind": server.member.kind.word(),
        "address": server.member.listens_at(&cluster.shop.local),
        // By this, others name it.
        "known_as": server.member.address,
        "process": id,
        "state": state,
        "restarts_in_ms": wait_ms,
        "end": end,
        "last_words": if id.is_none() { server.log.last_lines() } else { Vec::new() },
        "look": look,
    })
}
