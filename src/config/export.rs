//! The settings of `bazar export`.

use crate::config::servers;
use crate::config::setting::{self, Setting};
use crate::config::values::Values;
use crate::model::address::Address;

/// What `bazar export` does.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportSettings {
    pub(crate) catalog: Address,
    /// A table instead of JSON lines.
    pub(crate) csv: bool,
    pub(crate) token: Option<String>,
}

const SETTINGS: &str = "\
CATALOG ADDRESS | needed | the catalog whose books are written to standard output
CSV | JSON lines | write a table, with the names of its columns in the first line";

pub(super) fn settings() -> Vec<Setting> {
    setting::read(&[SETTINGS, setting::TOKEN])
}

/// Reads the settings. Fails as [`super::parse`] does.
pub(super) fn read(values: &Values) -> Result<ExportSettings, String> {
    Ok(ExportSettings {
        catalog: values.address("CATALOG")?,
        csv: values.flag("CSV"),
        token: servers::token(values)?,
    })
}
