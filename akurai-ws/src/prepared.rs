//! A message that goes to many.

use std::sync::Arc;

use crate::codec::frame::{self, Opcode};
use crate::message::Kind;

/// A message that is encoded once, for any number of connections: see [`Sender::send_prepared`](crate::Sender::send_prepared).
/// Clones share its bytes.
///
/// ```
/// use akurai_ws::{Error, Prepared, Sender};
///
/// fn broadcast(everyone: &[Sender], text: &str) {
///     let message = Prepared::text(text);
///     for sender in everyone {
///         let _ = sender.send_prepared(&message); // Who has left is another's matter.
///     }
/// }
/// # let _ = broadcast;
/// ```
#[derive(Clone, Debug)]
pub struct Prepared {
    kind: Kind,
    frame: Arc<[u8]>,
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

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn frame(&self) -> &[u8] {
        &self.frame
    }

    fn new(kind: Kind, payload: &[u8]) -> Self {
        let header = frame::encode_header(Opcode::of(kind), payload.len());
        Self {
            kind,
            frame: [header.as_slice(), payload].concat().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6455_5_7_examples() {
        let hello = Prepared::text("Hello");
        assert_eq!(hello.frame(), b"\x81\x05Hello");
        assert_eq!(hello.kind(), Kind::Text);
        assert_eq!(
            Prepared::binary(&[7; 126]).frame()[..4],
            [0x82, 126, 0, 126]
        );
        assert!(std::ptr::eq(hello.clone().frame(), hello.frame()));
    }
}
