//! The table of all settings.

use crate::config::{bench, import, scale};
use Unset::{Is, Needed, Or};

/// What `bazar` can be told to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Catalog,
    Order,
    FrontEnd,
    Import,
    Bench,
    Scale,
}

/// The commands as an error lists them.
pub const COMMANDS: &str = "catalog, order, front-end, import, bench or scale";

/// One setting of one program.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The environment variable.
    pub name: &'static str,
    /// What it holds; empty for a flag, which is an option without a value.
    pub hint: &'static str,
    pub default: Unset,
    pub meaning: &'static str,
}

/// What holds when a setting is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unset {
    /// The program does not start.
    Needed,
    /// Just as if this had been given.
    Is(&'static str),
    /// Something that is no value; in words.
    Or(&'static str),
}

impl Row {
    /// `CATALOG_ADDRESSES` is the option `--catalog-addresses`.
    pub fn option(&self) -> String {
        format!("--{}", self.name.to_ascii_lowercase().replace('_', "-"))
    }

    pub fn is_flag(&self) -> bool {
        self.hint.is_empty()
    }
}

impl Program {
    pub const ALL: [Program; 6] = [
        Program::Catalog,
        Program::Order,
        Program::FrontEnd,
        Program::Import,
        Program::Bench,
        Program::Scale,
    ];

    pub fn parse(word: &str) -> Option<Program> {
        Program::ALL
            .into_iter()
            .find(|program| program.word() == word)
    }

    pub fn word(self) -> &'static str {
        match self {
            Program::Catalog => "catalog",
            Program::Order => "order",
            Program::FrontEnd => "front-end",
            Program::Import => "import",
            Program::Bench => "bench",
            Program::Scale => "scale",
        }
    }

    /// The one argument that it takes, if any.
    pub fn argument(self) -> Option<&'static str> {
        (self == Program::Import).then_some("FILE")
    }

    pub fn purpose(self) -> &'static str {
        match self {
            Program::Catalog => {
                "keeps the books, replicates them, answers queries and takes updates"
            }
            Program::Order => "sells copies: reads the book from its catalog and writes it back",
            Program::FrontEnd => "what customers talk to: search, lookup and buy, with two caches",
            Program::Import => {
                "adds the books of FILE (- is standard input), a JSON array or JSON lines, to a running shop"
            }
            Program::Bench => "measures a shop, and checks afterwards that no sale is missing",
            Program::Scale => "measures what a million books cost, beside a shop of seven",
        }
    }
}

/// All settings of a program.
pub fn rows(program: Program) -> Vec<Row> {
    match program {
        Program::Catalog => [common("5000"), catalog(), limits("100", "1000"), timing()].concat(),
        Program::Order => [common("5001"), order(), limits("150", "1500")].concat(),
        Program::FrontEnd => {
            [common("5002"), front_end(), limits("200", "2000"), timing()].concat()
        }
        Program::Import => import::rows(),
        Program::Bench => bench::rows(),
        Program::Scale => scale::rows(),
    }
}

pub(super) fn row(
    name: &'static str,
    hint: &'static str,
    default: Unset,
    meaning: &'static str,
) -> Row {
    Row {
        name,
        hint,
        default,
        meaning,
    }
}

fn common(port: &'static str) -> Vec<Row> {
    vec![
        row(
            "HOST",
            "NAME",
            Is("127.0.0.1"),
            "where to listen; anything but loopback needs SERVICE_TOKEN",
        ),
        row(
            "PORT",
            "NUMBER",
            Is(port),
            "where to listen; 0: the system chooses",
        ),
        row(
            "ADDRESS",
            "ADDRESS",
            Or("http://HOST:PORT"),
            "how the others reach this server; needed when HOST is a wildcard",
        ),
        token(),
        row(
            "LOG",
            "LEVEL",
            Is("info"),
            "what is logged to stderr: debug, info or warn and above",
        ),
        row(
            "IDLE_MS",
            "MS",
            Is("10000"),
            "a connection that is silent for this long is closed",
        ),
    ]
}

/// The same setting for every program that calls a server.
pub fn token() -> Row {
    row(
        "SERVICE_TOKEN",
        "TOKEN",
        Or("none"),
        "what the servers show each other; the same for all (as an option, other users of this machine can see it)",
    )
}

fn catalog() -> Vec<Row> {
    vec![
        row(
            "DATA_DIR",
            "FOLDER",
            Needed,
            "its data folder, for it alone",
        ),
        row(
            "BOOKS",
            "FILE",
            Or("the seven books that are built in"),
            "the first stock, used once, while DATA_DIR is empty",
        ),
        row(
            "CATALOG_ADDRESSES",
            "ADDRESSES",
            Or("alone"),
            "the other catalogs, separated by |",
        ),
        row(
            "FRONT_END_ADDRESS",
            "ADDRESSES",
            Or("none"),
            "the front-ends whose caches it voids, separated by |",
        ),
    ]
}

fn order() -> Vec<Row> {
    vec![row("CATALOG_ADDRESS", "ADDRESS", Needed, "its one catalog")]
}

fn front_end() -> Vec<Row> {
    vec![
        row(
            "CATALOG_ADDRESSES",
            "ADDRESSES",
            Needed,
            "all catalogs, separated by |",
        ),
        row(
            "ORDER_ADDRESSES",
            "ADDRESSES",
            Needed,
            "all order servers, separated by |",
        ),
        row(
            "LOOKUP_CACHE_SIZE",
            "NUMBER",
            Is("3"),
            "lookups that are kept; 0: none",
        ),
        row(
            "SEARCH_CACHE_SIZE",
            "NUMBER",
            Is("10"),
            "searches that are kept; 0: none",
        ),
    ]
}

fn limits(connect: &'static str, whole: &'static str) -> Vec<Row> {
    vec![
        row(
            "CONNECT_TIMEOUT_MS",
            "MS",
            Is(connect),
            "how long connecting to another server may take",
        ),
        row(
            "TIMEOUT_MS",
            "MS",
            Is(whole),
            "how long a whole exchange with another server may take",
        ),
    ]
}

fn timing() -> Vec<Row> {
    vec![
        row(
            "HEARTBEAT_EVERY_MS",
            "MS",
            Is("100"),
            "how often servers send a heartbeat; these four are the same for all servers of a shop",
        ),
        row(
            "HEARTBEAT_TIMEOUT_MS",
            "MS",
            Is("300"),
            "who leaves a heartbeat (a front-end: an invalidation, a third longer) unanswered for this long is counted as down",
        ),
        row(
            "LEASE_MS",
            "MS",
            Is("500"),
            "how long after an answered heartbeat copies are trusted",
        ),
        row(
            "STALL_MS",
            "MS",
            Is("250"),
            "who says no heartbeat for this long was itself asleep",
        ),
    ]
}
