//! A request of a client, and what a tool may tell and ask while it runs.

use std::io;
use std::sync::Arc;

use super::json::Json;
use super::session::Session;
use super::stream::Stream;

/// The `result` of a request, or code and text of an error of JSON-RPC.
pub(crate) type Outcome = Result<String, (i32, String)>;

/// A request. Of each method that tells or asks, an error says that nobody waits for this call any
/// longer: it should end.
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) params: Json,
    pub(super) session: Arc<Session>,
    pub(super) stream: Arc<Stream>,
}

impl Call {
    /// `params` is JSON, on one line.
    pub(crate) fn notify(&self, method: &str, params: &str) -> io::Result<()> {
        let message = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#);
        self.stream.send(message)
    }

    /// Tells how far the call is, if the client wants to know.
    pub(crate) fn progress(&self, progress: u32, total: u32) -> io::Result<()> {
        let meta = self.params.get("_meta");
        let Some(token) = meta.and_then(|meta| meta.get("progressToken")) else {
            return Ok(());
        };
        let params =
            format!(r#"{{"progressToken":{token},"progress":{progress},"total":{total}}}"#);
        self.notify("notifications/progress", &params)
    }

    /// Logs for the client, unless it wants only what is more severe.
    pub(crate) fn log(&self, level: &str, text: &str) -> io::Result<()> {
        if self.session.hears(level) {
            let params = format!(r#"{{"level":"{level}","data":{}}}"#, Json::from(text));
            self.notify("notifications/message", &params)?;
        }
        Ok(())
    }

    /// Asks the client, and waits for the `result` for 5 min: `elicitation/create` asks its user,
    /// and `sampling/createMessage` its language model.
    pub(crate) fn ask(&self, method: &str, params: &str) -> io::Result<Json> {
        self.session.ask(&self.stream, method, params)
    }

    /// Ends the connection. The client comes back for the rest when it likes: so a long call keeps
    /// no connection open. A client of an older revision keeps its connection: there, a server
    /// should not end a stream before the answer.
    pub(crate) fn hang_up(&self) {
        if self.session.is_primed {
            self.stream.hang_up();
        }
    }

    /// The answer, as a message.
    pub(super) fn run(&self, id: &Json, answer: impl Fn(&Call) -> Outcome) -> String {
        let (session, text) = (&self.session, |name| self.params.text(name));
        let done = match self.method.as_str() {
            "ping" => Some(()),
            "logging/setLevel" => session.set_level(text("level")),
            "resources/subscribe" => session.subscribe(text("uri")),
            "resources/unsubscribe" => session.unsubscribe(text("uri")),
            _ => return message_of(id, answer(self)),
        };
        let invalid = || (-32602, "invalid params".to_owned());
        message_of(id, done.map(|()| "{}".to_owned()).ok_or_else(invalid))
    }
}

pub(super) fn message_of(id: &Json, outcome: Outcome) -> String {
    match outcome {
        Ok(result) => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#),
        Err((code, text)) => format!(
            r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{}}}}}"#,
            Json::from(text.as_str())
        ),
    }
}
