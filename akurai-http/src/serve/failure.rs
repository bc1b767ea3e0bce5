//! Failures of the application. Each is one line on stderr, since the client learns nothing of it.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};

/// Prints what went wrong while `request`, its method and path, was answered.
pub(crate) fn tell(request: fmt::Arguments<'_>, failure: &dyn fmt::Display) {
    // One write, so that no other thread's line comes in between.
    let _ = io::stderr().write_all(line(request, failure).as_bytes());
}

fn line(request: fmt::Arguments<'_>, failure: &dyn fmt::Display) -> String {
    let mut line = format!("akurai-http: {request}: ");
    // The text may hold bytes from a client. They must not forge a second line.
    for character in failure.to_string().chars() {
        let _ = match character.is_control() {
            true => write!(line, "{}", character.escape_default()),
            false => line.write_char(character),
        };
    }
    line.push('\n');
    line
}

/// Whether an error says that the client left, or takes nothing, or that the server stops. Such an
/// error is no failure of the application.
pub(crate) fn is_disconnect(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(
        error.kind(),
        BrokenPipe
            | ConnectionReset
            | ConnectionAborted
            | NotConnected
            | WriteZero
            | TimedOut
            | WouldBlock
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line() {
        let told = |failure: &str| line(format_args!("GET /a"), &failure);
        assert_eq!(told("no such file"), "akurai-http: GET /a: no such file\n");
        let forged = told("ü\r\nakurai-http: GET /b: \u{1b}[1m\u{85}");
        assert_eq!(
            forged,
            "akurai-http: GET /a: ü\\r\\nakurai-http: GET /b: \\u{1b}[1m\\u{85}\n"
        );
    }
}
