//! No file of the repository refers to a file that is not in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::ROOT;

/// What may end a file's name in prose or code. Names of data files are not checked: most are made
/// at run time.
const ENDINGS: [&str; 3] = [".md", ".rs", ".sh"];

/// Files of tiny_http, about which the docs say something.
const OF_OTHERS: [&str; 1] = [concat!("refined_tcp_stream", ".rs")];

/// Not part of the repository.
const LEFT_OUT: [&str; 3] = ["target", ".git", "data"];

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if LEFT_OUT.iter().any(|left_out| name == *left_out) {
            continue;
        }
        if entry.path().is_dir() {
            files_below(&entry.path(), files);
        } else {
            files.push(entry.path());
        }
    }
}

/// The names of files in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let words = text
        .split(|c| !is_part(c))
        .map(|word| word.trim_end_matches('.'));
    let is_name = |word: &&str| {
        let stem = ENDINGS.iter().find_map(|ending| word.strip_suffix(ending));
        stem.is_some_and(|stem| stem.ends_with(|c: char| c.is_ascii_alphanumeric()))
    };
    words.filter(is_name).collect()
}

/// Whether a name is that of one of these files, by as much of its path as it says.
fn is_known(name: &str, files: &[String]) -> bool {
    let name = name.trim_start_matches(['.', '/']);
    files
        .iter()
        .any(|file| file == name || file.ends_with(&format!("/{name}")))
}

#[test]
fn no_file_refers_to_a_file_that_is_not_in_the_repository() {
    let mut paths = Vec::new();
    files_below(Path::new(ROOT), &mut paths);
    let relative = |path: &PathBuf| {
        path.strip_prefix(ROOT)
            .unwrap()
            .to_str()
            .unwrap()
            .to_string()
    };
    let files: Vec<String> = paths.iter().map(relative).collect();
    let (mut unknown, mut known) = (Vec::new(), 0);
    for (path, file) in paths.iter().zip(&files) {
        let Ok(text) = fs::read_to_string(path) else {
            continue;
        };
        for name in names(&text) {
            if is_known(name, &files) {
                known += 1;
            } else if !OF_OTHERS.contains(&name) {
                unknown.push(format!("{file}: {name}"));
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
    assert!(50 < known, "only {known} references were found");
}

/// The headings of the protocol that a source file quotes: what stands in quotes behind the file's
/// name, and behind "and".
fn quoted_headings(source: &str) -> Vec<String> {
    let is_mark = |word: &&str| !matches!(*word, "//" | "///" | "//!");
    let text: Vec<&str> = source.split_whitespace().filter(is_mark).collect();
    let text = text.join(" ");
    let mut headings = Vec::new();
    for mut rest in text.split(concat!("PROTOCOL", ".md`, ")).skip(1) {
        while let Some((heading, more)) = rest.strip_prefix('"').and_then(|it| it.split_once('"')) {
            headings.push(heading.to_string());
            rest = more.strip_prefix(" and ").unwrap_or_default();
        }
    }
    headings
}

#[test]
fn every_heading_of_the_protocol_that_a_comment_quotes_is_there() {
    let protocol = Path::new(ROOT).join(concat!("src/catalog/replication/PROTOCOL", ".md"));
    let protocol = fs::read_to_string(protocol).unwrap();
    let heading = |line: &str| {
        Some(
            line.strip_prefix('#')?
                .trim_start_matches('#')
                .trim()
                .into(),
        )
    };
    let headings: BTreeSet<String> = protocol.lines().filter_map(heading).collect();
    let (mut paths, mut quoted) = (Vec::new(), 0);
    files_below(&Path::new(ROOT).join("src"), &mut paths);
    for path in paths
        .iter()
        .filter(|path| path.extension().is_some_and(|it| it == "rs"))
    {
        for heading in quoted_headings(&fs::read_to_string(path).unwrap()) {
            quoted += 1;
            assert!(
                headings.contains(&heading),
                "{}: {heading:?}",
                path.display()
            );
        }
    }
    assert!(20 < quoted, "only {quoted} headings were found");
}

#[test]
fn a_name_is_found_wherever_it_stands_and_known_by_the_end_of_its_path() {
    let (here, gone) = (["main", ".rs"].concat(), ["GONE", ".md"].concat());
    let text = format!("see `src/{here}`, ../{gone}. And ({here}); x.md5, .rs");
    let expected = [&format!("src/{here}"), &format!("../{gone}"), &here];
    assert_eq!(names(&text), expected.map(String::as_str).into());
    let files = [format!("src/{here}")];
    assert!(is_known(&here, &files) && is_known(&format!("src/{here}"), &files));
    assert!(!is_known(&gone, &files) && !is_known(&format!("it/{here}"), &files));
    assert!(!is_known(&here[1..], std::slice::from_ref(&here)));
}
