//! One frame, one write.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::time::{Duration, Instant};

use crate::codec::frame::{self, Opcode};
use crate::error::Error;

/// How long the peer may take for a whole frame; it begins again with each MiB that it took. The socket's own write
/// timeout is the same, for a peer that takes nothing.
pub(crate) const WRITE_DEADLINE: Duration = Duration::from_secs(20);
const REARMING_BYTES: usize = 1024 * 1024;

/// Writes a frame: header and payload in one write, without a copy. After an error, nobody knows how much of it arrived,
/// and nothing more may be written.
pub(crate) fn write_frame(
    socket: &mut impl Write,
    opcode: Opcode,
    payload: &[u8],
) -> Result<(), Error> {
    let header = frame::encode_header(opcode, payload.len());
    let (mut header, mut payload) = (header.as_slice(), payload);
    let mut since = Instant::now();
    let mut progress_bytes = 0;
    loop {
        let written = match socket.write_vectored(&[IoSlice::new(header), IoSlice::new(payload)]) {
            Ok(0) => return Err(io::Error::from(ErrorKind::WriteZero).into()),
            Ok(written) => written,
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => 0,
                // Linux says the former, others the latter.
                ErrorKind::WouldBlock | ErrorKind::TimedOut => return Err(Error::WriteDeadline),
                _ => return Err(error.into()),
            },
        };
        let of_header = written.min(header.len());
        header = &header[of_header..];
        payload = &payload[written - of_header..];
        if header.is_empty() && payload.is_empty() {
            return Ok(());
        }

        progress_bytes += written;
        if progress_bytes >= REARMING_BYTES {
            since = Instant::now();
            progress_bytes = 0;
        } else if since.elapsed() >= WRITE_DEADLINE {
            return Err(Error::WriteDeadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes with each write, and then fails.
    struct Peer {
        takes: Vec<usize>,
        fails: ErrorKind,
        taken: Vec<u8>,
        writes: usize,
    }

    impl Write for Peer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.write_vectored(&[IoSlice::new(bytes)])
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            self.writes += 1;
            if self.takes.is_empty() {
                return Err(self.fails.into());
            }
            let all: Vec<u8> = slices
                .iter()
                .flat_map(|slice| slice.iter().copied())
                .collect();
            let taken = all.len().min(self.takes.remove(0));
            self.taken.extend(&all[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn peer(takes: &[usize], fails: ErrorKind) -> Peer {
        Peer {
            takes: takes.to_vec(),
            fails,
            taken: Vec::new(),
            writes: 0,
        }
    }

    #[test]
    fn one_write_for_a_frame() {
        for len in [0, 5, 200, 70_000] {
            let payload = vec![b'p'; len];
            let mut peer = peer(&[usize::MAX], ErrorKind::BrokenPipe);
            write_frame(&mut peer, Opcode::Binary, &payload).unwrap();
            assert_eq!(peer.writes, 1);
            let header = frame::encode_header(Opcode::Binary, len);
            assert_eq!(peer.taken, [header.as_slice(), &payload].concat());
        }
    }

    #[test]
    fn partial_writes_are_finished() {
        let mut peer = peer(&[1, 2, 1, 3, 1000], ErrorKind::BrokenPipe);
        write_frame(&mut peer, Opcode::Text, b"Hello").unwrap();
        assert_eq!(peer.taken, b"\x81\x05Hello");
        assert_eq!(peer.writes, 4);
    }

    #[test]
    fn a_timeout_is_the_write_deadline() {
        for timeout in [ErrorKind::WouldBlock, ErrorKind::TimedOut] {
            let result = write_frame(&mut peer(&[3], timeout), Opcode::Text, b"Hello");
            assert!(matches!(result, Err(Error::WriteDeadline)));
        }
        let result = write_frame(&mut peer(&[3, 0], ErrorKind::Other), Opcode::Text, b"Hello");
        assert!(matches!(result, Err(Error::Io(error)) if error.kind() == ErrorKind::WriteZero));
        let result = write_frame(
            &mut peer(&[3], ErrorKind::BrokenPipe),
            Opcode::Text,
            b"Hello",
        );
        assert!(matches!(result, Err(Error::Io(error)) if error.kind() == ErrorKind::BrokenPipe));
    }
}
