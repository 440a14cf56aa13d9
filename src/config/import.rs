//! The settings of `bazar import`.

use std::path::PathBuf;

use crate::config::servers;
use crate::config::setting::{self, Setting};
use crate::config::values::Values;
use crate::model::address::Address;

/// A catalog adds at most this many books in one request.
pub(crate) const BATCH_MAX: usize = 1000;

/// What `bazar import` does.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportSettings {
    pub(crate) catalog: Address,
    /// `-`: standard input.
    pub(crate) file: PathBuf,
    /// Whether the import continues after a bad book.
    pub(crate) skip_bad: bool,
    /// How many books go in one request.
    pub(crate) batch: usize,
    /// Books that begin on an earlier line are skipped. The first line is 1.
    pub(crate) from_line: u64,
    pub(crate) token: Option<String>,
}

const SETTINGS: &str = "\
CATALOG ADDRESS | needed | the catalog that takes the books and replicates them
SKIP_BAD | stop at the first | report bad books and go on
BATCH NUMBER | =1000 | how many books go in one request, at most 1000
FROM_LINE NUMBER | =1 | begin at this line: for books without ids, after a break. Books with \
    ids do not need it: run the same import again, and nothing is added twice";

pub(super) fn settings() -> Vec<Setting> {
    setting::read(&[SETTINGS, setting::TOKEN])
}

/// Reads the settings. Fails as [`super::parse`] does.
pub(super) fn read(values: &Values) -> Result<ImportSettings, String> {
    Ok(ImportSettings {
        catalog: values.address("CATALOG")?,
        file: values.argument("FILE")?.into(),
        skip_bad: values.flag("SKIP_BAD"),
        batch: values.number("BATCH", 1, BATCH_MAX as u64)? as usize,
        from_line: values.number("FROM_LINE", 1, u64::MAX)?,
        token: servers::token(values)?,
    })
}
