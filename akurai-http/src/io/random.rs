//! Numbers that nobody can foresee.

use std::hash::{BuildHasher, Hasher, RandomState};

/// 64 bits, of the keys that std hashes with.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
