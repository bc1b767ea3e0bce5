//! How do I …? Pages for those who write a program, run a server, size a machine for it, bring a
//! program here, look after its safety, or let some alone follow an event stream.
//!
//! They exist in the documentation alone.

#[doc = include_str!("../docs/building.md")]
pub mod building {}

#[doc = include_str!("../docs/deploying.md")]
pub mod deploying {}

#[doc = include_str!("../docs/sizing.md")]
pub mod sizing {}

#[doc = include_str!("../docs/migrating.md")]
pub mod migrating {}

#[doc = include_str!("../docs/security.md")]
pub mod security {}

#[doc = include_str!("../docs/authorising.md")]
pub mod authorising {}
