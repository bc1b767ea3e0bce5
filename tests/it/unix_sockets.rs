//! Unix sockets: which server owns the file at the path, when servers start, die and stop.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use akurai_http::{Handle, Request, Response, Server, TrustedProxies};
use akurai_tests::{Client, DEADLINE, TempDir, TestStream, as_switched, eventually};

/// Runs a server while `test` runs.
fn serving(server: Server, test: impl FnOnce(&Handle)) {
    let server = as_switched(server);
    let stop = Stop(server.handle());
    thread::scope(|scope| {
        let running = scope.spawn(|| server.run(|_: &Request| Response::text("got")));
        // Moved into the closure, so that a failing test stops the server too, before the scope
        // waits for it.
        let stop = stop;
        test(&stop.0);
        drop(stop);
        running.join().expect("it does not panic").expect("it runs");
    });
}

struct Stop(Handle);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.shutdown(Duration::from_secs(60));
    }
}

#[track_caller]
fn expect_answer(path: &Path) {
    let mut client = TestStream::connect_unix(path).expect("somebody listens");
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\ngot"), "{answer}");
}

/// Leaves a socket file as a server that dies does.
#[track_caller]
fn leave_over(path: &Path) {
    drop(UnixListener::bind(path).expect("nothing is there"));
    assert!(fs::metadata(path).unwrap().file_type().is_socket());
}

#[track_caller]
fn expect_in_use(path: &Path) -> String {
    let error = Server::bind_unix(path).expect_err("it is not free");
    assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}");
    assert!(fs::symlink_metadata(path).is_ok(), "what was there stays");
    error.to_string()
}

fn names(dir: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(dir.path()).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_a_dead_server_left_is_taken_over() {
    let dir = TempDir::new();
    let path = dir.join("socket");
    leave_over(&path);
    serving(Server::bind_unix(&path).unwrap(), |_| {
        expect_answer(&path);
        assert_eq!(names(&dir), ["socket"]);
    });
    leave_over(&path);
    let server = Server::bind("127.0.0.1:0").unwrap();
    serving(server.listen_unix(&path).unwrap(), |_| expect_answer(&path));
}

#[test]
fn a_living_server_keeps_its_path() {
    let dir = TempDir::new();
    let path = dir.join("socket");
    serving(Server::bind_unix(&path).unwrap(), |_| {
        expect_in_use(&path);
        expect_answer(&path);
    });
    // Asking must not connect: a stuck server would let the caller wait.
    let stuck = dir.join("stuck");
    let listener = UnixListener::bind(&stuck).unwrap();
    expect_in_use(&stuck);
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    let datagrams = dir.join("datagrams");
    let _datagrams = UnixDatagram::bind(&datagrams).unwrap();
    expect_in_use(&datagrams);
}

#[test]
fn what_is_no_socket_stays() {
    let dir = TempDir::new();
    let expect_told = |path: &Path| {
        let told = format!("{} is there, and is no socket", path.display());
        assert_eq!(expect_in_use(path), told);
    };
    expect_told(&dir.write("file", "text"));
    assert_eq!(fs::read(dir.join("file")).unwrap(), b"text");
    expect_told(dir.path());
    leave_over(&dir.join("socket"));
    for target in ["socket", "nothing"] {
        let link = dir.join(format!("link to {target}"));
        symlink(dir.join(target), &link).unwrap();
        expect_told(&link);
    }
    let none = Server::bind_unix(dir.join("none/socket")).unwrap_err();
    assert_eq!(none.kind(), ErrorKind::NotFound);
}

#[test]
fn a_path_that_is_empty_is_refused() {
    let error = Server::bind_unix("").unwrap_err();
    let told = "a Unix socket needs a path, and this one is empty";
    assert_eq!(
        (error.kind(), &*error.to_string()),
        (ErrorKind::InvalidInput, told)
    );
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    assert_eq!(server.listen_unix("").unwrap_err().to_string(), told);
}

#[test]
fn of_many_that_start_at_once_one_has_the_path() {
    const SERVERS: usize = 4;
    let dir = TempDir::new();
    let path = dir.join("socket");
    for round in 0..100 {
        leave_over(&path);
        let start = Barrier::new(SERVERS);
        let bind = || {
            start.wait();
            Server::bind_unix(&path)
        };
        let bound = thread::scope(|scope| {
            let threads: Vec<_> = (0..SERVERS).map(|_| scope.spawn(bind)).collect();
            let bound = threads.into_iter().map(|thread| thread.join().unwrap());
            bound.collect::<Vec<_>>()
        });
        let (won, lost): (Vec<_>, Vec<_>) = bound.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "round {round}");
        for error in lost.into_iter().map(Result::unwrap_err) {
            assert_eq!(error.kind(), ErrorKind::AddrInUse, "round {round}: {error}");
        }
        UnixStream::connect(&path).expect("it is the winner's");
        drop(won);
        assert!(names(&dir).is_empty(), "round {round}: {:?}", names(&dir));
    }
}

#[test]
fn who_takes_over_is_alone() {
    let dir = TempDir::new();
    let path = dir.join("socket");
    leave_over(&path);
    let lock = dir.write("socket.lock", "");
    let message = expect_in_use(&path);
    assert_eq!(
        message,
        format!(
            "{} is there: another server is taking the socket over, or ended while it did",
            lock.display()
        )
    );
    fs::remove_file(&path).unwrap();
    let server = Server::bind_unix(&path).expect("nothing is to be taken over");
    assert!(lock.exists(), "it is another's");
    drop(server);
}

#[test]
fn the_file_goes_with_its_server_and_no_other_does() {
    let dir = TempDir::new();
    let path = dir.join("socket");
    serving(Server::bind_unix(&path).unwrap(), |_| expect_answer(&path));
    assert!(names(&dir).is_empty());
    drop(Server::bind_unix(&path).unwrap());
    assert!(names(&dir).is_empty());
    // The next server may take the path while this one still answers.
    let server = as_switched(Server::bind_unix(&path).unwrap());
    let handle = server.handle();
    let (asked, is_asked) = mpsc::channel();
    let (answer, may_answer) = mpsc::channel::<()>();
    let may_answer = Mutex::new(may_answer);
    let running = thread::spawn(move || {
        server.run(move |_: &Request| {
            asked.send(()).unwrap();
            let _ = may_answer.lock().unwrap().recv_timeout(DEADLINE);
            Response::text("got")
        })
    });
    let asking = path.clone();
    let client = thread::spawn(move || expect_answer(&asking));
    is_asked.recv_timeout(DEADLINE).unwrap();
    handle.shutdown(Duration::from_secs(60));
    eventually("its file is gone", || names(&dir).is_empty());
    serving(Server::bind_unix(&path).unwrap(), |_| {
        answer.send(()).unwrap();
        client.join().unwrap();
        running.join().unwrap().unwrap();
        expect_answer(&path);
    });
    assert!(names(&dir).is_empty());
    // A successor that is moved over the path owns it from then on.
    serving(Server::bind_unix(&path).unwrap(), |handle| {
        let next = Server::bind_unix(dir.join("next")).unwrap();
        fs::rename(dir.join("next"), &path).unwrap();
        serving(next, |_| {
            handle.shutdown(Duration::from_secs(60));
            eventually("it has stopped", || handle.stats().threads == 0);
            expect_answer(&path);
        });
    });
    assert_eq!(names(&dir), ["socket"]);
}

#[test]
fn several_listeners_are_one_server() {
    let dir = TempDir::new();
    let path = dir.join("socket");
    let proxies = TrustedProxies::x_forwarded_for(["unix"]).unwrap();
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|server| server.listen((Ipv4Addr::LOCALHOST, 0)))
        .and_then(|server| server.listen_unix(&path))
        .expect("all are free")
        .trust(proxies);
    let handle = server.handle();
    let addrs: Vec<_> = server.local_addrs().map(Result::unwrap).collect();
    assert_eq!(addrs.len(), 2);
    let served = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&served);
    let running = thread::spawn(move || {
        server.run(move |request: &Request| {
            counted.fetch_add(1, Ordering::SeqCst);
            let client = request.client_addr().map(|addr| addr.to_string());
            Response::text(client.unwrap_or_default())
        })
    });
    for addr in addrs {
        let mut client = Client::connect(addr);
        client.send("GET / HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n");
        assert_eq!(client.read_response().text(), "127.0.0.1");
    }
    let mut unix = TestStream::connect_unix(&path).unwrap();
    unix.set_read_timeout(Some(DEADLINE)).unwrap();
    unix.write_all(
        b"GET / HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: 9.9.9.9\r\nConnection: close\r\n\r\n",
    )
    .unwrap();
    let mut answer = String::new();
    unix.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\n9.9.9.9"), "{answer}");
    handle.shutdown(Duration::from_secs(60));
    running.join().unwrap().unwrap();
    assert_eq!(served.load(Ordering::SeqCst), 3);
}
