//! Each row of a table is one body.

use super::*;
use crate::model::book::{BOOK_ID_MAX, QUANTITY_MAX, TEXT_CHARS_MAX};
use crate::model::error::Error;

/// Checks the change that a body asks for.
#[track_caller]
fn check(body: &str, expected: Change) {
    assert_eq!(
        parse_change(body.as_bytes()),
        Ok((expected, None)),
        "{body}"
    );
}

/// Checks the status of a refusal, and that its message has all of `parts`.
#[track_caller]
fn check_refused<T: std::fmt::Debug>(got: Result<T>, status: u16, parts: &[&str]) {
    let error = got.unwrap_err();
    assert_eq!(error.status(), status, "{error}");
    for part in parts {
        assert!(error.message().contains(part), "{part:?} in {error}");
    }
}

#[track_caller]
fn check_400(body: &str, parts: &[&str]) {
    check_refused(parse_change(body.as_bytes()), 400, parts);
}

#[track_caller]
fn check_422(body: &str, parts: &[&str]) {
    check_refused(parse_change(body.as_bytes()), 422, parts);
}

#[test]
fn only_the_given_fields_change() {
    let stays = Change::default;
    check("", stays());
    check(" {} ", stays());
    check(
        r#"{"quantity":null,"price":null,"title":null,"topic":null,"orders":null}"#,
        stays(),
    );
    check(
        r#"{"quantity":0}"#,
        Change {
            quantity: Some(0),
            ..stays()
        },
    );
    check(
        r#"{"quantity":1000000000}"#,
        Change {
            quantity: Some(QUANTITY_MAX),
            ..stays()
        },
    );
    check(
        r#"{"price":5}"#,
        Change {
            price: Some(5.0),
            ..stays()
        },
    );
    check(
        r#"{"price":1e2}"#,
        Change {
            price: Some(100.0),
            ..stays()
        },
    );
    check(
        r#"{"title":"\u00fc\\"}"#,
        Change {
            title: Some("ü\\".into()),
            ..stays()
        },
    );
    let long = "ü".repeat(TEXT_CHARS_MAX);
    check(
        &format!(r#"{{"topic":"{long}"}}"#),
        Change {
            topic: Some(long.into()),
            ..stays()
        },
    );
}

#[test]
fn zero_has_one_sign() {
    for price in [
        "1000000000",
        "999999999.999",
        "0.001",
        "25.0",
        "12.50",
        "2.5e1",
    ] {
        let body = format!(r#"{{"price":{price}}}"#);
        let read = parse_change(body.as_bytes()).unwrap().0.price.unwrap();
        assert_eq!(read, price.parse::<f64>().unwrap(), "{body}");
    }
    for body in [r#"{"price":-0.0}"#, r#"{"price":-0}"#, r#"{"price":0}"#] {
        let price = parse_change(body.as_bytes()).unwrap().0.price.unwrap();
        assert_eq!(price.to_bits(), 0, "{body}");
    }
}

#[test]
fn a_body_that_is_not_json_is_refused_with_its_place() {
    check_400("{\n \"price\": NaN}", &["line 2 column 11"]);
    check_400(r#"{"price":1e400}"#, &["out of range", "line 1"]);
    check_400(r#"{"price":-1e400}"#, &["line 1"]);
    check_400(r#"{"price":Infinity}"#, &["line 1"]);
    check_400(r#"{"quantity":05}"#, &["line 1"]);
    check_400(r#"{"quantity":5"#, &["line 1"]);
    check_400(r#"{"quantity":5} x"#, &["line 1"]);
    check_400(r#"{'quantity':5}"#, &["line 1"]);
    check_400(r#"{"title":"\ud800"}"#, &["line 1"]);
    check_400(" ", &["line 1"]);
    check_400(&"[".repeat(100_000), &["recursion"]);
    check_400(&r#"{"a":"#.repeat(100_000), &["recursion"]);
    check_refused(parse_change(b"{\"title\":\"\xff\"}"), 400, &["line 1"]);
}

#[test]
fn a_whole_number_may_be_written_with_a_point_or_an_exponent() {
    for (was, quantity) in [("5.0", 5), ("2e1", 20), ("-0.0", 0), ("1e9", 1_000_000_000)] {
        let body = format!(r#"{{"quantity":{was}}}"#);
        let (change, _) = parse_change(body.as_bytes()).unwrap();
        assert_eq!(change.quantity, Some(quantity), "{was}");
    }
    let difference = parse_patch(br#"{"quantity":{"add":-2.0}}"#).unwrap();
    assert_eq!(difference.added, Some(-2));
    check_422(r#"{"quantity":1e15}"#, &["quantity", "1000000000000000"]);
}

#[test]
fn an_invalid_value_is_refused_with_field_value_and_range() {
    for was in [
        "-1",
        "5.5",
        "1000000001",
        "18446744073709551616",
        "\"5\"",
        "true",
        "a list of 1",
    ] {
        let sent = was.replace("a list of 1", "[5]");
        let sent = format!(r#"{{"quantity":{sent}}}"#);
        let shown = was.replace("18446744073709551616", "1.8446744073709552e19");
        check_422(
            &sent,
            &["quantity", &format!("was {shown};"), "0 to 1000000000"],
        );
    }
    for was in ["-1", "-0.01", "\"5\"", "false", "an object of 0 fields"] {
        let sent = was.replace("an object of 0 fields", "{}");
        check_422(
            &format!(r#"{{"price":{sent}}}"#),
            &["price", was, "from 0 on"],
        );
    }
    for was in [
        "1000000000.001",
        "1e308",
        "0.0001",
        "1e10",
        "9007199254740993",
    ] {
        let sent = format!(r#"{{"price":{was}}}"#);
        check_422(&sent, &["price", "up to 1000000000", "3 decimals"]);
    }
    for inexact in ["1e-400", "0.10000000000000000001", "15.0000000000000000001"] {
        check_422(
            &format!(r#"{{"price":{inexact}}}"#),
            &[inexact, "15 digits"],
        );
    }
    for blank in [
        "   ",
        "\\t\\n",
        "\\u0000\\u0007",
        "\u{200b}",
        "\u{a0}\u{3000}\u{feff}",
    ] {
        let named = ["title", "1 to 200 characters", "blank"];
        check_422(&format!(r#"{{"title":"{blank}"}}"#), &named);
    }
    let long = format!("\"{}\"", "x".repeat(TEXT_CHARS_MAX + 1));
    for was in ["\"\"", "5", &long] {
        check_422(
            &format!(r#"{{"title":{was}}}"#),
            &["title", "1 to 200 characters"],
        );
        check_422(
            &format!(r#"{{"topic":{was}}}"#),
            &["topic", "1 to 200 characters"],
        );
    }
}

#[test]
fn only_an_object_of_known_fields_is_accepted() {
    for body in ["[]", "5", "null", "\"quantity\"", "true"] {
        check_422(body, &["The body was", "object"]);
    }
    check_422(
        r#"{"colour":1}"#,
        &["\"colour\"", "quantity, price, title, topic"],
    );
    check_422(r#"{"Price":1}"#, &["\"Price\""]);
    check_422(
        r#"{"price":1,"quantity":2,"price":1}"#,
        &["\"price\"", "twice"],
    );
    check_422(r#"{"price":null,"price":1}"#, &["\"price\"", "twice"]);
}

#[test]
fn a_refusal_is_short_whatever_was_sent() {
    let long = "x".repeat(60_000);
    for body in [
        format!(r#"{{"title":"{long}"}}"#),
        format!(r#"{{"{long}":1}}"#),
    ] {
        let error = parse_change(body.as_bytes()).unwrap_err();
        assert!(error.message().len() < 200, "{error}");
    }
}

#[test]
fn orders_are_1_to_256_and_each_once() {
    let orders =
        |orders: &str| parse_change(format!(r#"{{"quantity":1,"orders":{orders}}}"#).as_bytes());
    let (_, read) = orders(r#"["7.5; open=3; key=a","7.6; open=3"]"#).unwrap();
    let texts: Vec<_> = read.unwrap().iter().map(Order::to_string).collect();
    assert_eq!(texts, ["7.5; open=3; key=a", "7.6; open=3"]);
    let many = |count: usize| {
        let each: Vec<_> = (0..count).map(|i| format!("\"7.{i}; open=0\"")).collect();
        format!("[{}]", each.join(","))
    };
    assert!(orders(&many(ORDERS_MAX)).is_ok());
    check_refused(
        orders(&many(ORDERS_MAX + 1)),
        422,
        &["a list of 257", "1 to 256"],
    );
    check_refused(orders("[]"), 422, &["a list of 0"]);
    check_refused(orders("\"7.5; open=3\""), 422, &["orders"]);
    check_refused(orders("[7]"), 422, &["orders was 7;", "open=3"]);
    check_refused(orders(r#"["7.5"]"#), 422, &["\"7.5\""]);
    check_refused(orders(r#"["7.5; open=3","7.5; open=4"]"#), 422, &["twice"]);
    check_refused(
        orders(r#"["7.5; open=3; key=a","7.6; open=3; key=a"]"#),
        422,
        &["twice"],
    );
}

fn xen() -> NewBook {
    NewBook {
        id: Some(BookId(BOOK_ID_MAX)),
        title: "Xen".into(),
        topic: "Graduate School".into(),
        quantity: 3,
        price: 1.5,
    }
}

#[test]
fn a_new_book_is_read_as_it_is_written() {
    let text = serde_json::to_vec(&xen()).unwrap();
    assert_eq!(parse_new_books(&text), Ok(NewBooks::One(xen())));
    let unnumbered = NewBook { id: None, ..xen() };
    let text = serde_json::to_string(&unnumbered).unwrap();
    let expected = Ok(NewBooks::One(unnumbered));
    assert_eq!(parse_new_books(text.as_bytes()), expected);
    let null = text.replacen('{', r#"{"id":null,"#, 1);
    assert_eq!(parse_new_books(null.as_bytes()), expected);
}

#[test]
fn a_new_book_has_every_field_and_no_other() {
    let text = serde_json::to_string(&xen()).unwrap();
    let check = |from: &str, to: &str, parts: &[&str]| {
        let changed = text.replace(from, to);
        assert_ne!(text, changed);
        check_refused(parse_new_books(changed.as_bytes()), 422, parts);
    };
    check(r#","price":1.5"#, "", &["price was missing", "from 0 on"]);
    check("\"Xen\"", "null", &["title was missing"]);
    check(
        "9007199254740991",
        "0",
        &["id was 0", "from 1 to 9007199254740991"],
    );
    check(
        "9007199254740991",
        "9007199254740992",
        &["id was 9007199254740992"],
    );
    check("9007199254740991", "\"7\"", &["id was \"7\""]);
    check("\"id\"", "\"isbn\"", &["\"isbn\" is not a field"]);
    check("\"id\"", "\"orders\"", &["\"orders\" is not a field"]);
    check_refused(parse_new_books(b""), 400, &["line 1"]);
    check_refused(parse_new_books(b"5"), 422, &["object"]);
}

#[test]
fn in_a_list_each_book_is_valid_or_refused_by_itself() {
    let book = serde_json::to_string(&xen()).unwrap();
    let NewBooks::Many(books) = parse_new_books(format!("[{book},5,{book}]").as_bytes()).unwrap()
    else {
        panic!("a list is answered by a list");
    };
    assert_eq!(
        (&books[0], &books[2], books.len()),
        (&Ok(xen()), &Ok(xen()), 3)
    );
    assert!(matches!(books[1], Err(Error::Invalid(_))));
    assert_eq!(parse_new_books(b"[]"), Ok(NewBooks::Many(Vec::new())));
    let list = |count: usize| format!("[{}]", vec!["0"; count].join(","));
    assert!(parse_new_books(list(NEW_BOOKS_MAX).as_bytes()).is_ok());
    check_refused(
        parse_new_books(list(NEW_BOOKS_MAX + 1).as_bytes()),
        422,
        &["a list of 1001", "1000"],
    );
    check_refused(
        parse_new_books(format!("[{book},").as_bytes()),
        400,
        &["line 1"],
    );
}
