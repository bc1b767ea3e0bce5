//! Which pages of other sites may read the answers (WHATWG Fetch, "CORS protocol").

use std::fmt;
use std::time::Duration;

use super::{add, http_head};
use crate::codec::origin::is_origin;
use crate::values::field::is_token;
use crate::{Method, Reply, Request, Response, Status};

/// Lets pages of other origins read the answers, by the CORS protocol of WHATWG Fetch.
///
/// The origins are a list and are compared byte by byte. A page of another origin gets its answer
/// without CORS fields, and the browser does not let the page read it. The handler has still run,
/// so this does not protect against forged requests. Credentials and `*` exclude each other.
///
/// A preflight (`OPTIONS` with `Origin` and `Access-Control-Request-Method`) is answered here with
/// 204, for every path. Every other request goes on to its handler. If the answer depends on the
/// origin, it has `Vary: Origin`, also for requests without an origin. If a handler sets
/// `Access-Control-Allow-Origin` itself, only that `Vary` is added.
///
/// ```
/// use akurai_http::middleware::Cors;
/// use akurai_http::{Method, Request, Response, Router};
///
/// let cors = Cors::origins(["https://app.example"]).credentials().methods([Method::Put]);
/// let router = Router::new().get("/", |_| Response::text("")).wrap(cors.middleware());
///
/// let reply = router.handle(&Request::new(Method::Get, "/").with_header("Origin", "https://app.example"));
/// let headers = reply.response().headers();
/// assert_eq!(headers.get("Access-Control-Allow-Origin"), Some("https://app.example"));
/// assert_eq!(headers.get("Access-Control-Allow-Credentials"), Some("true"));
/// assert_eq!(headers.get("Vary"), Some("Origin"));
/// ```
#[derive(Debug, Clone)]
#[must_use = "`Cors` does nothing until `Router::wrap` gets its `middleware()`"]
pub struct Cors {
    /// `None` allows every origin.
    origins: Option<Vec<String>>,
    credentials: bool,
    methods: Vec<Method>,
    headers: Vec<String>,
    exposed: Vec<String>,
    max_age: Option<Duration>,
}

impl Cors {
    /// Lets pages of these origins read answers. Examples: `https://app.example`,
    /// `http://localhost:3000`.
    ///
    /// # Panics
    ///
    /// If an origin could never match because browsers write it differently. They write scheme,
    /// host, and the port unless it is the scheme's default, in lower case, with nothing after
    /// them. `null` cannot be trusted: any page can have that origin.
    #[track_caller]
    pub fn origins<T: Into<String>>(origins: impl IntoIterator<Item = T>) -> Cors {
        let origins: Vec<String> = origins.into_iter().map(Into::into).collect();
        for origin in &origins {
            assert!(
                is_origin(origin),
                "{origin:?} is not an origin as browsers write it, like https://app.example"
            );
        }
        Cors::of(Some(origins))
    }

    /// Lets every page read answers, without credentials: for public content.
    pub fn any_origin() -> Cors {
        Cors::of(None)
    }

    fn of(origins: Option<Vec<String>>) -> Cors {
        Cors {
            origins,
            credentials: false,
            methods: vec![Method::Get, Method::Head, Method::Post],
            headers: vec!["Last-Event-ID".to_owned()],
            exposed: Vec::new(),
            max_age: None,
        }
    }

    /// Also lets pages read the answers to requests with cookies, client certificates or HTTP
    /// authentication. Default no.
    ///
    /// # Panics
    ///
    /// With [`any_origin`](Cors::any_origin): every page could then read the user's private data.
    #[track_caller]
    pub fn credentials(mut self) -> Cors {
        assert!(self.origins.is_some(), "credentials need a list of origins");
        self.credentials = true;
        self
    }

    /// Allows these methods too. Default `GET`, `HEAD` and `POST`, which need no permission.
    /// `QUERY` needs it.
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Cors {
        self.methods.extend(methods);
        self
    }

    /// Allows these request fields too. Default `Last-Event-ID` alone: a browser's `EventSource`
    /// needs no permission for it when it reconnects, but a client that reads the stream with
    /// `fetch` does.
    ///
    /// A JSON body needs `Content-Type`, a token needs `Authorization`.
    ///
    /// # Panics
    ///
    /// If a name is no field name, or is `*`.
    #[track_caller]
    pub fn headers<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Cors {
        self.headers.extend(names.into_iter().map(checked_name));
        self
    }

    /// Lets scripts read these response fields. Default none but the seven that scripts can always
    /// read, `Content-Type` and `Cache-Control` among them.
    ///
    /// # Panics
    ///
    /// If a name is no field name, or is `*`.
    #[track_caller]
    pub fn expose<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Cors {
        self.exposed.extend(names.into_iter().map(checked_name));
        self
    }

    /// How long a browser may remember a preflight's answer, in whole seconds. Default not said,
    /// which is 5 s. Browsers shorten it to 2 hours (Chromium) or 24 hours (Firefox).
    pub fn max_age(mut self, age: Duration) -> Cors {
        self.max_age = Some(age);
        self
    }

    /// The function for [`Router::wrap`](crate::Router::wrap).
    pub fn middleware(
        self,
    ) -> impl Fn(&Request, &dyn Fn(&Request) -> Reply) -> Reply + Send + Sync + 'static {
        let methods = list(&self.methods, |a, b| a == b);
        let headers = list(&self.headers, str::eq_ignore_ascii_case);
        let exposed = list(&self.exposed, str::eq_ignore_ascii_case);
        let max_age = self.max_age.map(|age| age.as_secs().to_string());
        move |request, next| {
            let preflight = is_preflight(request);
            let mut reply = match preflight {
                true => Response::new(Status::NO_CONTENT).into(),
                false => next(request),
            };
            let Some(head) = http_head(&mut reply) else {
                return reply;
            };
            if !self.allow(request, head) {
                return reply;
            }
            if preflight {
                add(head, "Access-Control-Allow-Methods", &methods);
                add(head, "Access-Control-Allow-Headers", &headers);
                if let Some(seconds) = &max_age {
                    add(head, "Access-Control-Max-Age", seconds);
                }
            } else if !exposed.is_empty() {
                add(head, "Access-Control-Expose-Headers", &exposed);
            }
            reply
        }
    }

    /// Adds fields to `head` that say which pages may read the answer. Returns whether `request`'s
    /// page may.
    fn allow(&self, request: &Request, head: &mut Response) -> bool {
        let own = head
            .headers()
            .bytes("Access-Control-Allow-Origin")
            .is_some();
        let Some(origins) = &self.origins else {
            if !own {
                add(head, "Access-Control-Allow-Origin", "*");
            }
            return !own;
        };
        let varies = |element: &[u8]| element == b"*" || element.eq_ignore_ascii_case(b"Origin");
        if !head.headers().tokens("Vary").any(varies) {
            add(head, "Vary", "Origin");
        }
        let listed = origin(request)
            .and_then(|origin| origins.iter().find(|listed| listed.as_bytes() == origin));
        let Some(origin) = listed.filter(|_| !own) else {
            return false;
        };
        add(head, "Access-Control-Allow-Origin", origin);
        if self.credentials {
            add(head, "Access-Control-Allow-Credentials", "true");
        }
        true
    }
}

/// The origin of the page that sent the request; `None` if the request has two.
fn origin(request: &Request) -> Option<&[u8]> {
    let mut origins = request.headers().all("Origin");
    let origin = origins.next()?;
    origins.next().is_none().then_some(origin)
}

fn is_preflight(request: &Request) -> bool {
    let has = |name| request.headers().bytes(name).is_some();
    request.method() == Method::Options && has("Origin") && has("Access-Control-Request-Method")
}

#[track_caller]
fn checked_name(name: impl Into<String>) -> String {
    let name = name.into();
    assert!(
        is_token(name.as_bytes()) && name != "*",
        "{name:?} is not a field name"
    );
    name
}

/// A comma-separated list that has each element once. Names of fields are the same in any case,
/// methods are not.
fn list(elements: &[impl fmt::Display], is_same: fn(&str, &str) -> bool) -> String {
    let mut texts: Vec<String> = Vec::new();
    for element in elements {
        let text = element.to_string();
        if !texts.iter().any(|known| is_same(known, &text)) {
            texts.push(text);
        }
    }
    texts.join(", ")
}

#[cfg(test)]
mod tests;
