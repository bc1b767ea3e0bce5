//! Panics of the application's code cost a connection, never a thread (invariant 7).

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs the application's code; `None` if it panicked. The panic's payload is the application's
/// too: dropping it may panic again, and this catches that panic as well.
pub(crate) fn contain<T>(work: impl FnOnce() -> T) -> Option<T> {
    let payload = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(value) => return Some(value),
        Err(payload) => payload,
    };
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // Its `Drop` might panic too.
        mem::forget(second);
    }
    None
}
