//! Clients that vanished without closing: their systems acknowledge nothing any more.
//!
//! A heartbeat to such a client fits into our system's send buffer, so writing it succeeds. The
//! system sends it again and again, and gives up after about 15 minutes (Linux:
//! `net.ipv4.tcp_retries2`). Linux lists these retransmissions in a file, for all sockets at once;
//! std has no way to ask for one socket, nor to set its `TCP_USER_TIMEOUT` (RFC 5482). On other
//! systems, the system's own timeout applies.
//!
//! The list is long where there are many subscribers. So the thread reads it at a look only if the
//! system has sent something again since the last look, of which Linux keeps a count, or if a
//! connection was waiting at that look. After a few looks without it the thread reads it anyway:
//! the count stands still where the system cannot send again, for example to an unreachable host.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::mailbox::Mailbox;
use crate::clock::after;
use crate::lock::lock;

/// The files in which the system lists its TCP sockets, for IPv4 and IPv6.
const FILES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// The file in which the system counts, among other things, what it has sent again.
const COUNTERS: &str = "/proc/net/snmp";

/// If a client has acknowledged nothing for ten seconds, the system has sent it the same bytes at
/// least three times, because it doubles its wait from 0.2 s on (RFC 6298 §5.5). Fewer may be a
/// lossy link, seen at two looks.
const LEAST: (Duration, u32) = (Duration::from_secs(10), 3);

/// Reading the files takes at most a fiftieth of one core's time, unless the rest would be longer
/// than half of the limit.
const REST: u32 = 50;

/// Most looks one after the other that do not read the list. The thread rests for a quarter of the
/// limit before and behind each, so it reads the list about once a limit.
const QUIET_LOOKS: u32 = 3;

/// Both addresses of a connection, ours first. The file does not list the scope of a link-local
/// address.
type Ends = [(IpAddr, u16); 2];

/// The connections whose clients had vanished at the last look.
#[derive(Debug, Default)]
pub(crate) struct Vanished {
    connections: Mutex<HashSet<Ends>>,
}

impl Vanished {
    /// Whether this connection's client has vanished. Calls `ends` only if there are any.
    pub(crate) fn has(&self, ends: impl FnOnce() -> Option<[SocketAddr; 2]>) -> bool {
        let connections = lock(&self.connections);
        if connections.is_empty() {
            return false;
        }
        ends().is_some_and(|ends| connections.contains(&ends.map(|end| (end.ip(), end.port()))))
    }
}

/// Runs until the hub ends, or ends at once if the system has no such file. A client has vanished
/// if its system has acknowledged nothing for the `limit`.
pub(super) fn watch(
    vanished: &Vanished,
    limit: Duration,
    is_anybody_present: impl Fn() -> bool,
    mailbox: &Mailbox<()>,
) {
    let mut watch = Watch::new(limit);
    let mut rest = rest_after(Duration::ZERO, limit);
    while mailbox.wait(Some(after(rest))).is_some() {
        let begun = Instant::now();
        // Before the list: what is sent again in between shows at the next look.
        let counts = match is_anybody_present().then(resent) {
            Some(resent) if watch.reads(resent) => retransmissions(),
            Some(_) => Ok(Vec::new()),
            None => {
                watch.resent = None;
                Ok(Vec::new())
            }
        };
        let found = match counts {
            Ok(counts) => watch.look(counts, begun),
            Err(error) if is_final(&error) => return,
            // File descriptors become free when connections end. Until then, the thread knows
            // nothing.
            Err(_) => {
                watch = Watch::new(limit);
                HashSet::new()
            }
        };
        *lock(&vanished.connections) = found;
        rest = rest_after(begun.elapsed(), limit);
    }
}

/// How long the thread rests after a look that took the time `worked`. A look takes long where the
/// system has very many sockets, and where other programs keep the processors busy.
fn rest_after(worked: Duration, limit: Duration) -> Duration {
    let least = (limit / 4).max(Duration::from_millis(250));
    (worked * REST).clamp(least, (limit / 2).max(least))
}

/// Whether there is no such file, or we may not read it.
fn is_final(error: &io::Error) -> bool {
    use io::ErrorKind::{NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | PermissionDenied)
}

/// Since when each connection has been retransmitting, and how often.
#[derive(Debug)]
struct Watch {
    limit: Duration,
    unanswered: HashMap<Ends, (u32, Instant)>,
    /// The system's count at the last look. `None` if that look does not tell.
    resent: Option<u64>,
    /// How many looks one after the other have not read the list.
    quiet_looks: u32,
}

impl Watch {
    fn new(limit: Duration) -> Watch {
        Watch {
            limit,
            unanswered: HashMap::new(),
            resent: None,
            quiet_looks: 0,
        }
    }

    /// Whether this look is to read the list, at this count of the system.
    fn reads(&mut self, resent: Option<u64>) -> bool {
        let is_quiet = self.unanswered.is_empty() && resent.is_some() && resent == self.resent;
        self.resent = resent;
        let reads = !is_quiet || self.quiet_looks == QUIET_LOOKS;
        self.quiet_looks = if reads { 0 } else { self.quiet_looks + 1 };
        reads
    }

    /// Takes the current number of retransmissions of each connection, and returns the connections
    /// that have retransmitted for too long. If a number is smaller than before, the system has
    /// begun again at zero, because the client acknowledged something.
    fn look(&mut self, counts: Vec<(Ends, u32)>, now: Instant) -> HashSet<Ends> {
        let before = std::mem::take(&mut self.unanswered);
        for (ends, count) in counts {
            let since = match before.get(&ends) {
                Some(&(last, since)) if last <= count => since,
                _ => now,
            };
            self.unanswered.insert(ends, (count, since));
        }
        let least = match self.limit >= LEAST.0 {
            true => LEAST.1,
            false => 1,
        };
        let unanswered = self.unanswered.iter();
        unanswered
            .filter(|(_, (count, _))| *count >= least)
            .filter(|(_, (_, since))| now.saturating_duration_since(*since) >= self.limit)
            .map(|(ends, _)| *ends)
            .collect()
    }
}

/// How many segments the system has sent again, of all connections together. `None` if the system
/// does not tell.
fn resent() -> Option<u64> {
    segments(&std::fs::read_to_string(COUNTERS).ok()?)
}

// Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens ... RetransSegs ...
// Tcp: 1 200 120000 -1 28312 ... 217 ...

/// The number below `RetransSegs` (Linux, snmp_counter).
fn segments(text: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp: "));
    let mut names = lines.next()?.split_ascii_whitespace();
    let at = names.position(|name| name == "RetransSegs")?;
    lines.next()?.split_ascii_whitespace().nth(at)?.parse().ok()
}

/// The connections that are retransmitting, and how often they have.
fn retransmissions() -> io::Result<Vec<(Ends, u32)>> {
    let mut counts = Vec::new();
    let mut read = |file| -> io::Result<()> {
        let mut lines = BufReader::with_capacity(64 * 1024, File::open(file)?);
        let mut line = String::new();
        while lines.read_line(&mut line)? > 0 {
            counts.extend(entry(&line).filter(|(_, count)| *count > 0));
            line.clear();
        }
        Ok(())
    };
    read(FILES[0])?;
    // A system without IPv6 has no such file.
    let _ = read(FILES[1]);
    Ok(counts)
}

// sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt ...
//  0: 0100007F:1F90 0200007F:D431 01 00000018:00000000 01:00000014 00000003 ...

/// A connection, and how often it has retransmitted the same bytes (Linux, proc_net_tcp). `None`
/// for the heading.
fn entry(line: &str) -> Option<(Ends, u32)> {
    let mut fields = line.split_ascii_whitespace();
    let ends = [fields.nth(1)?, fields.next()?];
    let retransmits = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
    Some(([end(ends[0])?, end(ends[1])?], retransmits))
}

/// An address as 32-bit words, each a number in this machine's byte order, and a port.
fn end(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| {
        let digits = address.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let address = match address.len() {
        8 => IpAddr::from(word(0)?),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?);
            }
            IpAddr::from(bytes)
        }
        _ => return None,
    };
    Some((address, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn lines_of_the_system() {
        let ours = "127.0.0.1:8080".parse().unwrap();
        let theirs = "10.213.2.1:54321".parse().unwrap();
        let ours_6 = "[::1]:8080".parse().unwrap();
        let theirs_6 = "[::ffff:10.213.2.1]:1".parse().unwrap();
        let ends = |ends: [SocketAddr; 2]| ends.map(|end| (end.ip(), end.port()));
        for (line, expected) in [
            (
                "   7: 0100007F:1F90 0102D50A:D431 01 00000018:00000000 01:00000014 0000001A  0\n",
                Some((ends([ours, theirs]), 26)),
            ),
            (
                "12345: 0100007F:1F90 0102D50A:D431 01 00000000:00000000 00:00000000 00000000  0\n",
                Some((ends([ours, theirs]), 0)),
            ),
            (
                "   0: 00000000000000000000000001000000:1F90 \
                 0000000000000000FFFF00000102D50A:0001 01 \
                 00000018:00000000 01:00000014 00000002  0\n",
                Some((ends([ours_6, theirs_6]), 2)),
            ),
            (
                "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt",
                None,
            ),
            (
                "   0: 0100007F:1F90 0102D50A:D431 01 00000018:00000000",
                None,
            ),
            ("   0: 0100007F 0102D50A:D431 01 0:0 0:0 1", None),
            ("   0: 01007F:1F90 0102D50A:D431 01 0:0 0:0 1", None),
            ("   0: 01\u{e9}0007:1F90 0102D50A:D431 01 0:0 0:0 1", None),
            ("", None),
        ] {
            assert_eq!(entry(line), expected, "{line}");
        }
    }

    #[test]
    fn what_is_never_acknowledged_for_the_limit_has_vanished() {
        let end = |port| ([127, 0, 0, 1].into(), port);
        let (gone, flaky, well) = ([end(1), end(2)], [end(1), end(3)], [end(1), end(4)]);
        let nobody: [Ends; 0] = [];
        let mut watch = Watch::new(Duration::from_secs(30));
        let start = Instant::now();
        let mut look = |seconds, counts: &[(Ends, u32)]| -> Vec<Ends> {
            let now = start + Duration::from_secs(seconds);
            watch.look(counts.to_vec(), now).into_iter().collect()
        };
        assert_eq!(look(0, &[(gone, 1), (flaky, 5), (well, 1)]), nobody);
        // The second client acknowledged some bytes, the third client all.
        assert_eq!(look(10, &[(gone, 6), (flaky, 4)]), nobody);
        assert_eq!(look(29, &[(gone, 7), (flaky, 5), (well, 1)]), nobody);
        assert_eq!(look(30, &[(gone, 7), (flaky, 5), (well, 1)]), [gone]);
        assert_eq!(look(39, &[(gone, 7), (flaky, 5), (well, 1)]), [gone]);
        // The first is gone, or has answered at last.
        assert_eq!(look(40, &[(flaky, 6), (well, 1)]), [flaky]);
        // A lossy link, seen once at each look.
        assert_eq!(look(70, &[(well, 1)]), nobody);
    }

    #[test]
    fn a_rest_is_bounded() {
        let seconds = Duration::from_secs;
        let limit = seconds(30);
        for (worked, rest) in [
            (Duration::ZERO, limit / 4),
            (Duration::from_millis(150), limit / 4),
            (Duration::from_millis(200), seconds(10)),
            (seconds(5), limit / 2),
            (Duration::MAX / REST, limit / 2),
        ] {
            assert_eq!(rest_after(worked, limit), rest, "{worked:?}");
        }
        let short = Duration::from_millis(10);
        assert_eq!(rest_after(seconds(1), short), Duration::from_millis(250));
    }

    #[test]
    fn the_list_is_read_only_if_it_may_have_changed() {
        let mut watch = Watch::new(Duration::from_secs(30));
        assert!(watch.reads(Some(7)), "the first look");
        assert!(!watch.reads(Some(7)));
        assert!(watch.reads(Some(8)), "something was sent again");
        assert!(watch.reads(None), "the system does not tell");
        assert!(watch.reads(None), "nor did it before");
        assert!(watch.reads(Some(8)), "it tells again");
        assert!(!watch.reads(Some(8)));
        let end = |port| ([127, 0, 0, 1].into(), port);
        watch.look(vec![([end(1), end(2)], 1)], Instant::now());
        assert!(watch.reads(Some(8)), "somebody has yet to answer");
        watch.look(Vec::new(), Instant::now());
        assert!(!watch.reads(Some(8)));
    }

    #[test]
    fn a_count_that_stands_still_does_not_keep_the_list_unread() {
        let mut watch = Watch::new(Duration::from_secs(30));
        let reads: Vec<bool> = (0..9).map(|_| watch.reads(Some(7))).collect();
        // The first, and every fourth from it.
        let expected: Vec<bool> = (0..9).map(|at| at % 4 == 0).collect();
        assert_eq!(reads, expected);
    }

    #[test]
    fn counts_of_the_system() {
        let before = "Ip: Forwarding RetransSegs\nIp: 1 2\n";
        let names = "Tcp: RtoAlgorithm MaxConn OutSegs RetransSegs InErrs\n";
        for (text, expected) in [
            (
                format!("{before}{names}Tcp: 1 -1 99 217 0\nUdp: X\nUdp: 1\n"),
                Some(217),
            ),
            (
                format!("{names}Tcp: 1 -1 99 18446744073709551615 0"),
                Some(u64::MAX),
            ),
            (format!("{names}Tcp: 1 -1 99\n"), None),
            (format!("{names}Tcp: 1 -1 99 - 0\n"), None),
            (names.to_owned(), None),
            ("Tcp: OutSegs\nTcp: 1\n".to_owned(), None),
            (before.to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(segments(&text), expected, "{text}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_lists_our_connections() {
        use std::net::{TcpListener, TcpStream};
        for host in ["127.0.0.1", "::1"] {
            let Ok(listener) = TcpListener::bind((host, 0)) else {
                assert_eq!(host, "::1", "only IPv6 may be missing");
                continue;
            };
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (socket, peer) = listener.accept().unwrap();
            let ends = [socket.local_addr().unwrap(), peer].map(|end| (end.ip(), end.port()));
            let listed = FILES.iter().any(|file| {
                let lines = std::fs::read_to_string(file).unwrap_or_default();
                lines.lines().any(|line| entry(line) == Some((ends, 0)))
            });
            assert!(listed, "{ends:?}");
            drop(client);
        }
        assert!(retransmissions().is_ok());
        assert!(resent().is_some());
    }

    #[test]
    fn the_ends_are_asked_for_only_if_somebody_has_vanished() {
        let ends: [SocketAddr; 2] = ["127.0.0.1:1", "[::1]:2"].map(|end| end.parse().unwrap());
        let vanished = Vanished::default();
        assert!(!vanished.has(|| unreachable!("nobody has vanished")));
        let key = ends.map(|end| (end.ip(), end.port()));
        vanished.connections.lock().unwrap().insert(key);
        assert!(vanished.has(|| Some(ends)));
        assert!(!vanished.has(|| Some([ends[1], ends[0]])));
        assert!(!vanished.has(|| None));
    }
}
