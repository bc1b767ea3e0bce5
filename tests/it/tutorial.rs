//! The chat that the guide's page `tutorial` builds, over real sockets. Its own test runs too.

// The test does not run `main`: it listens at a port that may be taken.
#[allow(dead_code)]
#[path = "../../akurai-server/examples/tutorial/main.rs"]
mod chat;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use akurai_server::{Hub, HubOptions};
use akurai_tests::{Answer, EventStream, Frame, Opcode, TempDir, TestServer, WsClient, handshake};

use chat::room::Room;

/// The chat, with its lines in the file `chat.log` of this directory.
fn start(dir: &TempDir) -> TestServer {
    let room = Room::new(Hub::new(HubOptions::default()).unwrap());
    room.keep_in(dir.join("chat.log").to_str().unwrap())
        .unwrap();
    TestServer::start(chat::app(&room, &[7; 32], "sesame").unwrap())
}

fn post(server: &TestServer, path: &str, fields: &str, body: &str) -> Answer {
    let mut client = server.connect();
    let length = body.len();
    client.send(format!(
        "POST {path} HTTP/1.1\r\nHost: example.com\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\
         {fields}\r\n{body}"
    ));
    client.read_response()
}

fn get(server: &TestServer, path: &str, fields: &str) -> Answer {
    let mut client = server.connect();
    client.send(format!(
        "GET {path} HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n"
    ));
    client.read_response()
}

/// The field that shows this user's session.
#[track_caller]
fn log_in(server: &TestServer, name: &str) -> String {
    let form = format!("name={name}&password=sesame");
    let answer = post(server, "/login", "", &form);
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("location"), Some("/"));
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
    format!("Cookie: {}\r\n", cookie.split(';').next().unwrap())
}

#[track_caller]
fn enter(server: &TestServer, cookie: &str) -> WsClient {
    let mut client = server.connect();
    client.send(handshake("/ws").replace("Upgrade:", &format!("{cookie}Upgrade:")));
    WsClient::opened(client)
}

#[track_caller]
fn say(guest: &mut WsClient, line: &str) {
    guest.send(&Frame::text(line));
    // The line itself may come before or behind the empty message that acknowledges it.
    let mut heard = [guest.read_frame().payload, guest.read_frame().payload];
    heard.sort();
    assert!(heard[0].is_empty(), "{heard:?}");
}

#[test]
fn nobody_comes_in_without_a_login() {
    let dir = TempDir::new();
    let server = start(&dir);
    let page = get(&server, "/", "");
    assert_eq!(
        (page.status, page.header("location")),
        (303, Some("/login"))
    );
    assert_eq!(get(&server, "/login", "").status, 200);
    assert_eq!(get(&server, "/here", "").status, 401);
    let forged = "Cookie: session=YW5u.9999999999.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n";
    assert_eq!(get(&server, "/here", forged).status, 401);
    let mut client = server.connect();
    client.send(handshake("/ws"));
    assert_eq!(client.read_response().status, 401);
    assert_eq!(
        post(&server, "/login", "", "name=ann&password=guess").status,
        403
    );
    assert_eq!(
        post(&server, "/login", "", "name=&password=sesame").status,
        403
    );
    let elsewhere = "Sec-Fetch-Site: cross-site\r\n";
    let forged = post(&server, "/login", elsewhere, "name=ann&password=sesame");
    assert_eq!(forged.status, 403);
    // Guesses have an end.
    let tries = (0..20).map(|_| post(&server, "/login", "", "name=a&password=b").status);
    assert!(tries.into_iter().any(|status| status == 429));
}

#[test]
fn members_talk_and_see_each_other() {
    let dir = TempDir::new();
    let server = start(&dir);
    let (ann, bob) = (log_in(&server, "ann"), log_in(&server, "bob"));
    assert!(
        get(&server, "/", &ann)
            .text()
            .starts_with("<!doctype html>")
    );

    let mut client = server.connect();
    client.send(format!("GET /here HTTP/1.1\r\nHost: t\r\n{ann}\r\n"));
    assert_eq!(client.read_head().status, 200);
    let mut here = EventStream::default();
    let mut names = |expected: &str| {
        // A gauge may leave a value out when the next one is there.
        while here.data().last() != Some(&expected) {
            here.feed(&client.read_some());
        }
    };
    let mut first = enter(&server, &ann);
    names("ann");
    let mut second = enter(&server, &bob);
    names("ann, bob");
    say(&mut first, "hello\nthere");
    second.expect(Opcode::TEXT, "ann: hello there");
    let mut again = enter(&server, &ann);
    again.expect(Opcode::TEXT, "ann: hello there");
    again.close();
    drop(second);
    names("ann");

    let away = post(&server, "/logout", &ann, "");
    assert_eq!(away.status, 303);
    assert!(away.header("set-cookie").unwrap().contains("session=;"));
}

#[test]
fn lines_outlive_the_process() {
    let dir = TempDir::new();
    let server = start(&dir);
    let mut ann = enter(&server, &log_in(&server, "ann"));
    say(&mut ann, "one");
    say(&mut ann, "two");
    drop(server);
    let server = start(&dir);
    // The session is signed, so it outlives the process too.
    let mut ann = enter(&server, &log_in(&server, "ann"));
    ann.expect(Opcode::TEXT, "ann: one");
    ann.expect(Opcode::TEXT, "ann: two");
}

#[test]
fn half_a_line_of_a_crash_is_neither_lost_nor_joined() {
    let dir = TempDir::new();
    // It ended within the second byte of a character.
    fs::write(dir.join("chat.log"), b"\nann: one\nann: tw\xc3").unwrap();
    let server = start(&dir);
    let mut ann = enter(&server, &log_in(&server, "ann"));
    ann.expect(Opcode::TEXT, "ann: one");
    ann.expect(Opcode::TEXT, "ann: tw\u{fffd}");
    say(&mut ann, "three");
    drop(server);
    let server = start(&dir);
    let mut ann = enter(&server, &log_in(&server, "ann"));
    ann.expect(Opcode::TEXT, "ann: one");
    ann.expect(Opcode::TEXT, "ann: tw\u{fffd}");
    ann.expect(Opcode::TEXT, "ann: three");
}

/// By this the page sees whether a closed WebSocket is to be opened again.
#[test]
fn the_page_can_ask_whether_its_session_has_ended() {
    let dir = TempDir::new();
    let server = start(&dir);
    let head = |fields: &str| {
        let mut client = server.connect();
        client.send(format!("HEAD / HTTP/1.1\r\nHost: t\r\n{fields}\r\n"));
        let head = client.read_head();
        (head.status, head.header("location").map(str::to_owned))
    };
    assert_eq!(head(&log_in(&server, "ann")), (200, None));
    assert_eq!(head(""), (303, Some("/login".to_owned())));
}

/// Does what the page says: its files, as they are behind its last step.
fn followed(page: &str) -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let (mut name, mut old) = (String::new(), "");
    let parts: Vec<&str> = page.split("```").collect();
    for pair in parts.chunks_exact(2) {
        let prose = pair[0].split_whitespace().collect::<Vec<_>>().join(" ");
        let (_, block) = pair[1].split_once('\n').expect("a block has lines");
        let is_file = |word: &&str| word.starts_with("src/") || *word == "Caddyfile";
        let named = prose.split('`').rfind(is_file);
        name = named.map_or(name, str::to_owned);
        match &*prose {
            "put" => {
                let file = files.get_mut(&name).expect("a file that is there");
                assert_eq!(file.matches(old).count(), 1, "{name}: {old}");
                *file = file.replacen(old, block, 1);
            }
            prose if prose.ends_with("in place of") => old = block,
            prose if prose.ends_with(':') && named.is_some() => {
                files.insert(name.clone(), block.to_owned());
            }
            _ => {} // What to type.
        }
    }
    files
}

#[test]
fn the_page_leads_to_the_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../akurai-server");
    let page = fs::read_to_string(root.join("docs/tutorial.md")).unwrap();
    let mut files = followed(&page);
    assert!(files.remove("Caddyfile").is_some());
    let folder = root.join("examples/tutorial");
    assert_eq!(files.len(), fs::read_dir(&folder).unwrap().count());
    for (name, text) in &files {
        let file = folder.join(name.strip_prefix("src/").unwrap());
        let example = fs::read_to_string(file).unwrap();
        // The example says what it is.
        let said = example.split_inclusive('\n');
        let code = said.skip_while(|line| line.starts_with("//!") || *line == "\n");
        assert!(
            code.collect::<String>() == *text,
            "the page has another {name}"
        );
    }
}
