//! Prometheus' text exposition format, version 0.0.4.

use std::fmt::{Display, Write};

use super::counts::Row;
use super::{BOUNDS, Histogram};

/// The text of an answer.
#[derive(Default)]
pub(super) struct Text(pub(super) String);

type Labels<'a> = [(&'a str, &'a str)];

impl Text {
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub(super) fn sample(&mut self, name: &str, labels: &Labels<'_>, value: impl Display) {
        self.0.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            let begin = if place == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{begin}{label}=\"{}\"", escaped(text));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }

    /// A family for each row, with a sample for each of the values.
    pub(super) fn rows<T>(&mut self, rows: &[Row<T>], values: &[(Vec<(&str, &str)>, &T)]) {
        for (name, kind, help, value) in rows.iter().filter(|_| !values.is_empty()) {
            self.family(name, kind, help);
            for (labels, of) in values {
                self.sample(name, labels, value(of));
            }
        }
    }

    pub(super) fn histogram(&mut self, name: &str, labels: &Labels<'_>, histogram: &Histogram) {
        let (bucket, mut labelled) = (format!("{name}_bucket"), labels.to_vec());
        let bounds = BOUNDS.iter().map(|(_, bound)| *bound).chain(["+Inf"]);
        let mut count = 0;
        for (bound, more) in bounds.zip(histogram.counts) {
            count += more;
            labelled.push(("le", bound));
            self.sample(&bucket, &labelled, count);
            labelled.pop();
        }
        let (seconds, nanos) = (histogram.sum.as_secs(), histogram.sum.subsec_nanos());
        // Uses integers: code that writes a float adds 10 KiB to a program.
        self.sample(
            &format!("{name}_sum"),
            labels,
            format_args!("{seconds}.{nanos:09}"),
        );
        self.sample(&format!("{name}_count"), labels, count);
    }
}

/// A label's value, as the format quotes it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_quoted() {
        assert_eq!(escaped("a\\b\"c\nd"), r#"a\\b\"c\nd"#);
        let mut text = Text::default();
        text.sample("n", &[("a", "\""), ("b", "")], 1);
        assert_eq!(text.0, "n{a=\"\\\"\",b=\"\"} 1\n");
    }
}
