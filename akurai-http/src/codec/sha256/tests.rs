use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hex(&hash.finish())
}

/// Whole, byte by byte, and in two parts that are split at each place.
#[track_caller]
fn check(message: &[u8], digest: &str) {
    assert_eq!(sha256([message]), digest);
    assert_eq!(sha256(message.chunks(1)), digest, "byte by byte");
    for at in 0..message.len().min(200) {
        let (before, after) = message.split_at(at);
        assert_eq!(sha256([before, b"", after]), digest, "split at {at}");
    }
}

#[test]
fn fips_180_4_vectors() {
    check(
        b"",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    );
    check(
        b"abc",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
    check(
        b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
    );
    check(
        b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrl\
          mnopqrsmnopqrstnopqrstu",
        "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
    );
    // The shortest ones of NIST's test vectors (SHA256ShortMsg).
    check(
        &[0xbd],
        "68325720aabd7c82f30f554b313d0570c95accbb7dc4b5aae11204c08ffe732b",
    );
    check(
        &[0xc9, 0x8c, 0x8e, 0x55],
        "7abc22c0ae5af26ce93dbb94433a0e0b2e119d014f8e7f65bd56c61ccccd9504",
    );
}

#[test]
fn a_million_bytes_in_parts_of_every_size() {
    let message = vec![b'a'; 1_000_000];
    for part_bytes in [1, 63, 64, 65, 997, 4096, 1_000_000] {
        assert_eq!(
            sha256(message.chunks(part_bytes)),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
            "{part_bytes}"
        );
    }
}

#[test]
fn padding_around_a_block() {
    for (length, digest) in [
        (
            55,
            "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318",
        ),
        (
            56,
            "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a",
        ),
        (
            63,
            "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34",
        ),
        (
            64,
            "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb",
        ),
        (
            65,
            "635361c48bb9eab14198e76ea8ab7f1a41685d6ad62aa9146d301d4f17eb0ae0",
        ),
        (
            119,
            "31eba51c313a5c08226adf18d4a359cfdfd8d2e816b13f4af952f7ea6584dcfb",
        ),
        (
            120,
            "2f3d335432c70b580af0e8e1b3674a7c020d683aa5f73aaaedfdc55af904c21c",
        ),
        (
            127,
            "c57e9278af78fa3cab38667bef4ce29d783787a2f731d4e12200270f0c32320a",
        ),
        (
            128,
            "6836cf13bac400e9105071cd6af47084dfacad4e5e302c94bfed24e013afb73e",
        ),
    ] {
        check(&vec![b'a'; length], digest);
    }
}

#[track_caller]
fn check_hmac(key: &[u8], message: &[u8], code: &str) {
    let hmac = HmacSha256::new(key);
    let mut whole = hmac.clone();
    whole.update(message);
    assert_eq!(hex(&whole.finish())[..code.len()], *code);
    let mut bytewise = hmac;
    message.chunks(1).for_each(|byte| bytewise.update(byte));
    assert_eq!(hex(&bytewise.finish())[..code.len()], *code, "byte by byte");
}

#[test]
fn rfc4231_vectors() {
    check_hmac(
        &[0x0b; 20],
        b"Hi There",
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    );
    check_hmac(
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    );
    check_hmac(
        &[0xaa; 20],
        &[0xdd; 50],
        "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
    );
    let counting: Vec<u8> = (1..=25).collect();
    check_hmac(
        &counting,
        &[0xcd; 50],
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
    );
    // §4.6 gives the first 128 bits.
    check_hmac(
        &[0x0c; 20],
        b"Test With Truncation",
        "a3b6167473100ee06e0c796c2955552b",
    );
    check_hmac(
        &[0xaa; 131],
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    );
    check_hmac(
        &[0xaa; 131],
        b"This is a test using a larger than block-size key and a larger than block-size data. The \
          key needs to be hashed before being used by the HMAC algorithm.",
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
    );
}

#[test]
fn a_key_of_a_block_is_not_hashed_and_a_longer_one_is() {
    let digest = |key: &[u8]| {
        let mut hash = Sha256::new();
        hash.update(key);
        hash.finish()
    };
    let code = |key: &[u8]| hex(&HmacSha256::new(key).finish());
    assert_eq!(code(&[7; 65]), code(&digest(&[7; 65])));
    assert_ne!(code(&[7; 64]), code(&digest(&[7; 64])));
    // A shorter key is filled with zeroes.
    assert_eq!(code(b"key"), code(b"key\0"));
}
