//! A connection below HTTP: its socket, its buffers, its place among the others, and its end.

pub(crate) mod buffered;
pub(crate) mod claimed;
pub(crate) mod clock;
pub(crate) mod contain;
pub(crate) mod ending;
pub(crate) mod failure;
#[cfg(unix)]
pub(crate) mod handed_over;
pub(crate) mod limits;
pub(crate) mod linger;
pub(crate) mod lock;
pub(crate) mod random;
pub(crate) mod registry;
pub(crate) mod session;
pub(crate) mod stats;
pub(crate) mod transport;
#[cfg(unix)]
pub(crate) mod unix_socket;
pub(crate) mod upgraded;
