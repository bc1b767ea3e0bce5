use std::io::Write;
use std::net::{TcpListener, TcpStream};

use super::*;

#[test]
fn what_is_read_behind_a_forced_end_is_none() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let addr = listener.local_addr().expect("it is bound");
    let mut client = TcpStream::connect(addr).expect("it listens");
    let (socket, _) = listener.accept().expect("it has connected");
    let registry: Arc<Registry> = Arc::default();
    let entry = registry.admit(socket.into(), None, &Arc::default());
    let entry = entry.expect("there is a place");
    client.write_all(b"be").expect("it is open");
    assert_eq!(entry.read(&mut [0]).expect("a byte"), 1);
    // The second byte is discarded, so the bytes after it must not be read as if they followed
    // the first.
    entry.make_room();
    client.write_all(b"hind").expect("it is open");
    entry.transport.set_nonblocking(false).expect("a socket");
    entry.transport.set_read_timeout(None).expect("a socket");
    assert_eq!(entry.read(&mut [0; 9]).expect("an end"), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_lingering_thread_sleeps() {
    let cpu = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
        let nanos = text.split(' ').next().and_then(|first| first.parse().ok());
        Duration::from_nanos(nanos.expect("a number"))
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let addr = listener.local_addr().expect("it is bound");
    let mut client = TcpStream::connect(addr).expect("it listens");
    client.write_all(b"more").expect("it is open");
    let (socket, _) = listener.accept().expect("it has connected");
    let limits = Arc::new(Limits::default().linger_stall(Duration::from_millis(500)));
    let registry: Arc<Registry> = Arc::default();
    let entry = registry.admit(socket.into(), None, &limits);
    let entry = entry.expect("there is a place");
    while entry.is_input_empty() {}
    let (begun, before) = (Instant::now(), cpu());
    entry.linger();
    assert!(
        begun.elapsed() >= limits.linger_stall,
        "the client is silent"
    );
    let worked = cpu() - before;
    assert!(worked < limits.linger_stall / 5, "{worked:?}");
}
