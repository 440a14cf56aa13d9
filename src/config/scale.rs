//! The settings of `bazar scale`.

use std::path::PathBuf;

use crate::config::setting::{self, Setting};
use crate::config::values::Values;

/// With fewer books, some topics have none.
const BOOKS_MIN: u64 = 1000;

const BOOKS_MAX: u64 = 10_000_000;

const ORDERS_MIN: u64 = 100;
const ORDERS_MAX: u64 = 10_000_000;

/// What `bazar scale` measures.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleSettings {
    /// The number of books of the large shop.
    pub(crate) books: u64,
    /// The number of orders of the ledger.
    pub(crate) orders: u64,
    /// Where the temporary folder is created; `None`: the system's folder for such.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) quick: bool,
}

const SETTINGS: &str = "\
BOOKS NUMBER | =1000000 | how many books the large shop has, 1000 to 10000000
ORDERS NUMBER | =1000000 | how many orders a ledger has, 100 to 10000000
FOLDER FOLDER | the system's folder for temporary files | on the disk that is to be \
    measured; nothing stays there
QUICK | at full length | a few requests of everything: shows that it works, not how fast";

pub(super) fn settings() -> Vec<Setting> {
    setting::read(&[SETTINGS])
}

/// Reads the settings. Fails as [`super::parse`] does.
pub(super) fn read(values: &Values) -> Result<ScaleSettings, String> {
    Ok(ScaleSettings {
        books: values.number("BOOKS", BOOKS_MIN, BOOKS_MAX)?,
        orders: values.number("ORDERS", ORDERS_MIN, ORDERS_MAX)?,
        folder: values.optional("FOLDER").map(PathBuf::from),
        quick: values.flag("QUICK"),
    })
}
