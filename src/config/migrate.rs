//! The settings of `bazar migrate`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::Limits;
use crate::config::setting::{self, Setting};
use crate::config::values::Values;
use crate::model::address::Address;

/// Where books are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    Folder(PathBuf),
    Etcd,
}

/// What `bazar migrate` does: one of the two places is etcd.
#[derive(Clone, Debug, PartialEq)]
pub struct MigrateSettings {
    pub(crate) from: Place,
    pub(crate) to: Place,
    pub(crate) etcd: Vec<Address>,
    pub(crate) limits: Limits,
}

const SETTINGS: &str = "\
FROM PLACE | needed | where the books are: the data folder of a catalog that does not run, or etcd
TO PLACE | needed | where they are to be: a new folder, or etcd, which must have no shop
ETCD ADDRESSES | needed | the members of etcd, separated by |";

/// One request has a hundred books.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(1),
    whole: Duration::from_secs(10),
};

pub(super) fn settings() -> Vec<Setting> {
    setting::read(&[SETTINGS])
}

/// Reads the settings. Fails as [`super::parse`] does.
pub(super) fn read(values: &Values) -> Result<MigrateSettings, String> {
    let place = |name| {
        Ok::<_, String>(match values.needed(name)? {
            text if text == "etcd" => Place::Etcd,
            text => Place::Folder(text.into()),
        })
    };
    let (from, to) = (place("FROM")?, place("TO")?);
    if (from == Place::Etcd) == (to == Place::Etcd) {
        return Err("one of FROM and TO must be etcd, and the other one a folder".into());
    }
    Ok(MigrateSettings {
        from,
        to,
        etcd: values.addresses("ETCD")?,
        limits: LIMITS,
    })
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Folder(path) => path.display().fmt(f),
            Place::Etcd => f.write_str("etcd"),
        }
    }
}
