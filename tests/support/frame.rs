//! WebSocket frames made by hand (RFC 6455 §5.2): the client's frames, right or wrong, and the
//! server's frames as the client read them.

/// An opcode by its name. [`Frame::opcode`] takes any other number too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opcode(pub u8);

impl Opcode {
    /// A further fragment.
    pub const CONTINUATION: Opcode = Opcode(0x0);
    /// Text.
    pub const TEXT: Opcode = Opcode(0x1);
    /// Binary data.
    pub const BINARY: Opcode = Opcode(0x2);
    /// The closing handshake.
    pub const CLOSE: Opcode = Opcode(0x8);
    /// A ping.
    pub const PING: Opcode = Opcode(0x9);
    /// A pong.
    pub const PONG: Opcode = Opcode(0xa);
}

/// How a frame writes its payload length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LengthForm {
    /// As §5.2 demands: in the fewest bytes.
    Shortest,
    /// 126 and two bytes.
    Two,
    /// 127 and eight bytes.
    Eight,
}

/// A frame that a client sends. The constructors give valid frames; the methods after them may make
/// a frame invalid.
#[derive(Debug, Clone)]
pub struct Frame {
    fin: bool,
    rsv: u8,
    opcode: Opcode,
    masking_key: Option<[u8; 4]>,
    form: LengthForm,
    claimed: Option<u64>,
    payload: Vec<u8>,
}

impl Frame {
    /// A final frame of this opcode, masked with the key of the example in §5.7.
    pub fn opcode(opcode: Opcode, payload: impl Into<Vec<u8>>) -> Frame {
        Frame {
            fin: true,
            rsv: 0,
            opcode,
            masking_key: Some([0x37, 0xfa, 0x21, 0x3d]),
            form: LengthForm::Shortest,
            claimed: None,
            payload: payload.into(),
        }
    }

    /// A text message in one frame.
    pub fn text(payload: impl Into<Vec<u8>>) -> Frame {
        Frame::opcode(Opcode::TEXT, payload)
    }

    /// A binary message in one frame.
    pub fn binary(payload: impl Into<Vec<u8>>) -> Frame {
        Frame::opcode(Opcode::BINARY, payload)
    }

    /// The last fragment of a message.
    pub fn continuation(payload: impl Into<Vec<u8>>) -> Frame {
        Frame::opcode(Opcode::CONTINUATION, payload)
    }

    /// A ping.
    pub fn ping(payload: impl Into<Vec<u8>>) -> Frame {
        Frame::opcode(Opcode::PING, payload)
    }

    /// A pong.
    pub fn pong(payload: impl Into<Vec<u8>>) -> Frame {
        Frame::opcode(Opcode::PONG, payload)
    }

    /// A Close with a code and a reason.
    pub fn close(code: u16, reason: impl AsRef<[u8]>) -> Frame {
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend_from_slice(reason.as_ref());
        Frame::opcode(Opcode::CLOSE, payload)
    }

    /// The same frame with another payload.
    pub fn with_payload(mut self, payload: impl Into<Vec<u8>>) -> Frame {
        self.payload = payload.into();
        self
    }

    /// The same frame without FIN: more fragments follow.
    pub fn unfinished(mut self) -> Frame {
        self.fin = false;
        self
    }

    /// The same frame with these reserved bits; RSV1 is 4 and RSV3 is 1.
    pub fn rsv(mut self, bits: u8) -> Frame {
        self.rsv = bits & 7;
        self
    }

    /// The same frame with RSV1: the message that it begins is compressed (RFC 7692 §6).
    pub fn compressed(self) -> Frame {
        self.rsv(4)
    }

    /// The same frame without a mask.
    pub fn unmasked(mut self) -> Frame {
        self.masking_key = None;
        self
    }

    /// The same frame masked with this key.
    pub fn masking_key(mut self, key: [u8; 4]) -> Frame {
        self.masking_key = Some(key);
        self
    }

    /// The same frame with its length in this form.
    pub fn length_form(mut self, form: LengthForm) -> Frame {
        self.form = form;
        self
    }

    /// The same frame with a header that claims this length, whatever the payload's length is.
    pub fn claiming(mut self, len: u64) -> Frame {
        self.claimed = Some(len);
        self
    }

    /// The frame's header: up to the masking key, without a byte of payload.
    pub fn header(&self) -> Vec<u8> {
        let len = self.claimed.unwrap_or(self.payload.len() as u64);
        let mask_bit = if self.masking_key.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![u8::from(self.fin) << 7 | self.rsv << 4 | (self.opcode.0 & 0xf)];
        match (self.form, len) {
            (LengthForm::Shortest, 0..=125) => bytes.push(mask_bit | len as u8),
            (LengthForm::Shortest, 126..=0xffff) | (LengthForm::Two, _) => {
                bytes.push(mask_bit | 126);
                bytes.extend_from_slice(&(len as u16).to_be_bytes());
            }
            (LengthForm::Shortest | LengthForm::Eight, _) => {
                bytes.push(mask_bit | 127);
                bytes.extend_from_slice(&len.to_be_bytes());
            }
        }
        bytes.extend_from_slice(self.masking_key.as_ref().map_or(&[], |key| &key[..]));
        bytes
    }

    /// The whole frame.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.header();
        match self.masking_key {
            Some(key) => {
                let masked = self.payload.iter().zip(key.iter().cycle());
                bytes.extend(masked.map(|(byte, mask)| byte ^ mask));
            }
            None => bytes.extend_from_slice(&self.payload),
        }
        bytes
    }
}

/// A frame that the server sent. The read has already asserted that it was unmasked, that only bits
/// of an agreed extension were set, and that its length had the shortest form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFrame {
    /// Whether it ends its message.
    pub fin: bool,
    /// Its opcode.
    pub opcode: Opcode,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl ServerFrame {
    /// The code of a Close, `None` if its payload is empty.
    ///
    /// # Panics
    ///
    /// If it is no Close, if its payload is one byte, or if its reason is not UTF-8.
    #[track_caller]
    pub fn close_code(&self) -> Option<u16> {
        assert_eq!(self.opcode, Opcode::CLOSE, "not a Close: {self:?}");
        match self.payload.as_slice() {
            [] => None,
            [high, low, reason @ ..] => {
                std::str::from_utf8(reason).expect("a reason is UTF-8 (RFC 6455 section 5.5.1)");
                Some(u16::from_be_bytes([*high, *low]))
            }
            [_] => panic!("a Close with one byte of payload"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6455_5_7_the_examples() {
        assert_eq!(
            Frame::text("Hello").unmasked().to_bytes(),
            [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]
        );
        assert_eq!(
            Frame::text("Hello").to_bytes(),
            [
                0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58
            ]
        );
        assert_eq!(
            Frame::text("Hel").unfinished().unmasked().to_bytes(),
            [0x01, 0x03, 0x48, 0x65, 0x6c]
        );
        assert_eq!(
            Frame::continuation("lo").unmasked().to_bytes(),
            [0x80, 0x02, 0x6c, 0x6f]
        );
        assert_eq!(
            Frame::pong("Hello").to_bytes(),
            [
                0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58
            ]
        );
        let header = |len| Frame::binary(vec![0; len]).unmasked().header();
        assert_eq!(header(256), [0x82, 0x7e, 0x01, 0x00]);
        assert_eq!(header(65536), [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn what_is_asked_for_is_built_even_if_it_is_wrong() {
        let frame = Frame::ping("a").unmasked();
        assert_eq!(frame.clone().rsv(0b101).header(), [0xd9, 1]);
        assert_eq!(
            frame.clone().length_form(LengthForm::Two).header(),
            [0x89, 126, 0, 1]
        );
        assert_eq!(
            frame.clone().length_form(LengthForm::Eight).header(),
            [0x89, 127, 0, 0, 0, 0, 0, 0, 0, 1]
        );
        assert_eq!(frame.claiming(126).header(), [0x89, 126, 0, 126]);
        assert_eq!(Frame::opcode(Opcode(0xb), "").header()[0], 0x8b);
    }
}
