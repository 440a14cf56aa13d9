//! The layout of the source: which layer may use which, and no circles.

mod imports;
mod references;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path as FilePath, PathBuf};

use imports::{Path, Source};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What each layer may use. Of a tier, [`TOOLS`] may use the module itself and nothing inside.
const MAY_USE: [(&str, &[&str]); 11] = [
    ("model", &[]),
    ("runtime", &[]),
    ("testing", &[]),
    ("config", &["runtime", "model"]),
    ("http", &["config", "runtime", "model"]),
    ("membership", &["http", "config", "runtime", "model"]),
    (
        "catalog",
        &["membership", "http", "config", "runtime", "model"],
    ),
    (
        "order",
        &["membership", "http", "config", "runtime", "model"],
    ),
    (
        "front_end",
        &["membership", "http", "config", "runtime", "model"],
    ),
    (
        "tools",
        &[
            "catalog",
            "order",
            "front_end",
            "supervisor",
            "membership",
            "http",
            "config",
            "runtime",
            "model",
            "testing",
        ],
    ),
    (
        "supervisor",
        &["membership", "http", "config", "runtime", "model"],
    ),
];

const TIERS: [&str; 3] = ["catalog", "order", "front_end"];

/// The layers that may use nothing inside a tier.
const TOOLS: [&str; 2] = ["tools", "supervisor"];

/// Where a crate may be named.
const MAY_NAME: [(&str, &[&str]); 2] = [
    (
        "tiny_http",
        &["src/http/server/", "src/tools/bench/baseline_server"],
    ),
    ("ureq", &["src/http/client/"]),
];

/// Every source file, by the module that it is.
struct Tree {
    files: BTreeMap<Path, (PathBuf, Source)>,
    modules: BTreeSet<Path>,
    /// Modules that only tests have, and all in them.
    for_tests: BTreeSet<Path>,
}

impl Tree {
    fn read() -> Tree {
        let mut files = BTreeMap::new();
        for file in files_below(&FilePath::new(ROOT).join("src"), "rs") {
            let source = imports::read(&fs::read_to_string(&file).unwrap());
            assert!(files.insert(module_of(&file), (file, source)).is_none());
        }
        let modules: BTreeSet<Path> = files.keys().cloned().collect();
        let roots: Vec<Path> = files
            .iter()
            .flat_map(|(module, (_, source))| {
                let child = |name: &String| [&module[..], std::slice::from_ref(name)].concat();
                source.test_modules.iter().map(child)
            })
            .collect();
        let for_tests = modules
            .iter()
            .filter(|m| roots.iter().any(|r| m.starts_with(r)));
        let for_tests = for_tests.cloned().collect();
        assert!(60 < modules.len(), "the source is elsewhere: {modules:?}");
        Tree {
            files,
            modules,
            for_tests,
        }
    }

    /// What each module imports, test code left out.
    fn imports(&self) -> BTreeMap<&Path, BTreeSet<Path>> {
        let files = self
            .files
            .iter()
            .filter(|(module, _)| !self.for_tests.contains(*module));
        let imports = |(module, (_, source)): (_, &(PathBuf, Source))| {
            (
                module,
                imports::imports(module, &source.code, &self.modules),
            )
        };
        files.map(imports).collect()
    }
}

fn files_below(folder: &FilePath, extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// `src/http/mod.rs` is `["http"]`. `src/main.rs` is a module of its own.
fn module_of(file: &FilePath) -> Path {
    let path = file
        .strip_prefix(FilePath::new(ROOT).join("src"))
        .unwrap()
        .with_extension("");
    let mut module: Path = path
        .iter()
        .map(|name| name.to_str().unwrap().to_string())
        .collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
        module.pop();
    }
    module
}

fn layer(module: &Path) -> &str {
    module.first().map_or("lib", String::as_str)
}

#[test]
fn every_layer_uses_only_what_the_table_lets_it_use() {
    let tree = Tree::read();
    let mut wrong = Vec::new();
    for (module, imports) in tree.imports() {
        let from = layer(module);
        if from == "main" || from == "lib" {
            continue;
        }
        let allowed = MAY_USE.iter().find(|(layer, _)| *layer == from);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{from} is not in the table"));
        for import in imports {
            let to = layer(&import);
            let is_inside = TIERS.contains(&to) && 1 < import.len() && TOOLS.contains(&from);
            if to != from && (!allowed.contains(&to) || is_inside) {
                wrong.push(format!("{} uses {}", module.join("::"), import.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_two_files_import_each_other_but_a_parent_and_its_child() {
    let tree = Tree::read();
    let imports = tree.imports();
    let mut circles = Vec::new();
    for (one, theirs) in &imports {
        for two in theirs.iter().filter(|two| one < two) {
            let is_parent = two.len() == one.len() + 1 && two.starts_with(one);
            let is_mutual = imports.get(two).is_some_and(|back| back.contains(*one));
            if is_mutual && !is_parent {
                circles.push(format!("{} and {}", one.join("::"), two.join("::")));
            }
        }
    }
    assert!(circles.is_empty(), "{circles:#?}");
    // The search does find pairs: every folder has a parent that uses a child which uses it.
    let mutual = imports
        .iter()
        .flat_map(|(one, theirs)| theirs.iter().map(move |two| (one, two)));
    let mutual = mutual.filter(|(one, two)| imports.get(*two).is_some_and(|b| b.contains(**one)));
    assert!(10 < mutual.count());
}

#[test]
fn only_the_server_names_tiny_http_and_only_the_client_names_ureq() {
    let tree = Tree::read();
    for (name, places) in MAY_NAME {
        let mut named = 0;
        for (file, source) in tree.files.values() {
            let is_word = |code: &str| {
                code.split(|c: char| !c.is_alphanumeric() && c != '_')
                    .any(|word| word == name)
            };
            if is_word(&source.code) || is_word(&source.tests) {
                let file = file.strip_prefix(ROOT).unwrap().to_str().unwrap();
                assert!(
                    places.iter().any(|place| file.starts_with(place)),
                    "{file} names {name}"
                );
                named += 1;
            }
        }
        assert!(0 < named, "no file names {name}");
    }
}

#[test]
fn no_file_imports_by_glob_but_a_test_its_parent() {
    let tree = Tree::read();
    let mut by_tests = 0;
    for (module, (file, source)) in &tree.files {
        let for_tests = tree.for_tests.contains(module);
        let globs = |code| {
            imports::uses(code)
                .into_iter()
                .filter(|path| path.ends_with('*'))
        };
        let code = globs(&source.code).filter(|path| !for_tests || path != "super::*");
        let tests = globs(&source.tests).filter(|path| path != "super::*");
        let globs: Vec<String> = code.chain(tests).collect();
        assert!(globs.is_empty(), "{}: {globs:?}", file.display());
        by_tests += usize::from(source.tests.contains("super::*"));
    }
    assert!(0 < by_tests);
}

#[test]
fn a_folder_has_its_module_inside() {
    for file in files_below(&FilePath::new(ROOT).join("src"), "rs") {
        assert!(
            !file.with_extension("").is_dir(),
            "{} stands beside its folder",
            file.display()
        );
    }
}
