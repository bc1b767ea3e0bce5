//! Rust source as far as the house rules need it: code, comments and literals.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// `text` with every comment blanked; lines keep their numbers.
pub(super) fn without_comments(text: &str) -> String {
    blank(text, |kind| kind == Kind::Comment)
}

/// `text` with comments and the insides of string and character literals blanked; lines keep their
/// numbers.
pub(super) fn code_alone(text: &str) -> String {
    blank(text, |kind| kind != Kind::Code)
}

/// A token and its line.
pub(super) type Token<'a> = (usize, &'a str);

/// The identifiers and punctuation of `code`, each with its line; `::` is one of them.
pub(super) fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let len = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            tokens.push((number + 1, &rest[..len]));
            rest = rest[len..].trim_start();
        }
    }
    tokens
}

/// `code` with every item after `#[cfg(test)]` blanked; lines keep their numbers.
pub(super) fn without_tests(code: &str) -> String {
    const ATTRIBUTE: &str = "#[cfg(test)]";
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(ATTRIBUTE) {
        kept.push_str(&rest[..at]);
        let item = &rest[at..];
        let len = item_bytes(&item[ATTRIBUTE.len()..]) + ATTRIBUTE.len();
        kept.extend(item[..len].chars().map(|c| if c == '\n' { c } else { ' ' }));
        rest = &item[len..];
    }
    kept.push_str(rest);
    kept
}

/// The length of the item, field or statement at the start of `code`: up to its brace, or to its
/// separator.
fn item_bytes(code: &str) -> usize {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            // The end of the enclosing item.
            '}' | ')' | ']' if depth == 0 => return at,
            '}' | ')' | ']' => {
                depth -= 1;
                if depth == 0 && c == '}' {
                    return at + 1;
                }
            }
            ';' | ',' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn blank(text: &str, hide: impl Fn(Kind) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    let mut previous = ' ';
    while !rest.is_empty() {
        let (kind, len) = piece(rest, previous);
        for c in rest[..len].chars() {
            shown.push(if hide(kind) && c != '\n' { ' ' } else { c });
            previous = c;
        }
        rest = &rest[len..];
    }
    shown
}

/// The kind and length in bytes of the piece at the start of `rest`. `previous` is the character
/// before it: within a word, `r"` begins no raw string.
fn piece(rest: &str, previous: char) -> (Kind, usize) {
    let until = |end: &str, from: usize| {
        rest[from..]
            .find(end)
            .map_or(rest.len(), |at| from + at + end.len())
    };
    if rest.starts_with("//") {
        return (Kind::Comment, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Kind::Comment, block_comment(rest));
    }
    if !is_word(previous) {
        if let Some((hashes, opening)) = raw_string(rest) {
            return (Kind::Literal, until(&format!("\"{hashes}"), opening));
        }
    }
    if rest.starts_with('"') {
        return (Kind::Literal, escaped(rest, '"'));
    }
    if rest.starts_with('\'') {
        let mut after = rest.chars().skip(1);
        let is_literal = after.next() == Some('\\') || after.next() == Some('\'');
        if is_literal {
            return (Kind::Literal, escaped(rest, '\''));
        }
    }
    (Kind::Code, rest.chars().next().map_or(0, char::len_utf8))
}

/// The length of a literal that begins and ends with `quote`.
fn escaped(rest: &str, quote: char) -> usize {
    let mut after_backslash = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if after_backslash => after_backslash = false,
            '\\' => after_backslash = true,
            _ if c == quote => return at + quote.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

/// The hashes and the length of a raw string's opening.
fn raw_string(rest: &str) -> Option<(&str, usize)> {
    let after = ["br", "cr", "r"]
        .iter()
        .find_map(|prefix| rest.strip_prefix(prefix))?;
    let hashes = &after[..after.len() - after.trim_start_matches('#').len()];
    let inside = after[hashes.len()..].strip_prefix('"')?;
    Some((hashes, rest.len() - inside.len()))
}

/// The length of a block comment, which may contain others.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let here = &rest[at..];
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

#[test]
fn comments_and_literals_are_told_from_code() {
    for (text, without_comments_, code) in [
        ("a // b\nc", "a     \nc", "a     \nc"),
        (
            "a /* b /* c */ d */ e",
            "a                   e",
            "a                   e",
        ),
        ("a \"// b\" c", "a \"// b\" c", "a        c"),
        (r#"a "\"b" c"#, r#"a "\"b" c"#, "a       c"),
        (r##"a r#"b"c"# d"##, r##"a r#"b"c"# d"##, "a          d"),
        ("a b\"c\" d", "a b\"c\" d", "a b    d"),
        (
            "'\"' a '\\'' b '\\\\'",
            "'\"' a '\\'' b '\\\\'",
            "    a      b     ",
        ),
        ("&'a str // b", "&'a str     ", "&'a str     "),
        ("for\"a\"", "for\"a\"", "for   "),
        ("r#fn // a", "r#fn     ", "r#fn     "),
    ] {
        assert_eq!(without_comments(text), without_comments_, "{text}");
        assert_eq!(code_alone(text), code, "{text}");
    }
    assert_eq!(
        tokens("use a::b_1;\n x"),
        [
            (1, "use"),
            (1, "a"),
            (1, "::"),
            (1, "b_1"),
            (1, ";"),
            (2, "x")
        ]
    );
}
