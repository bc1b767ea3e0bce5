//! Requests and responses, as handlers see them.

pub(crate) mod app;
pub(crate) mod attached;
pub(crate) mod body_writer;
pub(crate) mod conditions;
pub(crate) mod cookie;
pub(crate) mod credentials;
pub(crate) mod form;
pub(crate) mod headers_mut;
pub(crate) mod hosts;
pub(crate) mod multipart;
pub(crate) mod own_answers;
pub(crate) mod params;
pub(crate) mod proxies;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod signer;
