//! The end of a request, of a streamed answer or of an upgraded connection, for its log line.

use std::fmt;
use std::net::IpAddr;

use crate::Status;
use crate::codec::json::quoted;

/// A name and a value that the program adds to a log line.
pub(crate) type LogField = (&'static str, String);

/// What a request's log line tells of its end.
#[derive(Debug, Default, Clone)]
pub(crate) struct Ending {
    /// The status that was sent; `None` if no answer was begun.
    pub(crate) status: Option<Status>,
    /// Bytes sent behind the head.
    pub(crate) bytes_sent: u64,
    /// Bytes received behind the request of an upgraded connection.
    pub(crate) bytes_received: Option<u64>,
    pub(crate) fields: Vec<LogField>,
}

/// Sets the field, in place of an earlier one of this name.
pub(crate) fn set_field(fields: &mut Vec<LogField>, name: &'static str, value: String) {
    match fields.iter_mut().find(|(known, _)| *known == name) {
        Some((_, known)) => *known = value,
        None => fields.push((name, value)),
    }
}

/// These fields as an object of JSON.
pub(crate) fn json_of_fields(fields: &[LogField]) -> String {
    let pairs = fields.iter();
    let pairs: Vec<_> = pairs
        .map(|(name, value)| format!("{}:{}", quoted(name), quoted(value)))
        .collect();
    format!("{{{}}}", pairs.join(","))
}

/// A client's address as JSON.
pub(crate) fn json_of_client(client: Option<IpAddr>) -> String {
    client.map_or("null".to_owned(), |ip| format!("\"{}\"", ip.to_canonical()))
}

/// What an upgraded connection does when its last owner drops it.
pub(crate) struct UpgradeEnd {
    pub(crate) run: Box<dyn FnOnce(Ending) + Send>,
    /// The connection's counts when the upgrade began.
    pub(crate) sent_before: u64,
    pub(crate) received_before: u64,
    pub(crate) fields: Vec<LogField>,
}

impl fmt::Debug for UpgradeEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpgradeEnd")
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}
