//! The example `device`.

// The test does not run `main`: it listens at a port that may be taken.
#[allow(dead_code)]
#[path = "../../../akurai-server/examples/device/main.rs"]
mod example;

use akurai_server::{Hub, HubOptions};

use super::{Reader, ask, get, has_a_page};

const POST: &str = "POST /telemetry HTTP/1.1\r\nHost: t\r\nAuthorization: ";

#[test]
fn readings_come_line_by_line_and_a_page_begins_with_the_last_ones() {
    let server = has_a_page(example::app(&Hub::new(HubOptions::default()).unwrap()));
    let mut live = Reader::open(&server, "/events", "");
    let mut device = server.connect();
    device.send(format!(
        "{POST}Bearer porch-secret\r\nTransfer-Encoding: chunked\r\n\r\n11\r\ntemperature 21.5\n\r\n"
    ));
    // The body goes on.
    let reading = live.next();
    let (begin, time) = reading.data.split_once(r#""time":"#).unwrap();
    assert_eq!(
        begin,
        r#"{"device":"porch","name":"temperature","value":21.5,"#
    );
    assert!(time.strip_suffix('}').unwrap().parse::<u64>().unwrap() > 0);
    // A line may be cut anywhere.
    device.send("5\r\nhumid\r\n8\r\nity -5e1\r\n1\r\n\n\r\n0\r\n\r\n");
    assert_eq!(device.read_response().text(), "2 readings\n");
    assert!(
        live.next()
            .data
            .contains(r#""name":"humidity","value":-50,"#)
    );
    // The same connection, and Basic: cellar, cellar-secret.
    device.send(format!(
        "{POST}Basic Y2VsbGFyOmNlbGxhci1zZWNyZXQ=\r\nContent-Length: 10\r\n\r\nbattery 99"
    ));
    assert_eq!(device.read_response().text(), "1 readings\n");
    let battery = live.next();
    assert!(
        battery
            .data
            .starts_with(r#"{"device":"cellar","name":"battery","value":99,"#)
    );
    let past = get(&server, "/readings");
    let at = &battery.last_event_id;
    assert!(
        past.text()
            .starts_with(&format!(r#"{{"at":"{at}","readings":[{{"device":"porch""#))
    );
    assert_eq!(past.text().matches("value").count(), 3);
    assert!(past.text().contains(&battery.data));
}

#[test]
fn what_is_no_reading_of_a_known_device_is_refused() {
    let server = has_a_page(example::app(&Hub::new(HubOptions::default()).unwrap()));
    let status = |authorization: &str, body: &str| {
        let length = body.len();
        ask(
            &server,
            &format!("{POST}{authorization}\r\nContent-Length: {length}\r\n\r\n{body}"),
        )
        .status
    };
    let mut device = server.connect();
    device.send(format!(
        "{POST}Bearer porch-secret\r\nContent-Length: 21\r\n\r\n"
    ));
    device.send(b"battery 1\nbattery \xff1\n");
    let answer = device.read_response();
    assert_eq!(
        (answer.status, answer.text()),
        (400, "line 2 is no reading\n")
    );
    // porch, cellar-secret
    for authorization in [
        "Bearer x",
        "Bearer",
        "Basic cG9yY2g6Y2VsbGFyLXNlY3JldA==",
        "Digest x",
    ] {
        assert!(
            [400, 401].contains(&status(authorization, "battery 1")),
            "{authorization}"
        );
    }
    let long = format!("battery {}", "1".repeat(200));
    for body in [
        "battery",
        "battery one",
        "battery NaN",
        "battery inf",
        "colour 1",
        "\"\\\" 1",
        &long,
        "battery 1\n\nbattery 2",
    ] {
        assert_eq!(status("Bearer porch-secret", body), 400, "{body}");
    }
    assert_eq!(status("Bearer porch-secret", "battery 1"), 200);
}
