//! The settings of `bazar bench`.

use std::path::PathBuf;

use serde::Serialize;

use crate::config::Command;
use crate::config::servers;
use crate::config::setting::{self, Setting};
use crate::config::values::Values;
use crate::model::address::Address;

/// What `bazar bench` measures.
#[derive(Clone, Debug, PartialEq)]
pub struct BenchSettings {
    /// Of a running shop; `None`: local shops are started.
    pub(crate) front_end: Option<Address>,
    /// Of the running shop; empty: nothing is sold.
    pub(crate) catalogs: Vec<Address>,
    pub(crate) token: Option<String>,
    pub(crate) seed: u64,
    pub(crate) json: Option<PathBuf>,
    pub(crate) svg: Option<PathBuf>,
    /// `None`: all.
    pub(crate) only: Option<Section>,
    pub(crate) quick: bool,
    /// Of the etcd that is measured with `--store etcd`.
    pub(crate) etcd_members: usize,
}

/// A part of the benchmark that can be run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Section {
    Lookups,
    Invalidations,
    Buys,
    Outages,
    Throughput,
    Yardsticks,
    /// Not among the others: only with `--store etcd`.
    Etcd,
}

impl Section {
    /// In the order in which they are run.
    pub(crate) const ALL: [Section; 7] = [
        Section::Lookups,
        Section::Invalidations,
        Section::Buys,
        Section::Outages,
        Section::Throughput,
        Section::Yardsticks,
        Section::Etcd,
    ];

    /// In options and tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Section::Lookups => "lookups",
            Section::Invalidations => "invalidations",
            Section::Buys => "buys",
            Section::Outages => "outages",
            Section::Throughput => "throughput",
            Section::Yardsticks => "yardsticks",
            Section::Etcd => "etcd",
        }
    }

    fn parse(name: &str) -> Option<Section> {
        let mut all = Section::ALL.into_iter();
        all.find(|one| *one != Section::Etcd && one.name() == name)
    }
}

const SETTINGS: &str = "\
LOCAL | on, unless --front-end is given | start shops of real processes in a temporary \
    folder and stop them again; only these have outages
FRONT_END ADDRESS | local shops | the running shop to measure instead; without --catalogs \
    it is only read
CATALOGS ADDRESSES | sell nothing | all catalogs of the running shop, separated by |: a \
    million copies of each of its first 1,000 books are added to the stock, some are sold, and \
    the rest is removed again
SEED NUMBER | =1 | chooses the books of the requests
JSON FILE | none | where to write all numbers
SVG FILE | none | where to draw the picture
STORE STORE | =own | etcd: measure sales and look-ups of a local shop whose books are in etcd, beside \
    those of the own store and etcd's own txns; etcd must be installed
ETCD_MEMBERS NUMBER | =1 | with --store etcd, so many members: 1 or 3
ONLY SECTION | all | lookups, invalidations, buys, outages, throughput or yardsticks
QUICK | at full length | a few requests of everything: shows that it works, not how fast";

pub(super) fn settings() -> Vec<Setting> {
    setting::read(&[SETTINGS, setting::TOKEN])
}

/// Reads the settings. Fails as [`super::parse`] does.
pub(super) fn read(values: &Values) -> Result<BenchSettings, String> {
    let front_end = values.optional("FRONT_END");
    let front_end = front_end.map(|_| values.address("FRONT_END"));
    let front_end = front_end.transpose()?;
    if front_end.is_some() && values.flag("LOCAL") {
        return Err("FRONT_END is set but must not be with --local: that starts its own".into());
    }
    let catalogs = values.addresses("CATALOGS")?;
    if front_end.is_none() && !catalogs.is_empty() {
        return Err(
            "CATALOGS is set but must not be without FRONT_END: a local shop has its own".into(),
        );
    }
    let which = |store: &str| ["own", "etcd"].iter().position(|name| *name == store);
    let is_etcd = values.read("STORE", "own or etcd", which)? == 1;
    if is_etcd && (front_end.is_some() || values.optional("ONLY").is_some()) {
        return Err("STORE holds etcd, which goes with neither FRONT_END nor ONLY".into());
    }
    let section = || values.read("ONLY", "a section; see bazar bench --help", Section::parse);
    let only = values.optional("ONLY").map(|_| section()).transpose()?;
    let members = values.number("ETCD_MEMBERS", 1, 3)?;
    if members == 2 {
        return Err("ETCD_MEMBERS holds 2 but must hold 1 or 3: of 2, none may fail".into());
    }
    Ok(BenchSettings {
        front_end,
        catalogs,
        token: servers::token(values)?,
        seed: values.number("SEED", 0, u64::MAX)?,
        json: values.optional("JSON").map(PathBuf::from),
        svg: values.optional("SVG").map(PathBuf::from),
        only: is_etcd.then_some(Section::Etcd).or(only),
        quick: values.flag("QUICK"),
        etcd_members: members as usize,
    })
}

/// The command that starts a baseline server. No help lists it: only `bench` uses it.
pub(super) fn baseline_server(args: &[String]) -> Option<Command> {
    let [word, host] = args else { return None };
    (word == "baseline-server").then(|| Command::BaselineServer(host.clone()))
}
