//! The settings of `bazar trace`.

use crate::config::servers;
use crate::config::setting::{self, Setting};
use crate::config::values::Values;
use crate::model::address::Address;

/// What `bazar trace` does.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    /// The server that gets the request.
    pub(crate) shop: Address,
    /// `GET`, `PUT`, `POST`, `PATCH` or `DELETE`.
    pub(crate) method: String,
    /// Percent-encoded, with the query string if there is one.
    pub(crate) path: String,
    pub(crate) body: Option<String>,
    pub(crate) token: Option<String>,
}

/// The names of the arguments.
pub(super) const ARGUMENT: &str = "METHOD PATH";

const SETTINGS: &str = "\
SHOP ADDRESS | =http://127.0.0.1:5002 | the server that gets the request
BODY JSON | none | its body";

pub(super) fn settings() -> Vec<Setting> {
    setting::read(&[SETTINGS, setting::TOKEN])
}

/// Reads the settings. Fails as [`super::parse`] does.
pub(super) fn read(values: &Values) -> Result<TraceSettings, String> {
    let request = values.argument(ARGUMENT)?;
    let parts = request.split_once(' ').and_then(|(method, path)| {
        let is_known = ["GET", "PUT", "POST", "PATCH", "DELETE"].contains(&method);
        let is_path = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
        (is_known && is_path).then_some((method, path))
    });
    let (method, path) = parts.ok_or_else(|| {
        format!("{request:?} is no request; it must be {ARGUMENT}, such as PUT /buy/2")
    })?;
    Ok(TraceSettings {
        shop: values.address("SHOP")?,
        method: method.into(),
        path: path.into(),
        body: values.optional("BODY"),
        token: servers::token(values)?,
    })
}
