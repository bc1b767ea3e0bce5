//! Requests and routers, as the program that embeds a server uses them.

mod attached;
mod conditions;
mod hosts;
mod methods;
mod params;
mod problems;
mod routing;
mod secure;
mod waiting;

use akurai_http::{App, Request, Response};
use akurai_tests::{Answer, Client, TestServer};

/// Asks once, over a connection of its own.
#[track_caller]
fn ask(app: &TestServer, method: &str, target: &str) -> Answer {
    ask_on(&mut app.connect(), method, target, "")
}

/// Asks with these field lines, each with its CRLF.
#[track_caller]
fn ask_on(client: &mut Client, method: &str, target: &str, fields: &str) -> Answer {
    client.send(format!(
        "{method} {target} HTTP/1.1\r\nHost: t\r\n{fields}\r\n"
    ));
    match method {
        "HEAD" => client.read_response_to_head(),
        _ => client.read_response(),
    }
}

/// Each line: method and target; status and body.
#[track_caller]
fn check(app: impl App, table: &[(&str, &str, u16, &str)]) {
    let server = TestServer::start(app);
    for &(method, target, status, text) in table {
        let answer = ask(&server, method, target);
        let got = (answer.status, answer.text());
        assert_eq!(got, (status, text), "{method} {target}");
    }
}

/// A handler that answers with this text.
fn says(text: &'static str) -> impl Fn(&Request) -> Response {
    move |_| Response::text(text)
}

/// The pattern that matched and these parameters, as text.
fn shown(req: &Request, names: &[&str]) -> String {
    let pattern = req.pattern().unwrap_or("none");
    let params = names.iter().map(|name| req.param(name).unwrap_or("-"));
    std::iter::once(pattern)
        .chain(params)
        .collect::<Vec<_>>()
        .join(" ")
}
