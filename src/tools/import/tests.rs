//! The import against a shop in memory, which validates as a catalog does, and fails on demand.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::progress::{Progress, Skipped};
use super::sender::Sender;
use super::{check, import};
use crate::config::import::ImportSettings;
use crate::http::Method;
use crate::http::client::{Answer, Failure, Headers};

/// What goes wrong with a request.
enum Fault {
    /// Nothing happens.
    Refused,
    /// It happens, and the answer is lost.
    Lost,
    /// Nothing happens, with that status.
    Status(u16),
    /// The last book gets a 507, and is added all the same.
    LastUncertain,
}

#[derive(Default)]
struct Shop {
    /// By id.
    books: Mutex<BTreeMap<u64, Value>>,
    /// One for each of the next requests that add.
    faults: Mutex<VecDeque<Fault>>,
    requests: Mutex<u64>,
}

impl Shop {
    fn with(faults: impl IntoIterator<Item = Fault>) -> Shop {
        Shop {
            faults: Mutex::new(faults.into_iter().collect()),
            ..Shop::default()
        }
    }

    fn call(&self, method: Method, path: &str, body: Option<&[u8]>) -> Result<Answer, Failure> {
        if method == Method::Get {
            let id = path.strip_prefix("/query/item/").unwrap().parse().unwrap();
            let book = &self.books.lock().unwrap()[&id];
            let or = |field: &str, other: Value| match &book[field] {
                Value::Null => other,
                value => value.clone(),
            };
            let (price, quantity) = (or("price", json!(1.0)), or("quantity", json!(1)));
            let offer = json!({"price": price, "quantity": quantity, "title": book["title"]});
            return answer(200, offer);
        }
        if method == Method::Put {
            let id = path.strip_prefix("/update/").unwrap().parse().unwrap();
            let change: Value = serde_json::from_slice(body.unwrap()).unwrap();
            let mut books = self.books.lock().unwrap();
            for (field, value) in change.as_object().unwrap() {
                books.get_mut(&id).unwrap()[field] = value.clone();
            }
            return answer(200, json!({}));
        }
        assert_eq!((method, path), (Method::Post, "/add"));
        *self.requests.lock().unwrap() += 1;
        let fault = self.faults.lock().unwrap().pop_front();
        match fault {
            Some(Fault::Refused) => return Err(Failure::Refused("refused".into())),
            Some(Fault::Status(status)) => return answer(status, json!({"message": "no"})),
            _ => {}
        }
        let books: Vec<Value> = serde_json::from_slice(body.unwrap()).unwrap();
        let mut entries: Vec<Value> = books.iter().map(|book| self.add(book)).collect();
        match fault {
            Some(Fault::Lost) => return Err(Failure::TimedOut("no answer in time".into())),
            Some(Fault::LastUncertain) => {
                *entries.last_mut().unwrap() = json!({"status": 507, "body": {"message": "full"}});
            }
            _ => {}
        }
        answer(200, entries.into())
    }

    fn add(&self, book: &Value) -> Value {
        let mut books = self.books.lock().unwrap();
        let next = books.keys().last().map_or(1, |id| id + 1);
        let id = book.get("id").map_or(next, |id| id.as_u64().unwrap());
        if !book["title"].is_string() {
            return json!({"status": 422, "body": {"message": "title is missing"}});
        }
        if books.contains_key(&id) {
            return json!({"status": 409, "body": {"message": "in use"}});
        }
        books.insert(id, book.clone());
        json!({"status": 201, "body": {"id": id}})
    }

    /// An import's outcome, and what it printed meanwhile.
    fn import(&self, text: &str, args: &str) -> (Result<String, String>, String) {
        let output = Output::default();
        let settings = settings(args);
        let skipped = settings.skip_bad.as_deref().map(Skipped::create);
        let skipped = skipped.transpose().unwrap();
        let checks = settings.catalog.is_none();
        let progress = Progress::new(None, skipped, checks, Box::new(output.clone()), false);
        if checks {
            let outcome = check(text.as_bytes(), &settings, &progress);
            return (outcome, output.text());
        }
        let call = |method, path: &str, body: Option<&[u8]>| self.call(method, path, body);
        let (call, progress) = (&call, &progress);
        let update = settings.update;
        let sender = Sender {
            call,
            progress,
            update,
        };
        let outcome = import(text.as_bytes(), &settings, &sender);
        (outcome, output.text())
    }

    /// The summary of an import that succeeds and prints nothing else.
    #[track_caller]
    fn imports(&self, text: &str, args: &str) -> String {
        let (outcome, output) = self.import(text, args);
        assert_eq!(output, "");
        outcome.unwrap()
    }

    fn count(&self) -> usize {
        self.books.lock().unwrap().len()
    }
}

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn answer(status: u16, body: Value) -> Result<Answer, Failure> {
    Ok(Answer {
        status,
        headers: Headers::new(),
        body: body.to_string().into_bytes(),
    })
}

fn settings(args: &str) -> ImportSettings {
    let line = match args.contains("--dry-run") {
        true => format!("import - {args}"),
        false => format!("import --catalog http://c - {args}"),
    };
    let args: Vec<String> = line.split_whitespace().map(String::from).collect();
    match crate::config::parse(&args, &|_| None) {
        Ok(crate::config::Command::Import(settings)) => settings,
        other => panic!("{other:?}"),
    }
}

/// An option with a file that is not there.
fn skip_bad(name: &str) -> String {
    format!("--skip-bad {}", file(name).display())
}

fn file(name: &str) -> PathBuf {
    let file = std::env::temp_dir().join(format!("bazar-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&file);
    file
}

/// One book a line, with ids from 1.
fn books(count: u64) -> String {
    let line = |id| format!("{{\"id\":{id},\"title\":\"T{id}\",\"price\":1,\"quantity\":1}}\n");
    (1..=count).map(line).collect()
}

fn without_ids(count: u64) -> String {
    let line = |n| format!("{{\"title\":\"T{n}\"}}\n");
    (1..=count).map(line).collect()
}

#[test]
fn all_books_are_added_many_in_one_request() {
    let shop = Shop::default();
    let summary = shop.imports(&books(2500), "");
    assert!(
        summary.starts_with("added 2500, there already 0, bad 0"),
        "{summary}"
    );
    assert_eq!((shop.count(), *shop.requests.lock().unwrap()), (2500, 3));
}

#[test]
fn the_same_import_again_adds_nothing() {
    let shop = Shop::default();
    shop.imports(&books(60), "--batch 7");
    let summary = shop.imports(&books(100), "--batch 9");
    assert!(
        summary.starts_with("added 40, there already 60, bad 0"),
        "{summary}"
    );
}

#[test]
fn an_id_that_another_book_has_is_reported() {
    let shop = Shop::default();
    shop.imports(&books(3), "");
    let other = "{\"id\":4,\"title\":\"T4\"}\n{\"id\":2,\"title\":\"Other\"}";
    let (outcome, output) = shop.import(other, &skip_bad("used"));
    assert_eq!(output, "line 2: id 2 is in use by another book, \"T2\"\n");
    assert!(
        outcome
            .unwrap()
            .starts_with("added 1, there already 0, bad 1")
    );
    std::fs::remove_file(file("used")).unwrap_or_default();
}

#[test]
fn a_bad_book_ends_the_import_or_is_skipped() {
    for bad in [
        "{\"id\":3}",
        "{\"id\":3,",
        "7",
        "{\"title\":\"T\"}",
        "{\"id\":3,\"price\":1e400}",
    ] {
        let text = format!("{}{bad}\n{}", books(2), books(5));
        let shop = Shop::default();
        let (outcome, output) = shop.import(&text, "--batch 1");
        assert!(output.starts_with("line 3: "), "{output}");
        let message = outcome.unwrap_err();
        // Until the catalog has refused the one without a title, those behind it may be on their
        // way.
        let added = if bad == "{\"id\":3}" { shop.count() } else { 2 };
        assert_eq!(shop.count(), added);
        let expected = format!("stopped at a bad book\nadded {added}, ");
        assert!(message.starts_with(&expected), "{message}");
        assert!(message.contains("run the same import again"), "{message}");
        let shop = Shop::default();
        let (outcome, output) = shop.import(&text, &skip_bad("bad"));
        assert_eq!((output.lines().count(), shop.count()), (1, 5));
        assert!(
            outcome
                .unwrap()
                .starts_with("added 5, there already 2, bad 1")
        );
    }
}

#[test]
fn a_request_without_an_answer_is_repeated_when_its_books_have_ids() {
    let shop = Shop::with([Fault::Lost, Fault::Status(504), Fault::LastUncertain]);
    shop.imports(&books(30), "--batch 10");
    assert_eq!(shop.count(), 30);
}

#[test]
fn books_without_ids_are_never_added_twice() {
    for fault in [Fault::Lost, Fault::LastUncertain] {
        let shop = Shop::with([Fault::Refused, Fault::Status(503)]);
        shop.faults.lock().unwrap().push_back(Fault::Status(503));
        let text = without_ids(50);
        shop.imports(&without_ids(10), "");
        shop.faults.lock().unwrap().push_back(fault);
        let message = shop
            .import(&text, "--batch 10 --from-line 11")
            .0
            .unwrap_err();
        assert!(message.contains("to 20 were added"), "{message}");
        assert!(message.contains("Go on with --from-line 21"), "{message}");
        assert_eq!(shop.count(), 20);
        shop.imports(&text, "--batch 10 --from-line 21");
        assert_eq!(shop.count(), 50);
    }
}

#[test]
fn books_without_ids_are_added_in_the_order_of_the_file() {
    let shop = Shop::default();
    shop.imports(&without_ids(1000), "--batch 1");
    let books = shop.books.lock().unwrap();
    assert!(
        books
            .iter()
            .all(|(id, book)| book["title"] == format!("T{id}"))
    );
}

#[test]
fn a_failure_that_no_retry_can_help_ends_the_import() {
    let shop = Shop::with([Fault::Status(401), Fault::Status(401)]);
    let message = shop.import(&books(3000), "").0.unwrap_err();
    assert!(
        message.starts_with("the catalog answered 401: no\nadded "),
        "{message}"
    );
}

#[test]
fn the_books_of_a_truncated_file_are_added_first() {
    let shop = Shop::default();
    let message = shop
        .import("[{\"id\":1,\"title\":\"T1\"},\n", "")
        .0
        .unwrap_err();
    assert!(message.starts_with("line 2: the file ends"), "{message}");
    assert_eq!(shop.count(), 1);
}

const TABLE: &str = "id,title,topic,quantity,price\n1,T1,P,3,1.50\n2,\"T, 2\",P,3,\"2,50\"\n";

#[test]
fn a_table_is_imported_like_json() {
    let shop = Shop::default();
    let summary = shop.imports(TABLE, "");
    assert!(summary.starts_with("added 2, "), "{summary}");
    let second = json!({"id": 2, "title": "T, 2", "topic": "P", "quantity": 3, "price": 2.5});
    assert_eq!(shop.books.lock().unwrap()[&2], second);
    let again = shop.imports(TABLE, "");
    assert!(
        again.starts_with("added 0, there already 2, bad 0"),
        "{again}"
    );
}

#[test]
fn what_is_neither_json_nor_a_table_is_told_so_once() {
    for text in ["PK\u{3}\u{4}\n\0\n\0\n", "Dear sir\nor madam\n", "\"a\n"] {
        let (outcome, output) = Shop::default().import(text, "");
        let why = outcome.unwrap_err();
        assert!(why.starts_with("line 1: neither JSON nor a table"), "{why}");
        assert_eq!(output, "");
    }
    let why = Shop::default()
        .import("{}", "--columns a=id")
        .0
        .unwrap_err();
    assert!(why.starts_with("--columns is for tables"), "{why}");
}

#[test]
fn another_price_or_stock_is_counted_or_set() {
    let shop = Shop::default();
    shop.imports(TABLE, "");
    let changed = TABLE.replace("1.50", "9.99").replace("T1,P,3", "T1,P,8");
    let summary = shop.imports(&changed, "");
    let expected = "added 0, there already 2 (1 of them with another price or quantity, which \
        --update would set), bad 0";
    assert!(summary.starts_with(expected), "{summary}");
    let summary = shop.imports(&changed, "--update");
    let expected = "added 0, updated 1, there already 1, bad 0";
    assert!(summary.starts_with(expected), "{summary}");
    let books = shop.books.lock().unwrap();
    assert_eq!(
        (&books[&1]["price"], &books[&1]["quantity"]),
        (&json!(9.99), &json!(8))
    );
}

#[test]
fn a_check_lists_every_bad_line_and_sends_nothing() {
    let shop = Shop::default();
    let text = format!("{TABLE}3,T3,P,x,1\n4,T4,P,4\n5,,P,1,1\n2,T2,P,1,1\n6,T6,P,1,1.2345\n");
    let (outcome, output) = shop.import(&text, "--dry-run");
    let lines: Vec<&str> = output.lines().collect();
    let expected = [
        "line 4: quantity is \"x\"",
        "line 5: has 4 fields",
        "line 6: title",
        "line 7: id 2 is there twice",
        "line 8: price",
    ];
    assert_eq!(lines.len(), expected.len(), "{output}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}");
    }
    assert_eq!(
        outcome.unwrap_err(),
        "checked: fine 2, bad 5; nothing was sent"
    );
    let fine = shop.imports(TABLE, "--dry-run");
    assert_eq!(fine, "checked: fine 2, bad 0; nothing was sent");
    assert_eq!(*shop.requests.lock().unwrap(), 0);
}

#[test]
fn what_was_skipped_can_be_mended_and_imported() {
    let (shop, file) = (Shop::default(), file("skipped"));
    let option = format!("--skip-bad {}", file.display());
    let text = format!("{TABLE}3,T3,P,x,1\r\n4,\"T\n4\",P,1,?");
    let (outcome, _) = shop.import(&text, &option);
    assert!(
        outcome
            .unwrap()
            .starts_with("added 2, there already 0, bad 2")
    );
    let skipped = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let header = "id,title,topic,quantity,price\n";
    assert_eq!(skipped, format!("{header}3,T3,P,x,1\n4,\"T\n4\",P,1,?\n"));
    let mended = skipped.replace(",x,", ",1,").replace('?', "2");
    assert!(shop.imports(&mended, "").starts_with("added 2, "));
}
