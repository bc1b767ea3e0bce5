//! The payload of a frame: a Close, and text.

use super::cuts::cuts;
use super::reference;
use crate::codec::frame::CONTROL_MAX_BYTES;
use crate::codec::protocol::{ConnectionState, Limits, Protocol};
use crate::codec::{close as codec, utf8 as decoder};
use crate::error::Error;
use crate::message::Message;

/// A Close frame's payload: as it came, and as an application would send it.
pub fn close(payload: &[u8]) {
    let decoded = codec::decode(payload);
    assert_eq!(decoded, reference::close(payload));
    if let Ok(Some(frame)) = &decoded {
        check_close_encoding(frame.code, &frame.reason, Some(payload));
    }
    let (code, reason) = match payload {
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        reason => (0, reason),
    };
    check_close_encoding(code, &String::from_utf8_lossy(reason), None);
    check_close_in_a_session(payload);
}

fn check_close_encoding(code: u16, reason: &str, received: Option<&[u8]>) {
    match codec::encode(code, reason) {
        Ok(payload) => {
            assert!(reference::is_close_code(code) && payload.len() <= CONTROL_MAX_BYTES);
            let decoded = codec::decode(&payload).expect("what we send is what we take");
            let decoded = decoded.expect("it has a code");
            assert_eq!((decoded.code, &*decoded.reason), (code, reason));
            assert!(received.is_none_or(|received| received == payload));
        }
        Err(Error::InvalidCloseCode(refused)) => {
            assert!(refused == code && !reference::is_close_code(code));
            assert!(received.is_none(), "a code that was taken");
        }
        Err(Error::ReasonTooLong(bytes)) => {
            assert!(bytes == reason.len() && bytes + 2 > CONTROL_MAX_BYTES);
        }
        Err(other) => panic!("{other}"),
    }
}

// The session reports the payload as decoded, and is closed either way. A violation can be told to
// the peer.
fn check_close_in_a_session(payload: &[u8]) {
    if payload.len() > CONTROL_MAX_BYTES {
        return;
    }
    let mut frame = vec![0x88, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    let mut protocol = Protocol::new(Limits::default());
    let (used, result) = protocol.receive(&mut frame);
    assert_eq!(used, frame.len());
    assert_eq!(protocol.state(), ConnectionState::Closed);
    assert_eq!(
        result,
        codec::decode(payload).map(|frame| Some(Message::Close(frame)))
    );
    if let Err(violation) = result {
        codec::encode(violation.code(), violation.reason()).expect("it can be told");
    }
}

/// Text that comes in pieces: four bytes say where it is cut.
pub fn utf8(data: &[u8]) {
    let Some((&plan, bytes)) = data.split_first_chunk() else {
        return;
    };
    let mut grammar = reference::Utf8::default();
    // How many bytes can be continued to become UTF-8.
    let good = bytes
        .iter()
        .position(|&byte| !grammar.push(byte))
        .unwrap_or(bytes.len());
    assert_eq!(std::str::from_utf8(bytes).is_ok(), {
        good == bytes.len() && grammar.is_complete()
    });
    for ends in cuts(plan, bytes.len()) {
        let (mut decoder, mut text) = (decoder::Decoder::default(), String::new());
        let mut checker = decoder.clone();
        let mut start = 0;
        for end in ends {
            let result = decoder.push(&bytes[start..end], &mut text);
            assert_eq!(result.is_ok(), end <= good, "{start}..{end} of {good}");
            assert_eq!(checker.check(&bytes[start..end]), result);
            if result.is_err() {
                break;
            }
            let whole = match std::str::from_utf8(&bytes[..end]) {
                Ok(whole) => whole.len(),
                Err(error) => error.valid_up_to(),
            };
            assert_eq!(text.as_bytes(), &bytes[..whole], "up to {end}");
            assert_eq!(decoder.is_complete(), whole == end);
            assert_eq!(checker.is_complete(), whole == end);
            start = end;
        }
    }
}
