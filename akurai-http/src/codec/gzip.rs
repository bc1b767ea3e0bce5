//! The gzip file format around DEFLATE data (RFC 1952).

use crate::codec::deflate::{Deflate, Flush, Inflate, Inflated, Level};

/// A gzip stream in progress: one member.
#[derive(Debug)]
pub(crate) struct GzipEncoder {
    deflate: Deflate,
    has_begun: bool,
    crc: u32,
    /// Length of the content, modulo 2^32.
    bytes: u32,
}

// ID1 ID2 CM FLG MTIME XFL OS: no name, no time, OS unknown (§2.3).
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

impl GzipEncoder {
    pub(crate) fn new(level: Level) -> GzipEncoder {
        GzipEncoder {
            deflate: Deflate::new(level),
            has_begun: false,
            crc: !0,
            bytes: 0,
        }
    }

    /// Adds `input` to the content and appends the output that is ready. [`Flush::Finish`] ends the
    /// stream.
    pub(crate) fn compress(&mut self, input: &[u8], flush: Flush, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.has_begun, true) {
            out.extend_from_slice(&HEAD);
        }
        self.crc = crc32(self.crc, input);
        self.bytes = self.bytes.wrapping_add(input.len() as u32);
        self.deflate.compress(input, flush, out);
        if flush == Flush::Finish {
            append_end(self.crc, self.bytes, out);
        }
    }

    /// Compresses all of `content` at once.
    pub(crate) fn whole(level: Level, content: &[u8]) -> Vec<u8> {
        let mut out = HEAD.to_vec();
        Deflate::compress_alone(level, 15, content, Flush::Finish, &mut out);
        append_end(crc32(!0, content), content.len() as u32, &mut out);
        out
    }
}

/// A gzip member that is read as it comes.
#[derive(Debug)]
pub(crate) struct GzipDecoder {
    /// Input of the head or the end, which has not come whole.
    waiting: Vec<u8>,
    part: GzipPart,
    inflate: Inflate,
    crc: u32,
    /// Length of the content, modulo 2^32.
    bytes: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum GzipPart {
    Head,
    Content,
    End,
    Over,
}

impl Default for GzipDecoder {
    fn default() -> GzipDecoder {
        GzipDecoder {
            waiting: Vec::new(),
            part: GzipPart::Head,
            inflate: Inflate::new(),
            crc: !0,
            bytes: 0,
        }
    }
}

impl GzipDecoder {
    /// Whether the member has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.part == GzipPart::Over
    }

    /// Takes more input, and appends the content that it gives. Returns what is wrong with it.
    pub(crate) fn decompress(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        self.waiting.extend_from_slice(input);
        if self.part == GzipPart::Head {
            let Some(len) = head_len(&self.waiting)? else {
                return Ok(());
            };
            self.waiting.drain(..len);
            self.part = GzipPart::Content;
        }
        while self.part == GzipPart::Content {
            let told = "it is no DEFLATE data";
            let (used, status, content) = self.inflate.advance(&self.waiting).map_err(|_| told)?;
            self.crc = crc32(self.crc, content);
            self.bytes = self.bytes.wrapping_add(content.len() as u32);
            out.extend_from_slice(content);
            self.waiting.drain(..used);
            match status {
                Inflated::NeedInput => return Ok(()),
                Inflated::HasOutput => {}
                Inflated::End => self.part = GzipPart::End,
            }
        }
        if self.part == GzipPart::End && self.waiting.len() >= 8 {
            let mut expected = Vec::new();
            append_end(self.crc, self.bytes, &mut expected);
            if self.waiting[..8] != expected {
                return Err("its CRC or its length is wrong");
            }
            self.waiting.drain(..8);
            self.part = GzipPart::Over;
        }
        match self.part == GzipPart::Over && !self.waiting.is_empty() {
            true => Err("bytes follow its end"),
            false => Ok(()),
        }
    }
}

/// The length of a member's head (§2.3.1); `None` if it has not come whole.
fn head_len(bytes: &[u8]) -> Result<Option<usize>, &'static str> {
    if bytes
        .iter()
        .zip(&HEAD[..3])
        .any(|(byte, known)| byte != known)
    {
        return Err("it does not begin as gzip");
    }
    let Some(&flags) = bytes.get(3) else {
        return Ok(None);
    };
    let mut len = HEAD.len();
    if flags & 4 != 0 {
        let Some(extra) = bytes.get(len..len + 2) else {
            return Ok(None);
        };
        len += 2 + usize::from(u16::from_le_bytes([extra[0], extra[1]]));
    }
    for _ in 0..(flags >> 3 & 1) + (flags >> 4 & 1) {
        // A name or a comment, which a zero ends.
        let text = bytes.get(len..).unwrap_or_default();
        let Some(end) = text.iter().position(|&byte| byte == 0) else {
            return Ok(None);
        };
        len += end + 1;
    }
    len += usize::from(flags & 2); // The head's own CRC, which has two bytes.
    Ok((len <= bytes.len()).then_some(len))
}

// CRC32 ISIZE
fn append_end(crc: u32, bytes: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&(!crc).to_le_bytes());
    out.extend_from_slice(&bytes.to_le_bytes());
}

/// How each byte changes the CRC, and how it does so with 1 to 7 zero bytes after it (§8).
static TABLES: [[u32; 256]; 8] = {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                0xedb8_8320 ^ crc >> 1
            } else {
                crc >> 1
            };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut zeros = 1;
    while zeros < 8 {
        let mut byte = 0;
        while byte < 256 {
            let crc = tables[zeros - 1][byte];
            tables[zeros][byte] = tables[0][(crc & 0xff) as usize] ^ crc >> 8;
            byte += 1;
        }
        zeros += 1;
    }
    tables
};

/// Continues a CRC with `bytes`, eight at a time. The CRC is inverted at the beginning and at the
/// end.
fn crc32(mut crc: u32, bytes: &[u8]) -> u32 {
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("chunks of eight")) ^ u64::from(crc);
        crc = 0;
        for (at, byte) in word.to_le_bytes().into_iter().enumerate() {
            crc ^= TABLES[7 - at][usize::from(byte)];
        }
    }
    for byte in words.remainder() {
        crc = TABLES[0][usize::from(crc as u8 ^ byte)] ^ crc >> 8;
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decompress(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool), &'static str> {
        let (mut gzip, mut content) = (GzipDecoder::default(), Vec::new());
        for piece in pieces {
            gzip.decompress(piece, &mut content)?;
        }
        Ok((content, gzip.is_over()))
    }

    #[test]
    fn rfc1952_2_3_a_member_is_read_wherever_it_is_cut() {
        let content = b"to be or not to be, to be or not to be".repeat(9);
        let plain = GzipEncoder::whole(Level::default(), &content);
        // FEXTRA of 3 bytes, FNAME, FCOMMENT and FHCRC.
        let fields = b"\x03\x00abcname\x00comment\x00\x12\x34";
        let mut full = [&plain[..10], fields, &plain[10..]].concat();
        full[3] = 0b1_1110;
        for member in [&plain, &full] {
            for cut in 0..=member.len() {
                let read = decompress(&[&member[..cut], &member[cut..]]);
                assert_eq!(read, Ok((content.clone(), true)), "cut at {cut}");
                let (_, is_over) = decompress(&[&member[..cut]]).expect("no fault yet");
                assert_eq!(is_over, cut == member.len(), "{cut}");
            }
        }
        for (at, told) in [
            (2, "it does not begin as gzip"),
            (plain.len() - 8, "its CRC or its length is wrong"),
            (plain.len() - 1, "its CRC or its length is wrong"),
        ] {
            let mut damaged = plain.clone();
            damaged[at] ^= 1;
            assert_eq!(decompress(&[&damaged]), Err(told), "{at}");
        }
        assert_eq!(decompress(&[&plain, b"x"]), Err("bytes follow its end"));
    }

    #[test]
    fn published_check_values_of_the_crc() {
        assert_eq!(!crc32(!0, b""), 0);
        assert_eq!(!crc32(!0, b"123456789"), 0xcbf4_3926);
        assert_eq!(
            !crc32(!0, b"The quick brown fox jumps over the lazy dog"),
            0x414f_a339
        );
        let bytes: Vec<u8> = (0..1000u32).map(|n| (n * n) as u8).collect();
        for cut in 0..20 {
            let (head, tail) = bytes.split_at(cut);
            assert_eq!(crc32(crc32(!0, head), tail), crc32(!0, &bytes));
        }
    }

    #[test]
    fn rfc1952_2_3_a_member() {
        let content = b"to be or not to be, to be or not to be";
        let whole = GzipEncoder::whole(Level::default(), content);
        let mut parts = Vec::new();
        let mut gzip = GzipEncoder::new(Level::default());
        gzip.compress(&content[..5], Flush::None, &mut parts);
        gzip.compress(&content[5..9], Flush::Sync, &mut parts);
        assert!(parts.ends_with(&[0, 0, 0xff, 0xff]));
        gzip.compress(&content[9..], Flush::Finish, &mut parts);
        for member in [whole, parts] {
            assert_eq!(&member[..4], &[0x1f, 0x8b, 8, 0]);
            let (deflated, end) = member[10..].split_at(member.len() - 18);
            let mut inflate = Inflate::new();
            let (used, status, out) = inflate.advance(deflated).expect("it is valid");
            assert_eq!(
                (used, status, out),
                (deflated.len(), Inflated::End, &content[..])
            );
            let expected = [(!crc32(!0, content)).to_le_bytes(), 38u32.to_le_bytes()].concat();
            assert_eq!(end, expected);
        }
    }
}
