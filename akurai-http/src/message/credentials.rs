//! What an `Authorization` field shows, and the answers that ask for it (RFC 7617, RFC 6750).

use crate::codec::authorization::{basic, is_bearer_token, quoted, scheme};
use crate::{Request, Response, Status};

impl Request {
    /// The user and the password of `Authorization: Basic` (RFC 7617 §2).
    ///
    /// `None` if there is no such field, or more than one, or if its content is malformed: it is no
    /// base64, no UTF-8, has no colon, or a control character. The first colon ends the user's
    /// name. Both may be empty.
    ///
    /// Check them yourself, and answer [`Response::basic_challenge`] if they are wrong. A fixed
    /// password is compared with [`constant_time_eq`](crate::constant_time_eq); passwords of users
    /// are stored as a slow, salted hash, for which you need a crate. Basic shows the password to
    /// everybody on the way: use TLS.
    ///
    /// ```
    /// use akurai_http::{Method, Reply, Request, Response, Router, Status, constant_time_eq};
    ///
    /// fn is_admin(req: &Request) -> bool {
    ///     let Some((user, password)) = req.basic_credentials() else {
    ///         return false;
    ///     };
    ///     // `&` looks at both, whether the user is known or not.
    ///     constant_time_eq(user, "ann") & constant_time_eq(password, "open sesame")
    /// }
    /// let admin = Router::new().get("/", |_| Response::text("all of them\n")).wrap(
    ///     |req, next| -> Reply {
    ///         match is_admin(req) {
    ///             true => next(req),
    ///             false => Response::basic_challenge("admin").into(),
    ///         }
    ///     },
    /// );
    /// let reply = admin.handle(&Request::new(Method::Get, "/"));
    /// assert_eq!(reply.response().status(), Status::UNAUTHORIZED);
    /// let ann = Request::new(Method::Get, "/").with_header("Authorization", "Basic YW5uOm9wZW4gc2VzYW1l");
    /// assert_eq!(admin.handle(&ann).response().status(), Status::OK);
    /// ```
    pub fn basic_credentials(&self) -> Option<(String, String)> {
        basic(self.credentials("Basic")?)
    }

    /// The token of `Authorization: Bearer` (RFC 6750 §2.1).
    ///
    /// `None` if there is no such field, or more than one, or if the token has a character that no
    /// token may have. Tokens in a form or in the query (§2.2, §2.3) are not looked for.
    ///
    /// Compare it with [`constant_time_eq`](crate::constant_time_eq), or let
    /// [`Signer::verify`](crate::Signer::verify) check it. If you look it up in a map, store its
    /// digest there instead of the token. Answer [`Response::bearer_challenge`] if it is wrong.
    ///
    /// ```
    /// use akurai_http::{Method, Request};
    ///
    /// let request = Request::new(Method::Get, "/").with_header("Authorization", "Bearer mF_9.B5f-4.1JqM");
    /// assert_eq!(request.bearer_token(), Some("mF_9.B5f-4.1JqM"));
    /// ```
    pub fn bearer_token(&self) -> Option<&str> {
        let token = self.credentials("Bearer")?;
        std::str::from_utf8(token)
            .ok()
            .filter(|token| is_bearer_token(token))
    }

    /// What follows the scheme's name in the only `Authorization` field.
    fn credentials(&self, expected: &str) -> Option<&[u8]> {
        let mut fields = self.headers().all("Authorization");
        let (name, credentials) = scheme(fields.next()?);
        let is_only = fields.next().is_none();
        (is_only && name.eq_ignore_ascii_case(expected.as_bytes())).then_some(credentials)
    }
}

impl Response {
    /// 401 with a challenge for [`Request::basic_credentials`]: a browser asks its user for a name
    /// and a password, and sends them in UTF-8 (RFC 7617 §2.1). The realm names the part of the
    /// site; a browser sends the same password for the same realm.
    ///
    /// Never answer an event stream with it: see the guide's page `authorising`.
    ///
    /// ```
    /// use akurai_http::Response;
    ///
    /// let response = Response::basic_challenge("admin");
    /// let challenge = response.headers().get("WWW-Authenticate");
    /// assert_eq!(challenge, Some("Basic realm=\"admin\", charset=\"UTF-8\""));
    /// ```
    ///
    /// # Panics
    ///
    /// If the realm is not ASCII or holds a control character.
    #[track_caller]
    pub fn basic_challenge(realm: &str) -> Response {
        let challenge = format!("Basic realm={}, charset=\"UTF-8\"", checked(realm));
        challenging(Status::UNAUTHORIZED, &challenge)
    }

    /// The answer to a request whose [`Request::bearer_token`] is missing or not accepted
    /// (RFC 6750 §3):
    ///
    /// | the request has | the answer |
    /// |---|---|
    /// | no `Authorization`, or one of another scheme | 401, with the realm alone |
    /// | a well-formed token | 401, with `error="invalid_token"` |
    /// | a malformed token, or several `Authorization` | 400, with `error="invalid_request"` |
    ///
    /// For a token that is accepted, but does not allow this request, answer
    /// [`FORBIDDEN`](Status::FORBIDDEN).
    ///
    /// ```
    /// use akurai_http::{Method, Request, Response};
    ///
    /// let request = Request::new(Method::Get, "/").with_header("Authorization", "Bearer expired");
    /// let response = Response::bearer_challenge(&request, "feed");
    /// let challenge = response.headers().get("WWW-Authenticate");
    /// assert_eq!(challenge, Some("Bearer realm=\"feed\", error=\"invalid_token\""));
    /// ```
    ///
    /// # Panics
    ///
    /// If the realm is not ASCII or holds a control character.
    #[track_caller]
    pub fn bearer_challenge(request: &Request, realm: &str) -> Response {
        let mut challenge = format!("Bearer realm={}", checked(realm));
        let is_bearer = |field| scheme(field).0.eq_ignore_ascii_case(b"Bearer");
        let status = if request.bearer_token().is_some() {
            challenge.push_str(", error=\"invalid_token\"");
            Status::UNAUTHORIZED
        } else if request.headers().all("Authorization").any(is_bearer) {
            challenge.push_str(", error=\"invalid_request\"");
            Status::BAD_REQUEST
        } else {
            Status::UNAUTHORIZED
        };
        challenging(status, &challenge)
    }
}

fn challenging(status: Status, challenge: &str) -> Response {
    let message = match status {
        Status::BAD_REQUEST => "malformed Authorization",
        _ => "authentication is required",
    };
    Response::plain(status, message).with_header("WWW-Authenticate", challenge)
}

#[track_caller]
fn checked(realm: &str) -> String {
    quoted(realm).unwrap_or_else(|| panic!("{realm:?} is no realm: it holds more than plain ASCII"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Method;

    fn with(fields: &[&str]) -> Request {
        let with = |request: Request, value: &&str| request.with_header("Authorization", value);
        fields.iter().fold(Request::new(Method::Get, "/"), with)
    }

    #[track_caller]
    fn check_basic(fields: &[&str], expected: Option<(&str, &str)>) {
        let got = with(fields).basic_credentials();
        let got = got.as_ref().map(|(user, password)| (&**user, &**password));
        assert_eq!(got, expected, "{fields:?}");
    }

    #[test]
    fn rfc7617_basic() {
        // The examples of §2 and §2.1.
        let aladdin = Some(("Aladdin", "open sesame"));
        check_basic(&["Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="], aladdin);
        check_basic(&["Basic dGVzdDoxMjPCow=="], Some(("test", "123£")));
        check_basic(&["bASIC   QWxhZGRpbjpvcGVuIHNlc2FtZQ=="], aladdin);
        check_basic(&["Basic Og=="], Some(("", "")));
        check_basic(&["Basic YTpiOmM="], Some(("a", "b:c")));
    }

    #[test]
    fn malformed_basic_is_none() {
        for field in [
            "",
            "Basic",
            "Basic ",
            "BasicOg==",
            "Basic,Og==",
            "Basic Og",               // no padding
            "Basic Og==, Basic Og==", // a list
            "Basic Oh==",             // unused bits
            "Basic O g==",
            "Basic YWJj",     // abc, no colon
            "Basic YTr/",     // a: and a byte that is no UTF-8
            "Basic YQo6Yg==", // a line feed
            "Basic YTpiAA==", // a NUL
            "Basic YTpiwoU=", // U+0085
            "Basic YTp/",     // DEL
            "Bearer Og==",
            "Digest Og==",
        ] {
            check_basic(&[field], None);
        }
        check_basic(&["Basic Og==", "Basic Og=="], None);
        check_basic(&["Bearer x", "Basic Og=="], None);
        check_basic(&[], None);
        let huge = format!("Basic {}", "Ojo6".repeat(100_000));
        assert_eq!(with(&[&huge]).basic_credentials().unwrap().1.len(), 299_999);
        let huge = format!("Basic {}!", "Ojo6".repeat(100_000));
        check_basic(&[&huge], None);
    }

    #[track_caller]
    fn check_bearer(fields: &[&str], token: Option<&str>, status: u16, challenge: &str) {
        let request = with(fields);
        assert_eq!(request.bearer_token(), token, "{fields:?}");
        let response = Response::bearer_challenge(&request, "r");
        assert_eq!(response.status().code(), status, "{fields:?}");
        assert_eq!(response.headers().get("WWW-Authenticate"), Some(challenge));
    }

    #[test]
    fn rfc6750_bearer() {
        let plain = "Bearer realm=\"r\"";
        let invalid_token = "Bearer realm=\"r\", error=\"invalid_token\"";
        let invalid_request = "Bearer realm=\"r\", error=\"invalid_request\"";
        check_bearer(&[], None, 401, plain);
        check_bearer(&["Basic Og=="], None, 401, plain);
        check_bearer(&["BearerX"], None, 401, plain);
        for token in ["mF_9.B5f-4.1JqM", "a", "a==", "a-._~+/z09="] {
            check_bearer(
                &[&format!("Bearer {token}")],
                Some(token),
                401,
                invalid_token,
            );
            check_bearer(
                &[&format!("bearer  {token}")],
                Some(token),
                401,
                invalid_token,
            );
        }
        for malformed in [
            "", " a b", " a,b", " a=b", " =", " é", " a\"", " a;", " a\tb",
        ] {
            check_bearer(&[&format!("Bearer{malformed}")], None, 400, invalid_request);
        }
        check_bearer(&["Bearer a", "Bearer b"], None, 400, invalid_request);
        check_bearer(&["Basic Og==", "Bearer b"], None, 400, invalid_request);
    }

    #[test]
    fn a_realm_cannot_end_its_quotes_or_its_line() {
        let response = Response::basic_challenge("a\"b\\c\", x=\"");
        let expected = "Basic realm=\"a\\\"b\\\\c\\\", x=\\\"\", charset=\"UTF-8\"";
        assert_eq!(response.headers().get("WWW-Authenticate"), Some(expected));
        for realm in ["a\r\nSet-Cookie: b", "a\nb", "a\0", "\u{7f}", "é", "\t"] {
            let basic = std::panic::catch_unwind(|| Response::basic_challenge(realm));
            assert!(basic.is_err(), "{realm:?}");
            let request = Request::new(Method::Get, "/");
            let bearer =
                std::panic::AssertUnwindSafe(|| Response::bearer_challenge(&request, realm));
            assert!(std::panic::catch_unwind(bearer).is_err(), "{realm:?}");
        }
    }
}
