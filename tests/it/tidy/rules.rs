//! The house rules as functions over text: each gives the violations it finds, one line each.

use std::collections::BTreeMap;

use super::source::{Token, code_alone, tokens, without_comments, without_tests};

/// Invariant 1: names that a file under `codec/` may not use.
pub(super) fn codec_is_pure(text: &str) -> Vec<String> {
    names_none_of(text, &["net", "io", "fs", "thread", "time", "sync"])
}

/// Invariant 1: names that a file imported by codecs may not use. `io` is allowed, since an error
/// may become an `io::Error`.
pub(super) fn values_are_pure(text: &str) -> Vec<String> {
    names_none_of(text, &["net", "fs", "thread", "time", "sync"])
}

fn names_none_of(text: &str, impure: &[&str]) -> Vec<String> {
    let code = code_alone(text);
    modules_of_std(&tokens(&code))
        .into_iter()
        // A glob, `self` or a rename of std would hide such a name.
        .filter(|(_, module)| impure.contains(module) || ["*", "self", "as"].contains(module))
        .map(|(line, module)| format!("line {line}: std::{module}"))
        .collect()
}

/// The modules named in `std::module` and `std::{module, …}`; `as` for a renamed std.
fn modules_of_std<'a>(tokens: &[(usize, &'a str)]) -> Vec<(usize, &'a str)> {
    let mut modules = Vec::new();
    for (at, (line, token)) in tokens.iter().enumerate() {
        if *token != "std" {
            continue;
        }
        match (word(tokens, at + 1), word(tokens, at + 2)) {
            ("as", _) => modules.push((*line, "as")),
            ("::", "{") => modules.extend(heads_of_group(&tokens[at + 3..])),
            ("::", module) => modules.push((*line, module)),
            _ => {}
        }
    }
    modules
}

/// The first name of each path of a `use` group, which begins after its brace.
fn heads_of_group<'a>(tokens: &[(usize, &'a str)]) -> Vec<(usize, &'a str)> {
    let mut heads = Vec::new();
    let (mut depth, mut is_head) = (0, true);
    for (line, token) in tokens {
        match *token {
            "{" => depth += 1,
            "}" if depth == 0 => break,
            "}" => depth -= 1,
            "," if depth == 0 => is_head = true,
            name if is_head => {
                heads.push((*line, name));
                is_head = false;
            }
            _ => {}
        }
    }
    heads
}

fn word<'a>(tokens: &[(usize, &'a str)], at: usize) -> &'a str {
    tokens.get(at).map_or("", |(_, token)| token)
}

/// Invariant 2: every dependency of a manifest is a path within the workspace.
pub(super) fn dependencies_are_ours(manifest: &str) -> Vec<String> {
    let mut violations = Vec::new();
    let mut table = String::new();
    let mut lacks_path: Option<String> = None;
    for line in manifest.lines().map(str::trim).chain(["[end]"]) {
        if line.starts_with('[') {
            violations.extend(lacks_path.take());
            table = line.trim_matches(['[', ']']).to_owned();
            // `[dependencies.name]`: the keys of one dependency follow.
            if let Some(parent) = table.rsplit_once('.').map(|(parent, _)| parent) {
                if is_dependencies(parent) {
                    lacks_path = Some(format!("[{table}] is no path"));
                }
            }
        } else if line.is_empty() || line.starts_with('#') {
            continue;
        } else if is_dependencies(&table) {
            let inherits = line.contains("workspace = true");
            if !inherits && !has_inner_path(line) {
                violations.push(format!("[{table}] {line}"));
            }
        } else if lacks_path.is_some() && (has_inner_path(line) || line == "workspace = true") {
            lacks_path = None;
        }
    }
    violations
}

fn is_dependencies(table: &str) -> bool {
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .iter()
        .any(|kind| table == *kind || table.ends_with(&format!(".{kind}")))
}

fn has_inner_path(line: &str) -> bool {
    ["path = \"akurai", "path = \"../akurai", "path = \"tests"]
        .iter()
        .any(|path| line.contains(path))
}

/// Invariant 2, in cargo's resolution: no package of `Cargo.lock` has a source.
pub(super) fn lock_has_no_source(lock: &str) -> Vec<String> {
    lock.lines()
        .filter(|line| line.trim_start().starts_with("source"))
        .map(str::to_owned)
        .collect()
}

/// Invariant 2: the library of this manifest forbids `unsafe`.
pub(super) fn forbids_unsafe(manifest: &str) -> Vec<String> {
    if table(manifest, "lints.rust").contains(&"unsafe_code = \"forbid\"") {
        return Vec::new();
    }
    vec!["unsafe_code is not forbidden".to_owned()]
}

/// A manifest inherits nothing: then its folder can be copied into another workspace.
pub(super) fn inherits_nothing(manifest: &str) -> Vec<String> {
    lines_where(manifest, |line| line.contains("workspace = true"))
}

fn table<'a>(manifest: &'a str, name: &str) -> Vec<&'a str> {
    let title = format!("[{name}]");
    manifest
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != title)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .collect()
}

/// Invariant 2: the token that only `signals.rs` and the tests' `counter.rs` may contain.
pub(super) fn is_safe(text: &str) -> Vec<String> {
    lines_of_token(text, &["unsafe"])
}

/// Invariant 6: `akurai-http` does not know that WebSocket exists. Its comments may mention it.
pub(super) fn knows_no_websocket(text: &str) -> Vec<String> {
    lines_where(&without_comments(text), |line| {
        let line = line.to_ascii_lowercase();
        line.contains("websocket") || line.contains("web_socket")
    })
}

/// The top level holds only the agreed entries, and dotfiles.
pub(super) fn top_level_is_agreed<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    const AGREED: [&str; 9] = [
        "Cargo.toml",
        "Cargo.lock",
        "LICENSE",
        "README.md",
        "akurai-http",
        "akurai-ws",
        "akurai-server",
        "tests",
        "target",
    ];
    names
        .into_iter()
        .filter(|name| !name.starts_with('.') && !AGREED.contains(name))
        .map(str::to_owned)
        .collect()
}

/// A file of over 500 lines says why.
pub(super) fn is_short_or_says_why(text: &str) -> Vec<String> {
    const MOST: usize = 500;
    let lines = text.lines().count();
    if lines <= MOST || text.lines().any(says_why) {
        return Vec::new();
    }
    vec![format!("{lines} lines, and no reason given")]
}

/// Whether a comment says why a file or a function is long.
fn says_why(line: &str) -> bool {
    line.split_once("long because:")
        .is_some_and(|(before, reason)| {
            ["//", "/*", "#", "<!--"].contains(&before.trim()) && reason.trim().len() > 10
        })
}

/// A Rust file has few lines of code, without comments, empty lines and code for tests only.
pub(super) fn has_little_code(text: &str) -> Vec<String> {
    const MOST: usize = 400;
    let code = without_tests(&code_alone(text));
    let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
    if lines <= MOST {
        return Vec::new();
    }
    vec![format!("{lines} lines of code")]
}

/// A function fits a screen, counted in the same way, or says why it does not.
pub(super) fn has_short_functions(text: &str) -> Vec<String> {
    const MOST: usize = 60;
    let code = without_tests(&code_alone(text));
    let tokens = tokens(&code);
    let mut violations = Vec::new();
    for at in 0..tokens.len() {
        let (first, name) = (tokens[at].0, word(&tokens, at + 1));
        // A function type has no name.
        if word(&tokens, at) != "fn" || name == "(" {
            continue;
        }
        let Some(last) = end_of_body(&tokens[at..]) else {
            continue;
        };
        let body = |text| str::lines(text).take(last).skip(first - 1);
        let lines = body(&code).filter(|line| !line.trim().is_empty()).count();
        if lines > MOST && !body(text).any(says_why) {
            violations.push(format!("line {first}: {name} has {lines} lines of code"));
        }
    }
    violations
}

/// Every type name that several files of a crate define, each with those files. Tests may define
/// any name.
pub(super) fn names_of_several_types<'a>(
    sources: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<String> {
    let mut definitions: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (file, text) in sources {
        let code = without_tests(&code_alone(text));
        let tokens = tokens(&code);
        for at in 1..tokens.len() {
            let is_type = ["struct", "enum", "union", "trait"].contains(&word(&tokens, at - 1));
            let name = word(&tokens, at);
            if is_type && name.starts_with(char::is_uppercase) {
                definitions.entry(name.to_owned()).or_default().push(file);
            }
        }
    }
    definitions.retain(|_, files| files.len() > 1);
    let told = |(name, files): (String, Vec<&str>)| format!("{name}: {}", files.join(", "));
    definitions.into_iter().map(told).collect()
}

/// The line of the closing brace of the function at the start of `tokens`, if it has a body.
fn end_of_body(tokens: &[Token<'_>]) -> Option<usize> {
    let mut depth = 0;
    for (line, token) in tokens {
        match *token {
            ";" if depth == 0 => return None,
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth -= 1;
                if depth == 0 && *token == "}" {
                    return Some(*line);
                }
            }
            _ => {}
        }
    }
    None
}

/// No source file marks work for later: issues are for that.
pub(super) fn has_no_marker(text: &str) -> Vec<String> {
    // In halves, since this rule reads this file too.
    const MARKERS: [&str; 3] = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("X", "XX"),
    ];
    lines_where(text, |line| {
        line.split(|c: char| !c.is_alphanumeric() && c != '_')
            .any(|word| MARKERS.contains(&word))
    })
}

/// No test is ignored.
pub(super) fn ignores_no_test(text: &str) -> Vec<String> {
    let code = code_alone(text);
    let tokens = tokens(&code);
    let at_ignore =
        |window: &&[(usize, &str)]| matches!(window, [(_, "#"), (_, "["), (_, "ignore")]);
    tokens
        .windows(3)
        .filter(at_ignore)
        .map(|window| format!("line {}: ignore", window[0].0))
        .collect()
}

/// No test sleeps: it waits for the event that it needs.
pub(super) fn never_sleeps(text: &str) -> Vec<String> {
    lines_of_token(text, &["sleep", "sleep_ms", "sleep_until"])
}

fn lines_of_token(text: &str, wanted: &[&str]) -> Vec<String> {
    let code = code_alone(text);
    tokens(&code)
        .into_iter()
        .filter(|(_, token)| wanted.contains(token))
        .map(|(line, token)| format!("line {line}: {token}"))
        .collect()
}

fn lines_where(text: &str, is_wrong: impl Fn(&str) -> bool) -> Vec<String> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| is_wrong(line))
        .map(|(number, line)| format!("line {}: {}", number + 1, line.trim()))
        .collect()
}

/// The functions that the Rust code on a page calls: each word between `.` or `::` and `(`.
pub(super) fn calls_on_page(page: &str) -> Vec<&str> {
    let blocks = page.split("<pre><code>").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split("</code></pre>").next());
    blocks.flat_map(calls).collect()
}

fn calls(code: &str) -> impl Iterator<Item = &str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices('(').filter_map(move |(at, _)| {
        let before = &code[..at];
        let (rest, name) = before.split_at(before.trim_end_matches(is_word).len());
        let is_call = rest.ends_with('.') || rest.ends_with("::");
        (is_call && name.starts_with(char::is_lowercase)).then_some(name)
    })
}
