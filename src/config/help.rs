//! `--help`, made from the table of all settings.

use std::fmt::Write;

use crate::config::rows::{Program, Unset, rows};

/// `bazar --help`.
pub fn overview() -> String {
    let mut text = String::from(
        "bazar: an online book store that survives its own servers\n\nusage: bazar COMMAND [--option value]...\n\n",
    );
    for program in Program::ALL {
        put(
            &mut text,
            format_args!("  {:<10} {}\n", program.word(), program.purpose()),
        );
    }
    text.push_str(
        "\nbazar COMMAND --help lists its settings, bazar --version says which version this is.\n",
    );
    text.push_str("All settings, each an environment variable or an option that wins over it:\n");
    for program in Program::ALL {
        put(&mut text, format_args!("\nbazar {}\n\n", program.word()));
        list(&mut text, program);
    }
    text
}

/// `bazar catalog --help`.
pub fn one(program: Program) -> String {
    let word = program.word();
    let mut text = format!(
        "bazar {word}: {}\n\nusage: bazar {word} [--option value]...",
        program.purpose()
    );
    if let Some(argument) = program.argument() {
        put(&mut text, format_args!(" {argument}"));
    }
    text.push_str("\n\nEach setting is an environment variable or an option that wins over it (--option value or\n");
    text.push_str("--option=value). An empty one counts as not set.\n\n");
    list(&mut text, program);
    text
}

fn list(text: &mut String, program: Program) {
    for row in rows(program) {
        let name = match row.is_flag() {
            true => row.option(),
            false => format!("{} or {} {}", row.name, row.option(), row.hint),
        };
        let default = match row.default {
            Unset::Needed => "needed".to_string(),
            Unset::Is(value) | Unset::Or(value) => format!("default: {value}"),
        };
        put(
            text,
            format_args!("  {name}\n      {} ({default})\n", row.meaning),
        );
    }
}

fn put(text: &mut String, more: std::fmt::Arguments) {
    text.write_fmt(more).expect("a String takes any text");
}
