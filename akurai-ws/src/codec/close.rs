//! A Close frame's payload (RFC 6455 §5.5.1, §7.4).

use crate::error::{Error, Violation};
use crate::message::CloseFrame;

use super::frame::CONTROL_MAX_BYTES;

// §7.4.1 and the registry of §11.7: the codes this crate itself sends or reports.
pub(crate) const NORMAL: u16 = 1000;
pub(crate) const GOING_AWAY: u16 = 1001;
pub(crate) const NO_STATUS: u16 = 1005;
pub(crate) const ABNORMAL: u16 = 1006;
pub(crate) const POLICY: u16 = 1008;
pub(crate) const INTERNAL_ERROR: u16 = 1011;

/// Longest reason in bytes: a control frame's 125 without the code's two.
const REASON_MAX_BYTES: usize = CONTROL_MAX_BYTES - 2;

// §5.5.1: the Close frame MAY contain a body. If there is a body, the first two bytes MUST be a
// 2-byte unsigned integer in network byte order. Following it, the body MAY contain UTF-8-encoded
// data.

/// Decodes a received payload; `None` if it is empty.
pub(crate) fn decode(payload: &[u8]) -> Result<Option<CloseFrame>, Violation> {
    let [high, low, reason @ ..] = payload else {
        return if payload.is_empty() {
            Ok(None)
        } else {
            Err(Violation::CloseTooShort)
        };
    };
    let code = u16::from_be_bytes([*high, *low]);
    if !may_be_sent(code) {
        return Err(Violation::CloseCode);
    }
    let reason = std::str::from_utf8(reason).map_err(|_| Violation::CloseReason)?;
    Ok(Some(CloseFrame {
        code,
        reason: reason.to_owned(),
    }))
}

/// The payload for a code and a reason, refused if the peer would have to refuse it.
pub(crate) fn encode(code: u16, reason: &str) -> Result<Vec<u8>, Error> {
    check(code, reason)?;
    Ok([&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// Whether this code and reason may be sent.
pub(crate) fn check(code: u16, reason: &str) -> Result<(), Error> {
    if !may_be_sent(code) {
        return Err(Error::InvalidCloseCode(code));
    }
    if reason.len() > REASON_MAX_BYTES {
        return Err(Error::ReasonTooLong(reason.len()));
    }
    Ok(())
}

impl Error {
    /// An error for the closure of [`upgrade`](crate::upgrade) to return: the connection is then
    /// closed with this code and reason, behind everything that was sent. This is no failure:
    /// [`Server::on_error`](akurai_http::Server::on_error) is not told. A reason longer than 123
    /// bytes is cut.
    ///
    /// Codes that a program may choose are 1000–1003, 1007–1014 and 3000–4999 (RFC 6455 §7.4). For
    /// any other, this is [`Error::InvalidCloseCode`], which closes with 1011 and is a failure.
    ///
    /// ```
    /// use akurai_http::{Reply, Request};
    /// use akurai_ws::{Error, upgrade};
    ///
    /// fn members_only(req: &Request, is_banned: fn(&[u8]) -> bool) -> Reply {
    ///     upgrade(req, move |mut conn| {
    ///         let mut buffer = Vec::new();
    ///         while conn.recv_into(&mut buffer)?.is_some() {
    ///             if is_banned(&buffer) {
    ///                 return Err(Error::close(4003, "banned"));
    ///             }
    ///         }
    ///         Ok(())
    ///     })
    /// }
    /// # let _ = members_only;
    /// ```
    pub fn close(code: u16, reason: &str) -> Self {
        let mut cuts = (0..=reason.len().min(REASON_MAX_BYTES)).rev();
        let cut = cuts.find(|&at| reason.is_char_boundary(at)).unwrap_or(0);
        let reason = &reason[..cut];
        match check(code, reason) {
            Ok(()) => Self::Close {
                code,
                reason: reason.to_owned(),
            },
            Err(refused) => refused,
        }
    }
}

// §7.4.2: 0-999 are not used. 1000-2999 belong to the protocol: 1004-1006 and 1015 must not be
// sent, and 1016-2999 mean nothing yet. 3000-3999 are registered by libraries, 4000-4999 are
// private.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_decode(payload: &[u8], expected: Result<Option<(u16, &str)>, Violation>) {
        let frame = decode(payload);
        let expected = expected.map(|frame| {
            frame.map(|(code, reason)| CloseFrame {
                code,
                reason: reason.to_owned(),
            })
        });
        assert_eq!(frame, expected);
    }

    #[test]
    fn case_12_codes() {
        for code in [
            0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535u16,
        ] {
            check_decode(&code.to_be_bytes(), Err(Violation::CloseCode));
            assert!(
                matches!(encode(code, ""), Err(Error::InvalidCloseCode(refused)) if refused == code)
            );
        }
        for code in (1000..=1003)
            .chain(1007..=1014)
            .chain([3000, 3999, 4000, 4999u16])
        {
            check_decode(&code.to_be_bytes(), Ok(Some((code, ""))));
            assert_eq!(encode(code, "").unwrap(), code.to_be_bytes());
        }
    }

    #[test]
    fn case_12_payloads() {
        check_decode(b"", Ok(None));
        check_decode(b"\x03", Err(Violation::CloseTooShort));
        check_decode(
            b"\x03\xe8bye \xe2\x82\xac",
            Ok(Some((1000, "bye \u{20ac}"))),
        );
        check_decode(b"\x03\xe8\xc0\xaf", Err(Violation::CloseReason));
        check_decode(b"\x03\xe8cut \xe2\x82", Err(Violation::CloseReason));
        assert_eq!(Violation::CloseTooShort.code(), 1002);
        assert_eq!(Violation::CloseCode.code(), 1002);
        assert_eq!(Violation::CloseReason.code(), 1007);
    }

    #[test]
    fn reason_fills_a_control_frame() {
        let longest = "r".repeat(123);
        let payload = encode(3000, &longest).unwrap();
        assert_eq!(payload.len(), 125);
        check_decode(&payload, Ok(Some((3000, &longest))));
        assert!(matches!(
            encode(3000, &"r".repeat(124)),
            Err(Error::ReasonTooLong(124))
        ));
    }
}
