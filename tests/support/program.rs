//! The tests' own program, for tests that need a process of their own.

use std::env;
use std::process::Command;

/// A command that runs this program again.
///
/// `AKURAI_TEST_RUNNER` has the words of a command that runs programs of this kind, such as an
/// emulator of another processor: the system alone cannot start them. Words end at spaces.
///
/// `before` is what comes before all of that: another program and its arguments, which start this
/// one. It may be empty.
pub fn this_program(before: &[&str]) -> Command {
    let runner = env::var("AKURAI_TEST_RUNNER").unwrap_or_default();
    let program = env::current_exe().expect("this is one");
    let before = before.iter().copied().chain(runner.split_whitespace());
    let mut words = before.map(Into::into).chain([program.into_os_string()]);
    let mut command = Command::new(words.next().expect("the program itself is there"));
    // A backtrace of a planned panic takes seconds where the machine is busy.
    command.args(words).env("RUST_BACKTRACE", "0");
    command
}
