//! The log of one server, as people read it.
//!
//! Lines of JSON become `catalog1   12:00:01 info  message key=value`; any other line stays as it
//! is. Control characters are escaped: what an unknown client sent must not reach the terminal as
//! it was.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::sync::Mutex;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::runtime::signals;
use crate::runtime::sync::lock;

/// How many lines of a server are kept, to show its last words.
const KEPT_LINES_MAX: usize = 40;

/// Shows the lines of one server, and keeps the last ones.
#[derive(Debug)]
pub(crate) struct ServerLog {
    name: String,
    last: Mutex<VecDeque<String>>,
}

impl ServerLog {
    pub(crate) fn new(name: &str) -> ServerLog {
        ServerLog {
            name: name.to_string(),
            last: Mutex::default(),
        }
    }

    /// A line that the server wrote.
    pub(crate) fn line(&self, line: &str) {
        let text = readable(line);
        say(&self.name, &text);
        let mut last = lock(&self.last);
        if last.len() == KEPT_LINES_MAX {
            last.pop_front();
        }
        last.push_back(text);
    }

    /// The last lines, oldest first.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        lock(&self.last).iter().cloned().collect()
    }
}

/// Writes a line of the shop's log. When nobody reads it any more, the shop is stopped.
pub(crate) fn say(name: &str, text: &str) {
    let mut stdout = io::stdout().lock();
    if writeln!(stdout, "{name:<10} {text}")
        .and_then(|()| stdout.flush())
        .is_err()
    {
        signals::request_end();
    }
}

fn readable(line: &str) -> String {
    match serde_json::from_str(line) {
        Ok(Fields(fields)) => readable_event(&fields).unwrap_or_else(|| escaped(line)),
        Err(_) => escaped(line),
    }
}

/// `None`: it is not an event of a server.
fn readable_event(fields: &[(String, Value)]) -> Option<String> {
    let text = |name| {
        let field = fields.iter().find(|(key, _)| key == name);
        field?.1.as_str()
    };
    let time = text("time")?.get(11..19)?;
    let (level, message) = (text("level")?, escaped(text("message")?));
    let mut line = format!("{time} {level:<5} {message}");
    for (name, value) in fields {
        if ["time", "level", "server", "message"].contains(&name.as_str()) {
            continue;
        }
        let value = value.as_str().map_or_else(|| value.to_string(), escaped);
        line += &format!(" {}={value}", escaped(name));
    }
    Some(line)
}

fn escaped(text: &str) -> String {
    let escape = |c: char| {
        let escape = c.is_control().then(|| c.escape_default());
        let plain = (!c.is_control()).then_some(c);
        escape.into_iter().flatten().chain(plain)
    };
    text.chars().flat_map(escape).collect()
}

/// The fields of an object in the order in which they stand there.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &str) {
        assert_eq!(readable(line), expected);
    }

    #[test]
    fn an_event_is_shown_in_words_and_fields_stay_in_their_order() {
        check(
            r#"{"time":"2025-01-31T23:59:58.123Z","level":"warn","server":"catalog","message":"a peer is down","peer":"http://a:1","after_ms":7}"#,
            "23:59:58 warn  a peer is down peer=http://a:1 after_ms=7",
        );
    }

    #[test]
    fn any_other_line_stays_as_it_is() {
        check("listening on http://a:1", "listening on http://a:1");
        check(r#"{"a":1}"#, r#"{"a":1}"#);
    }

    #[test]
    fn what_a_client_sent_cannot_move_the_cursor() {
        check("a\u{1b}[2Jb", r"a\u{1b}[2Jb");
        check(
            r#"{"time":"2025-01-31T23:59:58.123Z","level":"info","message":"m","path":"/\u001b[2J\n\"é"}"#,
            r#"23:59:58 info  m path=/\u{1b}[2J\n"é"#,
        );
    }
}
