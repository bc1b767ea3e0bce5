//! Pages of instructions: how to write a program, run a server, speak TLS, choose a machine size,
//! migrate a program, keep it secure, or let only some users follow an event stream. And a page
//! about how Akurai works inside.
//!
//! These modules exist only in the documentation.

#[doc = include_str!("../docs/building.md")]
pub mod building {}

#[doc = include_str!("../docs/deploying.md")]
pub mod deploying {}

#[doc = include_str!("../docs/tls.md")]
pub mod tls {}

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
