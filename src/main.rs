//! `bazar`: reads its settings, starts one server or a shop, prints an error. Nothing else.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use bazar::config::{self, Command};
use bazar::runtime::exit::Exit;
use bazar::runtime::log;
use bazar::supervisor::Outcome;
use bazar::tools::bench::baseline_server;
use bazar::tools::{audit, bench, export, import, orders, scale, status, trace};
use bazar::{catalog, front_end, order, supervisor};

fn main() -> ExitCode {
    let args: Vec<String> = env::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let variable = |name: &str| Some(env::var_os(name)?.to_string_lossy().into_owned());
    match config::parse(&args, &variable) {
        Ok(command) => run(command),
        Err(message) => fail(&Exit::Misconfigured(message)),
    }
}

fn run(command: Command) -> ExitCode {
    match command {
        Command::Help(text) => print(&text),
        Command::Version => print(&format!("bazar {}\n", env!("CARGO_PKG_VERSION"))),
        Command::Catalog(settings) => {
            log::init(&settings.common.name, settings.common.log);
            ended(catalog::start(settings))
        }
        Command::Order(settings) => {
            log::init(&settings.common.name, settings.common.log);
            ended(order::start(settings))
        }
        Command::FrontEnd(settings) => {
            log::init(&settings.common.name, settings.common.log);
            ended(front_end::start(settings))
        }
        Command::Shop(settings) => match supervisor::run(&settings) {
            Ok(Outcome::Stopped) => ExitCode::SUCCESS,
            Ok(Outcome::Unopened) => ExitCode::FAILURE,
            Err(exit) => fail(&exit),
        },
        Command::Import(settings) => match import::run(&settings) {
            Ok(summary) => print(&format!("{summary}\n")),
            Err(message) => fail(&message.into()),
        },
        Command::Export(settings) => match export::run(&settings) {
            Ok(_) => ExitCode::SUCCESS,
            Err(message) => fail(&message.into()),
        },
        Command::Migrate(settings) => match catalog::migrate(&settings) {
            Ok(summary) => print(&format!("{summary}\n")),
            Err(message) => fail(&message.into()),
        },
        Command::Status(settings) => match status::run(&settings, &mut io::stdout().lock()) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(message) => fail(&message.into()),
        },
        Command::Trace(settings) => match trace::run(&settings) {
            Ok(text) => print(&text),
            Err(message) => fail(&message.into()),
        },
        Command::Orders(settings) => match orders::run(&settings) {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => fail(&message.into()),
        },
        Command::Audit(settings) => match audit::run(&settings) {
            Ok(report) if report.is_wrong => {
                print(&report.text);
                ExitCode::FAILURE
            }
            Ok(report) => print(&report.text),
            Err(message) => fail(&message.into()),
        },
        Command::Bench(settings) => ended(bench::run(&settings)),
        Command::Scale(settings) => ended(scale::run(&settings)),
        Command::BaselineServer(host) => ended(baseline_server::serve(&host).map_err(Exit::from)),
    }
}

/// A server serves until something ends it. Its log says what, in a line like its others.
fn ended(outcome: Result<(), Exit>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            let code = exit.exit_code();
            log::error(&exit.to_string(), &[("exit_code", &code)]);
            ExitCode::from(code)
        }
    }
}

/// Not `print!`, which panics when the reader has gone (`bazar --help | head -1`).
fn print(text: &str) -> ExitCode {
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn fail(exit: &Exit) -> ExitCode {
    let _ = writeln!(io::stderr(), "bazar: {exit}");
    ExitCode::from(exit.exit_code())
}
