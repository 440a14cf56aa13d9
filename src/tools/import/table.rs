//! A table of books: which column is which field, and what its texts mean.

use serde_json::{Map, Number, Value};

use crate::config::import::{Column, FIELDS};
use crate::tools::csv;

/// The header of a table.
pub(super) struct Table {
    separator: u8,
    /// The field of each column; `None`: ignored.
    columns: Vec<Option<&'static str>>,
}

impl Table {
    /// Reads a header. A column is named as its field, in any case, or as `mapped` says.
    ///
    /// Fails when it has no such names, when a field that every book has is missing or is there
    /// twice, and at a column that is neither a field nor mapped.
    pub(super) fn new(header: &[u8], mapped: &[Column]) -> Result<Table, String> {
        let separator = csv::separator(header);
        let names = csv::fields(header, separator).unwrap_or_default();
        let names: Vec<&str> = names.iter().map(|name| name.trim()).collect();
        let is_known = |name: &&str| field(name).is_some() || mapping(name, mapped).is_some();
        if !names.iter().any(is_known) {
            let fields = FIELDS.join(", ");
            return Err(format!(
                "neither JSON nor a table: a list of books in JSON begins with [ or {{, and a table \
                 with the names of its columns: {fields}, or others with --columns"
            ));
        }
        if let Some(Column { name, .. }) = mapped.iter().find(|m| !names.contains(&&*m.name)) {
            return Err(format!(
                "--columns names {name:?}, but no column is called so"
            ));
        }
        let columns: Result<Vec<_>, _> = names.iter().map(|name| meant(name, mapped)).collect();
        let columns = columns?;
        for field in FIELDS {
            match columns.iter().filter(|c| **c == Some(field)).count() {
                0 if field != "id" => {
                    return Err(format!(
                        "no column is called {field:?}; if another one holds it: --columns NAME={field}"
                    ));
                }
                0 | 1 => (),
                _ => return Err(format!("two columns hold the {field}")),
            }
        }
        Ok(Table { separator, columns })
    }

    pub(super) fn separator(&self) -> u8 {
        self.separator
    }

    /// The book of a record, as JSON. The catalog validates the rest.
    ///
    /// Fails when there are more or fewer fields than columns, and at a text that is no number.
    pub(super) fn book(&self, record: &[u8]) -> Result<Value, String> {
        let texts = csv::fields(record, self.separator)?;
        let (found, columns) = (texts.len(), self.columns.len());
        if found != columns {
            return Err(format!(
                "has {found} fields, where the header has {columns}"
            ));
        }
        let mut book = Map::new();
        for (column, text) in self.columns.iter().zip(&texts) {
            let (Some(field), text) = (*column, text.trim()) else {
                continue;
            };
            let value = match field {
                "id" if text.is_empty() => continue,
                "id" => whole(field, &without_hyphens(text))?.into(),
                "quantity" => whole(field, text)?.into(),
                "price" => price(text)?.into(),
                _ => text.into(),
            };
            book.insert(field.into(), value);
        }
        Ok(book.into())
    }
}

/// The field that a column of this name holds.
fn meant(name: &str, mapped: &[Column]) -> Result<Option<&'static str>, String> {
    match mapping(name, mapped) {
        Some(column) => Ok(column.field),
        // Spreadsheets add columns without a name.
        None if name.is_empty() => Ok(None),
        None => field(name).map(Some).ok_or_else(|| {
            format!(
                "no field of a book is called {name:?}; if it is one of them: --columns \
                 {name}=title; to ignore it: --columns {name}=-"
            )
        }),
    }
}

fn mapping<'a>(name: &str, mapped: &'a [Column]) -> Option<&'a Column> {
    mapped.iter().find(|column| column.name == name)
}

fn field(name: &str) -> Option<&'static str> {
    FIELDS
        .into_iter()
        .find(|field| field.eq_ignore_ascii_case(name))
}

/// `978-0-13-468599-1` is a number, too: an ISBN.
fn without_hyphens(text: &str) -> String {
    let inside = text.starts_with(|c: char| c.is_ascii_digit());
    text.chars()
        .filter(|c| !inside || !matches!(c, '-' | ' '))
        .collect()
}

fn whole(field: &str, text: &str) -> Result<u64, String> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or_else(|| {
        let rounded = text.contains(['E', 'e']) && text.starts_with(|c: char| c.is_ascii_digit());
        let advice = if rounded {
            ": the spreadsheet has rounded it; show this column as whole numbers, and save again"
        } else {
            ""
        };
        format!("{field} is {text:?} but must be a whole number in digits{advice}")
    })
}

/// A price with a point or a comma before the decimals, perhaps with marks between thousands, and
/// with a sign or name of a currency before or behind it.
///
/// Fails when it is none, or when nobody can tell which of the two a comma is: `1,234`.
fn price(text: &str) -> Result<Number, String> {
    let is_currency = |c: char| c.is_alphabetic() || c.is_whitespace() || "$€£¥".contains(c);
    let number = text.trim_matches(is_currency);
    let wrong = |why: &str| {
        Err(format!(
            "price is {text:?} but must be a number such as 12.50{why}"
        ))
    };
    let last = number.rfind([',', '.']);
    let Some(mark) = last.map(|at| number.as_bytes()[at]) else {
        return decimal(number, "").map_or_else(|| wrong(""), Ok);
    };
    let (whole, decimals) = number.rsplit_once(char::from(mark)).unwrap_or((number, ""));
    let other = if mark == b',' { '.' } else { ',' };
    if whole.contains(char::from(mark)) {
        // Twice the same mark: between thousands.
        let whole = thousands(number, char::from(mark)).filter(|_| !number.contains(other));
        return whole
            .and_then(|whole| decimal(&whole, ""))
            .map_or_else(|| wrong(""), Ok);
    }
    if mark == b',' && decimals.len() == 3 && !whole.contains(other) {
        return wrong("; 1,234 may be either");
    }
    let whole = if whole.contains(other) {
        thousands(whole, other)
    } else {
        Some(whole.into())
    };
    whole
        .and_then(|whole| decimal(&whole, decimals))
        .map_or_else(|| wrong(""), Ok)
}

/// The digits of `1.234.567`, if each mark stands before three of them.
fn thousands(text: &str, mark: char) -> Option<String> {
    let mut groups = text.split(mark);
    let first = groups.next()?;
    let fits = (1..=3).contains(&first.len()) && groups.all(|group| group.len() == 3);
    fits.then(|| text.replace(mark, ""))
}

fn decimal(whole: &str, decimals: &str) -> Option<Number> {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let fits = !whole.is_empty() && digits(whole) && digits(decimals);
    let number = format!("{whole}.{decimals}0").parse().ok().filter(|_| fits);
    number.and_then(Number::from_f64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::import::columns;

    const HEADER: &str = "id,title,topic,quantity,price";

    #[track_caller]
    fn check(header: &str, mapped: &str, record: &str, expected: Value) {
        let table = Table::new(header.as_bytes(), &columns(mapped).unwrap()).unwrap();
        assert_eq!(table.book(record.as_bytes()), Ok(expected));
    }

    #[track_caller]
    fn check_header(header: &str, mapped: &str, expected: &str) {
        let refused = Table::new(header.as_bytes(), &columns(mapped).unwrap()).err();
        let why = refused.expect("the header is refused");
        assert!(why.contains(expected), "{why}");
    }

    #[track_caller]
    fn check_bad(record: &str, expected: &str) {
        let table = Table::new(HEADER.as_bytes(), &[]).unwrap();
        let why = table.book(record.as_bytes()).unwrap_err();
        assert!(why.contains(expected), "{why}");
    }

    #[test]
    fn columns_are_found_by_their_names() {
        let book = json!({"id": 7, "title": "T", "topic": "P", "quantity": 3, "price": 12.5});
        check(HEADER, "", "7,T,P,3,12.50", book.clone());
        check(
            "Price;Title;ID;Topic;Quantity",
            "",
            "12,50;T;7;P;3",
            book.clone(),
        );
        let mapped = "isbn13=id,author=-,genre=topic,Titel=title";
        let header = "isbn13,author,genre,Titel,quantity,price,";
        check(header, mapped, "7,A,P,T,3,$12.50,", book);
        let new = json!({"title": "T", "topic": "P", "quantity": 3, "price": 1.0});
        check("title,topic,quantity,price", "", "T,P,3,1", new.clone());
        check(HEADER, "", ",T,P,3,1", new);
    }

    #[test]
    fn a_header_that_does_not_fit_says_what_to_do() {
        check_header("PK\u{3}\u{4}", "", "neither JSON nor a table");
        check_header("Dear sir, madam", "", "neither JSON nor a table");
        check_header("id,title,author", "", "--columns author=-");
        check_header("title,topic,price", "", "--columns NAME=quantity");
        check_header(
            "title,Title,topic,quantity,price",
            "",
            "two columns hold the title",
        );
        check_header(HEADER, "isbn=id", "no column is called so");
    }

    #[test]
    fn a_record_that_does_not_fit_says_why() {
        check_bad("7,T,P,3", "has 4 fields, where the header has 5");
        check_bad("7,T,P,three,1", "quantity is \"three\"");
        check_bad("7,T,P,-3,1", "quantity is \"-3\"");
        check_bad("9.78014E+12,T,P,3,1", "the spreadsheet has rounded it");
        check_bad("-7,T,P,3,1", "id is \"-7\"");
        check_bad("7,T,P,3,free", "price is \"free\"");
    }

    #[test]
    fn an_isbn_may_have_hyphens() {
        let table = Table::new(HEADER.as_bytes(), &[]).unwrap();
        let book = table.book(b"978-0-13-468599-1,T,P,3,1").unwrap();
        assert_eq!(book["id"], 9_780_134_685_991_u64);
    }

    #[test]
    fn prices_are_read_as_people_write_them() {
        for (text, expected) in [
            ("12.50", 12.5),
            ("12,50", 12.5),
            ("$12.50", 12.5),
            ("12,50 €", 12.5),
            ("EUR 12", 12.0),
            ("1.234,50", 1234.5),
            ("1,234.50", 1234.5),
            ("1,234,567", 1_234_567.0),
            ("0.125", 0.125),
            ("12.", 12.0),
        ] {
            assert_eq!(
                price(text),
                Ok(Number::from_f64(expected).unwrap()),
                "{text}"
            );
        }
        for text in [
            "", "$", "-1", "1e3", "1.2.3", "12,3.4,5", "1,234", "12.50.", "1,23,4.5", ".5",
        ] {
            assert!(price(text).is_err(), "{text}");
        }
    }
}
