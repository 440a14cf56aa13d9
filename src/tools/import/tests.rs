//! The import against a shop in memory, which validates as a catalog does, and fails on demand.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::import;
use super::progress::Progress;
use super::sender::Sender;
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
    /// Titles by id.
    books: Mutex<BTreeMap<u64, String>>,
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
            let title = self.books.lock().unwrap()[&id].clone();
            return answer(200, json!({"price": 1, "quantity": 1, "title": title}));
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
        let Some(title) = book["title"].as_str() else {
            return json!({"status": 422, "body": {"message": "title is missing"}});
        };
        if books.contains_key(&id) {
            return json!({"status": 409, "body": {"message": "in use"}});
        }
        books.insert(id, title.into());
        json!({"status": 201, "body": {"id": id}})
    }

    /// An import's outcome, and what it printed meanwhile.
    fn import(&self, text: &str, args: &str) -> (Result<String, String>, String) {
        let output = Output::default();
        let settings = settings(args);
        let progress = Progress::new(None, settings.skip_bad, Box::new(output.clone()), false);
        let call = |method, path: &str, body: Option<&[u8]>| self.call(method, path, body);
        let (call, progress) = (&call, &progress);
        let outcome = import(text.as_bytes(), &settings, &Sender { call, progress });
        let output = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
        (outcome, output)
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
    let line = format!("import --catalog http://c - {args}");
    let args: Vec<String> = line.split_whitespace().map(String::from).collect();
    match crate::config::parse(&args, &|_| None) {
        Ok(crate::config::Command::Import(settings)) => settings,
        other => panic!("{other:?}"),
    }
}

/// One book a line, with ids from 1.
fn books(count: u64) -> String {
    let line = |id| format!("{{\"id\":{id},\"title\":\"T{id}\"}}\n");
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
    let (outcome, output) = shop.import(other, "--skip-bad");
    assert_eq!(output, "line 2: id 2 is in use by another book, \"T2\"\n");
    assert!(
        outcome
            .unwrap()
            .starts_with("added 1, there already 0, bad 1")
    );
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
        let (outcome, output) = shop.import(&text, "--skip-bad");
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
    assert!(books.iter().all(|(id, title)| *title == format!("T{id}")));
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
