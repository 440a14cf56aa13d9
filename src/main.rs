//! `bazar`: reads its settings, starts one server, prints an error. Nothing else.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use bazar::config::{self, Command};

/// The settings are missing or wrong; `run.sh` does not start such a server again.
const EXIT_SETTINGS: u8 = 2;

fn main() -> ExitCode {
    let args: Vec<String> = env::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let variable = |name: &str| Some(env::var_os(name)?.to_string_lossy().into_owned());
    match config::parse(&args, &variable) {
        Ok(command) => run(command),
        Err(message) => fail(&message, EXIT_SETTINGS),
    }
}

fn run(command: Command) -> ExitCode {
    match command {
        Command::Help(text) => print(&text),
        Command::Version => print(&format!("bazar {}\n", env!("CARGO_PKG_VERSION"))),
        _ => fail("this command is not built yet", EXIT_SETTINGS),
    }
}

/// Not `print!`, which panics when whoever reads has gone (`bazar --help | head -1`).
fn print(text: &str) -> ExitCode {
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn fail(message: &str, code: u8) -> ExitCode {
    eprintln!("bazar: {message}");
    ExitCode::from(code)
}
