//! Defaults in the code, in the docs of each option and in the guide's table of limits: all three
//! must say the same.

use std::collections::BTreeMap;
use std::fmt::Debug;

use akurai_http::Limits;
use akurai_server::{HubOptions, RedisOptions, Retention};
use akurai_ws::WsOptions;

use super::{read, root, rust_files};

/// The fields that `Debug` shows with a number or a time, and their text.
fn shown(options: &[(&str, &dyn Debug)]) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for (owner, options) in options {
        let text = format!("{options:?}").replace(['{', '}', '(', ')'], ",");
        // `Some(20s)` is the 20 s that the docs give.
        let text = text.replace("Some,", "");
        for field in text.split(", ") {
            let Some((name, value)) = field.trim_matches([',', ' ']).rsplit_once(": ") else {
                continue;
            };
            let value = value.trim_matches([',', ' ']);
            if value.starts_with(|first: char| first.is_ascii_digit()) {
                let name = name.rsplit([' ', ',']).next().unwrap_or(name);
                fields.insert(format!("{owner}.{name}"), value.to_owned());
            }
        }
    }
    fields
}

/// A value in the form for readers: `8 KiB`, `10,000`, `15 s`, `5 min`, `1 h`.
fn written(name: &str, value: &str) -> String {
    if let Ok(number) = value.parse::<u64>() {
        // A rate is in bytes a second.
        let is_bytes = name.contains("bytes") || name.ends_with("_rate");
        return match number {
            n if is_bytes && n >= 1 << 20 && n % (1 << 20) == 0 => {
                format!("{} MiB", n >> 20)
            }
            n if is_bytes && n >= 1 << 10 && n % (1 << 10) == 0 => {
                format!("{} KiB", n >> 10)
            }
            n if n >= 10_000 || (n >= 1000 && n % 100 == 0) => {
                format!("{},{:03}", n / 1000, n % 1000)
            }
            n => n.to_string(),
        };
    }
    let end = value
        .find(|c: char| c.is_alphabetic())
        .unwrap_or(value.len());
    let (number, unit) = value.split_at(end);
    match (number.parse::<u64>(), unit) {
        (Ok(n), "s") if n % 3600 == 0 => format!("{} h", n / 3600),
        (Ok(n), "s") if n > 60 && n % 60 == 0 => format!("{} min", n / 60),
        _ => format!("{number} {unit}"),
    }
}

/// The text after `Default` in the docs of each documented field or setter. Its owner is the type
/// or `impl` around it.
fn documented(source: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let (mut owner, mut docs) = (String::new(), String::new());
    for line in source.lines() {
        let line = line.trim();
        if let Some(text) = line.strip_prefix("///") {
            docs.push(' ');
            docs.push_str(text.trim());
            continue;
        }
        let word = |prefix: &str| {
            let rest = line.strip_prefix(prefix)?;
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            Some(rest[..end.unwrap_or(rest.len())].to_owned())
        };
        if let Some(name) = word("pub struct ").or_else(|| word("impl ")) {
            owner = name;
        }
        if let Some(name) = word("pub fn ").or_else(|| word("pub ")) {
            let default = docs
                .split_once(" Default ")
                .map(|(_, said)| said.to_owned());
            found.extend(default.map(|said| (format!("{owner}.{name}"), said)));
        }
        if !line.starts_with("#[") {
            docs.clear();
        }
    }
    found
}

fn defaults() -> BTreeMap<String, String> {
    let mut defaults = shown(&[
        ("Limits", &Limits::default()),
        ("WsOptions", &WsOptions::new()),
        ("HubOptions", &HubOptions::default()),
        ("RedisOptions", &RedisOptions::default()),
        ("Retention", &Retention::default()),
    ]);
    // One for each core, so it differs between machines.
    defaults.remove("HubOptions.shards");
    defaults
}

/// The docs whose default differs from the code's.
fn differing(defaults: &BTreeMap<String, String>, documented: &[(String, String)]) -> Vec<String> {
    let differs = |(name, said): &(String, String)| {
        let value = written(name, defaults.get(name)?);
        let says_it = said.strip_prefix(&value).is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(['.', ',', ';', ' ']) && !rest.starts_with(" Ki")
        });
        (!says_it).then(|| format!("{name}: the docs say {said:.20}, and it is {value}"))
    };
    documented.iter().filter_map(differs).collect()
}

#[test]
fn docs_say_the_defaults_of_the_code() {
    let defaults = defaults();
    let sources: Vec<String> = rust_files().iter().map(|path| read(path)).collect();
    let documented: Vec<_> = sources
        .iter()
        .flat_map(|source| documented(source))
        .collect();
    let compared = documented
        .iter()
        .filter(|(name, _)| defaults.contains_key(name))
        .count();
    assert!(compared >= 40, "only {compared} defaults found in docs");
    let differing = differing(&defaults, &documented);
    assert!(differing.is_empty(), "\n{}", differing.join("\n"));
}

/// Rows of the guide's table of limits: the name there, and its second cell with the names of the
/// options.
const ROWS: [(&str, &str); 24] = [
    (
        "request line / header section / fields",
        "{Limits.max_request_line_bytes} / {Limits.max_header_section_bytes} / {Limits.max_header_fields}",
    ),
    ("request body", "{Limits.max_body_bytes}"),
    (
        "chunk-size line / all extensions / trailers",
        // Fixed: `the_framing_of_chunks` has each of them.
        "256 B / 4 KiB / 8 KiB in 32 fields",
    ),
    ("a whole head", "{Limits.head_deadline}"),
    ("wait for the next request", "{Limits.idle_timeout}"),
    (
        "body that a handler reads",
        "{Limits.body_stall} / {Limits.min_body_rate}/s",
    ),
    (
        "write: without progress",
        "{Limits.write_stall} / {Limits.min_write_rate}/s",
    ),
    (
        "body that a handler left unread",
        "{Limits.max_drain_bytes}, {Limits.drain_time}",
    ),
    (
        "reading on after the last answer",
        "{Limits.linger_time} / {Limits.linger_stall}",
    ),
    (
        "connections in request and response",
        "{Limits.max_connections}",
    ),
    ("upgraded connections", "{Limits.max_upgrades}"),
    (
        "threads that wait for a connection",
        "{Limits.max_spare_threads} ",
    ),
    ("WebSocket frame, message", "{WsOptions.max_message_bytes}"),
    ("WebSocket fragments", "{WsOptions.max_fragments}"),
    (
        "WebSocket message, first byte",
        "{WsOptions.message_deadline}",
    ),
    (
        "WebSocket silence",
        "{WsOptions.ping_interval} / {WsOptions.pong_wait}",
    ),
    ("WebSocket close", "{WsOptions.close_wait}"),
    ("WebSocket write", "{WsOptions.write_deadline}"),
    (
        "WebSocket queue",
        "{WsOptions.max_queue_bytes}, {WsOptions.max_queue_messages} messages",
    ),
    (
        "hub: events kept",
        "{HubOptions.max_ring_events}, {HubOptions.max_ring_bytes}, {HubOptions.max_ring_age}",
    ),
    (
        "hub: backlog",
        "{HubOptions.max_backlog_events} events, {HubOptions.max_backlog_bytes} / {HubOptions.no_progress}",
    ),
    (
        "hub: heartbeat",
        "{HubOptions.heartbeat} / {HubOptions.sweep} / {HubOptions.lifetime}",
    ),
    ("Redis: events kept", "{RedisOptions.max_events}"),
    ("WebSocket frame", "{WsOptions.max_frame_bytes}"),
];

fn page_of_limits() -> String {
    read(&root().join("akurai-server/docs/limits.md"))
}

/// The rows whose second cell does not begin with the code's value.
fn wrong_rows(page: &str, defaults: &BTreeMap<String, String>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (row, pattern) in ROWS {
        let mut expected = pattern.to_owned();
        while let Some((before, (name, after))) = expected
            .split_once('{')
            .and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
        {
            let value = defaults
                .get(name)
                .unwrap_or_else(|| panic!("no default of {name}"));
            expected = format!("{before}{}{after}", written(name, value));
        }
        let start = format!("| {row}");
        let found = page.lines().find(|line| line.starts_with(&start));
        let cell = found.and_then(|line| line.split(" | ").nth(1));
        if !cell.is_some_and(|cell| cell.starts_with(expected.as_str())) {
            wrong.push(format!("{row}: {cell:?}, and it is {expected}"));
        }
    }
    wrong
}

#[test]
fn the_guide_says_the_defaults_of_the_code() {
    let wrong = wrong_rows(&page_of_limits(), &defaults());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn another_default_is_caught() {
    let defaults = defaults();
    let said = |docs: &str| {
        let source =
            format!("impl Limits {{\n    /// Most. {docs}\n    pub fn max_body_bytes(self);\n}}\n");
        differing(&defaults, &documented(&source)).len()
    };
    assert_eq!(
        [said("Default 1 MiB."), said("Default 1 MiB, per route.")],
        [0, 0]
    );
    assert_eq!(
        [
            said("Default 2 MiB."),
            said("Default 1 MiBs."),
            said("Default 1024 KiB.")
        ],
        [1, 1, 1]
    );
    let page = page_of_limits();
    let changed = page.replacen("| 15 s; less", "| 16 s; less", 1);
    assert_ne!(changed, page);
    assert_eq!(wrong_rows(&changed, &defaults).len(), 1);
}
