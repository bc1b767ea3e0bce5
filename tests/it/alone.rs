//! Tests that measure their process's memory or threads. Each runs in a separate process.

/// A number of `/proc/self/status`: the process's current or highest memory in KiB, or its number
/// of threads.
pub(crate) fn status(key: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find(|line| line.starts_with(key));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number
        .and_then(|number| number.parse().ok())
        .expect("a number")
}
/// Runs the test of this name in a separate process, where no other test needs memory. Returns
/// whether the caller is that process.
#[track_caller]
pub(crate) fn is_alone(name: &str) -> bool {
    const ALONE: &str = "AKURAI_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let output = akurai_tests::this_program(&[])
        .args([name, "--exact", "--nocapture"])
        .env(ALONE, "1")
        .output()
        .expect("it can be run again");
    let (told, failed) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{told}\n{failed}");
    assert!(told.contains("1 passed"), "no test of that name: {told}");
    false
}
