//! The settings of `bazar status`.

use crate::config::servers;
use crate::config::setting::{self, Setting};
use crate::config::values::Values;
use crate::model::address::Address;

/// What `bazar status` does.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusSettings {
    /// Any server of the shop: it leads to the others.
    pub(crate) shop: Address,
    pub(crate) json: bool,
    /// Again and again, until the program is ended.
    pub(crate) watch: bool,
    pub(crate) token: Option<String>,
}

const SETTINGS: &str = "\
SHOP ADDRESS | =http://127.0.0.1:5002 | any server of the shop: it leads to the others
JSON | no | print JSON
WATCH | no | print it again every second, until the program is ended";

pub(super) fn settings() -> Vec<Setting> {
    setting::read(&[SETTINGS, setting::TOKEN])
}

/// Reads the settings. Fails as [`super::parse`] does.
pub(super) fn read(values: &Values) -> Result<StatusSettings, String> {
    Ok(StatusSettings {
        shop: values.address("SHOP")?,
        json: values.flag("JSON"),
        watch: values.flag("WATCH"),
        token: servers::token(values)?,
    })
}
