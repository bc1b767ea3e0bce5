//! What the server understood of a request, as JSON. Bytes are characters of Latin-1 there.

use std::fmt::Write;
use std::io;

use akurai_http::{Request, Response};

pub(crate) fn described(request: &Request) -> io::Result<Response> {
    let body = request.body()?;
    let mut target = request.path().to_owned();
    if let Some(query) = request.query() {
        target.push('?');
        target.push_str(query);
    }
    let mut fields = Vec::new();
    for (name, value) in request.headers().iter() {
        fields.push(format!("[{},{}]", quoted(name.as_bytes()), quoted(value)));
    }
    let json = format!(
        r#"{{"method":{},"target":{},"fields":[{}],"body":{}}}"#,
        quoted(request.method().as_str().as_bytes()),
        quoted(target.as_bytes()),
        fields.join(","),
        quoted(&body),
    );
    Ok(Response::json(json).with_header("X-Understood", "yes"))
}

fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for &byte in bytes {
        match byte {
            b' '..=b'~' if byte != b'"' && byte != b'\\' => text.push(char::from(byte)),
            _ => write!(text, "\\u{byte:04x}").expect("a String takes everything"),
        }
    }
    text.push('"');
    text
}
