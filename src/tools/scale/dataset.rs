//! The books of the large shop, and how they get there.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Instant;

use crate::config::import::{BATCH_MAX, ImportSettings};
use crate::tools::harness::local_shop::LocalShop;
use crate::tools::import;

/// The stock of each book, so large that none is ever sold out.
pub(super) const COPIES: u64 = 1_000_000;

/// Above the ids of the first stock, and the first id of a data file.
const FIRST_ID: u64 = 1000;

/// The books are spread over this many topics.
const TOPICS: u64 = 1000;

/// The topic whose books the small shop gets too.
pub(super) const ONE_TOPIC: &str = "Shelf 123";

/// A search for this finds ten topics of the thousand.
pub(super) const TEN_TOPICS: &str = "Shelf 12";

/// The ids of this many books.
pub(super) fn ids(books: u64) -> RangeInclusive<u64> {
    FIRST_ID..=FIRST_ID + books - 1
}

pub(super) fn is_of_one_topic(id: u64) -> bool {
    topic(id) == ONE_TOPIC
}

/// "Shelf 12" is part of "Shelf 120" to "Shelf 129" and of no other topic.
fn topic(id: u64) -> String {
    format!("Shelf {:03}", id % TOPICS)
}

/// Adds the books with these ids by `bazar import` at the first catalog. Returns the summary, and
/// how many books a second were added.
pub(super) fn import(
    local: &LocalShop,
    folder: &Path,
    ids: impl Iterator<Item = u64>,
) -> Result<(String, f64), String> {
    let file = folder.join("dataset.jsonl");
    let count = write(&file, ids).map_err(|e| format!("cannot write {}: {e}", file.display()))?;
    let settings = ImportSettings {
        catalog: local.shop.catalogs[0].clone(),
        file: file.clone(),
        skip_bad: false,
        batch: BATCH_MAX,
        from_line: 1,
        token: None,
    };
    let began = Instant::now();
    let summary = import::run(&settings)?;
    let rate = count as f64 / began.elapsed().as_secs_f64();
    fs::remove_file(&file).map_err(|e| format!("cannot remove {}: {e}", file.display()))?;
    Ok((summary, rate))
}

fn write(file: &Path, ids: impl Iterator<Item = u64>) -> io::Result<u64> {
    let mut out = BufWriter::new(File::create(file)?);
    let mut count = 0;
    for id in ids {
        let topic = topic(id);
        writeln!(
            out,
            r#"{{"id":{id},"title":"Volume {id} of the works that nobody reads","topic":"{topic}","quantity":{COPIES},"price":10.0}}"#
        )?;
        count += 1;
    }
    out.into_inner()?.sync_all()?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::{TEN_TOPICS, ids, is_of_one_topic, topic};

    #[test]
    fn a_thousandth_of_the_books_is_of_the_one_topic() {
        let of_one = ids(5000).filter(|id| is_of_one_topic(*id));
        assert_eq!(of_one.collect::<Vec<_>>(), [1123, 2123, 3123, 4123, 5123]);
        let of_ten = ids(5000).filter(|id| topic(*id).contains(TEN_TOPICS));
        assert_eq!(of_ten.count(), 50);
    }
}
