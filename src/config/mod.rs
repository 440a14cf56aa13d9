//! Settings: environment and arguments become a [`Command`].
//!
//! Pure: no file is opened, no name is resolved, no process is needed to test it.
//!
//! To read in this order: `setting.rs` is one setting; `program.rs` lists the commands; the tables
//! of settings are in `servers.rs`, `otlp.rs`, `shop.rs`, `import.rs`, `export.rs`, `orders.rs`,
//! `bench.rs` and `scale.rs`, each beside the code that reads them; `values.rs` reads single
//! values; `help.rs` prints the tables.

pub(crate) mod bench;
pub(crate) mod export;
mod help;
pub(crate) mod import;
pub(crate) mod migrate;
pub(crate) mod orders;
pub(crate) mod otlp;
mod program;
pub(crate) mod scale;
mod servers;
mod setting;
pub(crate) mod shop;
pub(crate) mod status;
#[cfg(test)]
mod tests;
pub(crate) mod timing;
pub(crate) mod trace;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::bench::BenchSettings;
use crate::config::export::ExportSettings;
use crate::config::import::ImportSettings;
use crate::config::migrate::MigrateSettings;
use crate::config::orders::{AuditSettings, OrdersSettings};
use crate::config::otlp::OtlpSettings;
use crate::config::program::Program;
use crate::config::scale::ScaleSettings;
use crate::config::shop::ShopSettings;
use crate::config::status::StatusSettings;
use crate::config::timing::Timing;
use crate::config::trace::TraceSettings;
use crate::config::values::Values;
use crate::model::address::Address;
use crate::model::origin::Origin;
use crate::runtime::log::Level;

/// What the program was asked to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Catalog(CatalogSettings),
    Order(OrderSettings),
    FrontEnd(FrontEndSettings),
    Shop(ShopSettings),
    Import(ImportSettings),
    Export(ExportSettings),
    Migrate(MigrateSettings),
    Bench(BenchSettings),
    Scale(ScaleSettings),
    Trace(TraceSettings),
    Status(StatusSettings),
    Orders(OrdersSettings),
    Audit(AuditSettings),
    /// The server with which `bench` compares the shop's, and the host where it listens.
    BaselineServer(String),
    /// The text to print.
    Help(String),
    Version,
}

/// What every server has.
#[derive(Clone, Debug, PartialEq)]
pub struct Common {
    /// `NAME`: how it is called in logs and tables.
    pub name: String,
    /// `HOST`: a name or an address, without brackets.
    pub(crate) host: String,
    /// `PORT`; 0: the system chooses.
    pub(crate) port: u16,
    /// How the others reach this server.
    pub(crate) address: Address,
    /// `SERVICE_TOKEN`: what the servers show each other.
    pub(crate) token: Option<String>,
    /// `ALLOWED_ORIGINS`: whose pages may write.
    pub(crate) allowed_origins: Vec<Origin>,
    /// `CONNECT_PROXY`: through which it calls the others.
    pub(crate) proxy: Option<SocketAddr>,
    /// How long a silent connection is kept, and a read of a request may take.
    pub(crate) idle: Duration,
    /// The lowest level that is logged.
    pub log: Level,
    /// `TRACE`: whether all requests are traced, not only sampled ones.
    pub(crate) traces_all: bool,
    /// The collector that gets the spans.
    pub(crate) otlp: OtlpSettings,
    /// Whether the server exits when its standard input ends.
    pub(crate) exit_with_stdin: bool,
}

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limits {
    pub(crate) connect: Duration,
    /// The whole exchange.
    pub(crate) whole: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CatalogSettings {
    pub common: Common,
    pub(crate) peers: Vec<Address>,
    pub(crate) front_ends: Vec<Address>,
    /// Where the books are; with etcd they are there instead.
    pub(crate) data_dir: PathBuf,
    /// The members of etcd; none: the books are in the data folder.
    pub(crate) etcd: Vec<Address>,
    /// Peers that are not waited for, by an operator's decision.
    pub(crate) go_on_without: Vec<Address>,
    /// The first stock; `None`: the one that is built in.
    pub(crate) books: Option<PathBuf>,
    pub(crate) limits: Limits,
    pub(crate) timing: Timing,
}

#[derive(Clone, Debug, PartialEq)]
pub struct OrderSettings {
    pub common: Common,
    /// The first is its own.
    pub(crate) catalogs: Vec<Address>,
    /// How long a catalog has before another is asked too; `None`: as is usual.
    pub(crate) hedge_after: Option<Duration>,
    pub(crate) limits: Limits,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FrontEndSettings {
    pub common: Common,
    pub(crate) catalogs: Vec<Address>,
    pub(crate) orders: Vec<Address>,
    pub(crate) lookup_cache_size: usize,
    pub(crate) search_cache_size: usize,
    /// How long a server has before another is asked too; `None`: as is usual.
    pub(crate) hedge_after: Option<Duration>,
    pub(crate) limits: Limits,
    pub(crate) timing: Timing,
}

/// Reads arguments (without the program's own name) and environment.
///
/// Fails with one line that names the setting, what it held, and what it should hold.
pub fn parse(args: &[String], env: &dyn Fn(&str) -> Option<String>) -> Result<Command, String> {
    if let Some(command) = bench::baseline_server(args) {
        return Ok(command);
    }
    let program = args.first().and_then(|word| Program::parse(word));
    let has = |long: &str, short: &str| args.iter().any(|arg| arg == long || arg == short);
    if has("--help", "-h") {
        return Ok(Command::Help(
            program.map_or_else(help::overview, help::command),
        ));
    }
    if has("--version", "-V") {
        return Ok(Command::Version);
    }
    let program = program.ok_or_else(|| match args.first() {
        Some(word) => format!(
            "{word:?} is not a command of bazar; it must be {}",
            program::COMMANDS
        ),
        None => format!(
            "which command? It must be {}; see bazar --help",
            program::COMMANDS
        ),
    })?;
    let values = Values::collect(
        program.word(),
        program
            .argument()
            .map_or(0, |(name, _)| name.split(' ').count()),
        program.settings(),
        &args[1..],
        env,
    )?;
    match program {
        Program::Catalog => servers::catalog(&values).map(Command::Catalog),
        Program::Order => servers::order(&values).map(Command::Order),
        Program::FrontEnd => servers::front_end(&values).map(Command::FrontEnd),
        Program::Shop => shop::read(&values).map(Command::Shop),
        Program::Import => import::read(&values).map(Command::Import),
        Program::Export => export::read(&values).map(Command::Export),
        Program::Migrate => migrate::read(&values).map(Command::Migrate),
        Program::Bench => bench::read(&values).map(Command::Bench),
        Program::Scale => scale::read(&values).map(Command::Scale),
        Program::Trace => trace::read(&values).map(Command::Trace),
        Program::Status => status::read(&values).map(Command::Status),
        Program::Orders => orders::read(&values).map(Command::Orders),
        Program::Audit => orders::read_audit(&values).map(Command::Audit),
    }
}
