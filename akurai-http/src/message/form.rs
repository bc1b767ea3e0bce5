//! The pairs of a query or of a urlencoded form.

use std::fmt;
use std::io;

use crate::codec::form;
use crate::codec::parameters::essence;
use crate::codec::path::{is_unreserved, percent_encode};
use crate::{FormError, Request};

/// Most pairs of a form in a body. More: 400.
const PAIRS: usize = 1_000;

impl Request {
    /// The pairs of the query; none if there is no query. The longest request line bounds their
    /// number.
    ///
    /// They are read as browsers write them: `application/x-www-form-urlencoded` (WHATWG URL §5.1).
    ///
    /// ```
    /// use akurai_http::{Method, Request};
    ///
    /// let pairs = Request::new(Method::Get, "/search?q=red+%26+blue&page=2&tag=a&tag=b").query_pairs();
    /// assert_eq!(pairs.get("q"), Some("red & blue"));
    /// assert_eq!(pairs.all("tag").collect::<Vec<_>>(), ["a", "b"]);
    /// assert_eq!(pairs.get("none"), None);
    /// ```
    pub fn query_pairs(&self) -> Pairs {
        let query = self.query().unwrap_or("");
        Pairs {
            pairs: form::pairs(query.as_bytes()).collect(),
        }
    }

    /// Reads the whole body as a form, `application/x-www-form-urlencoded` (WHATWG URL §5.1): at
    /// most [`Limits::max_body_bytes`](crate::Limits::max_body_bytes), and at most 1,000 pairs.
    ///
    /// A form with files comes as [`multipart`](Request::multipart).
    ///
    /// ```
    /// use akurai_http::{Method, Request, Response, Status};
    ///
    /// fn sign_in(req: &Request) -> std::io::Result<Response> {
    ///     let form = req.form()?;
    ///     Ok(match form.get("name") {
    ///         Some(name) => Response::text(format!("hello, {name}")),
    ///         None => Response::new(Status::UNPROCESSABLE_CONTENT),
    ///     })
    /// }
    /// let request = Request::new(Method::Post, "/sign-in")
    ///     .with_header("Content-Type", "application/x-www-form-urlencoded")
    ///     .with_body("name=J%C3%BCrgen");
    /// assert_eq!(sign_in(&request)?.body(), Some("hello, Jürgen".as_bytes()));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`body`](Request::body). And as a [`FormError`]: 415 if `Content-Type` is missing
    /// or names another type, before the body is read; 400 if there are too many pairs. Nothing
    /// else is malformed: a `%` without two hex digits is a `%`, and bytes that are not UTF-8
    /// become U+FFFD.
    pub fn form(&self) -> io::Result<Pairs> {
        let content_type = self.headers().bytes("Content-Type").unwrap_or(b"");
        if !essence(content_type).eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
            return Err(FormError::MediaType.into());
        }
        let body = self.body()?;
        let pairs: Vec<_> = form::pairs(&body).take(PAIRS + 1).collect();
        if pairs.len() > PAIRS {
            return Err(FormError::TooManyPairs.into());
        }
        Ok(Pairs { pairs })
    }

    /// The same request with these pairs as its body, as a browser sends a form
    /// (`application/x-www-form-urlencoded`), for a test.
    ///
    /// ```
    /// use akurai_http::{Method, Request};
    ///
    /// let request = Request::new(Method::Post, "/cards").with_form([("text", "salt & pepper")]);
    /// assert_eq!(request.form()?.get("text"), Some("salt & pepper"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn with_form<'a>(self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Request {
        let encoded = |text: &str| percent_encode(text, is_unreserved);
        let pairs = pairs.into_iter();
        let pairs: Vec<_> = pairs
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        self.with_header("Content-Type", "application/x-www-form-urlencoded")
            .with_body(pairs.join("&"))
    }
}

/// Names and values in the order in which they were sent. A name may occur more than once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pairs {
    pairs: Vec<(String, String)>,
}

impl Pairs {
    /// The value of the first pair of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The values of all pairs of this name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter()
            .filter(move |(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// Every pair as name and value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Method;

    fn post(content_type: &str, body: &str) -> io::Result<Pairs> {
        Request::new(Method::Post, "/")
            .with_header("Content-Type", content_type)
            .with_body(body)
            .form()
    }

    fn refusal(result: io::Result<Pairs>) -> Option<FormError> {
        FormError::within(&result.expect_err("it is refused"))
    }

    #[test]
    fn a_query_is_pairs() {
        let pairs = |target| Request::new(Method::Get, target).query_pairs();
        assert_eq!(pairs("/").iter().count(), 0);
        assert_eq!(pairs("/?").iter().count(), 0);
        assert_eq!(pairs("/?a=1&&a=%20+").all("a").last(), Some("  "));
        let debug = format!("{:?}", pairs("/?a=1&b"));
        assert_eq!(debug, r#"{"a": "1", "b": ""}"#);
    }

    #[test]
    fn the_content_type_is_the_form_s() {
        for content_type in [
            "application/x-www-form-urlencoded",
            "APPLICATION/X-WWW-Form-UrlEncoded",
            "application/x-www-form-urlencoded;charset=UTF-8",
            "application/x-www-form-urlencoded ; charset=\"utf-8\"",
        ] {
            let pairs = post(content_type, "a=b").expect(content_type);
            assert_eq!(pairs.get("a"), Some("b"), "{content_type}");
        }
        for content_type in [
            "",
            "application/json",
            "application/x-www-form-urlencoded2",
            "application/x-www-form-urlencoded, text/plain",
            "multipart/form-data; boundary=b",
        ] {
            let refused = refusal(post(content_type, "a=b"));
            assert_eq!(refused, Some(FormError::MediaType), "{content_type}");
        }
        let untyped = Request::new(Method::Post, "/").with_body("a=b").form();
        assert_eq!(refusal(untyped), Some(FormError::MediaType));
    }

    #[test]
    fn pairs_are_bounded() {
        let form = |count| post("application/x-www-form-urlencoded", &"a&".repeat(count));
        assert_eq!(form(0).unwrap().iter().count(), 0);
        assert_eq!(form(1_000).unwrap().iter().count(), 1_000);
        assert_eq!(refusal(form(1_001)), Some(FormError::TooManyPairs));
    }
}
