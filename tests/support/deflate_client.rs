//! The client's side of a WebSocket connection with permessage-deflate (RFC 7692).

use std::net::SocketAddr;

use crate::deflate::Inflater;
use crate::{Answer, Client, Frame, Opcode, WsClient, handshake};

/// A valid opening handshake for this path with these offered extensions.
pub fn offering(path: &str, extensions: &str) -> String {
    let line = format!("Sec-WebSocket-Extensions: {extensions}\r\nHost:");
    handshake(path).replacen("Host:", &line, 1)
}

/// The parameters that the server agreed to (RFC 7692 §7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// The server compresses each message by itself.
    pub server_no_context_takeover: bool,
    /// The client compresses each message by itself.
    pub client_no_context_takeover: bool,
    /// The server's window, in bits.
    pub server_max_window_bits: Option<u32>,
    /// The client's window, in bits.
    pub client_max_window_bits: Option<u32>,
}

impl Agreement {
    /// Reads the server's `Sec-WebSocket-Extensions`, and fails unless it is exactly one response
    /// for permessage-deflate, in which every parameter is known, valid and occurs once.
    #[track_caller]
    pub fn parse(response: &str) -> Agreement {
        let mut parts = response.split(';').map(str::trim);
        assert_eq!(parts.next(), Some("permessage-deflate"), "{response:?}");
        let mut agreement = Agreement {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: None,
            client_max_window_bits: None,
        };
        let mut seen = Vec::new();
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (part, None),
            };
            assert!(!seen.contains(&name), "{name} twice: {response:?}");
            seen.push(name);
            let bits = value.map(|value| window_bits(value, response));
            match (name, bits) {
                ("server_no_context_takeover", None) => agreement.server_no_context_takeover = true,
                ("client_no_context_takeover", None) => agreement.client_no_context_takeover = true,
                ("server_max_window_bits", Some(bits)) => {
                    agreement.server_max_window_bits = Some(bits);
                }
                ("client_max_window_bits", Some(bits)) => {
                    agreement.client_max_window_bits = Some(bits);
                }
                _ => panic!("{part:?} in {response:?}"),
            }
        }
        agreement
    }
}

/// `8` to `15`, without a leading zero.
#[track_caller]
fn window_bits(value: &str, response: &str) -> u32 {
    let bits = value.parse().unwrap_or(0);
    let is_valid = (8..=15).contains(&bits) && value == bits.to_string();
    assert!(is_valid, "{value:?} in {response:?}");
    bits
}

/// A message from the server, inflated if it was compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Text or binary.
    pub opcode: Opcode,
    /// Whether RSV1 was set.
    pub compressed: bool,
    /// How many bytes of payload its frames had.
    pub wire_bytes: usize,
    /// The number of its frames.
    pub frames: usize,
    /// Its content.
    pub payload: Vec<u8>,
}

/// A connection after an opening handshake that agreed to permessage-deflate.
#[derive(Debug)]
pub struct DeflateClient {
    /// The connection itself.
    pub ws: WsClient,
    /// The agreed parameters.
    pub agreement: Agreement,
    /// Inflates the server's messages.
    pub inflater: Inflater,
}

impl DeflateClient {
    /// Connects to this path and offers these extensions. The server must agree to one of them.
    #[track_caller]
    pub fn open(addr: SocketAddr, path: &str, extensions: &str) -> DeflateClient {
        let mut client = Client::connect(addr);
        client.send(offering(path, extensions));
        DeflateClient::opened(client)
    }

    /// Reads the server's side of the handshake for a client that has already sent its own.
    #[track_caller]
    pub fn opened(mut client: Client) -> DeflateClient {
        let answer: Answer = client.read_head();
        let response = answer.header("sec-websocket-extensions");
        WsClient::assert_opening_with(&answer, response);
        let agreement = Agreement::parse(response.expect("an offer is accepted"));
        let inflater = Inflater::new(agreement.server_max_window_bits.unwrap_or(15));
        DeflateClient {
            ws: WsClient { client },
            agreement,
            inflater,
        }
    }

    /// Sends a frame in one write.
    #[track_caller]
    pub fn send(&mut self, frame: &Frame) {
        self.ws.send(frame);
    }

    /// Sends a compressed message's payload as text in one frame.
    #[track_caller]
    pub fn send_text(&mut self, compressed: impl Into<Vec<u8>>) {
        self.send(&Frame::text(compressed).compressed());
    }

    /// Sends a compressed message's payload as binary in one frame.
    #[track_caller]
    pub fn send_binary(&mut self, compressed: impl Into<Vec<u8>>) {
        self.send(&Frame::binary(compressed).compressed());
    }

    /// Reads a message that has no other frame between its fragments. Fails unless the server may
    /// send it: RSV1 at most on its first frame, and a payload that inflates within the agreed
    /// window and after the agreed context.
    #[track_caller]
    pub fn read_message(&mut self) -> Received {
        let (rsv, first) = self.ws.read_frame_and_rsv();
        let (opcode, compressed) = (first.opcode, rsv == 4);
        assert!(rsv == 0 || compressed, "RSV {rsv:03b} on {opcode:?}");
        assert!(
            matches!(opcode, Opcode::TEXT | Opcode::BINARY),
            "{opcode:?}, payload {:?}",
            crate::shown(&first.payload)
        );
        let (mut wire, mut frames, mut fin) = (first.payload, 1, first.fin);
        while !fin {
            let next = self.ws.read_frame();
            assert_eq!(next.opcode, Opcode::CONTINUATION, "within a message");
            wire.extend(next.payload);
            frames += 1;
            fin = next.fin;
        }
        let wire_bytes = wire.len();
        let payload = match compressed {
            true => self.inflate(&wire),
            false => wire,
        };
        Received {
            opcode,
            compressed,
            wire_bytes,
            frames,
            payload,
        }
    }

    /// Inflates a compressed message's payload according to the agreement.
    #[track_caller]
    pub fn inflate(&mut self, wire: &[u8]) -> Vec<u8> {
        let inflated = self.inflater.message(wire);
        if self.agreement.server_no_context_takeover {
            self.inflater.forget();
        }
        inflated.unwrap_or_else(|fault| panic!("{fault}: {:02x?}", &wire[..wire.len().min(200)]))
    }

    /// Reads a message that must equal this one, compressed or not.
    #[track_caller]
    pub fn expect(&mut self, opcode: Opcode, payload: impl AsRef<[u8]>) -> Received {
        let (message, payload) = (self.read_message(), payload.as_ref());
        assert_eq!(message.opcode, opcode);
        // Not by assert_eq: it would print the whole message, which may have a megabyte.
        assert_eq!(message.payload.len(), payload.len());
        let first = message
            .payload
            .iter()
            .zip(payload)
            .position(|(a, b)| a != b);
        assert!(first.is_none(), "other bytes from {first:?} on");
        message
    }

    /// Closes from this side with 1000, and fails unless the server answers with the same code and
    /// ends the connection.
    #[track_caller]
    pub fn close(self) {
        self.ws.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_read_strictly() {
        let agreement = Agreement::parse(
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=10",
        );
        let expected = Agreement {
            server_no_context_takeover: true,
            client_no_context_takeover: false,
            server_max_window_bits: None,
            client_max_window_bits: Some(10),
        };
        assert_eq!(agreement, expected);
        for wrong in [
            "x-webkit-deflate-frame",
            "permessage-deflate, permessage-deflate",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=010",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate;",
        ] {
            let parsed = std::panic::catch_unwind(|| Agreement::parse(wrong));
            assert!(parsed.is_err(), "{wrong:?}");
        }
    }
}
