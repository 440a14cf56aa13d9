//! The settings of `bazar orders` and `bazar audit`.

use std::time::SystemTime;

use crate::config::servers;
use crate::config::setting::{self, Setting};
use crate::config::values::Values;
use crate::model::address::Address;
use crate::runtime::{calendar, log};

/// What `bazar orders` does.
#[derive(Clone, Debug, PartialEq)]
pub struct OrdersSettings {
    pub(crate) catalog: Address,
    /// As the catalog takes it: a date, or a date and a time.
    pub(crate) since: Option<String>,
    pub(crate) until: Option<String>,
    pub(crate) book: Option<String>,
    /// A table for other programs.
    pub(crate) csv: bool,
    pub(crate) token: Option<String>,
}

/// What `bazar audit` does.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditSettings {
    pub(crate) catalogs: Vec<Address>,
    pub(crate) json: bool,
    pub(crate) token: Option<String>,
}

const ORDERS: &str = "\
CATALOG ADDRESS | needed | the catalog whose orders are listed
SINCE TIME | all | only orders from then on: today, 2026-11-26 or 2026-11-26T09:30:00Z, in UTC
UNTIL TIME | now | only orders before then
BOOK ID | all | only orders of this book
CSV | a table | with commas, and the names of the columns in the first line";

const AUDIT: &str = "\
CATALOGS ADDRESSES | needed | all catalogs of the running shop, separated by |
JSON | a table | for programs";

pub(super) fn settings() -> Vec<Setting> {
    setting::read(&[ORDERS, setting::TOKEN])
}

pub(super) fn audit_settings() -> Vec<Setting> {
    setting::read(&[AUDIT, setting::TOKEN])
}

/// Reads the settings. Fails as [`super::parse`] does.
pub(super) fn read(values: &Values) -> Result<OrdersSettings, String> {
    Ok(OrdersSettings {
        catalog: values.address("CATALOG")?,
        since: time(values, "SINCE")?,
        until: time(values, "UNTIL")?,
        book: match values.optional("BOOK") {
            Some(_) => Some(values.number("BOOK", 0, u64::MAX)?.to_string()),
            None => None,
        },
        csv: values.flag("CSV"),
        token: servers::token(values)?,
    })
}

/// Reads the settings of an audit. Fails as [`super::parse`] does.
pub(super) fn read_audit(values: &Values) -> Result<AuditSettings, String> {
    Ok(AuditSettings {
        catalogs: values.addresses("CATALOGS")?,
        json: values.flag("JSON"),
        token: servers::token(values)?,
    })
}

fn time(values: &Values, name: &str) -> Result<Option<String>, String> {
    match values.optional(name).as_deref() {
        None => Ok(None),
        Some("today") => Ok(Some(log::rfc3339(SystemTime::now())[..10].to_string())),
        Some(_) => {
            let wanted = "today, or a time such as 2026-11-26 or 2026-11-26T09:30:00Z";
            let is_time = |text: &str| calendar::parse_time(text).map(|_| text.to_string());
            values.read(name, wanted, is_time).map(Some)
        }
    }
}
