//! Descriptors that another process, or another part of the program, hands over: which socket each
//! of them is. std cannot ask for a socket's family and type, so we ask what only one kind answers.
//! Nothing here changes the socket, which others may hold too.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use crate::io::transport::{Listener, Transport};

/// A listening socket. An error names the descriptor as `name`.
pub(crate) fn listener(fd: OwnedFd, name: &str) -> io::Result<Listener> {
    let wrong = |found: &str| {
        let message = format!("{name} must be a listening TCP or Unix socket, and is {found}");
        io::Error::new(io::ErrorKind::InvalidInput, message)
    };
    match StreamSocket::of(fd).map_err(wrong)? {
        StreamSocket::Tcp(tcp) if tcp.peer_addr().is_err() => {
            Ok(Listener::Shared(TcpListener::from(OwnedFd::from(tcp))))
        }
        StreamSocket::Unix(unix) if unix.peer_addr().is_err() => Ok(Listener::SharedUnix(
            UnixListener::from(OwnedFd::from(unix)),
        )),
        StreamSocket::Tcp(_) | StreamSocket::Unix(_) => Err(wrong("a connected socket")),
    }
}

/// A connected socket, and its peer's address if it has one.
pub(crate) fn connection(fd: OwnedFd) -> io::Result<(Transport, Option<SocketAddr>)> {
    let wrong = |found: &str| {
        let message = format!("a connected TCP or Unix socket is needed, and this is {found}");
        io::Error::new(io::ErrorKind::InvalidInput, message)
    };
    let is_unconnected = || wrong("a socket that is not connected");
    match StreamSocket::of(fd).map_err(wrong)? {
        StreamSocket::Tcp(tcp) => match tcp.peer_addr() {
            Ok(peer) => Ok((Transport::Tcp(tcp), Some(peer))),
            Err(_) => Err(is_unconnected()),
        },
        StreamSocket::Unix(unix) => match unix.peer_addr() {
            Ok(_) => Ok((Transport::Unix(unix), None)),
            Err(_) => Err(is_unconnected()),
        },
    }
}

/// A socket that carries a stream of bytes, or accepts connections that do.
enum StreamSocket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl StreamSocket {
    /// Finds out the kind of socket. The error says what the descriptor is instead.
    fn of(fd: OwnedFd) -> Result<StreamSocket, &'static str> {
        const DATAGRAMS: &str = "a datagram socket";
        // Only a socket of IPv4 or IPv6 has an address with a port.
        let tcp = TcpStream::from(fd);
        if tcp.local_addr().is_ok() {
            // Only TCP has this option.
            return match tcp.nodelay() {
                Ok(_) => Ok(StreamSocket::Tcp(tcp)),
                Err(_) => Err(DATAGRAMS),
            };
        }
        let unix = UnixStream::from(OwnedFd::from(tcp));
        if unix.local_addr().is_err() {
            return Err(kind_of_file(OwnedFd::from(unix)));
        }
        let unix = UnixDatagram::from(OwnedFd::from(unix));
        match sends_datagrams(&unix) {
            true => Err(DATAGRAMS),
            false => Ok(StreamSocket::Unix(UnixStream::from(OwnedFd::from(unix)))),
        }
    }
}

/// Whether a Unix socket takes datagrams or packets, and no stream. Nothing is sent.
fn sends_datagrams(socket: &UnixDatagram) -> bool {
    // Linux refuses any address for a stream, and for datagrams only an empty one (EINVAL). We do
    // not know what other systems do here.
    let refused = socket.send_to(&[], "").map_err(|error| error.kind());
    let is_stream = |kind| {
        !matches!(
            kind,
            io::ErrorKind::InvalidInput | io::ErrorKind::NotConnected
        )
    };
    cfg!(target_os = "linux") && !refused.is_err_and(is_stream)
}

/// What a descriptor is that is no socket of ours.
fn kind_of_file(fd: OwnedFd) -> &'static str {
    if fd.is_terminal() {
        return "a terminal";
    }
    let Ok(metadata) = File::from(fd).metadata() else {
        return "something else";
    };
    let kind = metadata.file_type();
    match () {
        () if kind.is_file() => "a file",
        () if kind.is_dir() => "a directory",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_char_device() => "a device, such as /dev/null",
        () if kind.is_socket() => "a socket of another family",
        () => "something else",
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::process::{Command, Stdio};
    #[cfg(target_os = "linux")]
    use std::{sync::Arc, sync::mpsc, thread, time::Duration};

    use super::*;

    const ANY: (std::net::Ipv4Addr, u16) = (std::net::Ipv4Addr::LOCALHOST, 0);

    /// A listening socket that has no file.
    #[cfg(target_os = "linux")]
    fn unix_listener(name: &str) -> UnixListener {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::SocketAddr as UnixAddr;

        let name = format!("akurai-http-{}-{name}", std::process::id());
        let addr = UnixAddr::from_abstract_name(name).expect("it is short");
        UnixListener::bind_addr(&addr).expect("the name is free")
    }

    fn found(fd: impl Into<OwnedFd>) -> (String, String) {
        let fd = fd.into();
        let copy = fd.try_clone().expect("a descriptor is free");
        let error = listener(copy, "it").expect_err("it does not listen");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let wanted = "it must be a listening TCP or Unix socket, and is ";
        let as_listener = error.to_string();
        let as_listener = as_listener.strip_prefix(wanted).expect("it says so");
        let as_connection = match connection(fd) {
            Ok((Transport::Tcp(_), _)) => "TCP".to_owned(),
            Ok((Transport::Unix(_), _)) => "Unix".to_owned(),
            Ok((Transport::Layered(_), _)) => "a session".to_owned(),
            Err(error) => {
                let wanted = "a connected TCP or Unix socket is needed, and this is ";
                let told = error.to_string();
                told.strip_prefix(wanted).expect("it says so").to_owned()
            }
        };
        (as_listener.to_owned(), as_connection)
    }

    #[track_caller]
    fn check(fd: impl Into<OwnedFd>, as_listener: &str, as_connection: &str) {
        let expected = (as_listener.to_owned(), as_connection.to_owned());
        assert_eq!(found(fd), expected);
    }

    #[test]
    fn a_connected_socket_does_not_listen() {
        let tcp = TcpListener::bind(ANY).expect("a port is free");
        let client = TcpStream::connect(tcp.local_addr().expect("it is bound"));
        check(client.expect("it listens"), "a connected socket", "TCP");
        let (unix, _other) = UnixStream::pair().expect("descriptors are free");
        check(unix, "a connected socket", "Unix");
    }

    #[test]
    fn datagrams_are_refused() {
        const DATAGRAMS: &str = "a datagram socket";
        let udp = UdpSocket::bind(ANY).expect("a port is free");
        let other = UdpSocket::bind(ANY).expect("a port is free");
        other
            .connect(udp.local_addr().expect("it is bound"))
            .expect("it is there");
        check(udp, DATAGRAMS, DATAGRAMS);
        check(other, DATAGRAMS, DATAGRAMS);
        if cfg!(target_os = "linux") {
            let (one, other) = UnixDatagram::pair().expect("descriptors are free");
            check(one, DATAGRAMS, DATAGRAMS);
            other.set_nonblocking(true).expect("it is a socket");
            assert!(other.recv(&mut [0]).is_err(), "nothing was sent");
            let unbound = UnixDatagram::unbound().expect("a descriptor is free");
            check(unbound, DATAGRAMS, DATAGRAMS);
        }
    }

    #[test]
    fn what_is_no_socket_is_named() {
        let open = |path: &str| File::open(path).expect("it is there");
        let mut child = Command::new("true")
            .stdout(Stdio::piped())
            .spawn()
            .expect("a program");
        let pipe = child.stdout.take().expect("it is piped");
        child.wait().expect("it is ours");
        for (fd, name) in [
            (OwnedFd::from(open("Cargo.toml")), "a file"),
            (OwnedFd::from(open("src")), "a directory"),
            (
                OwnedFd::from(open("/dev/null")),
                "a device, such as /dev/null",
            ),
            (OwnedFd::from(pipe), "a pipe"),
        ] {
            check(fd, name, name);
        }
    }

    #[test]
    fn a_listening_socket_is_no_connection() {
        let tcp = TcpListener::bind(ANY).expect("a port is free");
        let copy = tcp.try_clone().expect("a descriptor is free");
        let taken = listener(copy.into(), "it").expect("it listens");
        assert!(matches!(taken, Listener::Shared(_)));
        let refused = connection(tcp.into()).expect_err("it listens").to_string();
        assert!(
            refused.ends_with("a socket that is not connected"),
            "{refused}"
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_listening_unix_socket_is_no_connection() {
        let unix = unix_listener("listening");
        let copy = unix.try_clone().expect("a descriptor is free");
        let taken = listener(copy.into(), "it").expect("it listens");
        assert!(matches!(taken, Listener::SharedUnix(_)));
        let refused = connection(unix.into()).expect_err("it listens").to_string();
        assert!(
            refused.ends_with("a socket that is not connected"),
            "{refused}"
        );
    }

    /// connect(2) waits there, and the thread that stops the server must not.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_queue_holds_up_no_wake() {
        const STUCK: Duration = Duration::from_secs(1);
        let unix = unix_listener("full");
        let addr = unix.local_addr().expect("it is bound");
        let (tell, told) = mpsc::channel();
        let filling = thread::spawn(move || {
            let mut clients = Vec::new();
            while let Ok(client) = UnixStream::connect_addr(&addr) {
                clients.push(client);
                let _ = tell.send(());
            }
        });
        while told.recv_timeout(STUCK).is_ok() {}
        let (wake, woken) = mpsc::channel();
        let listener = Arc::new(Listener::SharedUnix(unix));
        let waking = Arc::clone(&listener);
        thread::spawn(move || wake.send(waking.wake().is_ok()));
        assert_eq!(woken.recv_timeout(Duration::from_secs(60)), Ok(true));
        // Closing the listener refuses the clients that still wait.
        while Arc::strong_count(&listener) > 1 {
            thread::yield_now();
        }
        drop(listener);
        filling.join().expect("it does not panic");
    }
}
