//! How a connection leaves HTTP (RFC 9110 §7.8).

use std::io;
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Connection, Outcome, failed_request};
use crate::codec::response::{Persistence, ResponseFraming};
use crate::io::ending::{Ending, LogField, UpgradeEnd};
use crate::io::failure::{FailedRequest, FailureKind};
use crate::{Method, Request, Response, Socket, Status, Upgrade, Upgraded};

/// A connection that left HTTP, and the closure that will own it.
pub(crate) struct PendingUpgrade {
    pub(crate) run: Box<dyn FnOnce(Upgraded) -> io::Result<()> + Send>,
    pub(crate) upgraded: Upgraded,
    /// What an error of the closure is.
    pub(crate) kind: FailureKind,
    /// The closure may return an error.
    pub(crate) may_fail: bool,
    pub(crate) request: Box<UpgradedRequest>,
}

/// The request of an upgrade, as a failure names it.
pub(crate) struct UpgradedRequest {
    method: Method,
    path: String,
    client: Option<IpAddr>,
    fields: Vec<LogField>,
}

impl UpgradedRequest {
    fn of(request: &Request) -> UpgradedRequest {
        UpgradedRequest {
            method: request.method(),
            path: request.path().to_owned(),
            client: request.client_addr(),
            fields: request.log_fields(),
        }
    }

    pub(crate) fn failed(&self) -> FailedRequest<'_> {
        FailedRequest {
            method: self.method,
            path: &self.path,
            client: self.client,
            fields: self.fields.clone(),
        }
    }
}

impl Connection {
    /// Writes an upgrade's head and hands the connection over. Another protocol begins after the
    /// request's body, so we first read what the handler left of it. An event stream has no input:
    /// there the rest of the body stays unread.
    pub(super) fn upgrade(&mut self, upgrade: Upgrade) -> Outcome {
        let is_switch = upgrade.head.status() == Status::SWITCHING_PROTOCOLS;
        if is_switch {
            if upgrade.head.headers().bytes("Upgrade").is_none() {
                let fault = io::Error::other("a handler switched protocols and named none");
                self.tell(FailureKind::Response, &fault);
                return self.respond(upgrade.head.failed());
            }
            if !self.request.asks_for(&upgrade.head) {
                return self.respond(switch_not_asked_for(&upgrade.head));
            }
            if let Err(outcome) = self.finish_body() {
                return outcome;
            }
        }
        let Upgrade {
            head,
            prelude,
            when_full,
            run,
            stop_hook,
            may_fail,
            sets_waits,
        } = upgrade;
        if self.request.method() == Method::Head {
            self.begin_answer(&head, ResponseFraming::Close, Persistence::Close);
            return Outcome::Close;
        }
        if !self.entry.take_upgrade_place() {
            let overloaded = &self.serving.registry.counts.overloaded;
            overloaded.fetch_add(1, Ordering::Relaxed);
            return self.respond(when_full().with_fields_of(&head));
        }
        let persistence = match is_switch {
            true => Persistence::Upgrade,
            false => Persistence::Close,
        };
        self.begin_answer(&head, ResponseFraming::Bodiless, persistence);
        let request = Box::new(UpgradedRequest::of(&self.request));
        let socket = self.upgraded_socket();
        // The hook may write from now on, as one does to a socket that waits.
        let _ = self.entry.reclaim();
        self.entry.upgrade(stop_hook, !is_switch);
        self.buffered.output.extend_from_slice(&prelude);
        let is_gone = self.buffered.flush().is_err();
        if is_gone || !sets_waits && self.release_timeouts().is_err() {
            return Outcome::Gone;
        }
        let is_input_unread = !self.buffered.skim_body();
        Outcome::Upgrade(Box::new(PendingUpgrade {
            run,
            upgraded: Upgraded::new(self.buffered.take_unread(), is_input_unread, socket),
            kind: match is_switch {
                true => FailureKind::Upgrade,
                false => FailureKind::EventStream,
            },
            may_fail,
            request,
        }))
    }

    /// The socket of an upgrade whose head was just written. If the request is logged, its line
    /// waits for the end of the upgrade, and the request with it.
    fn upgraded_socket(&mut self) -> Socket {
        let entry = Arc::clone(&self.entry);
        if !self.request.has_end() {
            return Socket::new(entry);
        }
        let mut request = mem::replace(&mut self.request, Request::on(None, None, false));
        let status = self.begun.as_ref().map(|begun| begun.status);
        let registry = Arc::clone(&self.serving.registry);
        let run = move |ending: Ending| {
            let mut panics = request.end(Ending { status, ..ending });
            panics.extend(request.drop_values());
            for panic in panics {
                registry.note_panic(Some(failed_request(&request)), &panic);
            }
        };
        let end = UpgradeEnd {
            run: Box::new(run),
            sent_before: self.begun.as_ref().map_or(0, |begun| begun.body_from),
            received_before: entry.received_bytes() - self.buffered.unread().len() as u64,
            fields: Vec::new(),
        };
        Socket::with_end(entry, end)
    }

    /// Reads what the handler left of the body, as a handler would: another protocol begins after
    /// it, and a client that waits for a 100 gets it first (RFC 9110 §7.8).
    fn finish_body(&mut self) -> Result<(), Outcome> {
        if let Err(error) = self.buffered.body.check() {
            return Err(self.refuse(error));
        }
        let mut scratch = [0; 1024];
        loop {
            match self.buffered.read_body(&mut scratch) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        Err(match self.buffered.body.check() {
            Err(error) if !self.buffered.is_broken() => self.refuse(error),
            _ => Outcome::Gone,
        })
    }

    /// Lets reads wait for ever and a single write for `write_stall`, as an upgrade's closure is
    /// promised.
    fn release_timeouts(&self) -> io::Result<()> {
        let write_stall = self
            .serving
            .limits
            .write_stall
            .max(Duration::from_millis(1));
        self.entry.transport.set_read_timeout(None)?;
        self.entry.transport.set_write_timeout(Some(write_stall))
    }
}

/// The answer if a handler switches to another protocol and the client cannot switch
/// (RFC 9110 §15.5.22).
fn switch_not_asked_for(head: &Response) -> Response {
    let told = "this resource speaks another protocol: ask for it with Upgrade and Connection: upgrade, over HTTP/1.1, and not with HEAD";
    let refusal = Response::plain(Status::UPGRADE_REQUIRED, told);
    refusal.with_header(
        "Upgrade",
        head.headers().bytes("Upgrade").unwrap_or_default(),
    )
}
