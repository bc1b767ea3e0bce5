//! Panics of the application's code cost a connection, never a thread (invariant 7).

use std::any::Any;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs the application's code. If it panics, the error has the panic's message. The panic's
/// payload is the application's too: dropping it may panic again, and this catches that panic as
/// well.
pub fn contain<T>(work: impl FnOnce() -> T) -> io::Result<T> {
    let payload = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(value) => return Ok(value),
        Err(payload) => payload,
    };
    let message = io::Error::other(message(&*payload));
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // Its `Drop` might panic too.
        mem::forget(second);
    }
    Err(message)
}

fn message(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref()) {
        (Some(&text), _) => text.to_owned(),
        (None, Some(text)) => String::clone(text),
        (None, None) => "a value that is no text".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{panic_any, resume_unwind};

    use super::*;

    #[test]
    fn a_panics_message_is_kept() {
        let check = |work: fn(), expected: &str| {
            let error = contain(work).expect_err("it panics");
            assert_eq!(error.to_string(), expected);
        };
        check(|| resume_unwind(Box::new("planned")), "planned");
        check(|| resume_unwind(Box::new(format!("{}", 7))), "7");
        check(|| panic_any(7), "a value that is no text");
        assert_eq!(contain(|| 7).expect("it does not panic"), 7);
    }
}
