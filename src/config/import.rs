//! The settings of `bazar import`.

use std::path::PathBuf;

use crate::config::servers;
use crate::config::setting::{self, Setting};
use crate::config::values::Values;
use crate::model::address::Address;

/// A catalog adds at most this many books in one request.
pub(crate) const BATCH_MAX: usize = 1000;

/// The fields of a new book, as the columns of a table are called.
pub(crate) const FIELDS: [&str; 5] = ["id", "title", "topic", "quantity", "price"];

/// What `bazar import` does.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportSettings {
    /// `None`: nothing is sent.
    pub(crate) catalog: Option<Address>,
    /// `-`: standard input.
    pub(crate) file: PathBuf,
    /// What columns of a table mean that are not called as their field.
    pub(crate) columns: Vec<Column>,
    /// Books that are there get the price and quantity of the file.
    pub(crate) update: bool,
    /// Where bad books are kept. `None`: the import ends at the first.
    pub(crate) skip_bad: Option<PathBuf>,
    /// How many books go in one request.
    pub(crate) batch: usize,
    /// Books that begin on an earlier line are skipped. The first line is 1.
    pub(crate) from_line: u64,
    pub(crate) token: Option<String>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// `None`: ignored.
    pub(crate) field: Option<&'static str>,
}

const SETTINGS: &str = "\
CATALOG ADDRESS | needed but for --dry-run | the catalog that takes the books and replicates them
DRY_RUN | import | check every book of the file, list all bad ones, and send nothing
UPDATE | leave them | give books that are there already the quantity and price of the file
SKIP_BAD FILE | stop at the first | go on after bad books, and keep them in this new file, to mend \
    and import them
COLUMNS NAMES | their own names | what columns of a table mean that are called otherwise: \
    isbn13=id,author=-,genre=topic; - ignores one
BATCH NUMBER | =1000 | how many books go in one request, at most 1000
FROM_LINE NUMBER | =1 | begin at this line: for books without ids, after a break. Books with \
    ids do not need it: run the same import again, and nothing is added twice";

pub(super) fn settings() -> Vec<Setting> {
    setting::read(&[SETTINGS, setting::TOKEN])
}

/// Reads the settings. Fails as [`super::parse`] does.
pub(super) fn read(values: &Values) -> Result<ImportSettings, String> {
    let catalog = if values.flag("DRY_RUN") {
        None
    } else {
        Some(values.address("CATALOG")?)
    };
    let columns_wanted = "NAME=FIELD pairs separated by commas, of which each field is one of id, \
        title, topic, quantity, price, or - to ignore the column";
    Ok(ImportSettings {
        catalog,
        file: values.argument("FILE")?.into(),
        columns: match values.optional("COLUMNS") {
            Some(_) => values.read("COLUMNS", columns_wanted, columns)?,
            None => Vec::new(),
        },
        update: values.flag("UPDATE"),
        skip_bad: values.optional("SKIP_BAD").map(PathBuf::from),
        batch: values.number("BATCH", 1, BATCH_MAX as u64)? as usize,
        from_line: values.number("FROM_LINE", 1, u64::MAX)?,
        token: servers::token(values)?,
    })
}

/// Reads `isbn13=id,author=-`. `None`: it is no such list.
pub(crate) fn columns(text: &str) -> Option<Vec<Column>> {
    let pairs = text.split(',').filter(|pair| !pair.is_empty());
    let column = |pair: &str| {
        let (name, field) = pair.split_once('=')?;
        let (name, wanted) = (name.trim().to_string(), field.trim());
        let field = FIELDS.into_iter().find(|field| *field == wanted);
        (field.is_some() || wanted == "-").then_some(Column { name, field })
    };
    pairs.map(column).collect()
}
