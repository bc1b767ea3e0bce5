//! Each rule catches what it is there for, and lets pass what only looks like it.

use super::rules;

#[track_caller]
fn check(rule: impl Fn(&str) -> Vec<String>, violations: &[&str], fine: &[&str]) {
    for text in violations {
        assert!(!rule(text).is_empty(), "let pass: {text}");
    }
    for text in fine {
        assert_eq!(rule(text), Vec::<String>::new(), "caught: {text}");
    }
}

#[test]
fn an_impure_codec_is_caught() {
    check(
        rules::codec_is_pure,
        &[
            "use std::io;",
            "use std::io::Read;",
            "use ::std::net::TcpStream;",
            "use std::{fmt, io};",
            "use std::{\n    collections::{HashMap, HashSet},\n    time::Duration,\n};",
            "use std::{fmt::{self, Write}, sync::Arc};",
            "fn f() -> std::io::Result<()> { Ok(()) }",
            "let t = std :: time :: Instant::now();",
            "use std::fs as files;",
            "use std as s;",
            "use std::{self as s};",
            "use std::*;",
            "fn f() { std::thread::yield_now() }",
        ],
        &[
            "use std::fmt;",
            "use std::{fmt, mem};",
            "use std::{collections::hash_map::{self, io}, mem};",
            "// std::io would be wrong here\nuse std::fmt;",
            "/* use std::io; */",
            "let text = \"std::io\";",
            "use crate::io::Thing; fn io() {} mod time {}",
        ],
    );
    assert_eq!(
        rules::codec_is_pure("use std::fmt;\n\nuse std::{mem,\n    sync::Arc};\n"),
        ["line 4: std::sync"]
    );
}

#[test]
fn a_foreign_dependency_is_caught() {
    check(
        rules::dependencies_are_ours,
        &[
            "[dependencies]\nserde = \"1\"\n",
            "[dependencies]\nserde = { version = \"1\" }\n",
            "[dev-dependencies]\nproptest = \"1\"\n",
            "[build-dependencies]\ncc = \"1\"\n",
            "[target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n",
            "[workspace.dependencies]\nlibc = \"0.2\"\n",
            "[dependencies.serde]\nversion = \"1\"\n\n[lints]\nworkspace = true\n",
            "[dependencies]\nother = { path = \"/usr/src/other\" }\n",
            "[dependencies]\nother = { git = \"https://example.com/other\" }\n",
        ],
        &[
            "[package]\nname = \"a\"\nversion = \"1\"\n[dependencies]\n# none\n",
            "[dependencies]\nakurai-http = { path = \"../akurai-http\", version = \"0.1.0\" }\n",
            "[dependencies]\nakurai-http.workspace = true\n",
            "[dependencies.akurai-http]\nversion = \"0.1.0\"\npath = \"../akurai-http\"\n",
            "[workspace.dependencies]\nakurai-http = { path = \"akurai-http\" }\n",
        ],
    );
    check(
        rules::lock_has_no_source,
        &["[[package]]\nname = \"a\"\nsource = \"registry+https://example.com\"\n"],
        &["[[package]]\nname = \"akurai-http\"\nversion = \"0.1.0\"\n"],
    );
}

#[test]
fn unsafe_that_is_not_forbidden_is_caught() {
    let root = "[workspace.lints.rust]\nunsafe_code = \"forbid\"\n";
    let forbids = |manifest: &str| rules::forbids_unsafe(root, manifest);
    check(
        forbids,
        &[
            "[package]\n",
            "[lints]\n",
            "[lints.rust]\nunsafe_code = \"deny\"\n",
        ],
        &[
            "[lints]\nworkspace = true\n",
            "[lints.rust]\nunsafe_code = \"forbid\"\n",
        ],
    );
    let denied = "[workspace.lints.rust]\nunsafe_code = \"deny\"\n";
    assert_ne!(
        rules::forbids_unsafe(denied, "[lints]\nworkspace = true\n"),
        Vec::<String>::new()
    );
    check(
        rules::is_safe,
        &[
            "unsafe { f() }",
            "unsafe fn f() {}",
            "pub unsafe extern \"C\" fn f();",
        ],
        &[
            "// unsafe",
            "let unsafe_code = \"unsafe\";",
            "#![forbid(unsafe_code)]",
        ],
    );
}

#[test]
fn a_websocket_in_http_is_caught() {
    check(
        rules::knows_no_websocket,
        &[
            "struct WebSocket;",
            "if token == b\"websocket\" {}",
            "fn is_web_socket() {}",
        ],
        &[
            "// for WebSocket, say",
            "//! A websocket's head.",
            "struct Upgrade;",
        ],
    );
}

#[test]
fn a_stray_file_at_the_top_is_caught() {
    let stray =
        rules::top_level_is_agreed(["Cargo.toml", ".gitignore", "target", "notes.md", "src"]);
    assert_eq!(stray, ["notes.md", "src"]);
}

#[test]
fn a_long_file_without_a_reason_is_caught() {
    let long = "x\n".repeat(501);
    check(
        rules::is_short_or_says_why,
        &[
            &long,
            &format!("// long because:\n{long}"),
            &format!("let x = 1; // long because: it is a table of cases\n{long}"),
        ],
        &[
            &"x\n".repeat(500),
            &format!(
                "//! A table.\n// long because: it is one table, and a table has no seam\n{long}"
            ),
        ],
    );
}

#[test]
fn a_marker_is_caught() {
    let (to_do, fix_me) = (concat!("TO", "DO"), concat!("FIX", "ME"));
    check(
        rules::has_no_marker,
        &[
            &format!("// {to_do}: later"),
            &format!("let x = 1; /* {fix_me} */"),
            concat!("// X", "XX"),
        ],
        &["// to do", "let todo = 1;", "mktemp run.XXXXXX"],
    );
}

#[test]
fn a_test_that_does_not_run_is_caught() {
    check(
        rules::ignores_no_test,
        &[
            "#[ignore]\nfn f() {}",
            "#[test]\n#[ignore = \"slow\"]",
            "# [ ignore ]",
        ],
        &["// #[ignore]", "#[test]", "let ignore = \"#[ignore]\";"],
    );
}

#[test]
fn a_test_that_sleeps_is_caught() {
    check(
        rules::never_sleeps,
        &[
            "std::thread::sleep(d);",
            "use std::thread::sleep;",
            "thread::sleep_ms(1)",
        ],
        &["// thread::sleep", "\"thread::sleep\"", "let asleep = 1;"],
    );
}
