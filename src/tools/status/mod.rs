//! `bazar status`: all servers of a shop in one table, from the address of any of them, and what is
//! wrong in plain words.
//!
//! Each server says in `GET /status` what it knows of itself, and which others it has to do with;
//! `survey` goes from one to the next. `findings` compares what they say, `table` prints it.

mod findings;
mod survey;
mod table;

use std::io::Write;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::config::Limits;
use crate::config::status::StatusSettings;
use crate::http::client::Client;

/// A server that hangs holds the table up for no longer.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(1),
    whole: Duration::from_secs(2),
};

const WATCH_EVERY: Duration = Duration::from_secs(1);

/// Clears a terminal.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Prints the table to `out`, or does so again and again. Returns whether all is well. Fails when
/// the first server does not answer.
pub fn run(settings: &StatusSettings, out: &mut dyn Write) -> Result<bool, String> {
    let client = Client::new(LIMITS, settings.token.as_deref());
    loop {
        let shop = survey::ask_all(&client, &settings.shop);
        let wrong = findings::of(&shop);
        let text = if settings.json {
            format!("{}\n", json!({"servers": shop, "wrong": wrong}))
        } else {
            table::text(&shop, &wrong)
        };
        let nobody = shop.iter().all(|server| server.status.is_none());
        if !settings.watch {
            if nobody {
                return Err(wrong.join("\n"));
            }
            write(out, &text);
            return Ok(wrong.is_empty());
        }
        let clear = if settings.json { "" } else { CLEAR };
        if !write(out, &format!("{clear}{text}")) {
            return Ok(wrong.is_empty());
        }
        thread::sleep(WATCH_EVERY);
    }
}

/// Returns false when nobody reads any more.
fn write(out: &mut dyn Write, text: &str) -> bool {
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.is_ok()
}
