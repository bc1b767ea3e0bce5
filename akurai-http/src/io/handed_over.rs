//! Descriptors that another process, or another part of the program, hands over: which socket each
//! of them is. std cannot ask for a socket's family and type, so we ask what only one kind answers.
//! Nothing here changes a listening socket, which others may hold too.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use crate::io::transport::{Listener, SharedUnix, Transport};

/// A listening socket. An error names the descriptor as `name`.
pub(crate) fn listener(fd: OwnedFd, name: &str) -> io::Result<Listener> {
    let wrong = |found: &str| {
        let message = format!("{name} must be a listening TCP or Unix socket, and is {found}");
        io::Error::new(io::ErrorKind::InvalidInput, message)
    };
    match AnySocket::of(fd).map_err(wrong)? {
        AnySocket::Tcp(tcp) if tcp.peer_addr().is_err() => {
            Ok(Listener::Shared(TcpListener::from(OwnedFd::from(tcp))))
        }
        AnySocket::Unix(unix) if unix.peer_addr().is_err() => {
            let unix = UnixListener::from(OwnedFd::from(as_stream(unix).map_err(wrong)?));
            Ok(Listener::SharedUnix(SharedUnix::new(unix)))
        }
        AnySocket::Tcp(_) | AnySocket::Unix(_) => Err(wrong("a connected socket")),
    }
}

/// A connected socket, and its peer's address if it has one.
pub(crate) fn connection(fd: OwnedFd) -> io::Result<(Transport, Option<SocketAddr>)> {
    let wrong = |found: &str| {
        let message = format!("a connected TCP or Unix socket is needed, and this is {found}");
        io::Error::new(io::ErrorKind::InvalidInput, message)
    };
    let is_unconnected = || wrong("a socket that is not connected");
    match AnySocket::of(fd).map_err(wrong)? {
        AnySocket::Tcp(tcp) => match tcp.peer_addr() {
            Ok(peer) => Ok((Transport::Tcp(tcp), Some(peer))),
            Err(_) => Err(is_unconnected()),
        },
        AnySocket::Unix(unix) => {
            let is_connected = unix.peer_addr().is_ok();
            // The question may send a packet, and must not wait for room.
            if is_connected {
                unix.set_nonblocking(true)?;
            }
            let unix = as_stream(unix).map_err(wrong)?;
            match is_connected {
                true => Ok((Transport::Unix(unix), None)),
                false => Err(is_unconnected()),
            }
        }
    }
}

const DATAGRAMS: &str = "a datagram socket";

/// A TCP socket, or a Unix socket of any type.
enum AnySocket {
    Tcp(TcpStream),
    Unix(UnixDatagram),
}

impl AnySocket {
    /// Finds out the family of the socket. The error says what the descriptor is instead.
    fn of(fd: OwnedFd) -> Result<AnySocket, &'static str> {
        // Only a socket of IPv4 or IPv6 has an address with a port.
        let tcp = TcpStream::from(fd);
        if tcp.local_addr().is_ok() {
            // Only TCP has this option.
            return match tcp.nodelay() {
                Ok(_) => Ok(AnySocket::Tcp(tcp)),
                Err(_) => Err(DATAGRAMS),
            };
        }
        let unix = UnixStream::from(OwnedFd::from(tcp));
        if unix.local_addr().is_err() {
            return Err(kind_of_file(OwnedFd::from(unix)));
        }
        Ok(AnySocket::Unix(UnixDatagram::from(OwnedFd::from(unix))))
    }
}

/// The same socket, unless it is one for datagrams or packets.
fn as_stream(unix: UnixDatagram) -> Result<UnixStream, &'static str> {
    match cfg!(target_os = "linux") && sends_datagrams(&unix) {
        true => Err(DATAGRAMS),
        false => Ok(UnixStream::from(OwnedFd::from(unix))),
    }
}

/// Whether a Unix socket on Linux takes datagrams or packets, and no stream. Nothing is sent,
/// except that the peer of a connected socket for packets (`SOCK_SEQPACKET`) gets an empty one. We
/// do not know what other systems do here.
fn sends_datagrams(socket: &UnixDatagram) -> bool {
    use io::ErrorKind::*;
    match socket.send_to(&[], "").map_err(|error| error.kind()) {
        Ok(_) => true,
        // For datagrams, Linux refuses only an empty address (EINVAL).
        Err(InvalidInput) => true,
        // For packets it ignores the address, and wants a peer that has room.
        Err(NotConnected | BrokenPipe | ConnectionRefused | ConnectionReset | WouldBlock) => true,
        // For a stream it refuses any address.
        Err(_) => false,
    }
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
    use std::{sync::mpsc, thread, time::Duration};

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
        let udp = UdpSocket::bind(ANY).expect("a port is free");
        let other = UdpSocket::bind(ANY).expect("a port is free");
        other
            .connect(udp.local_addr().expect("it is bound"))
            .expect("it is there");
        check(udp, DATAGRAMS, DATAGRAMS);
        check(other, DATAGRAMS, DATAGRAMS);
        if cfg!(target_os = "linux") {
            let (one, other) = UnixDatagram::pair().expect("descriptors are free");
            check(one, "a connected socket", DATAGRAMS);
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

    /// Connects until the queue is full. Then connect(2) waits for a place, and so does the
    /// returned thread, until the listener is closed.
    #[cfg(target_os = "linux")]
    fn fill(addr: std::os::unix::net::SocketAddr) -> thread::JoinHandle<()> {
        const PAUSE: Duration = Duration::from_millis(100);
        let (tell, told) = mpsc::channel();
        let (name, named) = mpsc::channel();
        let filling = thread::spawn(move || {
            let own = std::fs::read_link("/proc/thread-self").expect("Linux names it");
            let _ = name.send(format!("/proc/{}/stat", own.display()));
            let mut clients = Vec::new();
            while let Ok(client) = UnixStream::connect_addr(&addr) {
                clients.push(client);
                let _ = tell.send(());
            }
        });
        let stat = named.recv().expect("it has a name");
        // A thread that only lacks a processor is not asleep.
        let is_asleep = || {
            let stat = std::fs::read_to_string(&stat).expect("the thread waits");
            stat.rsplit(')')
                .next()
                .is_some_and(|rest| rest.starts_with(" S "))
        };
        while told.recv_timeout(PAUSE).is_ok() || !is_asleep() {}
        assert!(!filling.is_finished(), "the queue is full");
        filling
    }

    /// connect(2) waits there, and the thread that stops the server must not.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_queue_holds_up_no_wake() {
        let unix = unix_listener("full");
        let filling = fill(unix.local_addr().expect("it is bound"));
        let unix = SharedUnix::new(unix);
        let waking = unix.waking();
        let (wake, woken) = mpsc::channel();
        let listener = Listener::SharedUnix(unix);
        let calls = thread::spawn(move || {
            for _ in 0..9 {
                let _ = wake.send(listener.wake().is_ok());
            }
            listener
        });
        for _ in 0..9 {
            assert_eq!(woken.recv_timeout(Duration::from_secs(60)), Ok(true));
        }
        assert_eq!(waking(), 1, "threads that wait for a place");
        // Closing the listener refuses the clients that still wait.
        drop(calls.join().expect("it does not panic"));
        filling.join().expect("it does not panic");
    }
}
