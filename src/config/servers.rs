//! The settings of the three kinds of server.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::config::otlp;
use crate::config::setting::{self, Fallback, Setting, TOKEN};
use crate::config::timing::Timing;
use crate::config::values::Values;
use crate::config::{CatalogSettings, Common, FrontEndSettings, Limits, OrderSettings};
use crate::model::address::{Address, is_loopback};
use crate::model::origin::Origin;
use crate::runtime::log::Level;

/// A longer name does not fit in a table.
const NAME_CHARS_MAX: usize = 32;

/// Times are at most an hour: more is a typing error.
const MS_MAX: u64 = 3_600_000;

/// A hit in a full cache that uses all entries alike costs some 6 µs with so many look-ups, and
/// some 3 µs with so many searches, whose keys are longer; beyond, it grows with their number,
/// under the lock that every hit takes. A cached answer takes 30 µs of the machine in all.
const LOOKUP_CACHE_SIZE_MAX: u64 = 10_000;
const SEARCH_CACHE_SIZE_MAX: u64 = 1_000;

const CATALOG: &str = "\
DATA_DIR FOLDER | needed | its data folder, for it alone; not with STORE=etcd
STORE WHICH | =own | own: the books are in its data folder, and it agrees with the other catalogs; \
    etcd: they are in etcd, which all catalogs share
ETCD ADDRESSES | none | with STORE=etcd, the members of etcd, separated by |
BOOKS FILE | the seven books that are built in | the first stock, used once, while DATA_DIR is \
    empty
CATALOG_ADDRESSES ADDRESSES | alone | the other catalogs, separated by |
FRONT_END_ADDRESS ADDRESSES | none | the front-ends whose caches it invalidates, separated by |";

const ORDER: &str = "\
CATALOG_ADDRESS ADDRESSES | needed | its catalog; after a | others, to which it turns while that \
    one hangs or is down";

const FRONT_END: &str = "\
CATALOG_ADDRESSES ADDRESSES | needed | all catalogs, separated by |
ORDER_ADDRESSES ADDRESSES | needed | all order servers, separated by |
LOOKUP_CACHE_SIZE NUMBER | =3 | lookups that are kept, at most 10000; 0: none
SEARCH_CACHE_SIZE NUMBER | =10 | searches that are kept, at most 1000; 0: none";

const HEDGING: &str = "\
rare HEDGE_AFTER_MS MS | as is usual | how long a server has before another is asked too, whatever \
    that costs; 0: always two are asked";

const COMMON: &str = "\
HOST NAME | =127.0.0.1 | where to listen; anything but loopback needs SERVICE_TOKEN
PORT NUMBER | =PORT_DEFAULT | where to listen; 0: the system chooses
ADDRESS ADDRESS | http://HOST:PORT | how the others reach this server; needed when HOST is a \
    wildcard
ALLOWED_ORIGINS ORIGINS | none | the origins of pages that may write here and read the answers, such \
    as https://shop.example, separated by |
NAME NAME | its kind and PORT | how it is called in logs and tables, such as catalog1
LOG LEVEL | =info | what is logged to stderr: debug, info or warn, and above";

const CATALOG_RARE: &str = "\
rare GO_ON_WITHOUT ADDRESSES | none | do not wait for these of the other catalogs, separated by |, at \
    this start: what only they have sold is lost";

const RARE: &str = "\
rare TRACE WHICH | =sampled | which requests are traced: all, or those with a sampled traceparent
rare EXIT_WITH_STDIN | no | exit when standard input ends, so that nothing is left behind by the \
    program that holds its other end
rare CONNECT_PROXY IP:PORT | none | an HTTP proxy (CONNECT) through which it calls the other \
    servers, such as that of bazar shop --demo
rare IDLE_MS MS | =10000 | a connection that is silent for this long is closed
rare CONNECT_TIMEOUT_MS MS | =CONNECT_DEFAULT | how long connecting to another server may take
rare TIMEOUT_MS MS | =WHOLE_DEFAULT | how long a whole exchange with another server may take";

const TIMING: &str = "\
rare HEARTBEAT_EVERY_MS MS | =100 | how often servers send a heartbeat; this and the next three are \
    the same for all servers of a shop
rare HEARTBEAT_TIMEOUT_MS MS | =300 | a server that leaves a heartbeat unanswered for this long \
    counts as down; so does a front-end that leaves an invalidation unanswered for a third longer
rare LEASE_MS MS | =500 | how long after an answered heartbeat copies are trusted
rare STALL_MS MS | =250 | a server that sends no heartbeat for this long was itself stopped";

pub(super) fn catalog_settings() -> Vec<Setting> {
    let tables = [
        CATALOG,
        COMMON,
        TOKEN,
        RARE,
        CATALOG_RARE,
        TIMING,
        otlp::SETTINGS,
    ];
    settings(&tables, ["5000", "100", "1000"])
}

pub(super) fn order_settings() -> Vec<Setting> {
    let tables = [ORDER, COMMON, TOKEN, RARE, HEDGING, otlp::SETTINGS];
    settings(&tables, ["5001", "150", "1500"])
}

pub(super) fn front_end_settings() -> Vec<Setting> {
    let tables = [
        FRONT_END,
        COMMON,
        TOKEN,
        RARE,
        HEDGING,
        TIMING,
        otlp::SETTINGS,
    ];
    settings(&tables, ["5002", "200", "2000"])
}

/// The servers' defaults of `PORT`, `CONNECT_TIMEOUT_MS` and `TIMEOUT_MS` differ.
fn settings(tables: &[&'static str], [port, connect, whole]: [&'static str; 3]) -> Vec<Setting> {
    let mut settings = setting::read(tables);
    for setting in &mut settings {
        match setting.default {
            Fallback::Value("PORT_DEFAULT") => setting.default = Fallback::Value(port),
            Fallback::Value("CONNECT_DEFAULT") => setting.default = Fallback::Value(connect),
            Fallback::Value("WHOLE_DEFAULT") => setting.default = Fallback::Value(whole),
            _ => {}
        }
    }
    settings
}

pub(super) fn catalog(values: &Values) -> Result<CatalogSettings, String> {
    let common = read_common(values, "catalog")?;
    let peers = values.addresses("CATALOG_ADDRESSES")?;
    if peers.contains(&common.address) {
        let own = &common.address;
        return Err(format!(
            "CATALOG_ADDRESSES holds this catalog's own address {own} but must be the other catalogs"
        ));
    }
    let go_on_without = values.addresses("GO_ON_WITHOUT")?;
    if let Some(other) = go_on_without.iter().find(|one| !peers.contains(one)) {
        return Err(format!(
            "GO_ON_WITHOUT holds {other} but must be among CATALOG_ADDRESSES"
        ));
    }
    let etcd = read_etcd(values)?;
    Ok(CatalogSettings {
        peers,
        go_on_without,
        front_ends: values.addresses("FRONT_END_ADDRESS")?,
        data_dir: if etcd.is_empty() {
            values.needed("DATA_DIR")?.into()
        } else {
            PathBuf::new()
        },
        etcd,
        books: values.optional("BOOKS").map(PathBuf::from),
        limits: read_limits(values)?,
        timing: read_timing(values)?,
        common,
    })
}

/// The members of etcd, if the books are there.
fn read_etcd(values: &Values) -> Result<Vec<Address>, String> {
    let stores = ["own", "etcd"];
    let which = |text: &str| stores.iter().position(|one| *one == text);
    let is_etcd = values.read("STORE", "own or etcd", which)? == 1;
    match (is_etcd, values.addresses("ETCD")?) {
        (true, members) if members.is_empty() => Err(
            "STORE holds etcd but ETCD is not set: it must hold the members of etcd, such as \
             http://127.0.0.1:2379"
                .into(),
        ),
        (false, members) if !members.is_empty() => {
            Err("ETCD is set but STORE is not: add STORE=etcd, or leave ETCD out".into())
        }
        (_, members) => Ok(members),
    }
}

pub(super) fn order(values: &Values) -> Result<OrderSettings, String> {
    Ok(OrderSettings {
        common: read_common(values, "order")?,
        catalogs: values.addresses("CATALOG_ADDRESS")?,
        hedge_after: read_hedge_after(values)?,
        limits: read_limits(values)?,
    })
}

pub(super) fn front_end(values: &Values) -> Result<FrontEndSettings, String> {
    Ok(FrontEndSettings {
        common: read_common(values, "front-end")?,
        catalogs: values.addresses("CATALOG_ADDRESSES")?,
        orders: values.addresses("ORDER_ADDRESSES")?,
        lookup_cache_size: values.number("LOOKUP_CACHE_SIZE", 0, LOOKUP_CACHE_SIZE_MAX)? as usize,
        search_cache_size: values.number("SEARCH_CACHE_SIZE", 0, SEARCH_CACHE_SIZE_MAX)? as usize,
        hedge_after: read_hedge_after(values)?,
        limits: read_limits(values)?,
        timing: read_timing(values)?,
    })
}

fn read_hedge_after(values: &Values) -> Result<Option<Duration>, String> {
    if values.optional("HEDGE_AFTER_MS").is_none() {
        return Ok(None);
    }
    let ms = values.number("HEDGE_AFTER_MS", 0, MS_MAX)?;
    Ok(Some(Duration::from_millis(ms)))
}

fn read_common(values: &Values, kind: &str) -> Result<Common, String> {
    let host = host(values, "HOST")?;
    let port = values.number("PORT", 0, u16::MAX.into())? as u16;
    let token = token(values)?;
    if token.is_none() && !is_loopback(&host) {
        return Err(format!(
            "SERVICE_TOKEN is not set but HOST holds {host:?}, which others can reach: set the \
             same SERVICE_TOKEN for every server of the shop, or HOST=127.0.0.1"
        ));
    }
    Ok(Common {
        name: name(values)?.unwrap_or_else(|| format!("{kind}-{port}")),
        address: own_address(values, &host, port)?,
        host,
        port,
        token,
        allowed_origins: allowed_origins(values)?,
        proxy: proxy(values)?,
        idle: ms(values, "IDLE_MS")?,
        exit_with_stdin: values.flag("EXIT_WITH_STDIN"),
        log: values.read("LOG", "debug, info or warn", Level::parse)?,
        traces_all: values.read("TRACE", "sampled or all", |text| match text {
            "sampled" => Some(false),
            "all" => Some(true),
            _ => None,
        })?,
        otlp: otlp::read(values)?,
    })
}

fn proxy(values: &Values) -> Result<Option<SocketAddr>, String> {
    if values.optional("CONNECT_PROXY").is_none() {
        return Ok(None);
    }
    let wanted = "an IP address and a port, such as 127.0.0.1:3128";
    values.read("CONNECT_PROXY", wanted, |text| text.parse().ok().map(Some))
}

/// What is safe in a log and narrow in a table.
fn name(values: &Values) -> Result<Option<String>, String> {
    let part = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let fits = |name: &String| name.len() <= NAME_CHARS_MAX && name.chars().all(part);
    match values.optional("NAME") {
        Some(name) if !fits(&name) => Err(format!(
            "NAME holds {name:?} but must be up to {NAME_CHARS_MAX} of letters, digits and -._"
        )),
        name => Ok(name),
    }
}

/// A name or an address, without brackets.
pub(super) fn host(values: &Values, name: &str) -> Result<String, String> {
    let part = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    values.read(name, "a name or an address such as 127.0.0.1", |text| {
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        text.chars().all(part).then(|| bare.to_string())
    })
}

fn own_address(values: &Values, host: &str, port: u16) -> Result<Address, String> {
    if values.optional("ADDRESS").is_some() {
        return values.address("ADDRESS");
    }
    if host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
        return Err(format!(
            "ADDRESS is not set but HOST holds the wildcard {host:?}: ADDRESS must be how the \
             others reach this server, such as http://shop.example:5000"
        ));
    }
    Ok(Address::of(host, port))
}

/// The token is never shown, not even in an error: logs are read by many.
pub(super) fn token(values: &Values) -> Result<Option<String>, String> {
    let token = values.optional("SERVICE_TOKEN");
    let fine = |token: &String| token.len() <= 256 && token.bytes().all(|b| b.is_ascii_graphic());
    if token.as_ref().is_none_or(fine) {
        Ok(token)
    } else {
        Err("SERVICE_TOKEN must be 1 to 256 visible ASCII characters".into())
    }
}

fn allowed_origins(values: &Values) -> Result<Vec<Origin>, String> {
    let text = values.optional("ALLOWED_ORIGINS").unwrap_or_default();
    Origin::parse_list(&text).map_err(|problem| {
        format!(
            "ALLOWED_ORIGINS holds {text:?} but must hold origins separated by |, such as \
             https://shop.example: {problem}"
        )
    })
}

fn read_limits(values: &Values) -> Result<Limits, String> {
    Ok(Limits {
        connect: ms(values, "CONNECT_TIMEOUT_MS")?,
        whole: ms(values, "TIMEOUT_MS")?,
    })
}

fn read_timing(values: &Values) -> Result<Timing, String> {
    let every = ms(values, "HEARTBEAT_EVERY_MS")?;
    let longer = |name| match ms(values, name)? {
        time if time <= every => Err(format!(
            "{name} holds {} but must be more than HEARTBEAT_EVERY_MS, {}",
            time.as_millis(),
            every.as_millis()
        )),
        time => Ok(time),
    };
    Ok(Timing {
        every,
        silent: longer("HEARTBEAT_TIMEOUT_MS")?,
        lease: longer("LEASE_MS")?,
        stall: longer("STALL_MS")?,
    })
}

fn ms(values: &Values, name: &str) -> Result<Duration, String> {
    values.number(name, 1, MS_MAX).map(Duration::from_millis)
}
