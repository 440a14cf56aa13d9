//! Books for a shop that needs many, and how they get there.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use serde_json::json;

use crate::config::import::{BATCH_MAX, ImportSettings};
use crate::model::address::Address;
use crate::tools::import;

/// The stock of each book, so large that none is ever sold out.
pub(crate) const COPIES: u64 = 1_000_000;

/// The books are spread over this many topics.
const TOPICS: u64 = 1000;

/// The topic whose books the small shop gets too.
pub(crate) const ONE_TOPIC: &str = "Shelf 123";

/// A search for this finds ten topics of the thousand.
pub(crate) const TEN_TOPICS: &str = "Shelf 12";

pub(crate) fn is_of_one_topic(id: u64) -> bool {
    topic(id) == ONE_TOPIC
}

/// "Shelf 12" is part of "Shelf 120" to "Shelf 129" and of no other topic.
fn topic(id: u64) -> String {
    format!("Shelf {:03}", id % TOPICS)
}

/// Adds the books with these ids by `bazar import`. Returns the summary, and how many books a
/// second were added.
pub(crate) fn import(
    catalog: &Address,
    folder: &Path,
    ids: &[u64],
) -> Result<(String, f64), String> {
    let file = folder.join("dataset.jsonl");
    write(&file, ids).map_err(|e| format!("cannot write {}: {e}", file.display()))?;
    let settings = ImportSettings {
        catalog: Some(catalog.clone()),
        file: file.clone(),
        columns: Vec::new(),
        update: false,
        skip_bad: None,
        batch: BATCH_MAX,
        from_line: 1,
        token: None,
    };
    let began = Instant::now();
    let summary = import::run(&settings)?;
    let rate = ids.len() as f64 / began.elapsed().as_secs_f64();
    fs::remove_file(&file).map_err(|e| format!("cannot remove {}: {e}", file.display()))?;
    Ok((summary, rate))
}

fn write(file: &Path, ids: &[u64]) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    for id in ids {
        let title = format!("Volume {id} of the works that nobody reads");
        let book = json!({
            "id": id, "title": title, "topic": topic(*id), "quantity": COPIES, "price": 10.0
        });
        writeln!(out, "{book}")?;
    }
    out.into_inner()?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::{TEN_TOPICS, is_of_one_topic, topic};

    #[test]
    fn a_thousandth_of_the_books_is_of_the_one_topic() {
        let of_one = (1000..6000).filter(|id| is_of_one_topic(*id));
        assert_eq!(of_one.collect::<Vec<_>>(), [1123, 2123, 3123, 4123, 5123]);
        let of_ten = (1000..6000).filter(|id| topic(*id).contains(TEN_TOPICS));
        assert_eq!(of_ten.count(), 50);
    }
}
