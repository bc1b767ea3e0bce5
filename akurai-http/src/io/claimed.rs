//! Memory for bytes that a client has announced and not sent yet.
//!
//! A head may claim any length, so memory follows the bytes that have come. The exception is
//! bounded: [`CLAIMS`] bodies at a time, in the whole process, get up to [`CLAIM_BYTES`] before
//! their bytes come. Then most bodies need a single read behind the one that brought their head. If
//! all claims are taken, by clients that claim and send nothing for example, other bodies only cost
//! more reads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::io::lock::lock;

/// How much of an announced length a claim stands for, in bytes.
pub(crate) const CLAIM_BYTES: usize = 64 * 1024;

/// Most claims at a time: 4 MiB in all.
const CLAIMS: usize = 64;

/// How many claims are taken.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// The right to room for [`CLAIM_BYTES`] that have not come yet. It ends when it is dropped.
pub(crate) struct Claim(&'static AtomicUsize);

impl Claim {
    /// `None` if all are taken.
    pub(crate) fn take() -> Option<Claim> {
        Claim::of(&TAKEN)
    }

    fn of(taken: &'static AtomicUsize) -> Option<Claim> {
        let one_more = |taken| (taken < CLAIMS).then_some(taken + 1);
        let result = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        result.ok().map(|_| Claim(taken))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Memory of long bodies that nobody uses. A thread takes the one that was given back last: it is
/// still in the CPU cache. Nobody has to clear it either.
static SPARE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// At most 1 MiB in all.
const SPARE_BODIES: usize = 16;

/// Makes room for `len` bytes. The bytes behind the first `filled` may be old ones. `whole` is the
/// length that the body will have, as far as it is known.
pub(crate) fn make_room(body: &mut Vec<u8>, filled: usize, len: usize, whole: usize) {
    // A handler may keep the body, so at most half of its memory may be unused.
    let is_spare = (CLAIM_BYTES / 2..=CLAIM_BYTES).contains(&whole) && len > CLAIM_BYTES / 2;
    if is_spare && body.capacity() != CLAIM_BYTES {
        let spare = lock(&SPARE).pop();
        let mut room = spare.unwrap_or_else(|| Vec::with_capacity(CLAIM_BYTES));
        if room.len() < filled {
            room.resize(filled, 0);
        }
        room[..filled].copy_from_slice(&body[..filled]);
        *body = room;
    }
    if body.len() < len {
        body.resize(len, 0);
    }
}

/// Takes the memory of a body that nobody uses any more, if it is of that kind.
pub(crate) fn give_back(body: Vec<u8>) {
    if body.capacity() != CLAIM_BYTES {
        return;
    }
    let mut spare = lock(&SPARE);
    if spare.len() < SPARE_BODIES {
        spare.push(body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_few_and_come_back() {
        static TAKEN: AtomicUsize = AtomicUsize::new(0);
        for _ in 0..2 {
            let claims: Vec<Claim> = (0..CLAIMS).map_while(|_| Claim::of(&TAKEN)).collect();
            assert_eq!(claims.len(), CLAIMS);
            assert!(Claim::of(&TAKEN).is_none(), "one more");
        }
    }

    #[test]
    fn memory_of_long_bodies_serves_again() {
        let mut body = b"begun".to_vec();
        make_room(&mut body, 5, 50_000, 50_000);
        assert_eq!((body.len() >= 50_000, body.capacity()), (true, CLAIM_BYTES));
        assert_eq!(body[..5], *b"begun");
        body.truncate(40_000);
        let memory = body.as_ptr();
        give_back(body);
        // Other tests may have given memory back too.
        let mut bodies: Vec<Vec<u8>> = vec![Vec::new(); SPARE_BODIES];
        for body in &mut bodies {
            make_room(body, 0, 50_000, 50_000);
        }
        assert!(bodies.iter().any(|body| body.as_ptr() == memory));
        bodies.into_iter().for_each(give_back);
        // Short ones, and parts of longer ones, have memory of their own length.
        for (len, whole) in [
            (1000, 1000),
            (32_000, 32_000),
            (65_536, 65_537),
            (1000, 60_000),
        ] {
            let mut body = Vec::new();
            make_room(&mut body, 0, len, whole);
            assert!(body.len() == len && body.capacity() < 2 * len, "{len}");
        }
    }
}
