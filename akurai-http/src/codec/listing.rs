//! A directory as a page of HTML.

use std::fmt::Write;

use crate::codec::date::iso_minutes;
use crate::codec::path::{is_unreserved, percent_encode};

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) kind: EntryKind,
    /// In seconds since 1970.
    pub(crate) modified: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    Directory,
    /// A file of this many bytes.
    File(u64),
}

const STYLE: &str = "\
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}\
body{max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.25rem;overflow-wrap:anywhere}\
table{border-collapse:collapse;width:100%}\
th,td{padding:.3rem 0;text-align:left;vertical-align:baseline;border-bottom:1px solid #8883}\
th{font-weight:600;font-size:.875rem}\
td:first-child{overflow-wrap:anywhere}\
.n{padding-left:1.5rem;text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\
td.n{opacity:.7}\
a{display:block;white-space:pre-wrap;text-decoration:none}\
a:hover,a:focus-visible{text-decoration:underline}\
.f{font-weight:600}\
@media(max-width:36rem){.d{display:none}td{padding:.6rem 0}}";

/// The page for a directory whose decoded path is `path`. `is_whole` is false if the directory has
/// more entries than these. `parent` says whether there is a directory to go up to.
pub(crate) fn page(path: &str, mut entries: Vec<Entry>, is_whole: bool, parent: bool) -> String {
    entries.sort_unstable_by(|a, b| {
        let is_file = |entry: &Entry| entry.kind != EntryKind::Directory;
        (is_file(a), &a.name).cmp(&(is_file(b), &b.name))
    });
    let title = escape(path);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<link rel=\"icon\" href=\"data:,\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <h1>{title}</h1>\n<table>\n<tr><th>Name<th class=\"n\">Bytes<th class=\"n d\">Modified (UTC)\n"
    );
    if parent {
        page.push_str(
            "<tr><td><a class=\"f\" href=\"../\">../</a><td class=\"n\"><td class=\"n d\">\n",
        );
    }
    if entries.is_empty() {
        page.push_str("<tr><td>Nothing here<td class=\"n\"><td class=\"n d\">\n");
    }
    for entry in &entries {
        append_row(entry, &mut page);
    }
    page.push_str("</table>\n");
    if !is_whole {
        page.push_str("<p>There are more, which are not shown.</p>\n");
    }
    page
}

fn append_row(entry: &Entry, page: &mut String) {
    let (class, slash, bytes) = match entry.kind {
        EntryKind::Directory => (" class=\"f\"", "/", String::new()),
        EntryKind::File(bytes) => ("", "", grouped(bytes)),
    };
    let modified = entry.modified.map(iso_minutes).unwrap_or_default();
    let href = percent_encode(&entry.name, is_unreserved);
    let name = escape(&entry.name);
    let _ = writeln!(
        page,
        "<tr><td><a{class} href=\"{href}{slash}\">{name}{slash}</a><td class=\"n\">{bytes}<td class=\"n d\">{modified}"
    );
}

/// `5,242,880`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Escapes text for an element or a quoted attribute. U+FFFD replaces characters that change the
/// direction of the text after them: they would show `gnp.exe` as `exe.png`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_nothing_is_said() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(grouped(number), text);
        }
        assert!(page("/", Vec::new(), true, false).contains("<td>Nothing here<"));
    }

    #[test]
    fn directories_first_then_by_name_and_nothing_is_markup() {
        let file = |name: &str, bytes| Entry {
            name: name.to_owned(),
            kind: EntryKind::File(bytes),
            modified: Some(784_111_777),
        };
        let directory = Entry {
            name: "z".to_owned(),
            kind: EntryKind::Directory,
            modified: None,
        };
        let page = page(
            "/<b>/",
            vec![
                file("b", 1_234_567),
                file("a&\"'<x> %é\u{202e}", 5),
                directory,
            ],
            false,
            true,
        );
        let rows: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("<tr><td>"))
            .collect();
        assert_eq!(
            rows,
            [
                "<tr><td><a class=\"f\" href=\"../\">../</a><td class=\"n\"><td class=\"n d\">",
                "<tr><td><a class=\"f\" href=\"z/\">z/</a><td class=\"n\"><td class=\"n d\">",
                "<tr><td><a href=\"a%26%22%27%3Cx%3E%20%25%C3%A9%E2%80%AE\">a&amp;&quot;&#39;&lt;x&gt; %é\u{fffd}</a>\
                 <td class=\"n\">5<td class=\"n d\">1994-11-06 08:49",
                "<tr><td><a href=\"b\">b</a><td class=\"n\">1,234,567<td class=\"n d\">1994-11-06 08:49",
            ]
        );
        assert!(
            page.contains("<title>/&lt;b&gt;/</title>") && page.contains("<h1>/&lt;b&gt;/</h1>")
        );
        assert!(page.ends_with("</table>\n<p>There are more, which are not shown.</p>\n"));
    }
}
