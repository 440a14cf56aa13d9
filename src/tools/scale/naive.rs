//! What the same books would cost a first version that keeps all of them in one file, has no index,
//! and fetches what it missed book by book: measured on the books of a catalog, so that one sees
//! what each step away from it brought.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use crate::model::book::Book;
use crate::tools::scale::figures::{Figures, Times};
use crate::tools::scale::goods::{ONE_TOPIC, TEN_TOPICS};

/// How often what takes long is done.
const ROUNDS: usize = 5;

/// Books in one request of an import.
const BATCH: f64 = 1000.0;

/// Reads the files of a catalog's folder, and measures in a folder of its own.
///
/// Fails when a file cannot be read or written.
pub fn measure(data: &Path, own: &Path, missed: usize, ours: &Figures) -> Result<Figures, String> {
    let failed = |error: std::io::Error| format!("cannot use {}: {error}", data.display());
    let own = own.join("naive");
    fs::create_dir(&own).map_err(failed)?;
    let mut books = gather(data)?;
    let mut change = Times::default();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        books[0].quantity -= 1;
        replace(&own, &books).map_err(failed)?;
        change.add(began.elapsed());
    }
    let began = Instant::now();
    books = read(&own.join("books.json"))?;
    let open = began.elapsed();
    let one = change.median();
    // Fetched and saved one by one.
    let missed = (ours.lookup.median() + one) * missed as u32;
    Ok(Figures {
        start_one: open,
        start_both: open,
        crowd_rate: 1.0 / one.as_secs_f64(),
        import_rate: Some(BATCH / one.as_secs_f64()),
        missed,
        missed_and_start: open + missed,
        search: searches(&books, ONE_TOPIC),
        search_ten: searches(&books, TEN_TOPICS),
        buy: change,
        ..Figures::default()
    })
}

fn gather(data: &Path) -> Result<Vec<Book>, String> {
    let entries = fs::read_dir(data).map_err(|e| format!("cannot list {}: {e}", data.display()))?;
    let mut books = Vec::new();
    for entry in entries.flatten() {
        if entry.path().extension().is_some_and(|end| end == "json") {
            books.append(&mut read(&entry.path())?);
        }
    }
    match books.is_empty() {
        true => Err(format!("no books in {}", data.display())),
        false => Ok(books),
    }
}

fn read(path: &Path) -> Result<Vec<Book>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", path.display());
    let text = fs::read(path).map_err(|error| failed(&error))?;
    serde_json::from_slice(&text).map_err(|error| failed(&error))
}

/// As durable as ours: temporary file, fsync, rename, fsync of the folder.
fn replace(folder: &Path, books: &[Book]) -> std::io::Result<()> {
    let temporary = folder.join("books.tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(books)?)?;
    file.sync_all()?;
    fs::rename(&temporary, folder.join("books.json"))?;
    File::open(folder)?.sync_all()
}

/// Looks at every book.
fn searches(books: &[Book], text: &str) -> Times {
    let mut times = Times::default();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let text = text.to_lowercase();
        let found = books
            .iter()
            .filter(|book| book.topic.to_lowercase().contains(&text));
        let answer: Vec<_> = found.map(Book::found).collect();
        std::hint::black_box(serde_json::to_vec(&answer).expect("our own values are JSON"));
        times.add(began.elapsed());
    }
    times
}
