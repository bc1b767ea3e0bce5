use super::*;
use crate::{Cookie, Method, Request, Response};

const KEY: [u8; 32] = [7; 32];

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn signer(purpose: &str) -> Signer {
    Signer::new(purpose, KEY).expect("the key is long enough")
}

#[track_caller]
fn check(value: &str, expected: Result<&str, SignatureError>) {
    let got = signer("p").verify(value, at(10));
    let got = got.as_ref().map(SignedValue::text).map_err(|error| *error);
    assert_eq!(got, expected, "{value}");
}

/// Another implementation, Python's `hmac`, has signed these. The layout does not change without
/// notice.
#[test]
fn the_layout_is_that_of_another_implementation() {
    let key: Vec<u8> = (0..32).collect();
    for (purpose, text, seconds, value) in [
        (
            "ticket",
            "news,user:ann é",
            1_000_000_030,
            "bmV3cyx1c2VyOmFubiDDqQ.1000000030.ety2Gq0iC2dQgu0lSVNGJbW5cMg64cis--KT3k9WSqk",
        ),
        ("", "", 0, ".0.ujpDcbLAxBLlBV-7IavrIUWnDwOiN9MlZd_qJL84Mz4"),
    ] {
        let signer = Signer::new(purpose, &key).expect("32 bytes");
        assert_eq!(signer.sign(text, at(seconds)), value);
    }
}

#[test]
fn texts_come_back() {
    let long = "x".repeat(1_000_000);
    for text in ["", "a", "ann", "a.b.c", "\0\r\n\t;,\"", "été 🦀", &long] {
        let value = signer("p").sign(text, at(11));
        check(&value, Ok(text));
        let is_safe = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        assert!(value.bytes().all(is_safe), "{value:.100}");
        assert!(value.len() <= text.len().div_ceil(3) * 4 + 65);
    }
}

#[test]
fn a_value_is_valid_until_its_second_begins() {
    let signer = signer("p");
    let value = signer.sign("a", at(10) + Duration::from_millis(999));
    // The clock of Windows has no shorter step.
    let step = Duration::from_nanos(100);
    let valid = signer.verify(&value, at(10) - step).expect("in time");
    assert_eq!(valid.expires(), at(10), "the fraction is cut off");
    assert_eq!(signer.verify(&value, at(10)), Err(SignatureError::Expired));
    assert!(
        signer
            .verify(&value, UNIX_EPOCH - Duration::from_secs(9))
            .is_ok()
    );
    // A time before 1970 is 1970.
    let value = signer.sign("a", UNIX_EPOCH - Duration::from_secs(9));
    assert_eq!(signer.verify(&value, at(0)), Err(SignatureError::Expired));
}

#[test]
fn each_change_of_a_value_is_seen() {
    let value = signer("p").sign("ann", at(99));
    check(&value, Ok("ann"));
    for place in 0..value.len() {
        for other in b"A9-_.+= " {
            let mut changed = value.clone().into_bytes();
            if changed[place] == *other {
                continue;
            }
            changed[place] = *other;
            let changed = String::from_utf8(changed).expect("ASCII");
            let got = signer("p").verify(&changed, at(10));
            let error = got.expect_err(&changed);
            assert_ne!(error, SignatureError::Expired, "{changed}: it is not ours");
        }
        check(&value[..place], Err(SignatureError::Malformed));
    }
}

#[test]
fn what_is_no_signed_value_is_malformed() {
    let value = signer("p").sign("ann", at(99));
    let (text, rest) = value.split_once('.').expect("three parts");
    let (_, code) = rest.split_once('.').expect("three parts");
    for malformed in [
        "".to_owned(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        format!("{value}."),
        format!(".{value}"),
        format!("{value}\n"),
        format!("{value}A"),
        format!("{value}="),
        format!("{text}..{code}"),
        format!("{text}.+99.{code}"),
        format!("{text}.099.{code}"),
        format!("{text}.-1.{code}"),
        format!("{text}. 99.{code}"),
        format!("{text}.99 .{code}"),
        format!("{text}.18446744073709551616.{code}"),
        format!("{text}.{}.{code}", "9".repeat(100_000)),
        format!("{text}=.99.{code}"),
        format!("{text}.99."),
        format!("{text}.99.{}", &code[1..]),
        format!("{text}.99.{code}{code}"),
        format!("{text}.99.é{code}"),
        "A".repeat(1_000_000),
        ".".repeat(1_000_000),
        "é".repeat(1000),
    ] {
        check(&malformed, Err(SignatureError::Malformed));
    }
    let end_of_time = format!("{text}.18446744073709551615.{code}");
    check(&end_of_time, Err(SignatureError::Forged));
    // A time that no `SystemTime` can be, under our own key.
    let code = code_of(u64::MAX);
    let end_of_time = format!("{text}.18446744073709551615.{}", encode_url(&code));
    check(&end_of_time, Err(SignatureError::Malformed));
}

fn code_of(seconds: u64) -> [u8; DIGEST_BYTES] {
    code(&signer("p").keys[0], b"ann", seconds)
}

#[test]
fn a_value_of_one_purpose_is_none_of_another() {
    // Parts that could be shifted from one into the other.
    let purposes = [
        "", "a", "b", "ab", "session", "sessio", "ticket", "a\0", "\0a",
    ];
    for ours in purposes {
        let value = signer(ours).sign("nann", at(99));
        for theirs in purposes {
            let got = signer(theirs).verify(&value, at(10));
            let expected = match ours == theirs {
                true => Ok("nann".to_owned()),
                false => Err(SignatureError::Forged),
            };
            assert_eq!(got.map(|signed| signed.text), expected, "{ours} {theirs}");
        }
    }
}

/// The same bytes, with the purpose's end at another place.
#[test]
fn a_purpose_takes_no_byte_from_what_follows() {
    let value = signer("a").sign("nann", at(99));
    let (_, code) = value.rsplit_once('.').expect("three parts");
    let shifted = format!(
        "{}.{}.{code}",
        encode_url(b"ann"),
        99 << 8 | u64::from(b'n')
    );
    let got = signer("a\0").verify(&shifted, at(10));
    assert_eq!(got, Err(SignatureError::Forged));
}

#[test]
fn keys_are_rotated() {
    let (old, new) = ([1; 32], [2; 64]);
    let of = |key: &[u8]| Signer::new("p", key).expect("long enough");
    let both = of(&new).accept(old).expect("long enough");
    let by_old = of(&old).sign("a", at(99));
    let by_both = both.sign("a", at(99));
    assert_eq!(by_both, of(&new).sign("a", at(99)), "the first key signs");
    assert!(both.verify(&by_old, at(10)).is_ok());
    assert!(both.verify(&by_both, at(10)).is_ok());
    let forged = Err(SignatureError::Forged);
    assert_eq!(of(&new).verify(&by_old, at(10)), forged);
    assert_eq!(of(&old).verify(&by_both, at(10)), forged);
    assert_eq!(both.verify(&by_old, at(99)), Err(SignatureError::Expired));
}

#[test]
fn a_short_key_is_an_error_and_no_key_is_shown() {
    for length in [0, 1, 16, 31] {
        let error = Signer::new("p", vec![9; length]).expect_err("too short");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let message = format!("a key has at least 32 bytes, not {length}");
        assert_eq!(error.to_string(), message);
        assert!(signer("p").accept(vec![9; length]).is_err());
    }
    assert!(Signer::new("p", [9; 32]).is_ok());
    let shown = format!("{:?}", signer("ticket"));
    assert_eq!(shown, "Signer { purpose: \"ticket\", keys: 1 }");
}

#[test]
fn a_cookie_and_an_address_carry_a_value_as_it_is() {
    let signer = signer("session");
    let value = signer.sign("ann;\r\nSet-Cookie: evil=1", at(99));
    let response = Response::text("").cookie(Cookie::new("session", &value));
    let field = response.headers().get("Set-Cookie").expect("it is set");
    let pair = field.split(';').next().expect("a pair comes first");
    let request =
        Request::new(Method::Get, &format!("/?ticket={value}")).with_header("Cookie", pair);
    assert_eq!(request.cookie("session"), Some(&*value));
    assert_eq!(request.query_pairs().get("ticket"), Some(&*value));
    let bearer = format!("Bearer {value}");
    let request = Request::new(Method::Get, "/").with_header("Authorization", bearer);
    assert_eq!(request.bearer_token(), Some(&*value));
}
