//! `--help`, made from the table of all settings, so that both say the same. 80 columns wide.

use crate::config::program::Program;
use crate::config::setting::{Fallback, Setting};

/// Columns of a line.
const WIDTH: usize = 80;

/// Where meanings begin. A longer option has a line to itself.
const INDENT: usize = 26;

/// `bazar --help`: the commands, on one screen.
pub(super) fn overview() -> String {
    let line = |program: &Program| format!("  {:<11}{}\n", program.word(), program.purpose());
    let (servers, tools) = Program::ALL.split_at(3);
    let servers: String = servers.iter().map(line).collect();
    let tools: String = tools.iter().map(line).collect();
    format!(
        "bazar: an online book store that survives its own servers
usage: bazar COMMAND [--option value]...

Servers, each a process of its own:
{servers}
Tools:
{tools}
  bazar COMMAND --help   its settings; bazar --version: which version this is

./run.sh builds Bazar and starts `bazar shop`. README.md tells how to run, test
and operate one; src/API.md is its interface; the code begins in src/lib.rs.
"
    )
}

/// `bazar catalog --help`.
pub(super) fn command(program: Program) -> String {
    let word = program.word();
    let (argument, about) = match program.argument() {
        Some((name, meaning)) => (format!(" {name}"), format!("{name} is {meaning}.\n\n")),
        None => Default::default(),
    };
    let purpose = program.purpose();
    let settings = program.settings();
    let (rare, usual): (Vec<_>, Vec<_>) = settings.iter().partition(|setting| setting.is_rare);
    let list = |settings: Vec<&Setting>| settings.into_iter().map(describe).collect::<String>();
    let mut text = format!(
        "bazar {word}: {purpose}

usage: bazar {word} [--option value]...{argument}

{about}{}",
        list(usual)
    );
    if !rare.is_empty() {
        text += &format!("\nRarely needed:\n{}", list(rare));
    }
    text += "
An option (--option value or --option=value) wins over the environment variable
of its name. An empty one counts as not set.
";
    text
}

/// `  --port NUMBER           where to listen [env PORT, default 5002]`
fn describe(setting: &Setting) -> String {
    let default = match setting.default {
        Fallback::Needed => "needed".to_string(),
        Fallback::Value(text) | Fallback::Words(text) => format!("default {text}"),
    };
    let (left, tag) = if setting.is_flag() {
        (format!("  {}", setting.option()), format!("[{default}]"))
    } else {
        (
            format!("  {} {}", setting.option(), setting.hint),
            format!("[env {}, {default}]", setting.name),
        )
    };
    let indent = " ".repeat(INDENT);
    let mut text = if left.len() + 1 < INDENT {
        format!("{left:INDENT$}")
    } else {
        format!("{left}\n{indent}")
    };
    let mut column = INDENT;
    // The names and defaults stay on one line where they fit.
    let tag_fits = tag.len() <= WIDTH - INDENT;
    let mut words: Vec<&str> = setting.meaning.split(' ').collect();
    if tag_fits {
        words.push(&tag);
    } else {
        words.extend(tag.split(' '));
    }
    for word in words {
        let width = word.chars().count();
        if WIDTH <= column + width {
            text += &format!("\n{indent}");
            column = INDENT;
        } else if INDENT < column {
            text.push(' ');
            column += 1;
        }
        text += word;
        column += width;
    }
    text + "\n"
}
