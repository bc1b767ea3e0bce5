//! The server: it accepts connections, and serves each on a thread.

pub(crate) mod accept;
pub(crate) mod acceptor;
pub(crate) mod connection;
pub(crate) mod hand_over;
pub(crate) mod hot;
pub(crate) mod intake;
pub(crate) mod overload;
pub(crate) mod server;
pub(crate) mod serving;
pub(crate) mod threads;
