//! The ledger on disk: the folder `ledger` beside the books, with files of up to some 1,000 orders
//! each, by day: `ledger/2026-11-26-00001.json`, a JSON array, one entry a line.
//!
//! As a file of books, a file is replaced as a whole, and complete at every moment. If an entry is
//! in two files, as after a save that failed half-way, it counts once.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalog::storage::data_dir::{DataDir, TEMPORARY};
use crate::catalog::storage::plain_file;
use crate::model::book::entry::Entry;
use crate::runtime::{calendar, log};

/// A file takes entries until it has this many orders and other changes.
const FILE_WEIGHT_MAX: usize = 1000;

/// Beyond this many days the texts of the files that were written to are dropped, and read again
/// when needed: only a catalog that catches up writes to many days at once.
const OPEN_DAYS_MAX: usize = 8;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// The files of the ledger that may take more entries.
pub(super) struct LedgerFiles {
    path: PathBuf,
    /// How many files each day has.
    counts: HashMap<u64, u32>,
    /// What is in the last file of a day.
    last: HashMap<u64, LastFile>,
}

#[derive(Clone, Default)]
struct LastFile {
    weight: usize,
    /// Its entries, one a line, with a comma behind each but the last.
    lines: Vec<u8>,
}

impl LedgerFiles {
    /// Reads all files, and removes what a crash left behind. Fails with file and reason.
    pub(super) fn open(dir: &DataDir) -> Result<(LedgerFiles, Vec<Entry>), String> {
        let mut files = LedgerFiles {
            path: dir.ledger_path(),
            counts: HashMap::new(),
            last: HashMap::new(),
        };
        let mut entries = Vec::new();
        let names = files.list();
        let names = names.map_err(|e| format!("cannot list {}: {e}", files.path.display()))?;
        for name in names {
            let path = files.path.join(&name);
            if let Some((day, number)) = parse(&name) {
                entries.append(&mut read(&path)?);
                let count = files.counts.entry(day).or_default();
                *count = (*count).max(number);
            } else if name.strip_suffix(TEMPORARY).and_then(parse).is_some() {
                let removed = fs::remove_file(&path);
                removed.map_err(|e| format!("cannot remove {}: {e}", path.display()))?;
            } else {
                log::warn(
                    "ignored in the ledger's folder",
                    &[("path", &path.display())],
                );
            }
        }
        Ok((files, entries))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let name = |entry: io::Result<fs::DirEntry>| {
            let name = entry?.file_name();
            Ok(name.to_string_lossy().into_owned())
        };
        let mut names = entries.map(name).collect::<io::Result<Vec<String>>>()?;
        names.sort_unstable();
        Ok(names)
    }

    /// Puts these entries on disk. Fails with path and reason; then some of them may be there.
    pub(super) fn save(&mut self, dir: &DataDir, entries: &[Arc<Entry>]) -> Result<(), String> {
        if !self.path.is_dir() {
            let created = fs::create_dir(&self.path);
            created.map_err(|e| format!("cannot create {}: {e}", self.path.display()))?;
            dir.sync_dir()?;
        }
        let mut by_day: BTreeMap<u64, Vec<&Entry>> = BTreeMap::new();
        for entry in entries {
            by_day.entry(entry.at / DAY_MS).or_default().push(entry);
        }
        if OPEN_DAYS_MAX < self.last.len() {
            self.last.clear();
        }
        for (day, entries) in by_day {
            self.save_day(dir, day, &entries)?;
        }
        let synced = File::open(&self.path).and_then(|folder| folder.sync_all());
        synced.map_err(|e| format!("cannot save {}: {e}", self.path.display()))
    }

    fn save_day(&mut self, dir: &DataDir, day: u64, entries: &[&Entry]) -> Result<(), String> {
        let mut number = self.counts.get(&day).copied().unwrap_or(1);
        // If this fails, the file is read again.
        let mut file = match self.last.remove(&day) {
            Some(file) => file,
            None => self.read_last(day, number)?,
        };
        let mut entries = entries.iter().peekable();
        while entries.peek().is_some() {
            if FILE_WEIGHT_MAX <= file.weight {
                number += 1;
                file = LastFile::default();
            }
            while let Some(entry) = entries.next_if(|_| file.weight < FILE_WEIGHT_MAX) {
                file.add(entry);
            }
            let written = dir.write(self.path.join(file_name(day, number)), &file.content())?;
            dir.publish(written.sync()?)?;
            self.counts.insert(day, number);
        }
        self.last.insert(day, file);
        Ok(())
    }

    fn read_last(&self, day: u64, number: u32) -> Result<LastFile, String> {
        let mut file = LastFile::default();
        let path = self.path.join(file_name(day, number));
        if path.exists() {
            read(&path)?.iter().for_each(|entry| file.add(entry));
        }
        Ok(file)
    }
}

impl LastFile {
    fn add(&mut self, entry: &Entry) {
        if !self.lines.is_empty() {
            self.lines.extend_from_slice(b",\n");
        }
        serde_json::to_writer(&mut self.lines, entry).expect("an entry is JSON");
        self.weight += entry.weight();
    }

    fn content(&self) -> Vec<u8> {
        [b"[\n", self.lines.as_slice(), b"\n]\n"].concat()
    }
}

fn read(path: &Path) -> Result<Vec<Entry>, String> {
    let text = plain_file::read(path)?;
    let why = |why: &dyn std::fmt::Display| format!("cannot use {}: {why}", path.display());
    let entries: Vec<Entry> = serde_json::from_slice(&text).map_err(|e| why(&e))?;
    match entries.iter().find_map(Entry::defect) {
        Some(defect) => Err(why(&format!("an entry has {defect}"))),
        None => Ok(entries),
    }
}

/// `2026-11-26-00001.json`.
fn file_name(day: u64, number: u32) -> String {
    let (year, month, date) = log::civil(day as i64);
    format!("{year:04}-{month:02}-{date:02}-{number:05}.json")
}

/// The day and the number of the file that has exactly this name.
fn parse(name: &str) -> Option<(u64, u32)> {
    let (date, number) = name.strip_suffix(".json")?.rsplit_once('-')?;
    let day = calendar::day_of(date)?;
    let number = number.parse().ok()?;
    (file_name(day, number) == name).then_some((day, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_name_of_its_day() {
        for day in (0..60_000).step_by(7).chain(20_000..20_800) {
            let name = file_name(day, 3);
            assert_eq!(parse(&name), Some((day, 3)), "{name}");
        }
        assert_eq!(file_name(20_783, 1), "2026-11-26-00001.json");
        for name in [
            "2026-02-30-00001.json",
            "2026-11-26-1.json",
            "x",
            "1-1-1-00001.json",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
