//! Settings: environment and arguments become a [`Command`].
//!
//! Pure: no file is opened, no name resolved, no process needed to test it. `rows.rs` is the one
//! list of all settings, from which both the parsing here and `help.rs` are made, so that they
//! cannot disagree; `values.rs` reads single values.

pub mod bench;
pub mod help;
pub mod import;
pub mod rows;
pub mod scale;
#[cfg(test)]
mod tests;
pub mod timing;
pub mod values;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::bench::{BaselineKind, BenchSettings};
use crate::config::import::ImportSettings;
use crate::config::rows::Program;
use crate::config::scale::ScaleSettings;
use crate::config::timing::Timing;
use crate::config::values::Values;
use crate::model::address::Address;
use crate::runtime::log::Level;

/// What the program was asked to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Catalog(CatalogSettings),
    Order(OrderSettings),
    FrontEnd(FrontEndSettings),
    Import(ImportSettings),
    Bench(BenchSettings),
    Scale(ScaleSettings),
    /// What `bench` measures against, and where that listens.
    BenchBare(BaselineKind, String),
    /// The text to print.
    Help(String),
    Version,
}

/// What every server has.
#[derive(Clone, Debug, PartialEq)]
pub struct Common {
    /// `HOST`: a name or an address, without brackets.
    pub host: String,
    /// `PORT`; 0: the system chooses.
    pub port: u16,
    /// How the others reach this server.
    pub address: Address,
    /// `SERVICE_TOKEN`: what the servers show each other.
    pub token: Option<String>,
    /// How long a silent connection is kept, and a read of a request may take.
    pub idle: Duration,
    /// The lowest level that is logged.
    pub log: Level,
}

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    pub connect: Duration,
    /// The whole exchange.
    pub whole: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CatalogSettings {
    pub common: Common,
    pub peers: Vec<Address>,
    pub front_ends: Vec<Address>,
    pub data_dir: PathBuf,
    /// The first stock; `None`: the one that is built in.
    pub books: Option<PathBuf>,
    pub limits: Limits,
    pub timing: Timing,
}

#[derive(Clone, Debug, PartialEq)]
pub struct OrderSettings {
    pub common: Common,
    pub catalog: Address,
    pub limits: Limits,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FrontEndSettings {
    pub common: Common,
    pub catalogs: Vec<Address>,
    pub orders: Vec<Address>,
    pub lookup_cache_size: usize,
    pub search_cache_size: usize,
    pub limits: Limits,
    pub timing: Timing,
}

/// Times are at most an hour: more is a slip of the keyboard.
const MS_MAX: u64 = 3_600_000;

/// Reads arguments (without the program's own name) and environment.
///
/// Fails with one line that names the setting, what it held, and what it should hold.
pub fn parse(args: &[String], env: &dyn Fn(&str) -> Option<String>) -> Result<Command, String> {
    if let Some(command) = bench::bare(args) {
        return Ok(command);
    }
    let program = args.first().and_then(|word| Program::parse(word));
    let has = |long: &str, short: &str| args.iter().any(|arg| arg == long || arg == short);
    if has("--help", "-h") {
        return Ok(Command::Help(
            program.map_or_else(help::overview, help::one),
        ));
    }
    if has("--version", "-V") {
        return Ok(Command::Version);
    }
    let program = program.ok_or_else(|| match args.first() {
        Some(word) => format!(
            "{word:?} is not a command of bazar; it must be {}",
            rows::COMMANDS
        ),
        None => format!(
            "which command? It must be {}; see bazar --help",
            rows::COMMANDS
        ),
    })?;
    let values = Values::collect(program, &args[1..], env)?;
    match program {
        Program::Catalog => catalog(&values).map(Command::Catalog),
        Program::Order => order(&values).map(Command::Order),
        Program::FrontEnd => front_end(&values).map(Command::FrontEnd),
        Program::Import => import::settings(&values).map(Command::Import),
        Program::Bench => bench::settings(&values).map(Command::Bench),
        Program::Scale => scale::settings(&values).map(Command::Scale),
    }
}

fn catalog(values: &Values) -> Result<CatalogSettings, String> {
    let common = common(values)?;
    let peers = values.addresses("CATALOG_ADDRESSES")?;
    if peers.contains(&common.address) {
        let own = &common.address;
        return Err(format!(
            "CATALOG_ADDRESSES holds this catalog's own address {own} but must be the other catalogs"
        ));
    }
    Ok(CatalogSettings {
        peers,
        front_ends: values.addresses("FRONT_END_ADDRESS")?,
        data_dir: values.needed("DATA_DIR")?.into(),
        books: values.optional("BOOKS").map(PathBuf::from),
        limits: limits(values)?,
        timing: timing(values)?,
        common,
    })
}

fn order(values: &Values) -> Result<OrderSettings, String> {
    Ok(OrderSettings {
        common: common(values)?,
        catalog: values.address("CATALOG_ADDRESS")?,
        limits: limits(values)?,
    })
}

fn front_end(values: &Values) -> Result<FrontEndSettings, String> {
    Ok(FrontEndSettings {
        common: common(values)?,
        catalogs: values.addresses("CATALOG_ADDRESSES")?,
        orders: values.addresses("ORDER_ADDRESSES")?,
        lookup_cache_size: values.number("LOOKUP_CACHE_SIZE", 0, 1_000_000)? as usize,
        search_cache_size: values.number("SEARCH_CACHE_SIZE", 0, 1_000_000)? as usize,
        limits: limits(values)?,
        timing: timing(values)?,
    })
}

fn common(values: &Values) -> Result<Common, String> {
    let host = host(values)?;
    let port = values.number("PORT", 0, u16::MAX.into())? as u16;
    let token = token(values)?;
    if token.is_none() && !is_loopback(&host) {
        return Err(format!(
            "SERVICE_TOKEN is not set but HOST holds {host:?}, which others can reach: set the same SERVICE_TOKEN for every server of the shop, or HOST=127.0.0.1"
        ));
    }
    Ok(Common {
        address: own_address(values, &host, port)?,
        host,
        port,
        token,
        idle: ms(values, "IDLE_MS")?,
        log: level(values)?,
    })
}

fn host(values: &Values) -> Result<String, String> {
    let part = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    values.read("HOST", "a name or an address such as 127.0.0.1", |text| {
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        text.chars().all(part).then(|| bare.to_string())
    })
}

fn own_address(values: &Values, host: &str, port: u16) -> Result<Address, String> {
    if values.optional("ADDRESS").is_some() {
        return values.address("ADDRESS");
    }
    match host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
        true => Err(format!(
            "ADDRESS is not set but HOST holds the wildcard {host:?}: ADDRESS must be how the others reach this server, such as http://shop.example:5000"
        )),
        false => Ok(Address::of(host, port)),
    }
}

/// Names are not resolved: what `localhost` means is settled, any other name may be anywhere.
fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// The token is never shown, not even in an error: logs are read by many.
fn token(values: &Values) -> Result<Option<String>, String> {
    let token = values.optional("SERVICE_TOKEN");
    let fine = |token: &String| token.len() <= 256 && token.bytes().all(|b| b.is_ascii_graphic());
    match token.as_ref().is_none_or(fine) {
        true => Ok(token),
        false => Err("SERVICE_TOKEN must be 1 to 256 visible ASCII characters".into()),
    }
}

fn level(values: &Values) -> Result<Level, String> {
    values.read("LOG", "debug, info or warn", Level::parse)
}

fn limits(values: &Values) -> Result<Limits, String> {
    Ok(Limits {
        connect: ms(values, "CONNECT_TIMEOUT_MS")?,
        whole: ms(values, "TIMEOUT_MS")?,
    })
}

fn timing(values: &Values) -> Result<Timing, String> {
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
