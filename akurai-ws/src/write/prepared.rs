//! A message that is encoded once for many connections.

use std::sync::{Arc, Mutex};

use akurai_http::Level;

use crate::codec::compression::Outbound;
use crate::codec::frame::{self, Opcode};
use crate::lock::lock;
use crate::message::Kind;

/// A message that is encoded once, for any number of connections: see
/// [`Sender::post`](crate::Sender::post). Clones share its bytes. For connections
/// that compress ([`WsOptions::deflate`](crate::WsOptions::deflate)) it is compressed by itself,
/// once for all connections that have agreed on the same parameters.
#[derive(Clone, Debug)]
#[must_use = "a message is not sent until `Sender::post` gets it"]
pub struct Prepared {
    kind: Kind,
    pub(super) frame: Arc<[u8]>,
    payload_len: usize,
    /// The compressed frames, one for each set of parameters that a connection has asked for.
    compressed: Arc<Mutex<Vec<Variant>>>,
}

#[derive(Debug)]
struct Variant {
    level: Level,
    window_bits: u8,
    /// `None` if compression makes it no shorter.
    frame: Option<Arc<[u8]>>,
}

impl Prepared {
    /// A text message, as one frame.
    pub fn text(text: &str) -> Self {
        Self::new(Kind::Text, text.as_bytes())
    }

    /// A binary message, as one frame.
    pub fn binary(bytes: &[u8]) -> Self {
        Self::new(Kind::Binary, bytes)
    }

    /// The compressed frame for a connection that has agreed on these parameters, made once for all
    /// such connections; `None` if the message is sent as it is.
    pub(super) fn compressed(&self, outbound: Option<Outbound>) -> Option<Arc<[u8]>> {
        let payload = &self.frame[self.frame.len() - self.payload_len..];
        let outbound = outbound.filter(|outbound| outbound.is_for(payload))?;
        let mut variants = lock(&self.compressed);
        let (level, window_bits) = (outbound.level, outbound.direction.window_bits);
        let is_wanted =
            |variant: &&Variant| (variant.level, variant.window_bits) == (level, window_bits);
        if let Some(known) = variants.iter().find(is_wanted) {
            return known.frame.clone();
        }
        let frame = outbound.compress_alone(payload).map(|payload| {
            let opcode = Opcode::of(self.kind);
            let header = frame::encode_compressed_header(opcode, true, payload.len());
            [header.as_slice(), &payload].concat().into()
        });
        variants.push(Variant {
            level,
            window_bits,
            frame: Option::clone(&frame),
        });
        frame
    }

    fn new(kind: Kind, payload: &[u8]) -> Self {
        let header = frame::encode_header(Opcode::of(kind), payload.len());
        Self {
            kind,
            frame: [header.as_slice(), payload].concat().into(),
            payload_len: payload.len(),
            compressed: Arc::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6455_5_7_examples() {
        let hello = Prepared::text("Hello");
        assert_eq!(&*hello.frame, b"\x81\x05Hello");
        assert_eq!(Prepared::binary(&[7; 126]).frame[..4], [0x82, 126, 0, 126]);
        assert!(Arc::ptr_eq(&hello.clone().frame, &hello.frame));
    }
}
