//! The client's side of a WebSocket connection.

use std::net::SocketAddr;
use std::time::Duration;

use crate::{Answer, Client, Frame, Opcode, ServerFrame};

/// The nonce of RFC 6455 §1.3.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The value with which a server must answer [`KEY`], from §1.3.
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A valid opening handshake for this path. The Host is `example.com`; there is no Origin.
pub fn handshake(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// A connection after its opening handshake.
#[derive(Debug)]
pub struct WsClient {
    /// The connection itself, for raw bytes and for the end of the connection.
    pub client: Client,
}

impl WsClient {
    /// Connects and does the opening handshake at this path.
    #[track_caller]
    pub fn open(addr: SocketAddr, path: &str) -> WsClient {
        let mut client = Client::connect(addr);
        client.send(handshake(path));
        WsClient::opened(client)
    }

    /// The same connection with another deadline for every operation, as [`Client::patience`].
    pub fn patience(mut self, patience: Duration) -> WsClient {
        self.client = self.client.patience(patience);
        self
    }

    /// Reads the server's side of the handshake for a client that has already sent its own with
    /// [`KEY`].
    #[track_caller]
    pub fn opened(mut client: Client) -> WsClient {
        let answer = client.read_head();
        WsClient::assert_opening(&answer);
        WsClient { client }
    }

    /// Fails unless `answer` is a server's opening handshake for [`KEY`] (RFC 6455 §4.2.2).
    #[track_caller]
    pub fn assert_opening(answer: &Answer) {
        // Nothing was offered, or none of the offers is on by default.
        WsClient::assert_opening_with(answer, None);
    }

    /// Fails unless `answer` is a server's opening handshake for [`KEY`] that agrees to exactly
    /// these extensions.
    #[track_caller]
    pub fn assert_opening_with(answer: &Answer, extensions: Option<&str>) {
        assert_eq!(answer.status, 101, "{answer:?}");
        assert!(answer.has_token("upgrade", "websocket"), "{answer:?}");
        assert!(answer.has_token("connection", "upgrade"), "{answer:?}");
        assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT));
        assert_eq!(answer.header("sec-websocket-extensions"), extensions);
        assert_eq!(answer.header("content-length"), None);
        assert_eq!(answer.header("transfer-encoding"), None);
    }

    /// Sends a frame in one write.
    #[track_caller]
    pub fn send(&mut self, frame: &Frame) {
        self.client.send(frame.to_bytes());
    }

    /// Reads a frame, and fails unless a server may send it: unmasked, no reserved bit, a known
    /// opcode, the length in its shortest form, a control frame whole and of at most 125 bytes.
    #[track_caller]
    pub fn read_frame(&mut self) -> ServerFrame {
        let (rsv, frame) = self.read_frame_and_rsv();
        assert_eq!(rsv, 0, "a reserved bit is set: {:?}", frame.opcode);
        frame
    }

    /// The same for a connection with extensions: returns the reserved bits (RSV1 is 4 and RSV3 is
    /// 1) and the frame.
    #[track_caller]
    pub fn read_frame_and_rsv(&mut self) -> (u8, ServerFrame) {
        let head = self.client.read_exactly(2);
        let (fin, opcode) = (head[0] & 0x80 != 0, Opcode(head[0] & 0xf));
        let rsv = head[0] >> 4 & 7;
        assert_eq!(head[1] & 0x80, 0, "the server masks: {head:02x?}");
        assert!(matches!(opcode.0, 0..=2 | 8..=10), "{opcode:?}");
        let len = match head[1] {
            126 => {
                let len = u16::from_be_bytes(array(self.client.read_exactly(2)));
                assert!(len > 125, "{len} in two bytes");
                u64::from(len)
            }
            127 => {
                let len = u64::from_be_bytes(array(self.client.read_exactly(8)));
                assert!(len > 0xffff && len >> 63 == 0, "{len} in eight bytes");
                len
            }
            short => u64::from(short),
        };
        if opcode.0 >= 8 {
            assert!(fin && len <= 125, "{opcode:?}, fin {fin}, {len} bytes");
        }
        let len = usize::try_from(len).expect("a frame that fits in memory");
        let payload = self.client.read_exactly(len);
        let frame = ServerFrame {
            fin,
            opcode,
            payload,
        };
        (rsv, frame)
    }

    /// Reads a frame that must be the whole message and equal this one.
    #[track_caller]
    pub fn expect(&mut self, opcode: Opcode, payload: impl AsRef<[u8]>) {
        let (frame, payload) = (self.read_frame(), payload.as_ref());
        assert!(frame.fin, "a fragment: {:?}", frame.opcode);
        assert_eq!(
            frame.opcode,
            opcode,
            "payload {:?}",
            crate::shown(&frame.payload)
        );
        // Not by assert_eq: it would print the whole message, which may have a megabyte.
        assert_eq!(frame.payload.len(), payload.len());
        assert!(
            frame.payload == payload,
            "other payload: {:?}",
            crate::shown(&frame.payload)
        );
    }

    /// Reads a Close that must carry this code.
    #[track_caller]
    pub fn expect_close(&mut self, code: u16) {
        let frame = self.read_frame();
        assert_eq!(
            frame.close_code(),
            Some(code),
            "{}",
            crate::shown(&frame.payload)
        );
    }

    /// Reads a Close that must carry this code, then the end by FIN: the server failed the
    /// connection (RFC 6455 §7.1.7), or this side has sent its Close.
    #[track_caller]
    pub fn expect_close_and_eof(&mut self, code: u16) {
        self.expect_close(code);
        self.client.expect_eof();
    }

    /// Closes from this side with 1000, and fails unless the server answers with the same code and
    /// ends the connection.
    #[track_caller]
    pub fn close(mut self) {
        self.send(&Frame::close(1000, ""));
        self.expect_close_and_eof(1000);
    }
}

fn array<const N: usize>(bytes: Vec<u8>) -> [u8; N] {
    bytes.try_into().expect("as many bytes as were read")
}
