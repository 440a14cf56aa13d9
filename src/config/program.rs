//! The commands of `bazar`, and the settings of each.

use crate::config::setting::Setting;
use crate::config::{bench, export, import, migrate, orders, scale, servers, shop, status, trace};

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Catalog,
    Order,
    FrontEnd,
    Shop,
    Import,
    Export,
    Migrate,
    Bench,
    Scale,
    Trace,
    Status,
    Orders,
    Audit,
}

/// The commands as an error lists them.
pub(crate) const COMMANDS: &str = "catalog, order, front-end, shop, import, export, migrate, orders, audit, bench, scale, trace or status";

impl Program {
    pub(crate) const ALL: [Program; 13] = [
        Program::Catalog,
        Program::Order,
        Program::FrontEnd,
        Program::Shop,
        Program::Import,
        Program::Export,
        Program::Migrate,
        Program::Orders,
        Program::Audit,
        Program::Bench,
        Program::Scale,
        Program::Trace,
        Program::Status,
    ];

    pub(crate) fn parse(word: &str) -> Option<Program> {
        Program::ALL
            .into_iter()
            .find(|program| program.word() == word)
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Program::Catalog => "catalog",
            Program::Order => "order",
            Program::FrontEnd => "front-end",
            Program::Shop => "shop",
            Program::Import => "import",
            Program::Export => "export",
            Program::Migrate => "migrate",
            Program::Bench => "bench",
            Program::Scale => "scale",
            Program::Trace => "trace",
            Program::Status => "status",
            Program::Orders => "orders",
            Program::Audit => "audit",
        }
    }

    /// The arguments that it takes, a word each, if any, and what they are.
    pub(crate) fn argument(self) -> Option<(&'static str, &'static str)> {
        let file = (
            "FILE",
            "JSON, or a table (CSV) with a line of names; - is standard input",
        );
        match self {
            Program::Import => Some(file),
            Program::Trace => Some((trace::ARGUMENT, "the request, such as PUT /buy/2")),
            _ => None,
        }
    }

    /// What it is for, in a few words.
    pub(crate) fn purpose(self) -> &'static str {
        match self {
            Program::Catalog => "keeps the books and replicates them to the other catalogs",
            Program::Order => "sells copies: reads the book from its catalog, writes it back",
            Program::FrontEnd => "what customers talk to: search, lookup, buy; two caches",
            Program::Shop => "starts all servers of a shop on this machine, and a page of them",
            Program::Import => "adds the books of a file to a running shop",
            Program::Export => "writes the books of a running shop",
            Program::Migrate => "takes the books of a folder into etcd, or back",
            Program::Orders => "lists what a running shop sold",
            Program::Audit => "proves that no copy was lost or sold twice",
            Program::Bench => "measures a shop, and checks that no sale is missing",
            Program::Scale => "measures what a million books cost, beside a shop of seven",
            Program::Status => "shows all servers of a shop, and what is wrong",
            Program::Trace => "sends a request, and draws what it causes at all servers",
        }
    }

    /// All its settings.
    pub(crate) fn settings(self) -> Vec<Setting> {
        match self {
            Program::Catalog => servers::catalog_settings(),
            Program::Order => servers::order_settings(),
            Program::FrontEnd => servers::front_end_settings(),
            Program::Shop => shop::settings(),
            Program::Import => import::settings(),
            Program::Export => export::settings(),
            Program::Migrate => migrate::settings(),
            Program::Bench => bench::settings(),
            Program::Scale => scale::settings(),
            Program::Trace => trace::settings(),
            Program::Status => status::settings(),
            Program::Orders => orders::settings(),
            Program::Audit => orders::audit_settings(),
        }
    }
}
