//! Runs one of the fuzzer's properties in `cargo test`, on any toolchain: on each of its seeds, and
//! on random inputs made from them. Each library includes this file in its unit tests.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs};

/// Random inputs for each property.
const INPUTS: usize = 10_000;

/// The longest random input, in bytes; a seed may be longer.
const LONGEST: usize = 2048;

/// Calls `property` with each seed of `target`, and with random inputs. If the property does not
/// hold, it prints the input and panics. `AKURAI_SEED` repeats a run.
pub(crate) fn check(target: &str, property: impl Fn(&[u8])) {
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "{target} has no seeds");
    for seed in &seeds {
        check_one(seed, &property);
    }
    let start = match env::var("AKURAI_SEED") {
        Ok(text) => text.parse().expect("AKURAI_SEED is a decimal u64"),
        Err(_) => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(1, |since| since.as_nanos() as u64),
    };
    println!("seed: AKURAI_SEED={start}");
    let mut random = Random(start.max(1));
    for _ in 0..INPUTS {
        check_one(&random.input(&seeds), &property);
    }
}

fn check_one(input: &[u8], property: &impl Fn(&[u8])) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| property(input))) {
        println!("input: {}", input.escape_ascii());
        resume_unwind(panic);
    }
}

/// The lines of the target's seeds, with their escapes resolved as `printf %b` does it.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let path = format!(
        "{}/../tests/fuzz/seeds/{target}",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| unescaped(line.as_bytes())).collect()
}

fn unescaped(mut text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some((&byte, rest)) = text.split_first() {
        text = rest;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (&escape, rest) = text.split_first().expect("an escape has a letter");
        text = rest;
        bytes.push(match escape {
            b'0' => 0,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'\\' => b'\\',
            b'x' => {
                // One digit or two.
                let count = text
                    .iter()
                    .take(2)
                    .take_while(|b| b.is_ascii_hexdigit())
                    .count();
                let (digits, rest) = text.split_at(count);
                text = rest;
                let digits = std::str::from_utf8(digits).expect("digits are ASCII");
                u8::from_str_radix(digits, 16).expect("an \\x has digits")
            }
            other => panic!("an unknown escape: {}", other as char),
        });
    }
    bytes
}

/// A xorshift64* generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// A seed with some changes, or only random bytes.
    fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        if self.below(16) == 0 {
            return (0..self.below(64)).map(|_| self.next() as u8).collect();
        }
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut input, seeds);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let end = at + self.below((input.len() - at).min(64) + 1);
        match self.below(6) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..end)),
            2 => input.insert(at, self.next() as u8),
            // Repeats a part of the input, or replaces its rest by a part of another seed.
            3 => input.extend_from_within(at..end),
            4 => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
        }
    }
}
