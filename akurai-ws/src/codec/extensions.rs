//! The negotiation of `permessage-deflate` (RFC 6455 §9.1, RFC 7692 §5, §7.1).

use akurai_http::Headers;

use super::token::is_token_byte;

/// The terms of permessage-deflate that this end wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) server: Direction,
    pub(crate) client: Direction,
}

/// How the messages of one side are compressed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Direction {
    /// A message may refer to earlier messages.
    pub(crate) takeover: bool,
    /// How far back a reference may go, as a power of two: 8 to 15.
    pub(crate) window_bits: u8,
}

/// The terms that both ends have agreed on, and the value of `Sec-WebSocket-Extensions` that says
/// so.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Agreed {
    pub(crate) server: Direction,
    pub(crate) client: Direction,
    pub(crate) response: String,
}

/// The field breaks its grammar.
#[derive(Debug, PartialEq)]
pub(crate) struct Malformed;

/// One extension that the client offers, and its parameters.
#[derive(Debug, PartialEq)]
struct Offer {
    name: Vec<u8>,
    parameters: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// The first offer that can be accepted (RFC 7692 §5.1). `None` if there is none: then nothing is
/// compressed.
pub(crate) fn negotiate(
    headers: &Headers,
    wanted: Option<Wanted>,
) -> Result<Option<Agreed>, Malformed> {
    let offers = offers(headers)?;
    let Some(wanted) = wanted else {
        return Ok(None);
    };
    let ours = offers
        .iter()
        .filter(|offer| offer.name == b"permessage-deflate");
    Ok(ours.filter_map(|offer| offer.accept(wanted)).next())
}

impl Offer {
    fn accept(&self, wanted: Wanted) -> Option<Agreed> {
        let (mut server_takeover, mut client_takeover) = (true, true);
        let (mut server_bits, mut client_bits) = (None, None);
        for (at, (name, value)) in self.parameters.iter().enumerate() {
            // §7.1: "more than one extension parameter with the same name" is declined, and so is
            // an unknown parameter.
            if self.parameters[..at].iter().any(|(known, _)| known == name) {
                return None;
            }
            match (&name[..], value.as_deref()) {
                (b"server_no_context_takeover", None) => server_takeover = false,
                (b"client_no_context_takeover", None) => client_takeover = false,
                (b"server_max_window_bits", Some(bits)) => server_bits = Some(window_bits(bits)?),
                (b"client_max_window_bits", Some(bits)) => client_bits = Some(window_bits(bits)?),
                (b"client_max_window_bits", None) => client_bits = Some(15),
                _ => return None,
            }
        }
        // A client that did not say that it accepts this parameter must not be sent it (§7.1.2.2).
        if client_bits.is_none() && wanted.client.window_bits < 15 {
            return None;
        }
        let server = Direction {
            takeover: server_takeover && wanted.server.takeover,
            window_bits: wanted.server.window_bits.min(server_bits.unwrap_or(15)),
        };
        let client = Direction {
            takeover: client_takeover && wanted.client.takeover,
            window_bits: wanted.client.window_bits.min(client_bits.unwrap_or(15)),
        };
        let mut response = "permessage-deflate".to_owned();
        if !server.takeover {
            response.push_str("; server_no_context_takeover");
        }
        if !client.takeover {
            response.push_str("; client_no_context_takeover");
        }
        if server_bits.is_some() || server.window_bits < 15 {
            response.push_str(&format!("; server_max_window_bits={}", server.window_bits));
        }
        if client.window_bits < 15 {
            response.push_str(&format!("; client_max_window_bits={}", client.window_bits));
        }
        Some(Agreed {
            server,
            client,
            response,
        })
    }
}

// §7.1.2.1: "a decimal integer value without leading zeroes between 8 to 15, inclusive"
fn window_bits(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

// Sec-WebSocket-Extensions = extension-list                             RFC 6455 §9.1
// extension-list  = 1#extension
// extension       = extension-token *( ";" extension-param )
// extension-param = token [ "=" (token | quoted-string) ]
//                   ; When using the quoted-string syntax variant, the value after
//                   ; quoted-string unescaping MUST conform to the 'token' ABNF.
fn offers(headers: &Headers) -> Result<Vec<Offer>, Malformed> {
    let mut offers = Vec::new();
    for value in headers.all("Sec-WebSocket-Extensions") {
        let before = offers.len();
        let mut rest = Cursor(value);
        loop {
            rest.skip_space();
            if rest.0.is_empty() {
                break;
            }
            if rest.take(b',') {
                continue;
            }
            offers.push(rest.offer()?);
            rest.skip_space();
            if !rest.0.is_empty() && !rest.take(b',') {
                return Err(Malformed);
            }
        }
        if offers.len() == before {
            return Err(Malformed);
        }
    }
    Ok(offers)
}

/// The part of a field that is still to be read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn offer(&mut self) -> Result<Offer, Malformed> {
        let name = self.token()?.to_vec();
        let mut parameters = Vec::new();
        loop {
            self.skip_space();
            if !self.take(b';') {
                return Ok(Offer { name, parameters });
            }
            self.skip_space();
            let name = self.token()?.to_vec();
            self.skip_space();
            let value = match self.take(b'=') {
                true => {
                    self.skip_space();
                    Some(self.value()?)
                }
                false => None,
            };
            parameters.push((name, value));
        }
    }

    fn value(&mut self) -> Result<Vec<u8>, Malformed> {
        if !self.take(b'"') {
            return self.token().map(<[u8]>::to_vec);
        }
        let mut value = Vec::new();
        loop {
            let (&byte, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            match byte {
                b'"' if !value.is_empty() && value.iter().all(|&byte| is_token_byte(byte)) => {
                    return Ok(value);
                }
                b'"' => return Err(Malformed),
                b'\\' => {
                    let (&escaped, rest) = self.0.split_first().ok_or(Malformed)?;
                    self.0 = rest;
                    value.push(escaped);
                }
                byte => value.push(byte),
            }
        }
    }

    fn token(&mut self) -> Result<&'a [u8], Malformed> {
        let end = self.0.iter().position(|&byte| !is_token_byte(byte));
        let (token, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        match token {
            [] => Err(Malformed),
            token => Ok(token),
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        match self.0.strip_prefix(&[byte]) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn skip_space(&mut self) {
        self.0 = self.0.trim_ascii_start();
    }
}

#[cfg(test)]
mod tests {
    use akurai_http::{Method, Request};

    use super::*;

    const DEFAULT: Wanted = Wanted {
        server: Direction {
            takeover: false,
            window_bits: 15,
        },
        client: Direction {
            takeover: false,
            window_bits: 15,
        },
    };
    const TAKEOVER: Wanted = Wanted {
        server: Direction {
            takeover: true,
            window_bits: 15,
        },
        client: Direction {
            takeover: true,
            window_bits: 15,
        },
    };

    fn ask(lines: &[&str], wanted: Wanted) -> Result<Option<String>, Malformed> {
        let with_line =
            |request: Request, line: &&str| request.with_header("Sec-WebSocket-Extensions", line);
        let request = lines.iter().fold(Request::new(Method::Get, "/"), with_line);
        let agreed = negotiate(request.headers(), Some(wanted))?;
        Ok(agreed.map(|agreed| agreed.response))
    }

    #[track_caller]
    fn check(offer: &str, wanted: Wanted, response: Option<&str>) {
        let response = response.map(|parameters| format!("permessage-deflate{parameters}"));
        assert_eq!(ask(&[offer], wanted), Ok(response), "{offer}");
    }

    #[test]
    fn rfc7692_7_1_1_context_takeover() {
        const NEITHER: &str = "; server_no_context_takeover; client_no_context_takeover";
        check("permessage-deflate", DEFAULT, Some(NEITHER));
        check("permessage-deflate", TAKEOVER, Some(""));
        let server = "permessage-deflate; server_no_context_takeover";
        check(server, TAKEOVER, Some("; server_no_context_takeover"));
        let client = "permessage-deflate;client_no_context_takeover";
        check(client, TAKEOVER, Some("; client_no_context_takeover"));
        check(client, DEFAULT, Some(NEITHER));
        check(
            "permessage-deflate; server_no_context_takeover=1",
            DEFAULT,
            None,
        );
        check(
            "permessage-deflate; client_no_context_takeover=\"a\"",
            DEFAULT,
            None,
        );
    }

    #[test]
    fn rfc7692_7_1_2_window_bits() {
        let narrow = Wanted {
            server: Direction {
                window_bits: 11,
                ..TAKEOVER.server
            },
            client: Direction {
                window_bits: 12,
                ..TAKEOVER.client
            },
        };
        for (parameters, of_takeover, of_narrow) in [
            ("", Some(""), None),
            (
                "; client_max_window_bits",
                Some(""),
                Some("; server_max_window_bits=11; client_max_window_bits=12"),
            ),
            (
                "; client_max_window_bits=15",
                Some(""),
                Some("; server_max_window_bits=11; client_max_window_bits=12"),
            ),
            (
                "; client_max_window_bits=\"8\"",
                Some("; client_max_window_bits=8"),
                Some("; server_max_window_bits=11; client_max_window_bits=8"),
            ),
            (
                "; server_max_window_bits=15",
                Some("; server_max_window_bits=15"),
                None,
            ),
            (
                "; server_max_window_bits=8; client_max_window_bits",
                Some("; server_max_window_bits=8"),
                Some("; server_max_window_bits=8; client_max_window_bits=12"),
            ),
            ("; server_max_window_bits", None, None),
            ("; server_max_window_bits=7", None, None),
            ("; server_max_window_bits=16", None, None),
            ("; server_max_window_bits=010", None, None),
            ("; client_max_window_bits=7", None, None),
            ("; client_max_window_bits=16", None, None),
            ("; client_max_window_bits=010", None, None),
            ("; client_max_window_bits=1", None, None),
            ("; client_max_window_bits=x", None, None),
        ] {
            let offer = format!("permessage-deflate{parameters}");
            check(&offer, TAKEOVER, of_takeover);
            check(&offer, narrow, of_narrow);
        }
    }

    #[test]
    fn rfc7692_5_1_the_first_that_can_be_accepted() {
        check("permessage-deflate; unknown", TAKEOVER, None);
        check(
            "permessage-deflate; Server_no_context_takeover",
            TAKEOVER,
            None,
        );
        check(
            "permessage-deflate; client_max_window_bits; client_max_window_bits=9",
            TAKEOVER,
            None,
        );
        check("x-webkit-deflate-frame", TAKEOVER, None);
        check(
            "permessage-deflate; unknown, permessage-deflate; client_max_window_bits=9",
            TAKEOVER,
            Some("; client_max_window_bits=9"),
        );
        check(
            "permessage-bzip2; a=b, permessage-deflate",
            TAKEOVER,
            Some(""),
        );
        check(", permessage-deflate ,,", TAKEOVER, Some(""));
        let lines = [
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits",
        ];
        assert_eq!(ask(&lines, TAKEOVER), Ok(Some("permessage-deflate".into())));
        assert_eq!(ask(&[], TAKEOVER), Ok(None));
        assert_eq!(
            negotiate(Request::new(Method::Get, "/").headers(), None),
            Ok(None)
        );
    }

    #[test]
    fn rfc6455_9_1_what_is_no_list_of_extensions() {
        for malformed in [
            "",
            ",",
            "permessage-deflate;",
            "permessage-deflate; ;a",
            "permessage-deflate; =8",
            "permessage-deflate; a=",
            "permessage-deflate; a=\"\"",
            "permessage-deflate; a=\"b c\"",
            "permessage-deflate; a=\"b",
            "permessage-deflate; a=\"b\\",
            "permessage-deflate; a b",
            "permessage-deflate a",
            "permessage(deflate)",
            "a, b;, permessage-deflate",
        ] {
            assert_eq!(ask(&[malformed], TAKEOVER), Err(Malformed), "{malformed}");
            let request =
                Request::new(Method::Get, "/").with_header("Sec-WebSocket-Extensions", malformed);
            assert_eq!(negotiate(request.headers(), None), Err(Malformed));
        }
        check(
            "permessage-deflate ; client_max_window_bits = \"1\\0\"",
            TAKEOVER,
            Some("; client_max_window_bits=10"),
        );
    }
}
