//! Links in Markdown: each leads to a file of this repository, or to a heading of it. Pages of the
//! guide are read as files too, so their links to each other are links between files.

use std::path::Path;

use super::{files, read, root};

/// The lines outside fenced code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Where the links of a text lead: of `[text](target)`, `[label]: target`, and HTML's `href`, `src`
/// and `srcset`.
fn targets(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for line in prose(text) {
        for (start, end) in [
            ("](", ')'),
            ("href=\"", '"'),
            ("src=\"", '"'),
            ("srcset=\"", '"'),
        ] {
            let ends = line.split(start).skip(1);
            found.extend(ends.filter_map(|rest| Some(rest.split_once(end)?.0)));
        }
        let definition = line
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]: "));
        found.extend(definition.map(|(_, target)| target.trim()));
    }
    found
}

/// A heading as an anchor, as forges make it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c => c.is_alphanumeric().then(|| c.to_ascii_lowercase()),
    });
    kept.collect()
}

fn has_heading(text: &str, wanted: &str) -> bool {
    let headings = prose(text).filter_map(|line| line.strip_prefix('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .any(|found| found == wanted)
}

/// The links of a text that lead nowhere. `linked` gives the text of a linked file, empty for a
/// directory.
fn dead(text: &str, linked: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let leads_somewhere = |target: &&str| {
        // Another host; or an item, which only rustdoc links.
        if target.contains("://") || target.contains("::") {
            return true;
        }
        let (path, heading) = target.split_once('#').unwrap_or((target, ""));
        let found = match path {
            "" => Some(text.to_owned()),
            path => linked(path),
        };
        found.is_some_and(|found| heading.is_empty() || has_heading(&found, heading))
    };
    let all = targets(text).into_iter();
    all.filter(|target| !leads_somewhere(target))
        .map(str::to_owned)
        .collect()
}

fn linked_from(file: &Path) -> impl Fn(&str) -> Option<String> {
    let beside = file
        .parent()
        .expect("a file lies in a directory")
        .to_owned();
    move |path| {
        let path = beside.join(path);
        path.exists()
            .then(|| std::fs::read_to_string(&path).unwrap_or_default())
    }
}

#[test]
fn links_lead_to_files_and_headings() {
    let mut all = files(root(), &["md"]);
    all.extend(files(&root().join(".github"), &["md"]));
    assert!(all.len() > 30, "the walk is broken");
    let mut wrong = Vec::new();
    for file in &all {
        for target in dead(&read(file), linked_from(file)) {
            wrong.push(format!("{}: {target}", file.display()));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Every page of the guide is a module, and its links to other pages work in rustdoc and as files.
#[test]
fn pages_of_the_guide_link_to_files() {
    let guide = read(&root().join("akurai-server/src/guide.rs"));
    let pages = files(&root().join("akurai-server/docs"), &["md"]);
    assert!(pages.len() >= 10, "the walk is broken");
    for page in pages {
        let name = page.file_stem().expect("it has a name").to_string_lossy();
        assert!(guide.contains(&format!("pub mod {name} {{}}")), "{name}");
        assert!(
            guide.contains(&format!("[`{name}`]: crate::guide::{name}\n")),
            "{name}"
        );
        let text = read(&page);
        assert!(
            !text.contains("crate::guide::"),
            "{name}: only rustdoc follows such a link"
        );
        // A link to a page is a definition, since rustdoc has another one for the same label.
        let inline = |line: &str| line.contains("](") && line.contains(".md)");
        assert!(
            !prose(&text).any(inline),
            "{name}: rustdoc has no such file"
        );
        for other in targets(&text)
            .iter()
            .filter_map(|to| to.strip_suffix(".md"))
        {
            let label = format!("\n[`{other}`]: {other}.md\n");
            assert!(
                text.contains(&label),
                "{name}: rustdoc has no such file: {other}.md"
            );
        }
    }
}

#[test]
fn a_dead_link_is_caught() {
    let linked = |path: &str| (path == "a.md").then(|| "# One, *two*\n".to_owned());
    for fine in [
        "[a](a.md) [b](https://example.org/x.md) [c](a.md#one-two)",
        "[`Hub`](crate::Hub)",
        "[here](#my-part)\n# My part",
        "```\n[x](gone.md)\n```",
        "[a]: a.md",
        "<img src=\"a.md\">",
    ] {
        assert_eq!(dead(fine, linked), Vec::<String>::new(), "{fine}");
    }
    for wrong in [
        "[a](a.md) [b](gone.md)",
        "[a](a.md#three)",
        "[here](#elsewhere)",
        "[a]: gone.md",
        "<source srcset=\"gone.png\">",
    ] {
        assert_eq!(dead(wrong, linked).len(), 1, "{wrong}");
    }
}
