//! Sends one request to a server in every way that must give the same result.

use akurai_tests::{Answer, Client, End, ReadError, shown};

use crate::mirror::Mirror;

/// The second request. It must never be answered after a refused request, and must be answered
/// after a served one.
const SECOND: &[u8] = b"GET /second HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";

/// How a request reaches the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Feed {
    /// In one write, and nothing after it.
    Alone,
    /// In one write together with the second request.
    Trailed,
    /// Byte by byte, the second request too.
    Bytewise,
}

const FEEDS: [Feed; 3] = [Feed::Alone, Feed::Trailed, Feed::Bytewise];

impl Feed {
    fn send(self, client: &mut Client, request: &[u8]) -> Result<(), String> {
        let both = [request, SECOND].concat();
        let sent = match self {
            Feed::Alone => client.try_send(request),
            Feed::Trailed => client.try_send(both),
            Feed::Bytewise => both.chunks(1).try_for_each(|byte| client.try_send(byte)),
        };
        sent.map_err(|error| format!("cannot send it: {error}"))
    }
}

/// Each of `requests` gets `status` with `Connection: close`, then FIN. The application sees none
/// of them, nor the second request.
#[track_caller]
pub(crate) fn all_refused<R: AsRef<[u8]>>(
    mirror: &Mirror,
    status: u16,
    requests: impl IntoIterator<Item = R>,
) {
    check_all(requests, |feed, request| {
        let answered = mirror.answered();
        let mut client = mirror.connect();
        feed.send(&mut client, request)?;
        let answer = read(&mut client)?;
        if answer.status != status {
            return Err(format!("wanted {status}, got {}", answer.status));
        }
        if !answer.has_token("connection", "close") {
            return Err(format!("{status} without Connection: close"));
        }
        ends_by_fin(&mut client)?;
        match mirror.answered() == answered {
            true => Ok(()),
            false => Err("the application answered it, or what stood behind it".into()),
        }
    });
}

/// Each of `requests` gets 200, and so does the second request on the same connection.
#[track_caller]
pub(crate) fn all_served<R: AsRef<[u8]>>(mirror: &Mirror, requests: impl IntoIterator<Item = R>) {
    check_all(requests, |feed, request| {
        serve(mirror, feed, request).map(drop)
    });
}

/// `request` gets 200, and so does the second request. Returns the answer to `request`, which must
/// be the same for every feed.
#[track_caller]
pub(crate) fn served(mirror: &Mirror, request: impl AsRef<[u8]>) -> Answer {
    let mut answers = Vec::new();
    let mut keep = |feed, request: &[u8]| {
        let mut answer = serve(mirror, feed, request)?;
        answer
            .headers
            .retain(|(name, _)| !name.eq_ignore_ascii_case("date"));
        answers.push(answer);
        Ok(())
    };
    let request = request.as_ref();
    for feed in FEEDS {
        let outcome: Result<(), String> = keep(feed, request);
        if let Err(reason) = outcome {
            panic!("{feed:?} \"{}\": {reason}", shown(request));
        }
    }
    assert!(
        answers.windows(2).all(|pair| pair[0] == pair[1]),
        "the feeds got different answers to \"{}\": {answers:?}",
        shown(request)
    );
    answers.swap_remove(0)
}

/// Each of `requests` gets 200, then FIN. The second request gets no answer.
#[track_caller]
pub(crate) fn all_served_then_closed<R: AsRef<[u8]>>(
    mirror: &Mirror,
    requests: impl IntoIterator<Item = R>,
) {
    check_all(requests, |feed, request| {
        let mut client = mirror.connect();
        feed.send(&mut client, request)?;
        let answer = read(&mut client)?;
        if answer.status != 200 {
            return Err(format!(
                "wanted 200, got {}: {}",
                answer.status,
                shown(&answer.body)
            ));
        }
        ends_by_fin(&mut client)
    });
}

/// Each of `requests` gets `status`. Then the connection ends if the answer says so, else it serves
/// the second request.
#[track_caller]
pub(crate) fn all_answered<R: AsRef<[u8]>>(
    connect: impl Fn() -> Client,
    status: u16,
    requests: impl IntoIterator<Item = R>,
) {
    check_all(requests, |feed, request| {
        let mut client = connect();
        feed.send(&mut client, request)?;
        let answer = read(&mut client)?;
        if answer.status != status {
            return Err(format!("wanted {status}, got {}", answer.status));
        }
        if answer.has_token("connection", "close") {
            return ends_by_fin(&mut client);
        }
        expect_second(&mut client, feed).map(drop)
    });
}

fn serve(mirror: &Mirror, feed: Feed, request: &[u8]) -> Result<Answer, String> {
    let mut client = mirror.connect();
    feed.send(&mut client, request)?;
    let answer = read(&mut client)?;
    if answer.status != 200 {
        return Err(format!(
            "wanted 200, got {}: {}",
            answer.status,
            shown(&answer.body)
        ));
    }
    let second = expect_second(&mut client, feed)?;
    match (second.status, second.header("x-path")) {
        (200, Some("/second")) => Ok(answer),
        _ => Err(format!("the request behind it got {second:?}")),
    }
}

/// Reads the answer to the second request, then the end of the connection, which that request asked
/// for.
fn expect_second(client: &mut Client, feed: Feed) -> Result<Answer, String> {
    if feed == Feed::Alone {
        client
            .try_send(SECOND)
            .map_err(|error| format!("cannot send a second request: {error}"))?;
    }
    let second = read(client).map_err(|error| format!("behind it: {error}"))?;
    ends_by_fin(client).map_err(|error| format!("behind it: {error}"))?;
    Ok(second)
}

fn read(client: &mut Client) -> Result<Answer, String> {
    client
        .try_read_response(false)
        .map_err(|error| error.to_string())
}

fn ends_by_fin(client: &mut Client) -> Result<(), String> {
    match client.try_read_exactly(1) {
        Err(ReadError::Ended(End::Fin, _)) => Ok(()),
        Err(error) => Err(format!("wanted FIN, got {error}")),
        Ok(_) => {
            let (rest, _) = client.read_to_end();
            Err(format!("more than one response: …{}", shown(&rest)))
        }
    }
}

/// Runs `check` for every request and feed, and fails with the list of all errors.
#[track_caller]
fn check_all<R: AsRef<[u8]>>(
    requests: impl IntoIterator<Item = R>,
    check: impl Fn(Feed, &[u8]) -> Result<(), String>,
) {
    let mut wrong = Vec::new();
    for request in requests {
        let request = request.as_ref();
        for feed in FEEDS {
            if let Err(reason) = check(feed, request) {
                wrong.push(format!("{feed:?} \"{}\"\n    {reason}", shown(request)));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of them:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
