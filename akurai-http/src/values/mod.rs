//! The parts of a message, and the reasons to refuse one. These values do not know where they come
//! from.

pub(crate) mod error;
pub(crate) mod field;
pub(crate) mod form_error;
pub(crate) mod headers;
pub(crate) mod method;
pub(crate) mod refusals;
pub(crate) mod status;
pub(crate) mod version;
