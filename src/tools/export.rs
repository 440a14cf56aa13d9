//! `bazar export`: writes the books of a running shop, as `bazar import` reads them again.
//!
//! One pass by id, page by page: each book is as the catalog has it when its page is made. Memory
//! holds one page.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::mem::take;

use serde::{Deserialize, Serialize};

use crate::config::export::ExportSettings;
use crate::config::import::FIELDS;
use crate::http::Method;
use crate::model::book::BookId;
use crate::tools::{csv, describe, failure_text, patient_client};

/// Books of one page.
const PAGE_BOOKS: usize = 5000;

/// The fields that an import takes, in the order of [`FIELDS`].
#[derive(Deserialize, Serialize)]
struct Exported {
    id: BookId,
    title: String,
    topic: String,
    quantity: u32,
    price: f64,
}

impl Exported {
    fn write(&self, out: &mut impl Write, csv: bool) -> io::Result<()> {
        if !csv {
            serde_json::to_writer(&mut *out, self)?;
            return out.write_all(b"\n");
        }
        let Exported {
            id,
            quantity,
            price,
            ..
        } = self;
        let title = csv::quoted_if_needed(&self.title);
        let topic = csv::quoted_if_needed(&self.topic);
        write!(out, "{id},{title},{topic},{quantity},{price:?}\r\n")
    }
}

/// Writes all books to standard output. Returns how many.
///
/// Fails with what stopped it, and how many were written by then. That whoever reads has gone is no
/// failure.
pub fn run(settings: &ExportSettings) -> Result<u64, String> {
    let client = patient_client(settings.token.as_deref());
    let page = |path: &str| {
        let url = format!("{}{path}", settings.catalog);
        let answer = client.call(Method::Get, &url, &[], None);
        let answer = answer.map_err(failure_text)?;
        if answer.status != 200 {
            return Err(describe(&answer));
        }
        answer.json().map_err(failure_text)
    };
    export(page, settings.csv, BufWriter::new(io::stdout().lock()))
}

fn export(
    page: impl Fn(&str) -> Result<Vec<Exported>, String>,
    csv: bool,
    mut out: impl Write,
) -> Result<u64, String> {
    let (mut count, mut path) = (0, format!("/dump/?limit={PAGE_BOOKS}"));
    let mut head = if csv {
        format!("{}\r\n", FIELDS.join(","))
    } else {
        String::new()
    };
    loop {
        let books = page(&path).map_err(|why| format!("{why}\nwritten: {count} books"))?;
        match write_page(&take(&mut head), &books, csv, &mut out) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(count),
            Err(error) => return Err(format!("cannot write on: {error}\nwritten: {count} books")),
            Ok(()) => count += books.len() as u64,
        }
        match books.last() {
            Some(last) if books.len() == PAGE_BOOKS => {
                path = format!("/dump/?limit={PAGE_BOOKS}&after={}", last.id);
            }
            _ => return Ok(count),
        }
    }
}

fn write_page(head: &str, books: &[Exported], csv: bool, out: &mut impl Write) -> io::Result<()> {
    out.write_all(head.as_bytes())?;
    for book in books {
        book.write(out, csv)?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(id: u64) -> Exported {
        Exported {
            id: BookId(id),
            title: format!("One, \"{id}\""),
            topic: "Über".into(),
            quantity: 3,
            price: 25.0,
        }
    }

    fn exported(books: u64, csv: bool) -> (u64, String) {
        let page = |path: &str| {
            let after = path
                .split_once("after=")
                .map_or(0, |(_, id)| id.parse().unwrap());
            let ids = after + 1..=books.min(after + PAGE_BOOKS as u64);
            Ok(ids.map(book).collect())
        };
        let mut out = Vec::new();
        let count = export(page, csv, &mut out).unwrap();
        (count, String::from_utf8(out).unwrap())
    }

    #[test]
    fn each_book_is_a_line_of_json_or_a_record() {
        let line = r#"{"id":1,"title":"One, \"1\"","topic":"Über","quantity":3,"price":25.0}"#;
        assert_eq!(exported(1, false), (1, format!("{line}\n")));
        let table = "id,title,topic,quantity,price\r\n1,\"One, \"\"1\"\"\",Über,3,25.0\r\n";
        assert_eq!(exported(1, true), (1, table.into()));
        assert_eq!(exported(0, false), (0, String::new()));
    }

    #[test]
    fn many_books_are_read_page_by_page() {
        let books = 2 * PAGE_BOOKS as u64;
        let (count, text) = exported(books, false);
        assert_eq!((count, text.lines().count() as u64), (books, books));
    }

    #[test]
    fn a_page_that_fails_ends_the_export_with_a_count() {
        let page = |path: &str| match path.contains("after") {
            true => Err("the catalog is gone".to_string()),
            false => Ok((1..=PAGE_BOOKS as u64).map(book).collect()),
        };
        let why = export(page, false, io::sink()).unwrap_err();
        assert_eq!(
            why,
            format!("the catalog is gone\nwritten: {PAGE_BOOKS} books")
        );
    }
}
