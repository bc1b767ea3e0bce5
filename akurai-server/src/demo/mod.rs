//! The demo: a page, and what it shows.

mod chat;
mod dashboard;
mod metrics;
mod routes;

pub use dashboard::Publisher;
pub use metrics::metrics;
pub use routes::app;
