//! What a request's path matched: the pattern of a route, and the values of its parameters.

use std::any::type_name;
use std::error::Error;
use std::fmt;
use std::io;
use std::str::FromStr;

/// The pattern, and the parameters' names and values, in one text. The next request reuses its
/// memory.
#[derive(Debug, Default, Clone)]
pub(crate) struct Params {
    /// The values, percent-decoded, one after the other. The names follow, and then the pattern,
    /// once they are known.
    text: String,
    /// Where each value and each name ends in `text`.
    ends: Vec<usize>,
    /// How many bytes at the end of the path `{*name}` matched, before they were decoded.
    pub(crate) rest_bytes: usize,
    /// The path ends at a prefix, without the slash after it.
    pub(crate) lacks_slash: bool,
    matched: Matched,
}

/// What of a route matched.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Matched {
    #[default]
    Nothing,
    /// The path. No route there has the method.
    Path,
    Route,
}

impl Params {
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    /// Removes the last one.
    pub(crate) fn pop(&mut self) {
        self.ends.pop();
        self.text.truncate(self.ends.last().map_or(0, |&end| end));
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.rest_bytes = 0;
        self.lacks_slash = false;
        self.matched = Matched::Nothing;
    }

    /// Ends the search: the values have these names, and the route has this pattern.
    pub(crate) fn finish(&mut self, names: &[String], pattern: &str) {
        debug_assert_eq!(names.len(), self.ends.len());
        names.iter().for_each(|name| self.push(name));
        self.text.push_str(pattern);
        self.matched = Matched::Route;
    }

    /// Ends the search: this pattern has the path, but not the method.
    pub(crate) fn finish_without_route(&mut self, pattern: &str) {
        self.clear();
        self.text.push_str(pattern);
        self.matched = Matched::Path;
    }

    /// Whether a route matched, its method too.
    pub(crate) fn has_route(&self) -> bool {
        self.matched == Matched::Route
    }

    /// Whether a pattern matched the path.
    pub(crate) fn is_match(&self) -> bool {
        self.matched != Matched::Nothing
    }

    /// The pattern, once the search has ended.
    pub(crate) fn pattern(&self) -> &str {
        &self.text[self.ends.last().map_or(0, |&end| end)..]
    }

    /// The value of this name, parsed.
    pub(crate) fn parse<T: FromStr>(&self, name: &str) -> io::Result<T> {
        let unknown = || {
            let text = format!("pattern {:?} has no parameter {name:?}", self.pattern());
            io::Error::new(io::ErrorKind::InvalidInput, text)
        };
        let value = self.value(name).ok_or_else(unknown)?;
        let error = ParamError {
            name: name.to_owned(),
            expected: type_name::<T>(),
        };
        value
            .parse()
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// The value of this name, if there are as many names as values.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let count = self.ends.len() / 2;
        let found = (0..count).find(|index| self.part(count + index) == name)?;
        Some(self.part(found))
    }

    fn part(&self, index: usize) -> &str {
        let start = match index {
            0 => 0,
            index => self.ends[index - 1],
        };
        &self.text[start..self.ends[index]]
    }
}

/// A parameter's value is not what the handler takes: nothing has this path.
#[derive(Debug)]
pub(crate) struct ParamError {
    name: String,
    expected: &'static str,
}

impl ParamError {
    pub(crate) fn is_within(error: &io::Error) -> bool {
        error
            .get_ref()
            .is_some_and(|inner| inner.is::<ParamError>())
    }
}

impl fmt::Display for ParamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "parameter {:?} is no {}", self.name, self.expected)
    }
}

impl Error for ParamError {}
