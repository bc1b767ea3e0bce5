//! Panics of the program that the server runs: they cost a connection, never a thread (invariant
//! 7).

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs code of the program; `None` if it panicked. The panic's payload is the program's too:
/// dropping it may panic a second time, and that stays in here as well.
pub(crate) fn contain<T>(work: impl FnOnce() -> T) -> Option<T> {
    let payload = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(value) => return Some(value),
        Err(payload) => payload,
    };
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // Its Drop might panic too.
        mem::forget(second);
    }
    None
}
