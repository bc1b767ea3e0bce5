//! What goes in at one end of a session comes out at the other, in order and once, whatever happens
//! at the same time: several writers, waits that run out, new keys, either side's end or cut.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use akurai_http::{Limits, Reply, Request, Response, Socket, Status, Upgrade};
use akurai_tests::{Random, TestServer, TestSession, TestStream};

use super::{connect_with, server};
use crate::serving::PATIENCE;

const ROUNDS: usize = 24;

/// How a round ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ending {
    /// Each side ends its own.
    Orderly,
    ServerCuts,
    ClientCuts,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_wait(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// What was read to the end, and whether that was an end in order.
fn read_all(mut read: impl FnMut(&mut [u8]) -> io::Result<usize>, seed: u64) -> (Vec<u8>, bool) {
    let (mut random, mut all, begun) = (Random::seeded(seed), Vec::new(), Instant::now());
    let mut piece = vec![0; 40_000];
    loop {
        assert!(
            begun.elapsed() < PATIENCE,
            "no end after {} bytes",
            all.len()
        );
        let longest = [1, 7, 900, 40_000][random.below(4)];
        match read(&mut piece[..longest]) {
            Ok(0) => return (all, true),
            Ok(count) => all.extend(&piece[..count]),
            Err(error) if is_wait(&error) => thread::yield_now(),
            Err(_) => return (all, false),
        }
    }
}

/// Writes messages of any length under a lock, which notes what was written; stops at an error.
/// Each write that would block is repeated with the same bytes at the front.
fn write_some(socket: &Socket, written: &Mutex<Vec<u8>>, seed: u64) {
    let mut random = Random::seeded(seed);
    let mut socket = socket;
    for _ in 0..30 {
        let len = [1, 20, 3000, 30_000][random.below(4)];
        let message = random.bytes(len);
        let mut written = lock(written);
        let mut rest = message.as_slice();
        let begun = Instant::now();
        while !rest.is_empty() {
            assert!(begun.elapsed() < PATIENCE, "the peer takes nothing");
            let _ = match random.below(8) {
                0 => socket.set_nonblocking(true),
                1 => socket.set_write_timeout(Some(Duration::from_millis(2))),
                2..5 => socket.set_nonblocking(false),
                _ => Ok(()),
            };
            // What is offered behind the front may differ from the last time.
            let result = match random.below(2) {
                0 => socket.write(rest),
                _ => {
                    let (one, other) = rest.split_at(rest.len() / 2);
                    socket.write_vectored(&[io::IoSlice::new(one), io::IoSlice::new(other)])
                }
            };
            match result {
                Ok(count) => {
                    written.extend(&rest[..count]);
                    rest = &rest[count..];
                }
                Err(error) if is_wait(&error) => thread::yield_now(),
                Err(_) => {
                    // They may have gone out before the cut.
                    written.extend(rest);
                    return;
                }
            }
        }
    }
}

/// The client's side: writes and new keys.
fn push(stream: &TestStream, seed: u64) -> Vec<u8> {
    let (mut random, mut pushed) = (Random::seeded(seed), Vec::new());
    let mut stream = stream;
    for _ in 0..60 {
        if random.below(3) == 0 {
            stream.with_session(|session| session.rekey());
        }
        let len = [1, 50, 5000, 20_000][random.below(4)];
        let message = random.bytes(len);
        pushed.extend(&message);
        if stream.write_all(&message).is_err() {
            return pushed;
        }
    }
    pushed
}

/// Fails unless `read` is `sent`, or at a cut its beginning.
#[track_caller]
fn compare(what: &str, read: &[u8], sent: &[u8], is_whole: bool) {
    let same = read.iter().zip(sent).take_while(|(a, b)| a == b).count();
    assert_eq!(
        same,
        read.len().min(sent.len()),
        "{what}: other bytes from there on"
    );
    match is_whole {
        true => assert_eq!(read.len(), sent.len(), "{what}"),
        false => assert!(read.len() <= sent.len(), "{what}"),
    }
}

fn giving() -> (TestServer, mpsc::Receiver<Socket>) {
    let (give, given) = mpsc::channel();
    let server = server(|| TestSession::server().rekey_every(5));
    let limits = Limits::default().write_stall(PATIENCE);
    let server = TestServer::as_it_is(server.limits(limits), move |_: &Request| -> Reply {
        let give = give.clone();
        Upgrade::new(Response::new(Status::OK), move |upgraded| {
            let _ = give.send(upgraded.into_parts().1);
            Ok(())
        })
        .into()
    });
    (server, given)
}

#[test]
fn what_goes_in_comes_out_in_order_and_once() {
    let mut random = Random::announced();
    let (server, given) = giving();
    for round in 0..ROUNDS {
        let ending = match round % 3 {
            0 => Ending::ServerCuts,
            1 => Ending::ClientCuts,
            _ => Ending::Orderly,
        };
        let mut client = connect_with(&server, TestSession::client().rekey_every(4));
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        client.read_head();
        let socket = given.recv_timeout(PATIENCE).expect("it is given");
        let stream = client.stream().try_clone().expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("not zero");
        play(ending, &mut random, socket, &stream, &mut client);
    }
}

fn play(
    ending: Ending,
    random: &mut Random,
    socket: Socket,
    stream: &TestStream,
    client: &mut akurai_tests::Client,
) {
    let seeds: Vec<u64> = (0..8).map(|_| random.next_u64()).collect();
    let written = Mutex::new(Vec::new());
    let cut_at = 1 + random.below(200_000);
    let waits = Duration::from_millis(1 + random.below(5) as u64);
    socket.set_read_timeout(Some(waits)).expect("not zero");
    let (to_server, to_client, pushed) = thread::scope(|scope| {
        let server_reads = scope.spawn(|| read_all(|bytes| (&socket).read(bytes), seeds[0]));
        let client_reads = scope.spawn(|| {
            let mut count = 0;
            let read = |bytes: &mut [u8]| {
                if count >= cut_at && ending == Ending::ServerCuts {
                    let _ = socket.shutdown(Shutdown::Both);
                } else if count >= cut_at && ending == Ending::ClientCuts {
                    stream.abandon();
                    let _ = stream.shutdown(Shutdown::Both);
                }
                let read = (&*stream).read(bytes)?;
                count += read;
                Ok(read)
            };
            read_all(read, seeds[1])
        });
        let client_writes = scope.spawn(|| {
            let pushed = push(stream, seeds[2]);
            let _ = stream.shutdown(Shutdown::Write);
            pushed
        });
        let (socket, written) = (&socket, &written);
        let senders: Vec<_> = (seeds[3..6].iter())
            .map(|seed| scope.spawn(move || write_some(socket, written, *seed)))
            .collect();
        for sender in senders {
            sender.join().expect("no panic");
        }
        let _ = socket.set_nonblocking(false);
        let _ = socket.shutdown(Shutdown::Write);
        let joined = "no panic";
        (
            server_reads.join().expect(joined),
            client_reads.join().expect(joined),
            client_writes.join().expect(joined),
        )
    });
    let is_orderly = ending == Ending::Orderly;
    println!(
        "{ending:?}: {} up, {} down",
        to_server.0.len(),
        to_client.0.len()
    );
    compare("to the server", &to_server.0, &pushed, is_orderly);
    compare("to the client", &to_client.0, &lock(&written), is_orderly);
    match ending {
        Ending::Orderly => assert!(to_server.1 && to_client.1, "both ends are said"),
        Ending::ServerCuts => assert!(!to_client.1, "a cut is no end"),
        Ending::ClientCuts => {
            let is_whole = to_server.0.len() == pushed.len();
            assert!(!to_server.1 || is_whole, "an end before the end");
        }
    }
    drop(socket);
    if is_orderly {
        client.expect_eof();
    }
}
