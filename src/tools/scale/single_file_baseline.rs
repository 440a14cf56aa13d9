//! What the same books would cost a first version that keeps all of them in one file, has no index,
//! and fetches missed changes book by book. Measured on the books of a catalog, it shows what each
//! improvement on that version brought.

use std::fs;
use std::hint;
use std::path::Path;
use std::time::Instant;

use crate::catalog::StoredBook;
use crate::config::import::BATCH_MAX;
use crate::model::book::Book;
use crate::tools::harness::dataset::{ONE_TOPIC, TEN_TOPICS};
use crate::tools::harness::measurement::Measurement;
use crate::tools::harness::scratch_dir::replace_file;
use crate::tools::scale::results::Results;

/// How often a step that takes long is repeated.
const ROUNDS: usize = 5;

/// Reads the files of a catalog's data folder, and writes to `scratch`.
///
/// Fails when a file cannot be read or written.
pub(super) fn measure(
    data_dir: &Path,
    scratch: &Path,
    missed: usize,
    ours: &Results,
) -> Result<Results, String> {
    let mut books = read_all(data_dir)?;
    let mut change = Measurement::default();
    for _ in 0..ROUNDS {
        books[0].quantity -= 1;
        let replaced = change.time(|| {
            let bytes = serde_json::to_vec(&books).expect("our own values are JSON");
            replace_file(scratch, "books.json", &bytes)
        });
        replaced.map_err(|error| format!("cannot write in {}: {error}", scratch.display()))?;
    }
    let began = Instant::now();
    books = read(&scratch.join("books.json"))?;
    let start = began.elapsed();
    let one_change = change.median();
    // Fetched and saved one by one.
    let catch_up = (ours.lookup.median() + one_change) * missed as u32;
    Ok(Results {
        start_one: start,
        start_both: start,
        sales_rate: 1.0 / one_change.as_secs_f64(),
        import_rate: BATCH_MAX as f64 / one_change.as_secs_f64(),
        catch_up,
        start_and_catch_up: start + catch_up,
        search: search(&books, ONE_TOPIC),
        search_ten: search(&books, TEN_TOPICS),
        buy: change,
        ..Results::default()
    })
}

fn read_all(data_dir: &Path) -> Result<Vec<Book>, String> {
    let failed = |problem: String| format!("cannot read {}: {problem}", data_dir.display());
    let entries = fs::read_dir(data_dir).map_err(|error| failed(error.to_string()))?;
    let mut books = Vec::new();
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with("books-") {
            books.append(&mut read(&entry.path())?);
        }
    }
    if books.is_empty() {
        return Err(failed("it holds no books".into()));
    }
    Ok(books)
}

fn read(path: &Path) -> Result<Vec<Book>, String> {
    let text =
        fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let stored: Vec<StoredBook> = serde_json::from_slice(&text)
        .map_err(|error| format!("cannot parse {}: {error}", path.display()))?;
    Ok(stored.into_iter().map(Book::from).collect())
}

/// Looks at every book.
fn search(books: &[Book], text: &str) -> Measurement {
    let mut measurement = Measurement::default();
    for _ in 0..ROUNDS {
        measurement.time(|| {
            let text = text.to_lowercase();
            let matches = |book: &&Book| book.topic.to_lowercase().contains(&text);
            let answer: Vec<_> = books
                .iter()
                .filter(matches)
                .map(Book::search_result)
                .collect();
            hint::black_box(serde_json::to_vec(&answer).expect("our own values are JSON"))
        });
    }
    measurement
}
