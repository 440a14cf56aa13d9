//! The settings of `bazar shop`.

use std::path::PathBuf;

use crate::config::servers;
use crate::config::setting::{self, Setting};
use crate::config::values::Values;
use crate::model::address::{Address, is_loopback};
use crate::runtime::log::Level;

/// More servers of a kind than this are a typing error.
const SERVERS_MAX: u64 = 50;

/// Nobody overlooks the links between more servers than these.
const DEMO_SERVERS_MAX: usize = 20;

/// The ports of the servers of a kind are so far apart.
pub(crate) const PORT_STEP: u16 = 1000;

/// The shop that `bazar shop` starts.
#[derive(Clone, Debug, PartialEq)]
pub struct ShopSettings {
    pub(crate) catalogs: usize,
    pub(crate) orders: usize,
    pub(crate) front_ends: usize,
    pub(crate) host: String,
    pub(crate) front_end_host: String,
    /// Of the first server of each kind; `None`: the system chooses all ports.
    pub(crate) ports: Option<Ports>,
    /// Of the cluster page; 0: the system chooses.
    pub(crate) cluster_port: u16,
    pub(crate) data: PathBuf,
    pub(crate) books: Option<PathBuf>,
    pub(crate) fresh: bool,
    /// Catalogs of which the others wait for none at their first start.
    pub(crate) go_on_without: Vec<Address>,
    /// Whether the servers talk through a relay.
    pub(crate) demo: bool,
    /// The members of an etcd beside the shop; 0: the catalogs keep their books themselves.
    pub(crate) etcd_members: usize,
    /// Where its first member listens for catalogs, and one above for other members.
    pub(crate) etcd_port: u16,
    pub(crate) token: Token,
    /// What the servers log.
    pub(crate) log: String,
    /// Whether all stop when its standard input ends.
    pub(crate) exit_with_stdin: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) catalog: u16,
    pub(crate) order: u16,
    pub(crate) front_end: u16,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    None,
    Given(String),
    /// A new one is made and shown.
    New,
}

const SETTINGS: &str = "\
CATALOGS NUMBER | =2 | so many catalogs
ORDERS NUMBER | =2 | so many order servers; number n has catalog n, after the last one the first \
    again
FRONT_ENDS NUMBER | =1 | so many front-ends
DEMO | no | the servers talk through a relay, and their page has buttons to cut a link between two of \
    them, to slow it, or to let it lose messages; at most 20 servers
ETCD | no | the catalogs keep their books in an etcd, which is started beside the shop and has its \
    data in DATA; it must be installed
ETCD_MEMBERS NUMBER | =1 | with --etcd, so many members: 1 or 3
FRESH | no | begin with the first stock again: removes the catalogs' data folders, and etcd's
TOKEN | no | make a SERVICE_TOKEN, show it, and let the servers ask for it
HOST NAME | =127.0.0.1 | where the servers listen
FRONT_END_HOST NAME | HOST | where front-ends listen; 0.0.0.0 sells to the network and needs a \
    token
FRONT_END_PORT NUMBER | =5002 | of the first front-end; the next ones have 1000 more each
ORDER_PORT NUMBER | =5001 | of the first order server; the next ones have 1000 more each
CATALOG_PORT NUMBER | =5000 | of the first catalog; the next ones have 1000 more each
ETCD_PORT NUMBER | =5004 | of the first member of etcd, which has the next one, too; the other members \
    have 1000 more each
CLUSTER_PORT NUMBER | =5003 | of the page that shows the servers at work; only on loopback
PORTS WHICH | =fixed | free: the system chooses all ports
DATA FOLDER | =data | where the catalogs' data folders are
BOOKS FILE | the seven books that are built in | the first stock
LOG LEVEL | =info | what the servers log: debug, info or warn, and above; more settings of \
    theirs, such as LOOKUP_CACHE_SIZE, are handed on
rare GO_ON_WITHOUT ADDRESSES | none | the other catalogs do not wait for these, separated by |, at \
    their first start: what only they have sold is lost
rare EXIT_WITH_STDIN | no | stop when standard input ends, so that nothing is left behind by the \
    program that holds its other end";

pub(super) fn settings() -> Vec<Setting> {
    setting::read(&[SETTINGS, setting::TOKEN])
}

/// Reads the settings. Fails as [`super::parse`] does.
pub(super) fn read(values: &Values) -> Result<ShopSettings, String> {
    let count = |name| Ok::<_, String>(values.number(name, 1, SERVERS_MAX)? as usize);
    let (catalogs, orders, front_ends) =
        (count("CATALOGS")?, count("ORDERS")?, count("FRONT_ENDS")?);
    let host = servers::host(values, "HOST")?;
    let demo = values.flag("DEMO");
    if demo && DEMO_SERVERS_MAX < catalogs + orders + front_ends {
        return Err(format!(
            "CATALOGS, ORDERS and FRONT_ENDS are {catalogs}, {orders} and {front_ends}, but with \
             --demo there are at most {DEMO_SERVERS_MAX} servers"
        ));
    }
    let front_end_host = match values.optional("FRONT_END_HOST") {
        Some(_) => servers::host(values, "FRONT_END_HOST")?,
        None => host.clone(),
    };
    let token = match (servers::token(values)?, values.flag("TOKEN")) {
        (Some(token), _) => Token::Given(token),
        (None, true) => Token::New,
        (None, false) => Token::None,
    };
    for (name, host) in [("HOST", &host), ("FRONT_END_HOST", &front_end_host)] {
        if token == Token::None && !is_loopback(host) {
            return Err(format!(
                "{name} holds {host:?}, which others can reach: add --token, or set SERVICE_TOKEN"
            ));
        }
    }
    let port = |name, count: usize| {
        let last = u16::MAX - PORT_STEP * (count - 1) as u16;
        Ok::<_, String>(values.number(name, 1, last.into())? as u16)
    };
    let ports = Ports {
        catalog: port("CATALOG_PORT", catalogs)?,
        order: port("ORDER_PORT", orders)?,
        front_end: port("FRONT_END_PORT", front_ends)?,
    };
    let etcd_members = match (values.flag("ETCD"), values.number("ETCD_MEMBERS", 1, 3)?) {
        (false, _) => 0,
        (true, 2) => {
            return Err("ETCD_MEMBERS holds 2 but must hold 1 or 3: of 2, none may fail".into());
        }
        (true, members) => members as usize,
    };
    let which = |text: &str| ["fixed", "free"].iter().position(|one| *one == text);
    let free = values.read("PORTS", "fixed or free", which)? == 1;
    let level = |text: &str| Level::parse(text).map(|_| text.to_string());
    let cluster_port = values.number("CLUSTER_PORT", 0, u16::MAX.into())? as u16;
    Ok(ShopSettings {
        catalogs,
        orders,
        front_ends,
        host,
        front_end_host,
        ports: (!free).then_some(ports),
        cluster_port: if free { 0 } else { cluster_port },
        data: values.needed("DATA")?.into(),
        books: values.optional("BOOKS").map(PathBuf::from),
        fresh: values.flag("FRESH"),
        go_on_without: values.addresses("GO_ON_WITHOUT")?,
        demo,
        etcd_members,
        etcd_port: port("ETCD_PORT", etcd_members.max(1))?,
        token,
        log: values.read("LOG", "debug, info or warn", level)?,
        exit_with_stdin: values.flag("EXIT_WITH_STDIN"),
    })
}
