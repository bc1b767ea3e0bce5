//! Each rule finds its fault, and accepts code that only looks like it.

use super::imports::{Crate, Imports};
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

fn imports(sources: &[(&'static str, &'static str)]) -> Imports {
    Crate::of(sources.iter().copied()).imports()
}

#[track_caller]
fn check_edges(sources: &[(&'static str, &'static str)], expected: &[(&str, &str)]) {
    let imports = imports(sources);
    let named = |&(from, to): &(usize, usize)| (&*imports.files[from], &*imports.files[to]);
    let edges: Vec<_> = imports.edges.iter().map(named).collect();
    assert_eq!(edges, expected);
}

#[test]
fn an_import_is_found_in_whatever_words() {
    let target = ("codec/b.rs", "pub(crate) struct B; pub(crate) fn f() {}");
    for text in [
        "use crate::codec::b::B;",
        "use crate::codec::{b::{self as other, B}, c};",
        "use crate::codec::b;",
        "use crate::codec::b::*;",
        "use super::b::B as C;",
        "fn g() { crate::codec::b::f() }",
        "fn g() { super::b::f() }",
        "use crate::codec; fn g() { codec::b::f() }",
        "mod inner { use super::super::b::f; }",
        "fn g() { if true { use crate::codec::b::f; f() } }",
        "use crate::B;",
        "use crate::alias::deep::C;",
        "fn g() -> crate::B { crate::B }",
    ] {
        let root = "mod codec; pub use codec::b::B; \
            pub mod alias { pub mod deep { pub use crate::codec::b::B as C; } }";
        let sources = [
            ("codec/a.rs", text),
            target,
            ("codec/mod.rs", "mod a; mod b;"),
            ("lib.rs", root),
        ];
        let imports = imports(&sources);
        assert!(imports.edges.contains(&(0, 1)), "let pass: {text}");
    }
    for text in [
        "use std::codec::b;",
        "// use crate::codec::b;",
        "let text = \"crate::codec::b\";",
        "#[cfg(test)] mod tests { use crate::codec::b; }",
        "#[cfg(test)] use crate::codec::b;",
        "#[cfg(test)]\n#[derive(Debug)]\nstruct A { b: crate::codec::b::B }",
    ] {
        check_edges(&[("codec/a.rs", text), target], &[]);
    }
    check_edges(
        &[
            ("a.rs", "use crate::b::C;"),
            ("a/tests.rs", "use crate::b::C;"),
            ("b.rs", "mod c; pub use c::C;"),
            ("b/c.rs", ""),
        ],
        &[("a.rs", "b/c.rs"), ("b.rs", "b/c.rs")],
    );
}

#[test]
fn a_circle_of_files_is_caught() {
    let circles = |sources: &[(&'static str, &'static str)]| -> Vec<Vec<String>> {
        let imports = imports(sources);
        let owned = |circle: Vec<&str>| circle.into_iter().map(str::to_owned).collect();
        imports.circles().into_iter().map(owned).collect()
    };
    let (to_a, to_b, to_c) = ("use crate::a::A;", "use crate::b::B;", "use crate::c::C;");
    assert_eq!(
        circles(&[("a.rs", to_b), ("b.rs", to_a)]),
        [["a.rs", "b.rs"]]
    );
    assert_eq!(
        circles(&[
            ("a.rs", to_b),
            ("b.rs", to_c),
            ("c.rs", to_a),
            ("d.rs", to_a)
        ]),
        [["a.rs", "b.rs", "c.rs"]]
    );
    // By a name that the root re-exports.
    let root = ("lib.rs", "mod a; mod b; pub use a::A;");
    assert_eq!(
        circles(&[("a.rs", to_b), ("b.rs", "use crate::A;"), root]),
        [["a.rs", "b.rs"]]
    );
    // First a parent and its children, then children among themselves, and then a circle through
    // another room.
    let parent = ("a.rs", "mod x; mod y; use x::X; use y::Y; pub struct A;");
    let child = ("a/x.rs", "use super::A;");
    let other = |text| ("a/y.rs", text);
    assert!(circles(&[parent, child, other("use super::A; use super::x::X;")]).is_empty());
    assert_eq!(
        circles(&[
            parent,
            ("a/x.rs", "use super::y::Y;"),
            other("use super::x::X;")
        ]),
        [["a/x.rs", "a/y.rs"]]
    );
    assert_eq!(
        circles(&[parent, child, other(to_b), ("b.rs", "use crate::a::A;")]),
        [["a.rs", "a/x.rs", "a/y.rs", "b.rs"]]
    );
}

#[test]
fn an_import_that_points_up_is_caught() {
    const TIERS: [&[&str]; 4] = [&["values"], &["codec"], &["files", "sse"], &["lib"]];
    let against = |file: &'static str, text: &'static str| {
        imports(&[
            (file, text),
            ("values/mod.rs", ""),
            ("values/v.rs", ""),
            ("codec/mod.rs", ""),
            ("codec/c.rs", ""),
            ("files/mod.rs", ""),
            ("files/f.rs", ""),
            ("sse/mod.rs", ""),
        ])
        .against(&TIERS)
    };
    for (file, text) in [
        ("values/a.rs", "use crate::codec::c::C;"),
        ("codec/a.rs", "use crate::files::f::F;"),
        ("files/a.rs", "use crate::sse::S;"),
        ("a.rs", ""),
        ("elsewhere/a.rs", ""),
    ] {
        assert_eq!(against(file, text).len(), 1, "let pass: {file}: {text}");
    }
    for (file, text) in [
        ("values/a.rs", "use super::v::V;"),
        (
            "codec/a.rs",
            "use crate::values::v::V; use crate::codec::c::C;",
        ),
        ("files/a.rs", "use crate::codec::c::C; use super::f::F;"),
        ("lib.rs", "mod sse; mod files; use files::f::F; use sse::S;"),
    ] {
        assert_eq!(
            against(file, text),
            Vec::<String>::new(),
            "caught: {file}: {text}"
        );
    }
}

#[test]
fn what_a_codec_reaches_is_found() {
    let imports = imports(&[
        ("codec/a.rs", "use crate::V;"),
        ("io.rs", "use crate::codec::a::A;"),
        ("lib.rs", "mod io; mod values; pub use values::V;"),
        ("values.rs", "use crate::wire::Wire; pub struct V;"),
        ("wire.rs", "use std::net::TcpStream; pub struct Wire;"),
    ]);
    let reached = imports.reached_from(|file| file.starts_with("codec/"));
    assert_eq!(reached, ["codec/a.rs", "values.rs", "wire.rs"]);
}

#[test]
fn an_impure_value_is_caught() {
    check(
        rules::values_are_pure,
        &[
            "use std::net::TcpStream;",
            "use std::sync::Mutex;",
            "use std::{fs, io};",
        ],
        &["use std::io;", "use std::fmt;"],
    );
}

#[test]
fn a_name_of_two_types_is_caught() {
    let twice = |one, other| rules::names_of_several_types([("a.rs", one), ("b.rs", other)]);
    for (one, other) in [
        ("struct State;", "pub(crate) enum State {}"),
        ("trait State {}", "mod c { union State {} }"),
    ] {
        assert_eq!(twice(one, other), ["State: a.rs, b.rs"]);
    }
    for (one, other) in [
        ("struct State;", "#[cfg(test)] mod tests { struct State; }"),
        ("struct State;", "impl State {} fn f(enum_: State) {}"),
        ("struct State;", "// struct State"),
    ] {
        assert_eq!(twice(one, other), Vec::<String>::new());
    }
}

#[test]
fn long_code_is_caught() {
    let lines = |count| "let x = 1;\n".repeat(count);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", lines(500));
    let docs = "/// It is.\n\n".repeat(500);
    check(
        rules::has_little_code,
        &[&lines(401), &format!("{tests}{}", lines(401))],
        &[&lines(400), &format!("{tests}{docs}{}", lines(400))],
    );
    let function = |count: usize| format!("fn f<const N: usize>() {{\n{}}}\n", lines(count - 2));
    check(
        rules::has_short_functions,
        &[
            &function(61),
            &format!("trait A {{ fn f(); }}\n{}", function(61)),
            &format!(
                "{}fn g() {{\n// long because: it is a table of cases\n}}",
                function(61)
            ),
        ],
        &[
            &function(60),
            &format!("#[cfg(test)]\nmod tests {{\n{}}}", function(100)),
            &function(61).replacen('\n', "\n// long because: it is a table of cases\n", 1),
            &function(60).replace('\n', "\n\n// so\n"),
            &format!("type F = fn(u8);\n{}", lines(100)),
        ],
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
    check(
        rules::forbids_unsafe,
        &[
            "[package]\n",
            "[lints]\nworkspace = true\n",
            "[lints.rust]\nunsafe_code = \"deny\"\n",
        ],
        &["[lints.rust]\nunsafe_code = \"forbid\"\n"],
    );
    check(
        rules::inherits_nothing,
        &[
            "[package]\nversion.workspace = true\n",
            "[lints]\nworkspace = true\n",
        ],
        &["[package]\nversion = \"0.1.0\"\n"],
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

#[test]
fn calls_on_a_page_are_found() {
    let page =
        "<p>not(this)</p><pre><code>fn f() {\n  A::new().b_c(&amp;d.e(), g)?;\n}</code></pre>
        <pre><code>curl (x)</code></pre><p>h.i()</p><pre><code>j!(\"\").k()</code></pre>";
    assert_eq!(rules::calls_on_page(page), ["new", "b_c", "e", "k"]);
}
