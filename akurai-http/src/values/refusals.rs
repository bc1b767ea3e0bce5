//! Enums of why something was refused, each from one list.

/// Makes an enum. Each line gives a variant's status, name and message, and the section or limit
/// behind it. The variant's docs, its status and what `Display` prints come from that line.
macro_rules! refusals {
    (
        $(#[$meta:meta])*
        $name:ident { $($code:literal $variant:ident: $message:literal, $why:literal;)* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $(#[doc = concat!($code, ": ", $message, " (", $why, ").")] $variant,)*
        }

        impl $name {
            /// All variants, in order.
            #[allow(dead_code)] // Not every such enum is counted.
            pub(crate) const ALL: &[$name] = &[$($name::$variant),*];

            const fn code(self) -> u16 {
                match self {
                    $($name::$variant => $code,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self {
                    $($name::$variant => $message,)*
                })
            }
        }

        impl std::error::Error for $name {}
    };
}

pub(crate) use refusals;
