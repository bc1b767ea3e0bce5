use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::io::registry::Registry;
use crate::io::transport::Listener;
use crate::{Request, Response};

const DEADLINE: Duration = Duration::from_secs(20);

fn connect(addr: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(addr).expect("it listens");
    client.set_read_timeout(Some(DEADLINE)).expect("not zero");
    client
}

/// Sends `request`, and returns the answer.
fn ask(mut client: TcpStream, request: &str) -> String {
    client.write_all(request.as_bytes()).expect("it is there");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("it ends");
    answer
}

#[test]
fn the_last_that_accepts_goes_on_when_no_thread_can_be_made() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let addr = listener.local_addr().expect("it is bound");
    let (registry, threads) = (Arc::<Registry>::default(), Arc::<Threads>::default());
    let server = RunningServer::new(
        Serving {
            other_methods: Vec::new(),
            app: Box::new(|_: &Request| Response::text("got")),
            limits: Arc::default(),
            proxies: None,
            hosts: None,
            registry: Arc::clone(&registry),
            is_test: false,
        },
        vec![Listener::Tcp(listener).into()],
        Arc::clone(&threads),
    );
    let running = thread::spawn(move || server.run());
    let get = "GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    assert!(ask(connect(addr), get).ends_with("got"));
    threads.refuses.store(true, Ordering::SeqCst);
    // The first clients may find spare threads. Then one thread is left for all that come.
    let clients: Vec<_> = (0..10).map(|_| connect(addr)).collect();
    for client in &clients[5..] {
        let mut begin = [0; 12];
        (&mut &*client).read_exact(&mut begin).expect("it is told");
        assert_eq!(&begin, b"HTTP/1.1 503");
    }
    threads.refuses.store(false, Ordering::SeqCst);
    assert!(ask(connect(addr), get).ends_with("got"));
    drop(clients);
    registry.stop(Duration::ZERO);
    running.join().expect("no panic").expect("it ran");
}
