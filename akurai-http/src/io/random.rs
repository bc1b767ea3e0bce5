//! Numbers that nobody can predict.

use std::hash::{BuildHasher, Hasher, RandomState};

/// 64 bits from the random keys that std hashes with.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
