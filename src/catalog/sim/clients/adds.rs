//! Operators who add books without an id, and others who change them at once.
//!
//! No client sees how many books there are, so nothing of this is in the history: what is left of
//! each added book is checked in the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::calls;
use crate::catalog::sim::cluster::{Cluster, Task};
use crate::catalog::sim::history::{Added, Told};
use crate::catalog::sim::parameters::{OTHER_BOOK, Parameters};
use crate::model::book::{Book, BookId};

/// How many operators add books at the same time, and how many each.
const ADDERS: u64 = 2;
const BOOKS: u64 = 4;

/// How often somebody changes a book that was added.
const CHANGES: u64 = 30;

pub(in crate::catalog::sim) fn tasks(_: &Parameters) -> Vec<Task> {
    let adder = |number| Box::new(move |cluster: &Arc<Cluster>| add_some(cluster, number)) as Task;
    let mut tasks: Vec<Task> = (0..ADDERS).map(adder).collect();
    tasks.push(Box::new(change_some));
    tasks
}

fn add_some(cluster: &Arc<Cluster>, number: u64) {
    let scheduler = &cluster.scheduler;
    for count in 0..BOOKS {
        scheduler.sleep(cluster.either_between((0.0, 50.0), (0.0, 1500.0)));
        let catalogs = cluster.parameters.catalogs;
        let catalog = scheduler.draw(|rng| rng.usize(..catalogs));
        add(
            cluster,
            catalog,
            &format!("Book {count} of operator {number}"),
        );
    }
}

/// Adds a book of this title at a catalog.
pub(in crate::catalog::sim) fn add(cluster: &Arc<Cluster>, catalog: usize, title: &str) {
    let (told, event) = match calls::add(cluster, catalog, title) {
        Some(Ok(book)) => (Told::Id(book.id), "added"),
        Some(Err(error)) if !error.indefinite() => (Told::Refused, "refused add"),
        _ => (Told::Unknown, "unknown add"),
    };
    cluster.trace.count(event);
    cluster.history.record_added(title, told);
}

/// Changes the latest books that a catalog has, whose writers may still be at work.
fn change_some(cluster: &Arc<Cluster>) {
    let scheduler = &cluster.scheduler;
    for _ in 0..CHANGES {
        scheduler.sleep(scheduler.between(0.0, 200.0));
        let catalogs = cluster.parameters.catalogs;
        let catalog = scheduler.draw(|rng| rng.usize(..catalogs));
        let books = cluster.books(catalog);
        let added = books.last().filter(|book| OTHER_BOOK < book.id);
        let Some(book) = added else { continue };
        if let Some(Ok(_)) = calls::change_price(cluster, catalog, book.id) {
            cluster.trace.count("changed added book");
        }
    }
}

/// Every catalog has the same books. Each one that was acknowledged is there once, at its id; one
/// that was refused is not; and one of which nobody knows is there at most once. After a cut an
/// acknowledged one may have given way to one of the same id.
pub(in crate::catalog::sim) fn check_added(cluster: &Arc<Cluster>) -> Result<(), String> {
    let added = cluster.history.added();
    let books = cluster.books(0);
    for node in 1..cluster.parameters.catalogs {
        if !same_books(&books, &cluster.books(node)) {
            return Err(format!("catalog {node} has other books after quiet"));
        }
    }
    let mut ids: BTreeMap<&str, Vec<BookId>> = BTreeMap::new();
    for book in &books {
        ids.entry(&book.title).or_default().push(book.id);
    }
    for Added { title, told } in &added {
        let found = ids.get(title.as_str()).map_or(&[][..], Vec::as_slice);
        let is_right = match told {
            Told::Id(id) => found == [*id] || found.is_empty() && !cluster.parameters.linearizable,
            Told::Refused => found.is_empty(),
            Told::Unknown => found.len() <= 1,
        };
        if !is_right {
            return Err(format!(
                "{title:?}, {told:?}, has these ids after quiet: {found:?}"
            ));
        }
    }
    Ok(())
}

fn same_books(ours: &[Arc<Book>], theirs: &[Arc<Book>]) -> bool {
    let what = |book: &Arc<Book>| (book.id, book.version, book.title.clone());
    ours.iter().map(what).eq(theirs.iter().map(what))
}
