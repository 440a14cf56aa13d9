//! `bazar audit`: proves on a running shop, also while it sells, that nothing was lost, and names
//! what two sides of a cut sold twice. It only reads. `bazar bench` ends with it, too.
//!
//! Of each catalog the versions of all books are read, and then its ledger. Together the ledgers
//! have all that made those versions, and each has all that is not quite new. `model::audit` walks
//! them. What is wrong is looked at again, since what was on its way looks like what was lost.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::config::orders::AuditSettings;
use crate::http::Method;
use crate::http::client::Client;
use crate::model::address::Address;
use crate::model::audit::{BookAudit, BookState, audit, history};
use crate::model::book::entry::{Entry, EntryKey, Sale};
use crate::model::book::{BookId, Version};
use crate::model::order_ids::unix_ms;
use crate::tools::{describe, failure_text, patient_client};

/// Books or entries of one request.
const PAGE: usize = 1000;

/// How often what is wrong is looked at, and the pause before.
const ROUNDS_MAX: u32 = 6;
const PAUSE: Duration = Duration::from_millis(700);

/// How often a book that is just being sold is read, until its copy is valid.
const READS_MAX: u32 = 200;

/// An older entry must be in every ledger. One whose confirmation was late or lost is taken when
/// its span of 10 s is compared, which is some 13 s later.
const SETTLED_MS: u64 = 20_000;

/// What was found.
pub struct Report {
    pub text: String,
    /// Something is wrong: copies were lost, or sold twice.
    pub is_wrong: bool,
}

/// What one catalog has.
struct Replica {
    address: Address,
    books: Vec<BookState>,
    entries: Vec<Arc<Entry>>,
}

/// A line of `/versions`.
#[derive(Deserialize)]
struct ReadVersion {
    id: BookId,
    version: Version,
    quantity: u32,
    state: String,
}

/// What one look at all catalogs found.
pub(crate) struct Findings {
    pub(crate) books: Vec<BookAudit>,
    problems: Vec<String>,
    entries: usize,
}

/// Audits the shop. Fails when a catalog does not answer.
pub fn run(settings: &AuditSettings) -> Result<Report, String> {
    let client = patient_client(settings.token.as_deref());
    let findings = find(&client, &settings.catalogs)?;
    Ok(Report {
        text: match settings.json {
            true => format!("{:#}\n", as_json(&findings)),
            false => table(&findings, settings.catalogs.len()),
        },
        is_wrong: !findings.wrong().is_empty(),
    })
}

/// Looks at these catalogs until nothing is wrong, [`ROUNDS_MAX`] times at most. Fails when one does
/// not answer.
pub(crate) fn find(client: &Client, catalogs: &[Address]) -> Result<Findings, String> {
    let mut findings = look(client, catalogs)?;
    for _ in 1..ROUNDS_MAX {
        if findings.problems.is_empty() {
            break;
        }
        thread::sleep(PAUSE);
        findings = look(client, catalogs)?;
    }
    Ok(findings)
}

impl Findings {
    /// What is wrong, a line for each.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let twice = self.books.iter().flat_map(|book| &book.sold_twice);
        let twice = twice.map(|sale| format!("sold twice: {}: take it back", in_words(sale)));
        let returned = self.books.iter().flat_map(|book| &book.not_returned);
        let returned = returned.map(|sale| {
            let sale = in_words(sale);
            format!("not in stock again: {sale}: one side of a cut took it back: do so again")
        });
        let problems = self.problems.iter().map(|why| format!("wrong: {why}"));
        twice.chain(returned).chain(problems).collect()
    }
}

fn in_words((entry, sale): &(Arc<Entry>, Sale)) -> String {
    let key = sale.key.as_ref();
    let key = key.map_or(String::new(), |key| format!(", key {key}"));
    format!(
        "order {}{key}: {} of book {}, {:?}, for {} each",
        sale.order, sale.copies, entry.book, entry.title, entry.price
    )
}

fn look(client: &Client, catalogs: &[Address]) -> Result<Findings, String> {
    let settled = unix_ms().saturating_sub(SETTLED_MS);
    let read = |address: &Address| read(client, address);
    let replicas = catalogs.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let mut problems = Vec::new();
    let mut books = Vec::new();
    let all = replicas
        .iter()
        .flat_map(|replica| replica.entries.iter().cloned());
    let all: BTreeMap<EntryKey, Arc<Entry>> = all.map(|entry| (entry.key(), entry)).collect();
    let all: Vec<Arc<Entry>> = all.into_values().collect();
    for replica in &replicas {
        let audited = audit(&replica.books, &all, settled);
        for book in &audited {
            let wrong = book.wrong.iter();
            problems.extend(wrong.map(|w| format!("{}: book {}: {w}", replica.address, book.id)));
        }
        if books.is_empty() {
            books = audited;
        }
    }
    problems.extend(differences(&replicas, settled));
    problems.extend(parted(&replicas));
    Ok(Findings {
        books,
        problems,
        entries: all.len(),
    })
}

fn read(client: &Client, address: &Address) -> Result<Replica, String> {
    let mut books = Vec::new();
    let mut after = String::new();
    loop {
        let page: Vec<ReadVersion> =
            get(client, address, &format!("/versions?limit={PAGE}{after}"))?;
        let count = page.len();
        after = page
            .last()
            .map_or(after, |last| format!("&after={}", last.id));
        for book in page {
            books.extend(valid(client, address, book)?);
        }
        if count < PAGE {
            break;
        }
    }
    let mut entries: Vec<Arc<Entry>> = Vec::new();
    loop {
        let after = entries
            .last()
            .map(|entry| format!("&after={}", entry.key()));
        let path = format!("/ledger?limit={PAGE}{}", after.unwrap_or_default());
        let mut page: Vec<Arc<Entry>> = get(client, address, &path)?;
        let count = page.len();
        entries.append(&mut page);
        if count < PAGE {
            break;
        }
    }
    Ok(Replica {
        address: address.clone(),
        books,
        entries,
    })
}

/// The book once its copy is valid: a version on its way may not come true. `None`: it is gone.
fn valid(
    client: &Client,
    address: &Address,
    mut book: ReadVersion,
) -> Result<Option<BookState>, String> {
    for _ in 0..READS_MAX {
        if book.state == "valid" {
            break;
        }
        thread::sleep(Duration::from_millis(5));
        let before = book
            .id
            .0
            .checked_sub(1)
            .map_or(String::new(), |id| format!("&after={id}"));
        let path = format!("/versions?limit=1{before}");
        let found = get::<Vec<ReadVersion>>(client, address, &path)?.pop();
        match found.filter(|found| found.id == book.id) {
            Some(found) => book = found,
            None => return Ok(None),
        }
    }
    Ok(Some(BookState {
        id: book.id,
        version: book.version,
        quantity: book.quantity,
    }))
}

fn get<T: DeserializeOwned>(client: &Client, address: &Address, path: &str) -> Result<T, String> {
    let answer = client.call(Method::Get, &format!("{address}{path}"), &[], None);
    let answer = answer.map_err(|failure| format!("{address}: {}", failure_text(failure)))?;
    if answer.status != 200 {
        return Err(format!("{address}: {}", describe(&answer)));
    }
    answer.json().map_err(failure_text)
}

/// Entries that one ledger has and another lacks.
fn differences(replicas: &[Replica], settled: u64) -> Vec<String> {
    let keys = |replica: &Replica| -> HashSet<EntryKey> {
        replica.entries.iter().map(|entry| entry.key()).collect()
    };
    let all: Vec<HashSet<EntryKey>> = replicas.iter().map(keys).collect();
    let mut problems = Vec::new();
    for (replica, keys) in replicas.iter().zip(&all) {
        let others = all.iter().flatten();
        let lacking: HashSet<&EntryKey> = others
            .filter(|key| key.at < settled && !keys.contains(key))
            .collect();
        if !lacking.is_empty() {
            let count = lacking.len();
            problems.push(format!(
                "{}: {count} entries are missing in its ledger",
                replica.address
            ));
        }
    }
    problems
}

/// Books that two catalogs have in versions of which neither grew from the other.
fn parted(replicas: &[Replica]) -> Vec<String> {
    let mut problems = Vec::new();
    let Some((first, others)) = replicas.split_first() else {
        return problems;
    };
    let mut entries: HashMap<(BookId, Version), &Arc<Entry>> = HashMap::new();
    for entry in replicas.iter().flat_map(|replica| &replica.entries) {
        entries.insert((entry.book, entry.version), entry);
    }
    let states: BTreeMap<BookId, &BookState> = first.books.iter().map(|b| (b.id, b)).collect();
    for other in others {
        for theirs in &other.books {
            let Some(ours) = states.get(&theirs.id) else {
                continue;
            };
            let (old, new) = if ours.version < theirs.version {
                (*ours, theirs)
            } else {
                (theirs, *ours)
            };
            if !grew_from(&entries, new, old) {
                problems.push(format!(
                    "book {} is at {} with {} copies at {}, and at {} with {} at {}",
                    ours.id,
                    ours.version,
                    ours.quantity,
                    first.address,
                    theirs.version,
                    theirs.quantity,
                    other.address
                ));
            }
        }
    }
    problems
}

fn grew_from(
    entries: &HashMap<(BookId, Version), &Arc<Entry>>,
    new: &BookState,
    old: &BookState,
) -> bool {
    if new.version == old.version {
        return new.quantity == old.quantity;
    }
    let entry_of = |version| entries.get(&(new.id, version)).copied();
    let (history, _) = history(new.version, entry_of);
    let made =
        |entry: &&Arc<Entry>| entry.version == old.version || entry.base_version() == old.version;
    history.iter().any(made)
}

fn as_json(findings: &Findings) -> Value {
    let books = findings
        .books
        .iter()
        .filter(|book| has_changed(book))
        .map(|book| {
            json!({"id": book.id, "first": book.first, "sold": book.sold,
            "cancelled": book.cancelled, "changed": book.changed, "quantity": book.quantity})
        });
    let books: Vec<Value> = books.collect();
    let sale = |(entry, sale): &(Arc<Entry>, Sale)| {
        json!({"order": sale.order, "id": entry.book, "title": entry.title,
            "quantity": sale.copies, "price": entry.price, "at": entry.at, "key": sale.key})
    };
    let twice = findings.books.iter().flat_map(|book| &book.sold_twice);
    let twice: Vec<Value> = twice.map(sale).collect();
    let returned = findings.books.iter().flat_map(|book| &book.not_returned);
    let returned: Vec<Value> = returned.map(sale).collect();
    json!({"books": books, "entries": findings.entries, "sold_twice": twice,
        "not_returned": returned, "problems": findings.problems})
}

fn has_changed(book: &BookAudit) -> bool {
    book.sold != 0 || book.cancelled != 0 || book.changed != 0 || !book.wrong.is_empty()
}

fn table(findings: &Findings, catalogs: usize) -> String {
    let mut text = format!(
        "{:>10} {:>10} {:>10} {:>10} {:>10} {:>10}\n",
        "book", "first", "changed", "sold", "cancelled", "left"
    );
    for book in findings.books.iter().filter(|book| has_changed(book)) {
        let BookAudit {
            id,
            first,
            changed,
            sold,
            cancelled,
            quantity,
            ..
        } = book;
        text += &format!(
            "{id:>10} {first:>10} {changed:>10} {sold:>10} {cancelled:>10} {quantity:>10}\n"
        );
    }
    let (books, entries) = (findings.books.len(), findings.entries);
    text += &format!("{books} books and {entries} entries at {catalogs} catalogs\n");
    let wrong = findings.wrong();
    for line in &wrong {
        text += &format!("{line}\n");
    }
    if wrong.is_empty() {
        text += "nothing is wrong\n";
    }
    text
}
