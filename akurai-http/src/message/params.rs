//! The parts of a path that the parameters of a route's pattern matched.

/// The parameters' names and values, in one text. The next request's parameters reuse its memory.
#[derive(Debug, Default)]
pub(crate) struct Params {
    /// The values, percent-decoded, one after the other. The names follow, once they are known.
    text: String,
    /// Where each value and each name ends in `text`.
    ends: Vec<usize>,
    /// How many bytes at the end of the path `{*name}` matched, before they were decoded.
    pub(crate) rest_bytes: usize,
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
