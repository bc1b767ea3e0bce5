//! JSON (RFC 8259), as far as this example needs it. A program that has a JSON crate uses that.

use std::fmt::{self, Write};
use std::str::Chars;

/// Deeper values are refused, so that a peer cannot exhaust the stack.
const MAX_DEPTH: usize = 32;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    /// A number, `true`, `false` or `null`, as it came: an id must go back as the same text.
    Plain(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// `None` if the text is no JSON.
    pub(crate) fn parse(text: &str) -> Option<Json> {
        let mut reader = Reader { rest: text };
        let value = reader.value(0)?;
        reader.rest.is_empty().then_some(value)
    }

    /// The member of an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Json> {
        let Json::Object(members) = self else {
            return None;
        };
        let member = members.iter().find(|(key, _)| key == name);
        member.map(|(_, value)| value)
    }

    /// The text of a member of an object; empty if there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        match self.get(name) {
            Some(Json::Text(text)) => text,
            _ => "",
        }
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Json {
        Json::Text(text.to_owned())
    }
}

/// What is still to be read. White space before it has been skipped.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Option<Json> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.skip_space();
        let value = match self.rest.chars().next()? {
            '"' => Json::Text(self.string()?),
            '[' => Json::List(self.list(']', |reader| reader.value(depth + 1))?),
            '{' => Json::Object(self.list('}', |reader| {
                let name = reader.string()?;
                reader.skip_space();
                reader.take(":")?;
                Some((name, reader.value(depth + 1)?))
            })?),
            _ => Json::Plain(self.plain()?),
        };
        self.skip_space();
        Some(value)
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn take(&mut self, token: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(token)?;
        Some(())
    }

    fn list<T>(&mut self, end: char, item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut items = Vec::new();
        self.rest = &self.rest[1..];
        self.skip_space();
        while !self.rest.starts_with(end) {
            if !items.is_empty() {
                self.take(",")?;
                self.skip_space();
            }
            items.push(item(self)?);
        }
        self.rest = &self.rest[1..];
        Some(items)
    }

    fn plain(&mut self) -> Option<String> {
        let begin = self.rest;
        if !["true", "false", "null"]
            .iter()
            .any(|word| self.take(word).is_some())
        {
            let _ = self.take("-");
            let whole = self.digits()?;
            if whole.len() > 1 && whole.starts_with('0') {
                return None;
            }
            if self.take(".").is_some() {
                self.digits()?;
            }
            if self.take("e").is_some() || self.take("E").is_some() {
                let _ = self.take("+").or_else(|| self.take("-"));
                self.digits()?;
            }
        }
        Some(begin[..begin.len() - self.rest.len()].to_owned())
    }

    fn digits(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = &self.rest[..self.rest.len() - rest.len()];
        self.rest = rest;
        (!digits.is_empty()).then_some(digits)
    }

    fn string(&mut self) -> Option<String> {
        self.take("\"")?;
        let mut text = String::new();
        let mut chars = self.rest.chars();
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => text.push(match chars.next()? {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'u' => escaped(&mut chars)?,
                    c @ ('"' | '\\' | '/') => c,
                    _ => return None,
                }),
                c if c < ' ' => return None,
                c => text.push(c),
            }
        }
        self.rest = chars.as_str();
        Some(text)
    }
}

/// The character behind `\u`: one UTF-16 unit, or two.
fn escaped(chars: &mut Chars) -> Option<char> {
    let first = unit(chars)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first.into());
    }
    if (chars.next()?, chars.next()?) != ('\\', 'u') {
        return None;
    }
    char::decode_utf16([first, unit(chars)?]).next()?.ok()
}

fn unit(chars: &mut Chars) -> Option<u16> {
    let digit = |unit, digit: char| Some(unit * 16 + digit.to_digit(16)? as u16);
    (0..4).try_fold(0, |unit, _| digit(unit, chars.next()?))
}

/// On one line, as the data of an event must be if each event is one message.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Plain(text) => f.write_str(text),
            Json::Text(text) => write_text(text, f),
            Json::List(items) => {
                f.write_char('[')?;
                for (n, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if n == 0 { "" } else { "," })?;
                }
                f.write_char(']')
            }
            Json::Object(members) => {
                f.write_char('{')?;
                for (n, (name, value)) in members.iter().enumerate() {
                    f.write_str(if n == 0 { "" } else { "," })?;
                    write_text(name, f)?;
                    write!(f, ":{value}")?;
                }
                f.write_char('}')
            }
        }
    }
}

fn write_text(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            c if c < ' ' => write!(f, "\\u{:04x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8259_what_is_read_is_written() {
        let long = r#"{"a":[1,-0.5e+3,true,null],"b":{"":"\"\\\u000a é"},"c":[],"d":{}}"#;
        let spaced = long.replace(',', " ,\n\t").replace(':', " : ");
        assert_eq!(Json::parse(&spaced).expect("JSON").to_string(), long);
        let escapes = Json::parse(r#""\/\b\f\n\r\t\u00e9\ud83d\ude00""#);
        assert_eq!(escapes, Some(Json::from("/\u{8}\u{c}\n\r\té😀")));
    }

    #[test]
    fn rfc8259_what_is_no_json_is_refused() {
        for text in [
            "",
            " ",
            "[1,]",
            "{,}",
            "{\"a\":}",
            "{a:1}",
            "[1 2]",
            "01",
            "1.",
            ".5",
            "-",
            "1e",
            "+1",
            "tru",
            "nul l",
            "\"",
            "\"\n\"",
            r#""\x""#,
            r#""\ud83d""#,
            r#""\ude00""#,
            r#""\u12g4""#,
            "1 1",
        ] {
            assert_eq!(Json::parse(text), None, "{text}");
        }
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Json::parse(&nested(MAX_DEPTH)).is_some());
        assert_eq!(Json::parse(&nested(100_000)), None);
    }
}
