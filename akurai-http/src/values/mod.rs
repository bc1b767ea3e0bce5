//! What a message consists of, and why one is refused: values that know nothing of where they come
//! from.

pub(crate) mod error;
pub(crate) mod field;
pub(crate) mod form_error;
pub(crate) mod headers;
pub(crate) mod method;
pub(crate) mod status;
pub(crate) mod version;
