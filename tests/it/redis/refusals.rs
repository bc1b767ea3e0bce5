//! How the engine introduces itself, and which parts of a server's answers its errors repeat.

use std::io;
use std::time::Duration;

use akurai_server::{Engine, EventId, Redis, RedisOptions};
use akurai_tests::DEADLINE;

use super::fake::{Answer, Fake, say};
use super::{fails, publish};

#[test]
fn what_is_empty_is_no_password() {
    let fake = Fake::start(|_, _| say("$3\r\n7-1\r\n"));
    for (credentials, first) in [(":@", "XADD"), ("@", "XADD"), ("user:@", "AUTH user ")] {
        let url = fake
            .url
            .replace("redis://", &format!("valkey://{credentials}"));
        let engine = Redis::new(&url, RedisOptions::default()).unwrap();
        publish(&engine).0.unwrap();
        let heard = fake.hears().1.join(" ");
        assert!(heard.starts_with(first), "{credentials}: {heard}");
        if first != "XADD" {
            fake.hears();
        }
    }
}

#[test]
fn an_error_repeats_no_event() {
    // In the form of Redis 4 and of Redis 7, and in forms that only a hostile server uses.
    for text in [
        "ERR unknown command `X`, with args beginning with: `akurai`, `secret`, ",
        "ERR unknown command 'X', with args beginning with: 'akurai' 'secret' ",
    ] {
        let fake = Fake::start(move |_, _| Answer::Say(format!("-{text}\r\n")));
        let engine = fake.engine();
        let published = engine.publish("t", "", "secret").map(drop);
        let read = engine.next(EventId::default(), Duration::ZERO, 1).map(drop);
        let ready = engine.ready();
        let warned = engine.warning().map(drop);
        for told in [published, read, ready, warned, engine.tail(1).map(drop)] {
            let told = told.unwrap_err().to_string();
            assert!(told.contains("it says: ERR unknown command"), "{told}");
            assert!(
                !told.contains("secret") && !told.contains("akurai`"),
                "{told}"
            );
        }
    }
    let long = format!("-ERR \x1b[2J{}\r\n", "x".repeat(10_000));
    let fake = Fake::start(move |_, _| Answer::Say(long.clone()));
    let (_, message) = publish(&fake.engine()).0.unwrap_err();
    assert!(
        message.len() < 500 && !message.contains('\x1b'),
        "{message}"
    );
}

#[test]
fn a_cluster_is_called_by_its_name() {
    for text in [
        "MOVED 866 127.0.0.1:7001",
        "ASK 866 127.0.0.1:7001",
        "CLUSTERDOWN Hash slot not served",
        "CROSSSLOT Keys in request don't hash to the same slot",
    ] {
        let fake = Fake::start(move |_, _| Answer::Say(format!("-{text}\r\n")));
        let engine = fake.engine();
        let parts = [text, "cluster mode is not supported", "is not kept"];
        fails(&engine, io::ErrorKind::Other, &parts, DEADLINE);
        let error = engine.tail(1).unwrap_err().to_string();
        assert!(error.contains("cluster mode is not supported"), "{error}");
    }
}
