//! The ways in which a property's bytes arrive. The libraries that read streams include this file.

/// Where each read ends: all bytes in one, one by one, and in pieces that the fuzzer chooses, which
/// are longer where there are many bytes.
pub(crate) fn cuts(plan: [u8; 4], len: usize) -> [Vec<usize>; 3] {
    let mut own = Vec::new();
    let mut end = 0;
    for piece in plan.into_iter().cycle() {
        end += (usize::from(piece) + 1) * (1 + len / 8192);
        own.push(end.min(len));
        if end >= len {
            break;
        }
    }
    let single = (1..len.max(1)).chain([len]).collect();
    [vec![len], single, own]
}
