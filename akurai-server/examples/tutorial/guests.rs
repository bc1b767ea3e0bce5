use std::sync::{Arc, Mutex, PoisonError};

use akurai_http::{Reply, Request};
use akurai_server::{Hub, Retention};

/// The names of those who are here. Each page follows them.
pub(crate) struct Guests {
    hub: Hub,
    names: Mutex<Vec<String>>,
}

/// Somebody who is here, until this is dropped.
pub(crate) struct Guest {
    guests: Arc<Guests>,
    name: String,
}

impl Guests {
    pub(crate) fn new(hub: Hub) -> Arc<Guests> {
        hub.retain("here", Retention::default().max_events(1));
        hub.latest_only("here"); // A new stream begins with the last event.
        let names = Mutex::default();
        Arc::new(Guests { hub, names })
    }

    pub(crate) fn follow(&self, req: &Request) -> Reply {
        self.hub.sse(req, &["here"])
    }

    pub(crate) fn welcome(self: &Arc<Guests>, name: &str) -> Guest {
        self.change(|names| names.push(name.to_owned()));
        Guest {
            guests: Arc::clone(self),
            name: name.to_owned(),
        }
    }

    /// Changes the list, and tells all pages.
    fn change(&self, change: impl FnOnce(&mut Vec<String>)) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut names);
        names.sort();
        let mut shown = names.clone();
        shown.dedup(); // Somebody may have two pages open.
        let _ = self.hub.publish("here", "", &shown.join(", "));
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.guests.change(|names| {
            if let Some(at) = names.iter().position(|name| *name == self.name) {
                names.remove(at);
            }
        });
    }
}
