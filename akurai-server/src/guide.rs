//! Pages of instructions: a tutorial, short answers, how to write a program, run a server, put a
//! proxy in front, speak TLS, choose a machine size, migrate a program, keep it secure, or let only
//! some users follow an event stream. A page lists the limits, and one says how Akurai works
//! inside.
//!
//! These modules exist only in the documentation. The same pages can be read as files, in
//! `akurai-server/docs`.

/// The links from page to page. Each page defines its links once more, at its end, for people who
/// read it as a file. Of two definitions the first one counts. (So a snippet that fails is named by
/// this file, and by its page's line plus the lines of this text.)
macro_rules! links {
    () => {
        "[`tutorial`]: crate::guide::tutorial
[`howdoi`]: crate::guide::howdoi
[`building`]: crate::guide::building
[`deploying`]: crate::guide::deploying
[`proxies`]: crate::guide::proxies
[`tls`]: crate::guide::tls
[`sizing`]: crate::guide::sizing
[`limits`]: crate::guide::limits
[`migrating`]: crate::guide::migrating
[`security`]: crate::guide::security
[`authorising`]: crate::guide::authorising
[`architecture`]: crate::guide::architecture
"
    };
}

#[doc = links!()]
#[doc = include_str!("../docs/tutorial.md")]
pub mod tutorial {}

#[doc = links!()]
#[doc = include_str!("../docs/howdoi.md")]
pub mod howdoi {}

#[doc = links!()]
#[doc = include_str!("../docs/building.md")]
pub mod building {}

#[doc = links!()]
#[doc = include_str!("../docs/deploying.md")]
pub mod deploying {}

#[doc = links!()]
#[doc = include_str!("../docs/proxies.md")]
pub mod proxies {}

#[doc = links!()]
#[doc = include_str!("../docs/tls.md")]
pub mod tls {}

#[doc = links!()]
#[doc = include_str!("../docs/sizing.md")]
pub mod sizing {}

#[doc = links!()]
#[doc = include_str!("../docs/limits.md")]
pub mod limits {}

#[doc = links!()]
#[doc = include_str!("../docs/migrating.md")]
pub mod migrating {}

#[doc = links!()]
#[doc = include_str!("../docs/security.md")]
pub mod security {}

#[doc = links!()]
#[doc = include_str!("../docs/authorising.md")]
pub mod authorising {}

#[doc = links!()]
#[doc = include_str!("../docs/architecture.md")]
pub mod architecture {}
