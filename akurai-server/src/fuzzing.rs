//! The entry points of the fuzzer in `tests/fuzz` to the Redis codec. A normal build contains none
//! of this, but unit tests run it too.

#[cfg(test)]
#[path = "../../tests/fuzz/seeded.rs"]
mod seeded;

use std::mem;

use crate::engine::resp::{Decoder, Reply, Violation, command};

/// Decodes replies. The first two bytes say how much one reply may hold and how to cut the rest
/// into pieces. The second reading takes the replies from the whole input. The other readings
/// (whole, byte by byte, in pieces) must give the same replies.
pub fn resp(data: &[u8]) {
    let Some(([limit, piece], data)) = data.split_first_chunk::<2>() else {
        return;
    };
    let limit = 40 + usize::from(*limit) * 8;
    let expected = second_reading(data, limit);
    for piece in [data.len().max(1), 1, usize::from(*piece) + 1] {
        assert_eq!(
            decoded(data, limit, piece),
            expected,
            "in pieces of {piece}"
        );
    }
    // Encoding a reply and decoding it again must give the same reply.
    for reply in &expected.0 {
        let mut bytes = Vec::new();
        write(reply, &mut bytes);
        if !has_long(reply) {
            let again = decoded(&bytes, usize::MAX / 2, bytes.len());
            assert_eq!(again, (vec![reply.clone()], None));
        }
    }
    // A command is an array of its arguments.
    let args: Vec<&[u8]> = data.split(|&byte| byte == b' ').collect();
    let mut bytes = Vec::new();
    command(&mut bytes, &args);
    let args = args.into_iter().map(|arg| Reply::Bulk(arg.to_vec()));
    let expected = Reply::Array(args.collect());
    assert_eq!(
        decoded(&bytes, usize::MAX / 2, usize::from(*piece) + 1),
        (vec![expected], None)
    );
}

type Outcome = (Vec<Reply>, Option<Violation>);

fn decoded(data: &[u8], limit: usize, piece: usize) -> Outcome {
    let mut decoder = Decoder::new(limit);
    let mut replies = Vec::new();
    for bytes in data.chunks(piece) {
        decoder.feed(bytes);
        loop {
            match decoder.next() {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(violation) => return (replies, Some(violation)),
            }
        }
    }
    (replies, None)
}

/// The reason why a reading ends.
enum Stop {
    Incomplete,
    Violation(Violation),
}

fn second_reading(data: &[u8], limit: usize) -> Outcome {
    let mut rest = data;
    let mut replies = Vec::new();
    loop {
        let mut room = limit;
        match reply(&mut rest, &mut room, limit, 0) {
            Ok(reply) => replies.push(reply),
            Err(Stop::Incomplete) => return (replies, None),
            Err(Stop::Violation(violation)) => return (replies, Some(violation)),
        }
    }
}

fn reply(rest: &mut &[u8], room: &mut usize, limit: usize, depth: usize) -> Result<Reply, Stop> {
    let line = line(rest)?;
    let Some((kind, text)) = line.split_first() else {
        return Err(Stop::Violation(Violation::Line));
    };
    let words = String::from_utf8_lossy(text).into_owned();
    match kind {
        b'+' => take(room, text.len()).map(|()| Reply::Simple(words)),
        b'-' => take(room, text.len()).map(|()| Reply::Error(words)),
        b':' => {
            let number = number(&words).ok_or(Stop::Violation(Violation::Number))?;
            take(room, text.len()).map(|()| Reply::Integer(number))
        }
        b'$' => match count(&words)? {
            None => take(room, text.len()).map(|()| Reply::Nil),
            Some(len) => bulk(rest, room, limit, len),
        },
        b'*' => match count(&words)? {
            None => take(room, text.len()).map(|()| Reply::Nil),
            Some(0) => take(room, text.len()).map(|()| Reply::Array(Vec::new())),
            Some(_) if depth == 8 => Err(Stop::Violation(Violation::TooDeep)),
            Some(count) => {
                take(room, 0)?;
                let items = (0..count).map(|_| reply(rest, room, limit, depth + 1));
                items.collect::<Result<_, _>>().map(Reply::Array)
            }
        },
        &other => Err(Stop::Violation(Violation::Type(other))),
    }
}

/// The rest of a bulk string of `len` bytes, after its line.
fn bulk(rest: &mut &[u8], room: &mut usize, limit: usize, len: usize) -> Result<Reply, Stop> {
    if len > 512 << 20 {
        return Err(Stop::Violation(Violation::TooLong));
    }
    // A long one leaves room to the short ones.
    let left = if len > 64 { limit / 8 } else { 0 };
    let fits = len + mem::size_of::<Reply>() + left <= *room;
    take(room, if fits { len } else { 0 })?;
    let body = rest.get(..len + 2).ok_or(Stop::Incomplete)?;
    let (body, end) = body.split_at(len);
    if end != b"\r\n" {
        return Err(Stop::Violation(Violation::BulkEnd));
    }
    *rest = &rest[len + 2..];
    Ok(match fits {
        true => Reply::Bulk(body.to_vec()),
        false => Reply::TooLong(len as u64),
    })
}

/// Takes the room of an element with these bytes.
fn take(room: &mut usize, bytes: usize) -> Result<(), Stop> {
    let left = room.checked_sub(bytes + mem::size_of::<Reply>());
    *room = left.ok_or(Stop::Violation(Violation::TooLong))?;
    Ok(())
}

fn number(words: &str) -> Option<i64> {
    let digits = words.strip_prefix('-').unwrap_or(words);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| words.parse().ok()).flatten()
}

/// A length or a count. None is the -1 of a nil.
fn count(words: &str) -> Result<Option<usize>, Stop> {
    match number(words) {
        Some(-1) => Ok(None),
        Some(count @ 0..) => Ok(Some(count as usize)),
        _ => Err(Stop::Violation(Violation::Number)),
    }
}

fn line<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Stop> {
    const LONGEST: usize = 16 * 1024;
    let end = rest.iter().position(|byte| b"\r\n".contains(byte));
    if end.unwrap_or(rest.len()) > LONGEST {
        return Err(Stop::Violation(Violation::TooLong));
    }
    let end = end.ok_or(Stop::Incomplete)?;
    match &rest[end..] {
        [b'\r'] => Err(Stop::Incomplete),
        [b'\r', b'\n', ..] => {
            let line = &rest[..end];
            *rest = &rest[end + 2..];
            Ok(line)
        }
        _ => Err(Stop::Violation(Violation::Line)),
    }
}

fn has_long(reply: &Reply) -> bool {
    match reply {
        Reply::TooLong(_) => true,
        Reply::Array(items) => items.iter().any(has_long),
        _ => false,
    }
}

fn write(reply: &Reply, out: &mut Vec<u8>) {
    match reply {
        Reply::Simple(text) => out.extend_from_slice(format!("+{text}\r\n").as_bytes()),
        Reply::Error(text) => out.extend_from_slice(format!("-{text}\r\n").as_bytes()),
        Reply::Integer(number) => out.extend_from_slice(format!(":{number}\r\n").as_bytes()),
        Reply::Bulk(bytes) => {
            out.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
            out.extend_from_slice(bytes);
            out.extend_from_slice(b"\r\n");
        }
        Reply::TooLong(_) => {}
        Reply::Array(items) => {
            out.extend_from_slice(format!("*{}\r\n", items.len()).as_bytes());
            items.iter().for_each(|item| write(item, out));
        }
        Reply::Nil => out.extend_from_slice(b"$-1\r\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::{seeded::check, *};

    #[test]
    fn resp_holds() {
        check("resp", resp);
    }
}
