//! Messages that say which thread sent them.

/// A message that names its thread and number; the rest is the same for all messages.
pub(crate) fn labelled(thread: usize, n: usize, len: usize) -> Vec<u8> {
    let mut bytes = format!("{thread}:{n}:{len}:").into_bytes();
    while bytes.len() < len {
        bytes.extend_from_slice(format!("{thread} and {n}, ").as_bytes());
    }
    bytes
}

#[track_caller]
pub(crate) fn read_label(bytes: &[u8]) -> (usize, usize) {
    let mut fields = bytes.splitn(4, |&byte| byte == b':');
    let mut number = || {
        let field = std::str::from_utf8(fields.next().expect("a field")).expect("digits");
        field.parse::<usize>().expect("a number")
    };
    let (thread, n, len) = (number(), number(), number());
    assert!(bytes == labelled(thread, n, len), "torn: {thread}:{n}");
    (thread, n)
}
