//! Numbers that are spread, and that nobody predicts by chance. Not for secrets: std promises
//! nothing about the strength of its hasher's keys, and each call in a thread has the keys of the
//! last one plus one.

use std::hash::{BuildHasher, Hasher, RandomState};

/// 64 bits from the random keys that std hashes with.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
