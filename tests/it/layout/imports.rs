//! What a source file imports: the paths of its `use` lines, and those that it names without one.
//!
//! No parser of Rust: comments and literals are blanked out, code for tests is cut out, and of what
//! is left only paths are read.

use std::collections::BTreeSet;

/// A module's path within the crate: `["http", "client"]`; the root is empty.
pub type Path = Vec<String>;

/// What one file says, without comments, literals and code for tests.
#[derive(Debug, PartialEq)]
pub struct Source {
    pub code: String,
    /// The code for tests that stands in the file.
    pub tests: String,
    /// The child modules that only tests have, such as `tests`.
    pub test_modules: Vec<String>,
}

/// Reads a file.
pub fn read(text: &str) -> Source {
    let code = without_visibility(&blank(text));
    let (mut rest, mut kept, mut tests) = (code.as_str(), String::new(), String::new());
    let mut test_modules = Vec::new();
    while let Some(at) = rest.find("#[cfg(test)]") {
        kept += &rest[..at];
        let item = &rest[at + "#[cfg(test)]".len()..];
        let end = item_end(item);
        let (item, after) = item.split_at(end);
        let name = item
            .trim()
            .strip_suffix(';')
            .and_then(|m| m.rsplit_once("mod "));
        if let Some((_, name)) = name {
            test_modules.push(name.trim().to_string());
        }
        tests += item;
        rest = after;
    }
    Source {
        code: kept + rest,
        tests,
        test_modules,
    }
}

/// The text with spaces in place of comments, strings and characters.
fn blank(text: &str) -> String {
    let (mut blanked, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
            '"' => string_length(rest),
            'r' if is_raw_string(rest) && !ends_in_word(&blanked) => raw_string_length(rest),
            '\'' => character_length(rest),
            _ => 0,
        };
        if length == 0 {
            blanked.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            blanked.push(' ');
            rest = &rest[length..];
        }
    }
    blanked
}

fn ends_in_word(text: &str) -> bool {
    text.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn is_raw_string(text: &str) -> bool {
    text[1..].trim_start_matches('#').starts_with('"')
}

fn raw_string_length(text: &str) -> usize {
    let hashes = text[1..].bytes().take_while(|b| *b == b'#').count();
    let end = format!("\"{}", "#".repeat(hashes));
    let start = 2 + hashes;
    text[start..]
        .find(&end)
        .map_or(text.len(), |at| start + at + end.len())
}

/// Zero for a lifetime.
fn character_length(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), _) => text[2..].find('\'').map_or(0, |at| {
            // The escaped character may be a quote itself.
            if at == 0 { 4 } else { at + 3 }
        }),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

/// `pub(in crate::x)` names a path, and imports nothing.
fn without_visibility(code: &str) -> String {
    let mut parts = code.split("pub(in ");
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |code, part| {
        code + "pub " + part.split_once(')').map_or("", |(_, rest)| rest)
    })
}

/// Where an item ends: at its `;`, or at the brace that closes it.
fn item_end(item: &str) -> usize {
    let mut depth = 0;
    for (at, c) in item.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 && (c == '}' || c == ';') {
            return at + 1;
        }
    }
    item.len()
}

/// The `use` trees of some code, each with its braces resolved: `a::{b, c::d}` is two paths.
pub fn uses(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for line in statements(code) {
        expand("", line, &mut paths);
    }
    paths
}

/// The trees of all `use` statements.
fn statements(code: &str) -> Vec<&str> {
    let starts = code.match_indices("use ").map(|(at, _)| at);
    let starts = starts.filter(|at| !ends_in_word(&code[..*at]));
    let tree = |at: usize| Some(code[at + "use ".len()..].split_once(';')?.0);
    starts.filter_map(tree).collect()
}

fn without_uses(code: &str) -> String {
    let trees = statements(code).into_iter();
    trees.fold(code.to_string(), |code, tree| {
        code.replacen(&format!("use {tree};"), "", 1)
    })
}

fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((before, inside)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default().trim();
        let path = path.strip_suffix("::self").unwrap_or(path);
        let whole = if path == "self" || path.is_empty() {
            prefix.trim_end_matches("::").to_string()
        } else {
            format!("{prefix}{path}")
        };
        if !tree.is_empty() {
            paths.push(whole);
        }
        return;
    };
    let inside = inside.trim_end().strip_suffix('}').unwrap_or(inside);
    let prefix = format!("{prefix}{}", before.trim());
    for part in split_at_commas(inside) {
        expand(&prefix, part, paths);
    }
}

fn split_at_commas(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The paths that some code names in place, such as `crate::runtime::log::warn`.
fn inline(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for root in ["crate::", "super::", "bazar::"] {
        for (at, _) in code.match_indices(root) {
            let is_start = !ends_in_word(&code[..at]) && !code[..at].ends_with("::");
            let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let length = code[at..].find(|c| !is_path(c)).unwrap_or(code.len() - at);
            if is_start {
                paths.push(code[at..at + length].trim_end_matches(':').to_string());
            }
        }
    }
    paths
}

/// The modules of `all` that some code of `module` names.
pub fn imports(module: &Path, code: &str, all: &BTreeSet<Path>) -> BTreeSet<Path> {
    let mut named: Vec<String> = uses(code);
    named.extend(inline(&without_uses(code)));
    let resolved = named.iter().filter_map(|path| resolve(module, path, all));
    let resolved = resolved.filter(|path| !path.is_empty() && path != module);
    resolved.collect()
}

/// The module that a path names, or that has what it names. `None`: it is of another crate.
fn resolve(module: &Path, path: &str, all: &BTreeSet<Path>) -> Option<Path> {
    let mut segments: Vec<&str> = path.split("::").map(str::trim).collect();
    let mut at = match segments[0] {
        "crate" | "bazar" => Vec::new(),
        "self" | "super" => module.clone(),
        first => {
            let mut child = module.clone();
            child.push(first.to_string());
            all.contains(&child).then(|| module.clone())?
        }
    };
    let mut rest = segments.drain(..).peekable();
    rest.next_if(|first| ["crate", "bazar", "self"].contains(first));
    while rest.next_if_eq(&"super").is_some() {
        at.pop();
    }
    for segment in rest {
        at.push(segment.to_string());
        if !all.contains(&at) {
            at.pop();
            break;
        }
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        text.split("::")
            .filter(|s| !s.is_empty())
            .map(String::from)
            .collect()
    }

    #[track_caller]
    fn check(module: &str, code: &str, expected: &[&str]) {
        let all = ["", "a", "a::b", "a::b::c", "a::d", "e", "e::f"];
        let all: BTreeSet<Path> = all.into_iter().map(path).collect();
        let expected: BTreeSet<Path> = expected.iter().map(|text| path(text)).collect();
        let code = read(code).code;
        assert_eq!(imports(&path(module), &code, &all), expected, "{code}");
    }

    #[test]
    fn paths_are_resolved_from_where_they_stand() {
        check("a::b", "use crate::e::f::Thing;", &["e::f"]);
        check(
            "a::b",
            "use crate::e::{self, f, g::{h, i}};",
            &["e", "e::f"],
        );
        check(
            "a::b",
            "use crate::{a::d::{X, Y as Z}, e::f};",
            &["a::d", "e::f"],
        );
        check("a::b", "pub(crate) use super::d::Thing;", &["a::d"]);
        check("a::b::c", "use super::super::d;", &["a::d"]);
        check("a::b", "use c::Thing;\nuse std::e::f;", &["a::b::c"]);
        check("a::b", "use self::c::Thing;", &["a::b::c"]);
        check("e", "use bazar::a::{b, d};", &["a::b", "a::d"]);
        check(
            "a::b",
            "fn x() { crate::e::f::go(super::d::Y) }",
            &["a::d", "e::f"],
        );
        check("a::b", "impl super::Thing {}", &["a"]);
        check("a::b", "fn x() { let y: &'a str = crate::e::z(); }", &["e"]);
    }

    #[test]
    fn comments_literals_visibility_and_tests_import_nothing() {
        check(
            "a::b",
            "// use crate::e;\n/// [`crate::e`]\n/* use crate::e; */",
            &[],
        );
        check(
            "a::b",
            r##"const A: &str = "crate::e\" crate::e"; const B: &str = r#"crate::e"#;"##,
            &[],
        );
        check(
            "a::b",
            "const A: [char; 3] = ['\"', '\\'', '{']; use crate::e;",
            &["e"],
        );
        check("a::b", "pub(in crate::e) fn x() {}", &[]);
        check(
            "a::b",
            "#[cfg(test)]\nmod tests { use crate::e; fn x() {} }\nuse crate::e::f;",
            &["e::f"],
        );
        check(
            "a::b",
            "#[cfg(test)]\nuse crate::e;\nuse crate::a::d;",
            &["a::d"],
        );
        assert_eq!(
            read("#[cfg(test)]\npub(crate) mod fake;\nmod real;").test_modules,
            ["fake"]
        );
    }
}
