//! The demo as its user starts it. It stands here, since Cargo tells only a package's own tests
//! where its binary is.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a wait may take before the test fails.
const DEADLINE: Duration = Duration::from_secs(20);

fn demo(args: &[&str]) -> Command {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_akurai-server"));
    demo.args(args).stdin(Stdio::null());
    demo
}

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = demo(args).output().expect("the demo runs");
    let text = |bytes| String::from_utf8(bytes).expect("it speaks UTF-8");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn what_it_says_and_how_it_exits() {
    let version = format!("akurai-server {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&["--version"]), (Some(0), version, String::new()));
    let (code, help, _) = run(&["--help"]);
    assert!(code == Some(0) && help.contains("--addr"), "{help}");
    let (code, _, error) = run(&["--port", "1"]);
    let expected = "akurai-server: unknown argument '--port'; see --help\n";
    assert_eq!((code, &*error), (Some(2), expected));
    let (code, _, error) = run(&["--engin=redis://user:password@host"]);
    let expected = "akurai-server: unknown argument '--engin'; see --help\n";
    assert_eq!((code, &*error), (Some(2), expected));
    let (code, _, error) = run(&["--engine", "rediss://a"]);
    let expected = "akurai-server: Redis URL: rediss: and valkeys: are spoken through a sidecar, \
                    since std has no TLS\n";
    assert_eq!((code, &*error), (Some(1), expected));
    let (code, _, error) = run(&["--engine", "unix:/none"]);
    let begins = "akurai-server: Redis at /none: ";
    assert!(code == Some(1) && error.starts_with(begins), "{error}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let (code, _, error) = run(&["--addr", &addr]);
    let expected = format!("akurai-server: {addr} is in use by another program\n");
    assert_eq!((code, error), (Some(1), expected));
    let (code, _, error) = run(&["--addr", "unix:"]);
    let expected = "akurai-server: --addr is HOST:PORT or unix:PATH, and not 'unix:'; see --help\n";
    assert_eq!((code, &*error), (Some(2), expected));
    #[cfg(unix)]
    {
        let file = std::env::current_exe().unwrap().display().to_string();
        let (code, _, error) = run(&["--addr", &format!("unix:{file}")]);
        let expected = format!(
            "akurai-server: cannot listen on unix:{file}: {file} is there, and is no socket\n"
        );
        assert_eq!((code, error), (Some(1), expected));
    }
}

#[test]
fn what_the_environment_says() {
    let output = demo(&[])
        .env("AKURAI_LOG", "xml")
        .output()
        .expect("the demo runs");
    let error = String::from_utf8(output.stderr).expect("it speaks UTF-8");
    let expected = "akurai-server: AKURAI_LOG is plain or json, and not 'xml'; see --help\n";
    assert_eq!((output.status.code(), &*error), (Some(2), expected));

    // A directory that is not UTF-8 is not passed over, or `--list` would go with none.
    #[cfg(unix)]
    {
        let dir: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"/no/\xff");
        let output = demo(&["--list"])
            .env("AKURAI_DIR", dir)
            .output()
            .expect("the demo runs");
        let error = String::from_utf8(output.stderr).expect("it speaks UTF-8");
        let expected = "akurai-server: /no/\u{fffd} is not a directory\n";
        assert_eq!((output.status.code(), &*error), (Some(1), expected));
    }

    let mut demo = demo(&[]);
    demo.env("AKURAI_ADDR", "127.0.0.1:0")
        .env("AKURAI_LOG", "json");
    let mut running = Running(demo.stderr(Stdio::piped()).spawn().expect("the demo runs"));
    let mut stderr = BufReader::new(running.0.stderr.take().expect("it is piped"));
    let addr = address(&mut stderr);
    assert!(ask_health(&addr).starts_with("HTTP/1.1 200 OK\r\n"));
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(
        line.starts_with("{\"time\":\"") && line.ends_with("}\n"),
        "{line}"
    );
    assert!(line.contains("\"path\":\"/api/health\""), "{line}");
}

/// Where the demo says that it listens: to be opened by a click, and not coloured where nobody
/// looks.
fn address(stderr: &mut impl BufRead) -> String {
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let address = line.strip_prefix("akurai-server listening on http://");
    address
        .unwrap_or_else(|| panic!("{line}"))
        .trim_end()
        .to_owned()
}

fn ask_health(addr: &str) -> String {
    ask(addr, "/api/health", &format!("Host: {addr}\r\n"))
}

fn ask(addr: &str, path: &str, fields: &str) -> String {
    let mut client = TcpStream::connect(addr).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n");
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn prometheus_reads_its_counts() {
    let (_running, port) = started(&["--addr=127.0.0.1:0"]);
    let addr = format!("127.0.0.1:{port}");
    ask_health(&addr);
    let answer = ask(&addr, "/metrics", &format!("Host: {addr}\r\n"));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    for part in [
        "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n",
        "\nakurai_request_duration_seconds_count{route=\"/api/health\",class=\"2xx\"} 1\n",
        "\nakurai_requests_total 2\n",
        "\nakurai_hub_ready 1\n",
    ] {
        assert!(answer.contains(part), "{part:?}: {answer}");
    }
}

/// The numbers that threads in `accept` reserve are listed nowhere, and yet no file can be opened
/// without one.
#[cfg(target_os = "linux")]
#[test]
fn after_a_burst_there_are_descriptors_for_files() {
    let dir = std::env::temp_dir().join(format!("akurai-few-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("file"), "text").unwrap();
    let mut demo = Command::new("sh");
    demo.args(["-c", "ulimit -n 24; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_akurai-server"))
        .args(["--addr", "127.0.0.1:0", "--quiet", "--dir"])
        .arg(&dir)
        .stdin(Stdio::null());
    let mut running = Running(demo.stderr(Stdio::piped()).spawn().expect("the demo runs"));
    let mut stderr = BufReader::new(running.0.stderr.take().expect("it is piped"));
    let addr = address(&mut stderr);
    let listed = format!("/proc/{}/fd", running.0.id());
    // Those that it inherited may be beyond its limit.
    let listed = || {
        let numbers = std::fs::read_dir(&listed).unwrap().flatten();
        let number = |name: std::ffi::OsString| name.to_str()?.parse::<u32>().ok();
        let counted = numbers.filter_map(|entry| number(entry.file_name()));
        counted.filter(|number| *number < 24).count()
    };
    // It listens before it has made its other threads.
    ask_health(&addr);
    let at_rest = listed();
    let mut burst = Vec::new();
    while listed() < 23 {
        let mut client = TcpStream::connect(&addr).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        client
            .write_all(b"GET /api/health HTTP/1.1\r\nHost: t\r\n\r\n")
            .unwrap();
        assert!(client.read(&mut [0; 1000]).unwrap() > 0, "it is served");
        burst.push(client);
    }
    drop(burst);
    let begun = Instant::now();
    while listed() > at_rest + 1 {
        assert!(begun.elapsed() < DEADLINE, "the connections end");
        std::thread::yield_now();
    }
    let answers: Vec<_> = (0..20)
        .map(|_| ask(&addr, "/files/file", &format!("Host: {addr}\r\n")))
        .collect();
    std::fs::remove_dir_all(&dir).unwrap();
    for answer in answers {
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}

/// Ends a demo that a failing test leaves behind.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn whoever_read_its_stderr_may_leave() {
    let mut demo = demo(&["--addr", "127.0.0.1:0"]);
    let mut running = Running(demo.stderr(Stdio::piped()).spawn().expect("the demo runs"));
    let mut stderr = BufReader::new(running.0.stderr.take().expect("it is piped"));
    let addr = address(&mut stderr);
    drop(stderr);
    // Each has a line in the access log, which now goes nowhere.
    for _ in 0..2 {
        let answer = ask_health(&addr);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}

#[cfg(unix)]
#[test]
fn its_socket_outlives_it_only_if_it_is_killed() {
    use std::os::unix::net::UnixStream;

    let path = std::env::temp_dir().join(format!("akurai-demo-{}", std::process::id()));
    let addr = format!("unix:{}", path.display());
    let start = || {
        let mut demo = demo(&["--addr", &addr]);
        let mut running = Running(demo.stderr(Stdio::piped()).spawn().expect("the demo runs"));
        let mut stderr = BufReader::new(running.0.stderr.take().expect("it is piped"));
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        assert_eq!(line, format!("akurai-server listening on {addr}\n"));
        (running, stderr)
    };
    drop(start());
    assert!(path.exists());
    // What it left over is in nobody's way.
    let (mut running, mut stderr) = start();
    UnixStream::connect(&path).expect("it listens");
    let (code, _, error) = run(&["--addr", &addr]);
    let expected = format!("akurai-server: {addr} is in use by another program\n");
    assert_eq!((code, error), (Some(1), expected));
    let stop = Command::new("kill")
        .arg(running.0.id().to_string())
        .status();
    assert!(stop.expect("kill runs").success());
    assert!(running.0.wait().expect("it ends").success());
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert!(!path.exists(), "{rest}");
}

/// A demo with these arguments, and the port of 127.0.0.1 at which it listens.
fn started(args: &[&str]) -> (Running, u16) {
    let mut demo = demo(args);
    demo.arg("--quiet").stderr(Stdio::piped());
    let mut running = Running(demo.spawn().expect("the demo runs"));
    let mut stderr = BufReader::new(running.0.stderr.take().expect("it is piped"));
    let addr = address(&mut stderr);
    let port = addr.rsplit(':').next().and_then(|port| port.parse().ok());
    (running, port.expect("a port"))
}

/// Another site's page must not read it, whatever its name is made to lead to.
#[test]
fn on_loopback_it_answers_to_names_of_its_own() {
    const NONE: &[&str] = &[];
    const LOCAL: &[&str] = &["localhost", "LOCALHOST.", "127.0.0.1", "[::1]"];
    for (args, own, others) in [
        (
            &["--addr=127.0.0.1:0"][..],
            NONE,
            &["evil.example", "0.0.0.0"][..],
        ),
        (&["--addr=localhost:0"], NONE, &["evil.example"]),
        (
            &["--addr=127.0.0.1:0", "--host=app.example", "--host", "::2"],
            &["App.Example", "[::2]"],
            &["evil.example", "x.app.example"],
        ),
        // A server on the network has names that only its operator knows.
        (&["--addr=0.0.0.0:0"], &["evil.example", "192.0.2.7"], NONE),
        (
            &["--addr=0.0.0.0:0", "--host=app.example"],
            &["app.example", "0.0.0.0"],
            &["evil.example", "192.0.2.7"],
        ),
    ] {
        let (_running, port) = started(args);
        // Where `localhost` is an IPv6 address alone, there is no way by this one.
        let addr = format!("127.0.0.1:{port}");
        if args[0].contains("localhost") && TcpStream::connect(&addr).is_err() {
            continue;
        }
        for (hosts, status) in [(LOCAL, 200), (own, 200), (others, 421)] {
            for host in hosts {
                for with_port in ["", &format!(":{port}")] {
                    let fields =
                        format!("Host: {host}{with_port}\r\nOrigin: http://{host}{with_port}\r\n");
                    let answer = ask(&addr, "/api/health", &fields);
                    let begins = format!("HTTP/1.1 {status} ");
                    assert!(answer.starts_with(&begins), "{args:?} {host}: {answer}");
                }
            }
        }
        for host in others {
            for path in [
                "/",
                "/api/events",
                "/api/live",
                "/api/ws",
                "/api/chat?name=x",
                "/metrics",
            ] {
                let fields = format!(
                    "Host: {host}\r\nOrigin: http://{host}\r\n\
                     Upgrade: websocket\r\nConnection: upgrade\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                );
                let answer = ask(&addr, path, &fields);
                assert!(answer.starts_with("HTTP/1.1 421 "), "{path}: {answer}");
            }
        }
    }
    let (code, _, error) = run(&["--addr=127.0.0.1:0", "--host=app.example:80"]);
    let expected = "akurai-server: cannot answer: \
                    \"app.example:80\" is no host name or address without a port\n";
    assert_eq!((code, &*error), (Some(1), expected));
}
