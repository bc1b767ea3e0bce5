//! One connection to a server: it sends commands and receives as many replies. Each step has a
//! deadline.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::url::{Address, Url};
use crate::engine::resp::{Decoder, Reply, command};

/// How long opening a connection may take.
pub(super) const CONNECT: Duration = Duration::from_secs(1);

/// How long an answer may take, in addition to the wait that the command asks for.
pub(super) const IO: Duration = Duration::from_secs(2);

/// Most bytes of one reply that are held.
pub(super) const REPLY_BYTES: usize = 64 << 20;

/// Bytes that are read at a time.
const READ_BYTES: usize = 64 * 1024;

pub(super) struct Connection {
    stream: Stream,
    decoder: Decoder,
    buffer: Box<[u8]>,
}

enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Connection {
    /// Connects until `deadline`, in at most [`CONNECT`], and authenticates.
    pub(super) fn open(url: &Url, deadline: Instant) -> io::Result<Connection> {
        let by = deadline.min(Instant::now() + CONNECT);
        let mut connection = Connection {
            stream: Stream::open(&url.address, by)?,
            decoder: Decoder::new(REPLY_BYTES),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
        };
        let mut greeting = Vec::new();
        let mut replies = 0;
        if let Some(password) = &url.password {
            match &*url.user {
                "" => command(&mut greeting, &["AUTH", password]),
                user => command(&mut greeting, &["AUTH", user, password]),
            }
            replies += 1;
        }
        if url.database != 0 {
            command(&mut greeting, &["SELECT", &url.database.to_string()]);
            replies += 1;
        }
        let by = deadline.min(Instant::now() + IO);
        connection.send(&greeting, by)?;
        for _ in 0..replies {
            if let Reply::Error(text) = connection.receive(by)? {
                return Err(refused(&without_password(&text, url)));
            }
        }
        Ok(connection)
    }

    /// Sends a command and returns its reply. An error reply becomes an error.
    pub(super) fn ask<A: AsRef<[u8]>>(&mut self, args: &[A], by: Instant) -> io::Result<Reply> {
        let mut bytes = Vec::new();
        command(&mut bytes, args);
        self.send(&bytes, by)?;
        match self.receive(by)? {
            Reply::Error(text) => Err(refused(&text)),
            reply => Ok(reply),
        }
    }

    /// Whether the server has closed the connection, or sends bytes although no command waits.
    pub(super) fn is_gone(&mut self) -> bool {
        let is_quiet = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        let looked = self.stream.set_nonblocking(true).and_then(|()| {
            let read = self.stream.read(&mut [0]);
            self.stream.set_nonblocking(false)?;
            read
        });
        !looked.is_err_and(is_quiet)
    }

    pub(super) fn send(&mut self, mut bytes: &[u8], by: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.set_write_timeout(left(by)?)?;
            match self.stream.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) => retry(error)?,
            }
        }
        Ok(())
    }

    /// The next reply, of any kind.
    pub(super) fn receive(&mut self, by: Instant) -> io::Result<Reply> {
        loop {
            let next = self.decoder.next();
            if let Some(reply) =
                next.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?
            {
                return Ok(reply);
            }
            self.stream.set_read_timeout(left(by)?)?;
            match self.stream.read(&mut self.buffer) {
                Ok(0) => {
                    let message = "it closed the connection";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
                }
                Ok(count) => self.decoder.feed(&self.buffer[..count]),
                Err(error) => retry(error)?,
            }
        }
    }
}

/// The server's error text, without what it repeats of the command: a server that does not know a
/// command repeats all of it, and so the event or the password. At most [`WORDS`] characters.
pub(super) fn refused(text: &str) -> io::Error {
    let text = text.split(" with args").next().unwrap_or_default();
    let text = text.trim_end_matches(',').chars().take(WORDS);
    // Control characters would act on a terminal that shows the error.
    let text: String = text.map(|c| if c.is_control() { ' ' } else { c }).collect();
    let (kind, advice) = match text.split(' ').next() {
        Some("NOAUTH" | "WRONGPASS" | "NOPERM") => (io::ErrorKind::PermissionDenied, ""),
        Some("OOM") => (io::ErrorKind::OutOfMemory, ""),
        Some("MOVED" | "ASK" | "TRYAGAIN" | "CROSSSLOT" | "CLUSTERDOWN") => {
            (io::ErrorKind::Other, CLUSTER)
        }
        // Redis 7 answers a command as long as XADD with this text, and not with NOAUTH.
        _ if text.contains("unauthenticated") => (io::ErrorKind::PermissionDenied, ""),
        _ => (io::ErrorKind::Other, ""),
    };
    io::Error::new(kind, format!("it says: {text}{advice}"))
}

/// Longest text of a server in an error, in characters.
const WORDS: usize = 300;

const CLUSTER: &str = " (cluster mode is not supported: the URL has to name a server without it, \
                       or the master that serves the slot of the stream's key)";

/// Whether this server is not the master, or does not serve this key. The same name may lead to the
/// right server later.
pub(super) fn is_elsewhere(reply: &Reply) -> bool {
    let code =
        |text: &String| ["READONLY", "MOVED"].contains(&text.split(' ').next().unwrap_or(""));
    matches!(reply, Reply::Error(text) if code(text))
}

/// The server's answer to the authentication, without the password.
fn without_password(text: &str, url: &Url) -> String {
    match &url.password {
        // Before the text is cut, so that not even half of the password stays.
        Some(password) if !password.is_empty() => text.replace(&**password, "…"),
        _ => text.to_owned(),
    }
}

/// The answer is not of the kind that the command asks for.
pub(super) fn unexpected() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its answer is of another kind")
}

fn left(by: Instant) -> io::Result<Duration> {
    match by.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(late()),
        left => Ok(left),
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it does not answer in time")
}

/// `Ok` if the caller may try the call again.
fn retry(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::Interrupted => Ok(()),
        // Linux returns `WouldBlock`, other systems `TimedOut`.
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Err(late()),
        _ => Err(error),
    }
}

impl Stream {
    fn open(address: &Address, by: Instant) -> io::Result<Stream> {
        match address {
            Address::Tcp(host, port) => {
                let mut refusal = None;
                for addr in (&**host, *port).to_socket_addrs()? {
                    match TcpStream::connect_timeout(&addr, left(by)?) {
                        Ok(stream) => {
                            stream.set_nodelay(true)?;
                            return Ok(Stream::Tcp(stream));
                        }
                        Err(error) => refusal = Some(error),
                    }
                }
                let none = || io::Error::new(io::ErrorKind::NotFound, "the host has no address");
                Err(refusal.unwrap_or_else(none))
            }
            #[cfg(unix)]
            Address::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path)?)),
            #[cfg(not(unix))]
            Address::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn set_nonblocking(&self, is: bool) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_nonblocking(is),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.set_nonblocking(is),
        }
    }

    fn set_read_timeout(&self, wait: Duration) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(wait)),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.set_read_timeout(Some(wait)),
        }
    }

    fn set_write_timeout(&self, wait: Duration) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_write_timeout(Some(wait)),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.set_write_timeout(Some(wait)),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}
