//! The tables under `tests/cases` and the tests that carry their numbers: each row has a test, and
//! each numbered test a row.

use std::collections::BTreeSet;

use super::{files, read, root, rust_files};

/// The beginnings of the tests' names, and the table that each belongs to.
const TABLES: [(&str, &str); 4] = [
    ("http", "http.md"),
    ("ws", "websocket.md"),
    ("sse", "sse.md"),
    ("files", "files.md"),
];

/// The numbers of a table's rows: `7. ...` at the beginning of a line, or `|7|...` in a Markdown
/// table.
fn rows(table: &str) -> Vec<usize> {
    let number = |line: &str| {
        let (digits, _) = match line.strip_prefix('|') {
            Some(cells) => cells.split_once('|')?,
            None => line.split_once(". ")?,
        };
        digits.parse().ok()
    };
    table.lines().filter_map(number).collect()
}

/// The rows that a test names: 7 of `http_07_one`, 7 and 9 of `http_07_and_09_both`, 7 to 9 of
/// `http_07_to_09_three`.
fn numbers(name: &str, table: &str) -> Vec<usize> {
    let mut words = name.split('_');
    if words.next() != Some(table) {
        return Vec::new();
    }
    let two_digits = |word: Option<&str>| {
        let is_number = |word: &&str| word.len() == 2 && word.bytes().all(|b| b.is_ascii_digit());
        word.filter(is_number).and_then(|word| word.parse().ok())
    };
    let Some(first) = two_digits(words.next()) else {
        return Vec::new();
    };
    let between = words.next();
    match (between, two_digits(words.next())) {
        (Some("to"), Some(last)) => (first..=last).collect(),
        (Some("and"), Some(second)) => vec![first, second],
        _ => vec![first],
    }
}

/// The names of the functions that carry `#[test]`.
fn tests(source: &str) -> impl Iterator<Item = &str> {
    let mut is_test = false;
    source.lines().filter_map(move |line| {
        let line = line.trim();
        if line.starts_with("#[") {
            is_test |= line == "#[test]";
            return None;
        }
        let name = line
            .strip_prefix("fn ")
            .and_then(|rest| rest.split('(').next());
        std::mem::take(&mut is_test).then_some(name).flatten()
    })
}

/// What is wrong between a table and the tests.
fn compare(prefix: &str, table: &str, names: &[&str]) -> Vec<String> {
    let rows = rows(table);
    let mut wrong = Vec::new();
    let in_order: Vec<usize> = (1..=rows.len()).collect();
    if rows != in_order {
        wrong.push(format!("{prefix}: the rows are numbered {rows:?}"));
    }
    let mut tested = BTreeSet::new();
    for name in names {
        for number in numbers(name, prefix) {
            if !rows.contains(&number) {
                wrong.push(format!("{name}: there is no row {number}"));
            }
            tested.insert(number);
        }
    }
    let untested = rows.iter().filter(|number| !tested.contains(number));
    wrong.extend(untested.map(|number| format!("{prefix}: row {number} has no test")));
    wrong
}

#[test]
fn each_row_has_a_test_and_each_numbered_test_a_row() {
    let sources: Vec<String> = rust_files().iter().map(|path| read(path)).collect();
    let names: Vec<&str> = sources.iter().flat_map(|source| tests(source)).collect();
    let tables = root().join("tests/cases");
    let found = files(&tables, &["md"]).len();
    assert_eq!(found, TABLES.len(), "each table has its prefix");
    let wrong: Vec<String> = TABLES
        .iter()
        .flat_map(|(prefix, table)| compare(prefix, &read(&tables.join(table)), &names))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// README's table says how many rows and targets there are.
#[test]
fn readme_says_how_many_there_are() {
    let readme = read(&root().join("README.md"));
    let count =
        |(_, file): &(&str, &str)| rows(&read(&root().join("tests/cases").join(file))).len();
    let rows: usize = TABLES.iter().map(count).sum();
    assert!(readme.contains(&format!("| {rows} rows")), "{rows} rows");
    let targets = files(&root().join("tests/fuzz/targets"), &["rs"]).len();
    assert!(
        readme.contains(&format!("| {targets} targets |")),
        "{targets} targets"
    );
}

#[test]
fn a_row_without_a_test_and_a_test_without_a_row_are_caught() {
    let table = "# Title\n\n1. One.\n2. Two.\n|3|three|3. no row|\n";
    let names = ["http_01_a", "http_02_and_03_b"];
    assert_eq!(compare("http", table, &names), Vec::<String>::new());
    assert_eq!(
        compare("http", table, &["http_01_to_03_c"]),
        Vec::<String>::new()
    );
    assert_eq!(
        compare("http", table, &["http_01_a", "ws_02_b", "http_03_c"]),
        ["http: row 2 has no test"]
    );
    let beyond = ["http_01_to_03_a", "http_04_b"];
    assert_eq!(
        compare("http", table, &beyond),
        ["http_04_b: there is no row 4"]
    );
    let gap = compare("http", "1. One.\n3. Three.\n", &["http_01_and_03_a"]);
    assert_eq!(gap, ["http: the rows are numbered [1, 3]"]);
    let source =
        "#[test]\nfn http_01_a() {}\nfn http_02_helper() {}\n#[test]\n#[cfg(unix)]\nfn b() {}\n";
    assert_eq!(tests(source).collect::<Vec<_>>(), ["http_01_a", "b"]);
}
