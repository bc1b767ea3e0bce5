//! The demo's chat room: clients speak by WebSocket, and can also follow it by event stream.

use akurai_http::{Reply, Request};
use akurai_server::Hub;
use akurai_ws::{Error, Message, WsConn, WsOptions};

use super::now_ms;

/// The topic of the messages.
pub(crate) const CHAT: &str = "chat";

/// The topic of the number of people in the room, a gauge.
pub(crate) const PEOPLE: &str = "people";

/// Longest text of one message, in characters.
const TEXT_CHARS: usize = 500;

/// Longest name, in characters.
const NAME_CHARS: usize = 30;

/// Longest WebSocket message, in bytes: longer than a valid one, so that the server can answer
/// which part of it is too long.
const MESSAGE_BYTES: usize = 16 * 1024;

/// `/api/chat?name=…`: the room sends each text message to all, under that name. Pages of other
/// origins are refused.
pub(crate) fn room(req: &Request, hub: &Hub) -> Reply {
    let name = req
        .query_pairs()
        .get("name")
        .unwrap_or("")
        .trim()
        .to_owned();
    let hub = hub.clone();
    WsOptions::new()
        .max_message_bytes(MESSAGE_BYTES)
        .upgrade(req, move |conn| talk(conn, &hub, &name))
}

fn talk(mut conn: WsConn, hub: &Hub, name: &str) -> Result<(), Error> {
    if let Err(why) = check_name(name) {
        conn.send_text(&refusal(why))?;
        // 1008: the connection breaks a rule of this endpoint (RFC 6455 §7.4.1).
        return conn.close(1008, why);
    }
    // Messages of the room arrive from other threads until this is dropped.
    let _membership = hub.join(CHAT, conn.sender());
    while let Some(message) = conn.recv()? {
        let said = match message {
            Message::Text(text) => say(hub, name, &text),
            Message::Binary(_) => Err("a message is text"),
            _ => Ok(()),
        };
        if let Err(why) = said {
            conn.send_text(&refusal(why))?;
        }
    }
    Ok(())
}

fn say(hub: &Hub, name: &str, text: &str) -> Result<(), &'static str> {
    check_text(text)?;
    let json = format!(
        "{{\"at\":{},\"name\":{},\"text\":{}}}",
        now_ms(),
        json_string(name),
        json_string(text)
    );
    match hub.publish(CHAT, "chat", &json) {
        Ok(_) => Ok(()),
        Err(_) => Err("the room cannot be reached now"),
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    match name.chars().count() {
        0 => Err("a name is missing: /api/chat?name=…"),
        1..=NAME_CHARS if name.contains(char::is_control) => {
            Err("a name has no control characters")
        }
        1..=NAME_CHARS => Ok(()),
        _ => Err("a name has 30 characters at most"),
    }
}

fn check_text(text: &str) -> Result<(), &'static str> {
    if text.trim().is_empty() {
        return Err("a message is not empty");
    }
    match text.chars().count() <= TEXT_CHARS {
        true => Ok(()),
        false => Err("a message has 500 characters at most"),
    }
}

/// A message for one client only.
fn refusal(why: &str) -> String {
    format!("{{\"error\":{}}}", json_string(why))
}

// string    = quotation-mark *char quotation-mark
// unescaped = %x20-21 / %x23-5B / %x5D-10FFFF

/// `text` as a JSON string, with its quotation marks (RFC 8259 §7).
fn json_string(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\0'..='\x1f' => json.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => json.push(c),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8259_7_strings() {
        for (text, json) in [
            ("", r#""""#),
            ("hi", r#""hi""#),
            (r#"say "hi" \o/"#, r#""say \"hi\" \\o/""#),
            (
                "a\nb\r\t\0\x1f\x7f",
                "\"a\\nb\\u000d\\u0009\\u0000\\u001f\x7f\"",
            ),
            ("<b>ü 👋🏽\u{2028}</b>", "\"<b>ü 👋🏽\u{2028}</b>\""),
        ] {
            assert_eq!(json_string(text), json);
        }
        // A message is one line, so that an event stream carries it in one field.
        assert!(!json_string("\r\n").contains(['\r', '\n']));
    }

    #[test]
    fn names_and_texts_are_bounded() {
        for (name, valid) in [
            ("A", true),
            (&*"ü".repeat(30), true),
            (&*"ü".repeat(31), false),
            ("", false),
            ("a\nb", false),
        ] {
            assert_eq!(check_name(name).is_ok(), valid, "{name:?}");
        }
        for (text, valid) in [
            ("a\nb", true),
            (&*"🦀".repeat(500), true),
            (&*"a".repeat(501), false),
            ("", false),
            (" \n", false),
        ] {
            assert_eq!(check_text(text).is_ok(), valid, "{text:?}");
        }
    }
}
