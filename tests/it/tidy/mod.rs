//! The house rules that a test can check in the source text. `rules` has them as functions over
//! text; `planted` shows that each of them finds its fault.

mod cases;
mod defaults;
mod imports;
mod links;
mod planted;
mod rules;
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use imports::{Crate, Imports};

/// The workspace's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the workspace")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files under `dir` with one of these extensions, except the output of builds and runs.
fn files(dir: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    for entry in entries {
        let path = entry.expect("the directory can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            let left_behind = ["target", "node_modules", "out", "corpus", "artifacts"];
            if !name.starts_with('.') && !left_behind.contains(&&*name) {
                found.extend(files(&path, extensions));
            }
        } else if extensions
            .iter()
            .any(|end| path.extension().is_some_and(|e| e == *end))
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The Rust sources of the workspace's members; tests/bench, tests/fuzz and tests/tls are not
/// members.
fn rust_files() -> Vec<PathBuf> {
    let members = [
        "akurai-http",
        "akurai-ws",
        "akurai-server",
        "tests/support",
        "tests/it",
        "tests/allocations",
        "tests/browser",
        "tests/edge",
        "tests/scale",
        "tests/zlib",
    ];
    let found: Vec<PathBuf> = members
        .iter()
        .flat_map(|member| files(&root().join(member), &["rs"]))
        .collect();
    assert!(
        found.len() > 40,
        "only {} sources found: the walk is broken",
        found.len()
    );
    found
}

/// Fails with every violation that `rule` finds in `paths`.
#[track_caller]
fn check(paths: &[PathBuf], rule: impl Fn(&str) -> Vec<String>) {
    assert!(!paths.is_empty(), "no file to look at: the walk is broken");
    let mut violations = Vec::new();
    for path in paths {
        let name = path.strip_prefix(root()).unwrap_or(path).display();
        violations.extend(
            rule(&read(path))
                .iter()
                .map(|what| format!("{name}: {what}")),
        );
    }
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

/// The guide shows the very sessions that tests/tls compiles and tries.
#[test]
fn the_guide_shows_the_sessions_that_are_tried() {
    let page = read(&root().join("akurai-server/docs/tls.md"));
    for name in ["over_rustls", "over_openssl", "info", "configs"] {
        let file = read(&root().join(format!("tests/tls/src/{name}.rs")));
        let block = format!("```ignore\n{file}```\n");
        assert!(page.contains(&block), "the guide shows another {name}.rs");
    }
}

/// The demo's page shows code; what it calls has to exist.
#[test]
fn the_page_shows_calls_that_there_are() {
    const STD: [&str; 4] = ["to_string", "sleep", "from_secs", "read"];
    let sources: String = ["akurai-http", "akurai-ws", "akurai-server"]
        .iter()
        .flat_map(|name| sources(name))
        .map(|(_, text)| text)
        .collect();
    check(&[root().join("akurai-server/web/index.html")], |page| {
        let called = rules::calls_on_page(page);
        assert!(called.len() > 10, "no code is found: {called:?}");
        let is_there = |name: &&str| {
            let defined = ["(", "<"].map(|behind| format!("pub fn {name}{behind}"));
            STD.contains(name) || defined.iter().any(|text| sources.contains(text))
        };
        let missing = called.into_iter().filter(|name| !is_there(name));
        missing.map(str::to_owned).collect()
    });
}

fn manifests() -> Vec<PathBuf> {
    ["", "akurai-http", "akurai-ws", "akurai-server", "tests"]
        .iter()
        .map(|member| root().join(member).join("Cargo.toml"))
        .collect()
}

#[test]
fn invariant_1_codecs_are_pure() {
    let is_codec = |path: &PathBuf| {
        path.components().any(|part| part.as_os_str() == "codec")
            || path
                .file_name()
                .is_some_and(|name| name == "codec.rs" || name == "resp.rs")
    };
    let codecs: Vec<PathBuf> = rust_files().into_iter().filter(is_codec).collect();
    check(&codecs, rules::codec_is_pure);
}

#[test]
fn invariant_1_codecs_reach_nothing_impure() {
    for name in ["akurai-http", "akurai-ws", "akurai-server"] {
        let sources = sources(name);
        let imports = read_imports(&sources);
        let is_codec = |file: &str| file.starts_with("codec/") || file.ends_with("/resp.rs");
        let reached = imports.reached_from(is_codec);
        assert!(!reached.is_empty(), "{name}: the walk is broken");
        let src = root().join(name).join("src");
        let paths: Vec<PathBuf> = reached.iter().map(|file| src.join(file)).collect();
        check(&paths, rules::values_are_pure);
    }
}

/// The rooms at each height of akurai-http. A file imports from its own room and from the rooms
/// below; rooms of one height do not know each other.
const HTTP_TIERS: [&[&str]; 9] = [
    &["values"],
    &["codec"],
    &["io"],
    &["message"],
    &["files", "middleware", "sse"],
    &["router"],
    &["serve"],
    // It runs a server, as a program of an embedder does.
    &["testing"],
    &["lib", "fuzzing"],
];

/// The rooms at each height of akurai-ws. Its values are its messages and errors.
const WS_TIERS: [&[&str]; 9] = [
    &["error", "message", "lock", "pause"],
    &["codec"],
    &["settings", "deflate"],
    &["write", "options"],
    &["read"],
    &["conn"],
    &["upgrade"],
    &["testing"],
    &["lib", "fuzzing"],
];

#[test]
fn imports_point_down() {
    for (name, tiers) in [("akurai-http", HTTP_TIERS), ("akurai-ws", WS_TIERS)] {
        let sources = sources(name);
        let against = read_imports(&sources).against(&tiers);
        assert_eq!(against, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    for name in ["akurai-http", "akurai-ws", "akurai-server"] {
        let sources = sources(name);
        let imports = read_imports(&sources);
        assert!(imports.edges.len() > 20, "{name}: the reading is broken");
        assert_eq!(imports.circles(), Vec::<Vec<&str>>::new(), "{name}");
    }
}

#[test]
fn no_type_name_stands_twice_in_a_crate() {
    for name in ["akurai-http", "akurai-ws", "akurai-server"] {
        let mut sources = sources(name);
        let is_of_tests = |path: &str| path.split(['/', '.']).any(|part| part == "tests");
        // A second reading of the same RFCs has the same words.
        sources.retain(|(path, _)| !path.starts_with("fuzzing") && !is_of_tests(path));
        let sources = sources.iter().map(|(path, text)| (&**path, &**text));
        let twice = rules::names_of_several_types(sources);
        assert_eq!(twice, Vec::<String>::new(), "{name}");
    }
}

/// The files below a crate's `src`, except a binary's root: path and text of each.
fn sources(name: &str) -> Vec<(String, String)> {
    let src = root().join(name).join("src");
    let paths = files(&src, &["rs"]);
    let read_one = |path: &PathBuf| {
        let below = path.strip_prefix(&src).expect("it lies there");
        (below.to_string_lossy().replace('\\', "/"), read(path))
    };
    let all = paths.iter().map(read_one);
    all.filter(|(path, _)| path != "main.rs").collect()
}

fn read_imports(sources: &[(String, String)]) -> Imports {
    Crate::of(sources.iter().map(|(path, text)| (&**path, &**text))).imports()
}

#[test]
fn invariant_2_no_dependency() {
    check(&manifests(), rules::dependencies_are_ours);
    let lock = root().join("Cargo.lock");
    if lock.exists() {
        check(&[lock], rules::lock_has_no_source);
    }
}

#[test]
fn invariant_2_no_unsafe() {
    let libraries = ["akurai-http", "akurai-ws"].map(|name| root().join(name).join("Cargo.toml"));
    check(&libraries, rules::forbids_unsafe);

    // The code that catches signals, and the code that counts for the tests.
    let exempt = [
        "akurai-server/src/signals.rs",
        "tests/allocations/counter.rs",
    ];
    let exempt = exempt.map(|name| root().join(name));
    let safe: Vec<PathBuf> = rust_files()
        .into_iter()
        .filter(|path| !exempt.contains(path))
        .collect();
    check(&safe, rules::is_safe);
}

#[test]
fn invariant_6_http_does_not_know_websocket() {
    check(
        &files(&root().join("akurai-http"), &["rs"]),
        rules::knows_no_websocket,
    );
}

#[test]
fn the_top_level_holds_what_was_agreed() {
    let names: Vec<String> = fs::read_dir(root())
        .expect("the root can be read")
        .map(|entry| {
            entry
                .expect("it can be read")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    let stray = rules::top_level_is_agreed(names.iter().map(String::as_str));
    assert_eq!(stray, Vec::<String>::new());
}

/// README tells a user to copy the three folders: each has all it needs, the licence too.
#[test]
fn a_crate_can_be_copied_alone() {
    for name in ["akurai-http", "akurai-ws", "akurai-server"] {
        let folder = root().join(name);
        check(&[folder.join("Cargo.toml")], rules::inherits_nothing);
        let licence = folder.join("LICENSE");
        let kind = fs::symlink_metadata(&licence).expect("each crate has a licence");
        assert!(
            kind.is_file(),
            "{name}/LICENSE would lead nowhere in a copy"
        );
        assert_eq!(read(&licence), read(&root().join("LICENSE")), "{name}");
    }
}

/// The overview of the harnesses names each of them, and no other.
#[test]
fn every_harness_is_in_the_overview() {
    let overview = read(&root().join("tests/README.md"));
    let row = |line: &str| Some(line.strip_prefix("| [`")?.split('`').next()?.to_owned());
    let (_, table) = overview.split_once("\n| harness |").expect("a table");
    let mut named: Vec<String> = table.lines().filter_map(row).collect();
    named.sort();
    let entries = fs::read_dir(root().join("tests")).expect("tests/ can be read");
    let mut harnesses: Vec<String> = entries
        .map(|entry| entry.expect("it can be read"))
        .filter(|entry| entry.path().join("run").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    harnesses.sort();
    assert_eq!(named, harnesses);
}

#[test]
fn no_file_is_long_without_a_reason() {
    let all = files(root(), &["rs", "js", "mjs", "css", "html", "py", "sh"]);
    check(&all, rules::is_short_or_says_why);
}

#[test]
fn code_is_short() {
    let code = |name: &str| {
        let mut all = files(&root().join(name).join("src"), &["rs"]);
        let is_of_tests = |path: &PathBuf| {
            path.iter()
                .any(|part| part == "tests" || part == "tests.rs")
        };
        all.retain(|path| !is_of_tests(path));
        assert!(!all.is_empty(), "{name}: the walk is broken");
        all
    };
    for name in ["akurai-http", "akurai-ws", "akurai-server"] {
        check(&code(name), rules::has_little_code);
        check(&code(name), rules::has_short_functions);
    }
}

#[test]
fn nothing_is_left_for_later() {
    let all = files(
        root(),
        &["rs", "js", "mjs", "css", "html", "py", "sh", "toml", "md"],
    );
    check(&all, rules::has_no_marker);
}

#[test]
fn every_test_runs_and_none_sleeps() {
    check(&rust_files(), rules::ignores_no_test);
    for tests in ["tests/it", "tests/allocations"] {
        check(&files(&root().join(tests), &["rs"]), rules::never_sleeps);
    }
}
