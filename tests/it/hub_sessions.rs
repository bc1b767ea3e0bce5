//! Event streams of a hub under a session, which cannot take back what a blocked write gave it.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use akurai_http::{Request, Router, Server, Session, sse};
use akurai_server::{Hub, HubOptions};
use akurai_tests::{DEADLINE, EventStream, eventually};

use crate::hub::quick;

/// What we send goes in records: a length of two bytes, and as many bytes. A record without bytes
/// is the close. The client sends its bytes as they are.
#[derive(Default)]
struct Records {
    plain: VecDeque<u8>,
    wire: Vec<u8>,
}

const RECORD_BYTES: usize = 16_000;

const TOPICS: [&str; 4] = ["a", "b", "c", "d"];

impl Session for Records {
    fn receive(&mut self, wire: &[u8]) -> io::Result<usize> {
        self.plain.extend(wire);
        Ok(wire.len())
    }

    fn read(&mut self, plain: &mut [u8]) -> io::Result<Option<usize>> {
        match self.plain.read(plain)? {
            0 => Ok(None),
            count => Ok(Some(count)),
        }
    }

    fn write(&mut self, plain: &[IoSlice<'_>]) -> io::Result<usize> {
        let plain: Vec<u8> = plain.iter().flat_map(|slice| slice.to_vec()).collect();
        for record in plain.chunks(RECORD_BYTES) {
            self.wire.extend((record.len() as u16).to_be_bytes());
            self.wire.extend(record);
        }
        Ok(plain.len())
    }

    fn output(&mut self, wire: &mut Vec<u8>) -> io::Result<()> {
        wire.append(&mut self.wire);
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        self.wire.extend([0, 0]);
        Ok(())
    }
}

struct Client {
    socket: TcpStream,
    /// The answer so far, with its head.
    plain: Vec<u8>,
    has_closed: bool,
}

impl Client {
    /// Reads a record. False at the end of the wire.
    fn read_record(&mut self) -> bool {
        assert!(!self.has_closed, "nothing follows the close");
        let mut len = [0; 2];
        let mut record = Vec::new();
        if self.socket.read_exact(&mut len).is_err() {
            return false;
        }
        let len = u64::from(u16::from_be_bytes(len));
        self.has_closed = len == 0;
        let read = (&self.socket).take(len).read_to_end(&mut record);
        self.plain.extend(record);
        !self.has_closed && read.is_ok_and(|read| read as u64 == len)
    }

    /// Whether the last two records have this text.
    fn has(&self, text: &str) -> bool {
        let last = self.plain.len().saturating_sub(2 * RECORD_BYTES);
        let mut windows = self.plain[last..].windows(text.len());
        windows.any(|window| window == text.as_bytes())
    }

    fn data(&self) -> Vec<String> {
        let head = self.plain.windows(4).position(|end| end == b"\r\n\r\n");
        let mut stream = EventStream::default();
        stream.feed(&self.plain[head.unwrap() + 4..]);
        // Where the ring was too short for a busy machine, a `reset` says so.
        let events = stream.dispatched.iter();
        let messages = events.filter(|event| event.event == "message");
        messages.map(|event| event.data.clone()).collect()
    }
}

/// Runs `test` with a client that has the head of its event stream.
fn with_app(app: Router, test: impl FnOnce(Client)) {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let server = server.with_session(|_| Ok(Records::default())).unwrap();
    let (addr, handle) = (server.local_addr().unwrap(), server.handle());
    let serving = thread::spawn(move || server.run(app));
    let socket = TcpStream::connect(addr).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut client = Client {
        socket,
        plain: Vec::new(),
        has_closed: false,
    };
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    client.socket.write_all(request).unwrap();
    while !client.has("\r\n\r\n") {
        assert!(client.read_record());
    }
    test(client);
    handle.shutdown(Duration::ZERO);
    serving.join().unwrap().unwrap();
}

/// Runs `test` with a hub and a client that subscribes to its topics.
fn with_client(options: HubOptions, test: impl FnOnce(&Hub, Client)) {
    let hub = Hub::new(options).unwrap();
    let events = hub.clone();
    let app = Router::new().get("/", move |req: &Request| events.sse(req, &TOPICS));
    with_app(app, |mut client| {
        while !client.has("retry:") {
            assert!(client.read_record());
        }
        test(&hub, client);
    });
}

#[test]
fn a_stream_whose_closure_panics_gets_no_close() {
    for panics in [false, true] {
        let (go_on, goes_on) = mpsc::channel();
        let goes_on = Arc::new(Mutex::new(goes_on));
        let events = move |_: &Request| {
            let goes_on = Arc::clone(&goes_on);
            sse(move |mut sink| {
                sink.data("whole")?;
                goes_on.lock().unwrap().recv_timeout(DEADLINE).unwrap();
                assert!(!panics, "planned");
                Ok(())
            })
        };
        with_app(Router::new().get("/", events), |mut client| {
            // Behind its end, the server reads on, since there is input.
            client.socket.write_all(b"more").unwrap();
            go_on.send(()).unwrap();
            while client.read_record() {}
            assert_eq!(client.data(), ["whole"]);
            assert_eq!(client.has_closed, !panics);
        });
    }
}

/// A slow client subscribes to gauges of which each value has about this many kilobytes.
fn read_gauges(round: usize) {
    let options = quick().max_ring_bytes(1 << 28);
    with_client(options, |hub, mut client| {
        for topic in TOPICS {
            hub.latest_only(topic);
        }
        // Values of unlike lengths, so that one in the place of another is seen.
        let text = |n: usize| "~".repeat(1_000 + 1_333 * round + n * 37 % 500);
        let (has_read, published) = (AtomicBool::new(false), AtomicUsize::new(0));
        let count = thread::scope(|scope| {
            let publisher = scope.spawn(|| {
                let mut n = 0;
                while n % 4 > 0 || !has_read.load(Ordering::Relaxed) {
                    let value = format!("{n} {}", text(n));
                    hub.publish(TOPICS[n % 4], "", &value).unwrap();
                    n += 1;
                    published.store(n, Ordering::Relaxed);
                }
                hub.end("a");
                n
            });
            let is_open = (0..300).all(|record| {
                // The hub fills all buffers first, and is then always ahead.
                while published.load(Ordering::Relaxed) < 10_000 + 100 * record {
                    thread::yield_now();
                }
                client.read_record()
            });
            has_read.store(true, Ordering::Relaxed);
            assert!(is_open);
            publisher.join().unwrap()
        });
        while client.read_record() {}
        assert!(client.has_closed);
        let data = client.data();
        let numbers = data.iter().map(|data| {
            let (number, rest) = data.split_once(' ').expect("a number");
            let number = number.parse::<usize>().expect("a number");
            assert!(rest == text(number), "value {number} is mixed");
            number
        });
        let numbers: Vec<_> = numbers.collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        assert!(numbers.ends_with(&[count - 4, count - 3, count - 2, count - 1]));
        assert!(numbers.len() < count, "it never fell behind");
    });
}

#[test]
fn gauges_whose_client_reads_slowly_are_whole_and_end_with_their_last_values() {
    for round in 0..3 {
        read_gauges(round);
    }
}

#[test]
fn a_stream_that_is_cut_in_the_middle_of_an_event_gets_no_close() {
    let options = quick()
        .no_progress(Duration::from_millis(300))
        .max_ring_bytes(1 << 30);
    with_client(options, |hub, mut client| {
        hub.publish("a", "", &"~".repeat(8_000_000)).unwrap();
        eventually("it is dropped", || hub.stats().dropped == 1);
        while client.read_record() {}
        assert!(!client.has_closed);
    });
}

#[test]
fn a_stream_that_ends_in_the_middle_of_an_event_gets_the_rest_and_the_close() {
    let options = quick().max_ring_bytes(1 << 30);
    with_client(options, |hub, mut client| {
        hub.publish("a", "", &"~".repeat(8_000_000)).unwrap();
        while !client.has("~") {
            assert!(client.read_record());
        }
        hub.end("a");
        while client.read_record() {}
        assert!(client.has_closed);
        assert_eq!(client.data(), ["~".repeat(8_000_000)]);
    });
}
