//! What `bazar shop` says when the shop is open: where its servers are, and what to try.

use crate::model::address::Address;
use crate::supervisor::Shop;
use crate::supervisor::server_log;
use crate::supervisor::topology::Kind;

/// Says that every server is ready.
pub(super) fn announce(shop: &Shop, page: &Result<Address, String>) {
    // Not as events, which a page shows: the token is in it.
    let say = |text: &str| server_log::say("shop", text);
    let address = |kind| {
        let mut servers = shop.servers.iter();
        let first = servers.find(|server| server.member.kind == kind);
        first
            .map(|server| server.member.address.to_string())
            .unwrap_or_default()
    };
    let (front_end, catalog) = (address(Kind::FrontEnd), address(Kind::Catalog));
    let token = shop.token.as_ref();
    let token = token.map(|token| format!(" -H 'Authorization: Bearer {token}'"));
    let token = token.unwrap_or_default();
    shop.events.say(&format!("the shop is open at {front_end}"));
    for server in &shop.servers {
        say(&format!(
            "  {:<10} {}",
            server.member.name, server.member.address
        ));
    }
    match page {
        Ok(page) => say(&format!("its servers at work: {page}")),
        Err(why) => say(&format!(
            "no page of its servers: {why}; set CLUSTER_PORT to another"
        )),
    }
    say("try:");
    say(&format!("  curl {front_end}/search/distributed"));
    say(&format!("  curl {front_end}/lookup/2"));
    say(&format!("  curl -X PUT {front_end}/buy/2"));
    say(&format!(
        "  curl{token} -X PUT -d '{{\"quantity\": 100}}' {catalog}/update/2"
    ));
    say(&format!("  curl{token} {front_end}/dump/"));
    say("Ctrl-C stops it");
}
