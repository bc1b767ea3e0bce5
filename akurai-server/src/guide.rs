//! How do I …? Pages about writing a program, running a server, choosing a machine for it, moving a
//! program here, security, and event streams that only some users may follow. And a page about how
//! Akurai works inside.
//!
//! These modules exist only in the documentation.

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

#[doc = include_str!("../docs/architecture.md")]
pub mod architecture {}
