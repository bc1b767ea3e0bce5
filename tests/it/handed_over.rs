//! Sockets that another process hands over: listeners and connections.

mod adopted;

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use akurai_http::{App, Handle, Limits, Request, Response, Server};
use akurai_tests::{Client, DEADLINE, Gate, TempDir, eventually, this_program};

use crate::serving::PATIENCE;

/// A grace so long that no test waits for it.
const LONG: Duration = Duration::from_secs(600);

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

/// A server that reports when `run` returned.
struct Running {
    handle: Handle,
    ended: Receiver<io::Result<()>>,
}

impl Running {
    fn start(server: Server, app: impl App) -> Running {
        let handle = server.handle();
        let (report, ended) = mpsc::channel();
        thread::spawn(move || report.send(server.run(app)));
        Running { handle, ended }
    }

    fn saying(server: Server, text: &'static str) -> Running {
        Running::start(server, move |_: &Request| Response::text(text))
    }

    #[track_caller]
    fn stop(&self) {
        self.handle.shutdown(LONG);
        self.expect_end();
    }

    #[track_caller]
    fn expect_end(&self) {
        let result = self.ended.recv_timeout(PATIENCE).expect("run returned");
        result.expect("it served to the end");
    }
}

/// Asks on a new connection, and expects this text and then the end.
#[track_caller]
fn expect_answer(mut client: impl Read + Write, text: &str) {
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        .expect("the server reads");
    expect_last_answer(client, text);
}

#[track_caller]
fn expect_last_answer(mut client: impl Read, text: &str) {
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("it ends");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    assert!(answer.ends_with(&format!("\r\n\r\n{text}")), "{answer}");
}

#[track_caller]
fn tcp(addr: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(addr).expect("it listens");
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client
}

#[track_caller]
fn unix(path: &Path) -> UnixStream {
    let client = UnixStream::connect(path).expect("it listens");
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client
}

/// The end of a pipe that nobody writes to any more.
fn a_pipe() -> OwnedFd {
    let program = Command::new("true").stdout(Stdio::piped()).spawn();
    let mut child = program.expect("a program that ends");
    child.wait().unwrap();
    child.stdout.take().expect("it is piped").into()
}

/// Whether the descriptor's file description blocks.
#[cfg(target_os = "linux")]
fn blocks(fd: &impl AsRawFd) -> bool {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
    flags & 0o4000 == 0 // O_NONBLOCK
}

#[test]
fn a_tcp_listener_is_served_and_outlives_the_server() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    for text in ["first", "second"] {
        let server = Server::from_fd(listener.try_clone().unwrap().into()).unwrap();
        assert_eq!(server.local_addr().unwrap(), addr);
        let running = Running::saying(server, text);
        expect_answer(tcp(addr), text);
        running.stop();
    }
    let waiting = tcp(addr);
    let (accepted, _) = listener.accept().expect("the next holder accepts");
    drop((waiting, accepted));
}

#[test]
fn a_unix_listener_is_served_and_outlives_the_server() {
    let dir = TempDir::new();
    let path = dir.join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    for text in ["first", "second"] {
        let server = Server::from_fd(listener.try_clone().unwrap().into()).unwrap();
        assert_eq!(server.local_addrs().count(), 0);
        let running = Running::saying(server, text);
        expect_answer(unix(&path), text);
        running.stop();
        assert_eq!(running.handle.stats().threads, 0, "all were woken");
        assert!(
            path.exists(),
            "the file belongs to the process that made it"
        );
    }
    let waiting = unix(&path);
    let (accepted, _) = listener.accept().expect("the next holder accepts");
    drop((waiting, accepted));
}

/// An address without a file, which Linux has.
#[cfg(target_os = "linux")]
#[test]
fn an_abstract_unix_listener_is_served() {
    use std::os::linux::net::SocketAddrExt;

    let name = format!("akurai-tests-{}-handed-over", std::process::id());
    let addr = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
    let listener = UnixListener::bind_addr(&addr).unwrap();
    let server = Server::from_fd(listener.try_clone().unwrap().into()).unwrap();
    let running = Running::saying(server, "got");
    let client = UnixStream::connect_addr(&addr).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    expect_answer(client, "got");
    running.stop();
    assert_eq!(running.handle.stats().threads, 0, "all were woken");
}

/// Nobody can connect to it any more, so nothing wakes the threads that wait there.
#[test]
fn a_unix_listener_without_its_file_holds_up_no_stop() {
    let dir = TempDir::new();
    let path = dir.join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let server = Server::from_fd(listener.try_clone().unwrap().into()).unwrap();
    let running = Running::saying(server, "got");
    expect_answer(unix(&path), "got");
    fs::remove_file(&path).unwrap();
    running.stop();
}

#[cfg(target_os = "linux")]
#[test]
fn a_unix_listener_that_others_hold_keeps_its_mode() {
    let dir = TempDir::new();
    let path = dir.join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    let server = Server::from_fd(listener.try_clone().unwrap().into()).unwrap();
    let running = Running::saying(server, "got");
    for _ in 0..20 {
        expect_answer(unix(&path), "got");
    }
    running.stop();
    assert!(!blocks(&listener), "others rely on that");
}

#[test]
fn several_listeners_that_are_handed_over_are_one_server() {
    let dir = TempDir::new();
    let path = dir.join("socket");
    let unix_listener = UnixListener::bind(&path).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let server = Server::from_fd(listener.try_clone().unwrap().into())
        .and_then(|server| server.listen_fd(unix_listener.into()))
        .and_then(|server| server.listen((Ipv4Addr::LOCALHOST, 0)))
        .unwrap();
    let addrs: Vec<_> = server.local_addrs().map(Result::unwrap).collect();
    assert_eq!(addrs[0], listener.local_addr().unwrap());
    let running = Running::saying(server, "got");
    for addr in addrs {
        expect_answer(tcp(addr), "got");
    }
    expect_answer(unix(&path), "got");
    running.stop();
}

#[test]
fn what_does_not_listen_is_refused() {
    let told = |result: io::Result<Server>| {
        let error = result.expect_err("it does not listen");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        error.to_string()
    };
    let wanted = "the descriptor must be a listening TCP or Unix socket, and is ";
    assert_eq!(told(Server::from_fd(a_pipe())), format!("{wanted}a pipe"));
    let (one, _other) = UnixStream::pair().unwrap();
    let connected = told(Server::unbound().listen_fd(one.into()));
    assert_eq!(connected, format!("{wanted}a connected socket"));
}

/// A client may be accepted by a process that is just asked to stop. It has done nothing wrong, and
/// cannot know that another process accepts too: so its request is answered.
#[test]
fn a_client_that_was_just_accepted_is_answered_by_a_server_that_stops() {
    let dir = TempDir::new();
    let path = dir.join("socket");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    let server = Server::from_fd(listener.into())
        .and_then(|server| server.listen_unix(&path))
        .unwrap();
    let running = Running::saying(server, "got");
    let (mut over_tcp, mut over_unix) = (tcp(addr), unix(&path));
    let silent = tcp(addr);
    eventually("all are accepted", || {
        running.handle.stats().connections == 3
    });
    let mut idle = Client::connect(addr);
    idle.send(GET);
    assert_eq!(idle.read_response().text(), "got");
    running.handle.shutdown(LONG);
    // A connection that has had its answer is closed at once.
    idle.expect_eof();
    over_tcp.write_all(GET.as_bytes()).unwrap();
    over_unix.write_all(GET.as_bytes()).unwrap();
    expect_last_answer(over_tcp, "got");
    expect_last_answer(over_unix, "got");
    // One that asks nothing does not hold up the server.
    running.expect_end();
    assert_eq!((&silent).read(&mut [0]).expect("it ends"), 0);
}

mod stdin {
    //! Each test starts its own test again in a child process, with another standard input.

    use super::*;

    const IS_CHILD: &str = "AKURAI_IS_CHILD";

    /// In the child: serves its standard input until its client asks it to stop.
    fn serve() {
        let server = Server::from_stdin().expect("it is a listener");
        let server = server
            .listen((Ipv4Addr::LOCALHOST, 0))
            .expect("a free port");
        let handle = server.handle();
        let app = move |req: &Request| {
            if req.path() == "/stop" {
                handle.shutdown(LONG);
            }
            Response::text("a child")
        };
        server.run(app).expect("it serves");
    }

    fn child(name: &str, stdin: impl Into<Stdio>) -> Child {
        this_program(&[])
            .args([
                &format!("handed_over::stdin::{name}"),
                "--exact",
                "--nocapture",
            ])
            .env(IS_CHILD, "1")
            .stdin(stdin)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it can be run again")
    }

    #[track_caller]
    fn ends_in_peace(mut child: Child) {
        let mut stderr = child.stderr.take().expect("it is piped");
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text); // It ends with the process.
            let _ = tell.send(text);
        });
        let told = told.recv_timeout(PATIENCE);
        if told.is_err() {
            let _ = child.kill();
        }
        let status = child.wait().expect("it is ours");
        assert!(status.success(), "{status}: {told:?}");
    }

    #[track_caller]
    fn ask_to_stop(mut client: impl Read + Write) {
        client
            .write_all(b"GET /stop HTTP/1.1\r\nHost: t\r\n\r\n")
            .unwrap();
        expect_last_answer(client, "a child");
    }

    #[test]
    fn a_listener_is_given_to_the_next_process() {
        if std::env::var_os(IS_CHILD).is_some() {
            return serve();
        }
        let name = "a_listener_is_given_to_the_next_process";
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let process = child(name, OwnedFd::from(listener));
        expect_answer(tcp(addr), "a child");
        ask_to_stop(tcp(addr));
        ends_in_peace(process);
        assert!(
            TcpStream::connect(addr).is_err(),
            "nobody holds it any more"
        );

        let dir = TempDir::new();
        let path = dir.join("socket");
        let process = child(name, OwnedFd::from(UnixListener::bind(&path).unwrap()));
        expect_answer(unix(&path), "a child");
        ask_to_stop(unix(&path));
        ends_in_peace(process);
        assert!(
            path.exists(),
            "the file belongs to the process that made it"
        );
    }

    #[test]
    fn another_standard_input_is_refused() {
        if std::env::var_os(IS_CHILD).is_some() {
            let error = Server::from_stdin().expect_err("it is no listener");
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            eprintln!("({error})");
            return;
        }
        let (one, _other) = UnixStream::pair().unwrap();
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        for (stdin, found) in [
            (Stdio::null(), "a device, such as /dev/null"),
            (Stdio::from(file), "a file"),
            (Stdio::from(a_pipe()), "a pipe"),
            (Stdio::from(OwnedFd::from(one)), "a connected socket"),
        ] {
            let output = child("another_standard_input_is_refused", stdin)
                .wait_with_output()
                .unwrap();
            let told = String::from_utf8_lossy(&output.stderr);
            let wanted = "(standard input must be a listening TCP or Unix socket, and is";
            assert!(told.contains(&format!("{wanted} {found})")), "{told}");
            assert!(output.status.success(), "{told}");
        }
    }
}
