//! One setting: its names, its default, and what the help says of it.

/// An environment variable, and the option of the same name that wins over it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Setting {
    /// The environment variable.
    pub(crate) name: &'static str,
    /// What it holds; empty for a flag, which is an option without a value.
    pub(crate) hint: &'static str,
    pub(crate) default: Fallback,
    pub(crate) meaning: &'static str,
    /// Whether the help lists it at the end.
    pub(crate) is_rare: bool,
}

/// What holds when a setting is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// The program does not start.
    Needed,
    /// The same as if this had been given.
    Value(&'static str),
    /// Something that is not a value; in words.
    Words(&'static str),
}

impl Setting {
    /// `CATALOG_ADDRESSES` is the option `--catalog-addresses`.
    pub(crate) fn option(&self) -> String {
        format!("--{}", self.name.to_ascii_lowercase().replace('_', "-"))
    }

    pub(crate) fn is_flag(&self) -> bool {
        self.hint.is_empty()
    }
}

/// The token of every program that calls a server.
pub(crate) const TOKEN: &str = "\
SERVICE_TOKEN TOKEN | none | what the servers show each other, the same for all; as an option, \
    other users of this machine can see it";

/// Reads tables of settings: a line each, `NAME HINT | default | meaning`, after `rare ` if the
/// help lists it at the end. A default is `needed`, `=value`, or words. A flag has no hint. Panics
/// at a malformed line: the tables are constants.
pub(crate) fn read(tables: &[&'static str]) -> Vec<Setting> {
    let lines = tables.iter().flat_map(|table| table.lines());
    lines.map(|line| parse(line).expect(line)).collect()
}

fn parse(line: &'static str) -> Option<Setting> {
    let rare = line.strip_prefix("rare ");
    let mut parts = rare.unwrap_or(line).splitn(3, " | ");
    let (name, default, meaning) = (parts.next()?, parts.next()?, parts.next()?);
    let (name, hint) = name.split_once(' ').unwrap_or((name, ""));
    let default = match default.strip_prefix('=') {
        Some(value) => Fallback::Value(value),
        None if default == "needed" => Fallback::Needed,
        None => Fallback::Words(default),
    };
    Some(Setting {
        name,
        hint,
        default,
        meaning,
        is_rare: rare.is_some(),
    })
}
