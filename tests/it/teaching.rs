//! `src/TEACHING.md`, the lesson, as a class would try it: every command, one after the other, at
//! one shop.

use std::fs;
use std::process::Command;

use crate::harness::http::{self, Response};
use crate::harness::process::{BAZAR, eventually, run};
use crate::harness::shop::{own_folder, own_host};
use crate::run_sh::Running;

const PAGE: &str = include_str!("../../src/TEACHING.md");
const STORIES: &str = include_str!("../../src/supervisor/page/stories.js");

/// Ten times the usual ones. A machine on which both catalogs are silent for longer is two sides of
/// a cut to them, and each goes on alone: that would be another lesson.
const PATIENT_TIMES: [(&str, &str); 6] = [
    ("HEARTBEAT_TIMEOUT_MS", "3000"),
    ("LEASE_MS", "5000"),
    ("STALL_MS", "2500"),
    ("CONNECT_TIMEOUT_MS", "2000"),
    ("TIMEOUT_MS", "10000"),
    // A server that is only slow is not passed over.
    ("HEDGE_AFTER_MS", "500"),
];

/// The commands of the page, each with what it prints.
fn steps() -> Vec<(&'static str, Vec<&'static str>)> {
    let blocks = PAGE.split("```console\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap().lines());
    let mut steps: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in lines {
        match line.strip_prefix("$ ") {
            Some(command) => steps.push((command, Vec::new())),
            None => steps.last_mut().expect("a command").1.push(line),
        }
    }
    steps
}

/// The words of a command, as a shell splits it.
fn words(command: &str) -> Vec<String> {
    let quoted = command.split('\'').enumerate();
    let words = quoted.flat_map(|(at, part)| match at % 2 {
        0 => part.split_whitespace().map(str::to_string).collect(),
        _ => vec![part.to_string()],
    });
    words.collect()
}

struct Lesson {
    shop: Running,
}

impl Lesson {
    /// What a command prints, and whether it may be repeated because nothing has happened.
    fn output(&self, command: &str) -> (String, bool) {
        let words = words(&command.replace("127.0.0.1", &self.shop.host));
        let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let (output, may_repeat) = match words[0].as_str() {
            "curl" => self.curl(&arguments),
            "cat" => {
                let file = self.shop.folder.join(arguments[0]);
                (fs::read_to_string(file).unwrap(), true)
            }
            "bazar" => {
                let mut bazar = Command::new(BAZAR);
                let shop = format!("--shop=http://{}:5002", self.shop.host);
                bazar.args([arguments[0], &shop]).args(&arguments[1..]);
                (run(bazar).1, false)
            }
            other => panic!("{other}"),
        };
        (output.replace(&self.shop.host, "127.0.0.1"), may_repeat)
    }

    fn curl(&self, arguments: &[&str]) -> (String, bool) {
        let (mut method, mut body, mut headers, mut target) = ("GET", "", Vec::new(), "");
        let mut with_head = false;
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || *rest.next().expect("an option has a value");
            match *argument {
                "-X" => method = value(),
                "-d" => body = value(),
                "-H" => headers.push(value().split_once(": ").unwrap()),
                "-i" => with_head = true,
                url => target = url.strip_prefix("http://").unwrap(),
            }
        }
        let (address, path) = target.split_once('/').unwrap();
        let path = format!("/{path}");
        let response = match http::call(address, method, &path, &headers, body) {
            Ok(response) => response,
            Err(failure) => return (format!("curl: {failure}\n"), false),
        };
        self.await_act(&path);
        let nothing_happened = response.header("Bazar-Outcome") == "none";
        let printed = if with_head {
            with_its_head(&response)
        } else {
            response.body
        };
        (printed, nothing_happened)
    }

    /// The class waits until the page shows what a button does.
    fn await_act(&self, path: &str) {
        let Some((name, act)) = path
            .strip_prefix("/servers/")
            .and_then(|it| it.split_once('/'))
        else {
            return;
        };
        let wanted = match act {
            "kill" => "down",
            "stop" => "stopped",
            // Whether it is ready depends on the others.
            _ => return,
        };
        eventually(&format!("{name} is {wanted}"), || {
            let page = format!("{}:5003", self.shop.host);
            let state = http::call(&page, "GET", "/state", &[], "").unwrap().json();
            let mut servers = state["servers"].as_array().unwrap().iter();
            servers.any(|server| server["name"] == name && server["state"] == wanted)
        });
    }
}

fn with_its_head(response: &Response) -> String {
    let line = |(name, value): &(String, String)| format!("{name}: {value}\n");
    let headers: String = response.headers.iter().map(line).collect();
    format!(
        "HTTP/1.1 {} X\n{headers}\n{}",
        response.status, response.body
    )
}

/// Whether an output has all of what the page shows, in that order; `…` stands for anything.
fn shows(output: &str, expected: &[&str]) -> bool {
    let parts = expected.iter().flat_map(|line| line.split('…'));
    let mut rest = output;
    parts.map(str::trim).all(|part| {
        let found = rest.split_once(part);
        rest = found.map_or(rest, |(_, after)| after);
        found.is_some()
    })
}

#[test]
fn each_command_of_the_lesson_prints_what_the_page_shows() {
    let shop = Running::start_with(own_host(), own_folder(), &[], &PATIENT_TIMES);
    let lesson = Lesson { shop };
    let steps = steps();
    assert!(30 < steps.len(), "{steps:?}");
    for (command, expected) in steps {
        // A class waits until a server is ready, or a lease is over, and sends again what has
        // failed and not happened.
        let is_read = !command.contains("-X") && !command.contains(" PUT ");
        eventually(&format!("{command} prints {expected:#?}"), || {
            let (output, may_repeat) = lesson.output(command);
            let is_right = shows(&output, &expected);
            let log = || lesson.shop.log();
            let goes_on = is_right || is_read || may_repeat;
            assert!(goes_on, "{command}:\n{output}\n{}", log());
            is_right
        });
    }
    lesson.shop.stop();
}

#[test]
fn the_stories_of_the_lesson_are_on_the_page() {
    let rows = PAGE.lines().filter(|line| line.contains("](#"));
    let stories = rows.filter_map(|row| row.rsplit(" | ").next());
    let stories = stories.flat_map(|cell| cell.trim_end_matches('|').split(';'));
    let stories: Vec<&str> = stories.map(str::trim).filter(|it| !it.is_empty()).collect();
    assert!(5 < stories.len(), "{stories:?}");
    for story in stories {
        assert!(STORIES.contains(&format!("title: \"{story}\"")), "{story}");
    }
}
