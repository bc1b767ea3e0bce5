//! Failures that no caller of a hub sees.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex};

use akurai_http::program::{contain, one_line};

use super::Hub;
use crate::lock::lock;

type ErrorHook = Arc<dyn Fn(&io::Error) + Send + Sync>;

/// Where a hub's failures go.
#[derive(Default)]
pub(crate) struct HubFailures {
    /// The application's; without one, each failure is a line on stderr.
    hook: Mutex<Option<ErrorHook>>,
}

impl Hub {
    /// Calls `hook` with failures that no caller sees. Without a hook, each is one line on stderr.
    /// Another call replaces the hook.
    ///
    /// - The engine's [`next`](crate::Engine::next) returned an error, or panicked. Told once, when
    ///   it begins to fail; after a call that succeeded, the next failure is told again.
    ///   [`ready`](Hub::ready) says whether it still fails. The error has the kind of the engine's.
    /// - A notice of [`on_join`](Hub::on_join) or [`on_leave`](Hub::on_leave) panicked.
    ///
    /// Errors of [`publish`](Hub::publish) are the caller's, and are not told here. A subscriber
    /// that was too slow or left is no failure.
    ///
    /// Control characters in the error's text are escaped, and so are those that begin a line or
    /// turn a text around (U+2028 to U+202E, U+2066 to U+2069): it may have come from a server.
    ///
    /// A thread of the hub calls the hook and waits for it, so it should not wait for anything
    /// long. If it panics, the failure becomes a line on stderr. A hook that holds a clone of the
    /// hub keeps the hub alive.
    ///
    /// ```
    /// # use akurai_server::{Hub, HubOptions};
    /// # fn main() -> std::io::Result<()> {
    /// let hub = Hub::new(HubOptions::default())?;
    /// hub.on_error(|error| eprintln!("<3>hub: {error}")); // a priority for systemd's journal
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_error(&self, hook: impl Fn(&io::Error) + Send + Sync + 'static) {
        let failures = self.inner.shared.failures();
        let old = lock(&failures.hook).replace(Arc::new(hook));
        // Dropping the application's closure runs its code, so our lock must be free.
        drop(old);
    }
}

impl HubFailures {
    /// Tells the application that `work` failed.
    pub(crate) fn tell(&self, work: &str, error: &io::Error) {
        // The error's text is the engine's code, and may panic.
        let Ok(text) = contain(|| one_line(&format!("{work}: {error}"))) else {
            return;
        };
        let hook = lock(&self.hook).clone();
        let error = io::Error::new(error.kind(), &*text);
        let is_told = hook.is_some_and(|hook| contain(move || hook(&error)).is_ok());
        if !is_told {
            print(&text);
        }
    }
}

fn print(text: &str) {
    // One write, so that no other thread's line comes in between.
    let line = format!("akurai-server: {text}\n");
    let _ = io::stderr().write_all(line.as_bytes());
}
