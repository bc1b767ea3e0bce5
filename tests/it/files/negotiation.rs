//! Which coding an `Accept-Encoding` gets (RFC 9110 §12.4.2, §12.5.3).

use akurai_tests::{Random, TempDir};

use super::{DIR, SINGLE, Site, ask, values};

const PLAIN: &str = "let plain = 'an application';";
const CODINGS: [(&str, &str); 3] = [("br", "br"), ("zstd", "zst"), ("gzip", "gz")];

/// Writes `name`, and a sidecar for each of these codings whose content is the coding's name.
fn write(outer: &TempDir, name: &str, codings: &[&str]) {
    outer.write(format!("root/{name}"), PLAIN);
    for (coding, end) in CODINGS {
        if codings.contains(&coding) {
            outer.write(format!("root/{name}.{end}"), coding);
        }
    }
}

/// Requests `name` with each of these fields, and checks the coding of the answer: `-` for none,
/// `406` for a refusal.
#[track_caller]
fn check(name: &str, codings: &[&str], cases: &[(&[&str], &str)]) {
    let site = Site::filled(|outer| write(outer, name, codings));
    let mut client = site.connect();
    for way in [DIR, SINGLE] {
        for (lines, gets) in cases {
            let fields: Vec<(&str, &str)> = lines
                .iter()
                .map(|line| ("Accept-Encoding", *line))
                .collect();
            let target = format!("{way}{name}");
            for method in ["GET", "HEAD"] {
                let answer = ask(&mut client, method, &target, &fields);
                let what = format!("{method} {target} with {lines:?} of {codings:?}");
                if *gets == "406" {
                    assert_eq!(answer.status, 406, "{what}");
                    assert_eq!(
                        values(&answer, ["content-encoding", "etag"]),
                        [None; 2],
                        "{what}"
                    );
                    assert!(!answer.has_token("connection", "close"), "{what}");
                    continue;
                }
                let coding = Some(*gets).filter(|gets| *gets != "-");
                let content = coding.unwrap_or(PLAIN);
                assert_eq!(answer.status, 200, "{what}");
                assert_eq!(answer.header("content-encoding"), coding, "{what}");
                let length = content.len().to_string();
                assert_eq!(
                    answer.header("content-length"),
                    Some(length.as_str()),
                    "{what}"
                );
                if method == "GET" {
                    assert_eq!(answer.text(), content, "{what}");
                }
            }
        }
    }
}

#[test]
fn files_06_the_highest_weight_wins_and_then_the_shortest() {
    check(
        "app.js",
        &["br", "zstd", "gzip"],
        &[
            (&[], "-"),
            (&[""], "-"),
            (&["br"], "br"),
            (&["zstd"], "zstd"),
            (&["gzip"], "gzip"),
            (&["gzip, deflate"], "gzip"),
            (&["gzip, deflate, br"], "br"),
            (&["gzip, deflate, br, zstd"], "br"),
            (&["zstd, gzip"], "zstd"),
            (&["gzip;q=0.5, zstd;q=0.5, br;q=0.5"], "br"),
            (&["gzip;q=1.0, br;q=0.5"], "gzip"),
            (&["br;q=0.999, gzip"], "gzip"),
            (&["br;q=0.001, zstd;q=0.002, gzip;q=0.003"], "gzip"),
            (&["br;q=0, gzip"], "gzip"),
            (&["br;q=0.000"], "-"),
            (&["br;q=0, zstd;q=0, gzip;q=0"], "-"),
            // If identity is not mentioned, it is acceptable but comes last.
            (&["gzip;q=0.001"], "gzip"),
            (&["identity, gzip"], "gzip"),
            (&["identity;q=0.5, gzip;q=0.2"], "-"),
            (&["identity;q=0.5, gzip;q=0.5"], "gzip"),
            (&["identity"], "-"),
            (&["deflate"], "-"),
            (&["compress, dcb, dcz, unknown"], "-"),
            (&["*"], "br"),
            (&["*;q=0.5"], "br"),
            (&["br;q=0, *"], "zstd"),
            (&["*;q=0, gzip;q=0.3"], "gzip"),
            (&["*;q=0.1, gzip;q=0.2"], "gzip"),
            (&["*, br;q=0, zstd;q=0"], "gzip"),
            // Names in any case, white space where it is allowed, lists over several lines, empty
            // elements.
            (&["GZip"], "gzip"),
            (&["x-gzip"], "gzip"),
            (&["X-GZIP"], "gzip"),
            (&["gzip ; q=0.5 , br\t;\tq=0.4"], "gzip"),
            (&["gzip;Q=0.5, br;q=0.4"], "gzip"),
            (&["gzip;q=1., br;q=0."], "gzip"),
            (&["gzip;q=1.000, br;q=0.999"], "gzip"),
            (&[",gzip,,"], "gzip"),
            (&["gzip", "br"], "br"),
            (&["gzip;q=1", "br;q=0.1"], "gzip"),
        ],
    );
}

#[test]
fn files_06_identity_may_be_refused() {
    check(
        "app.js",
        &["gzip"],
        &[
            (&["identity;q=0"], "406"),
            (&["*;q=0"], "406"),
            (&["identity;q=0, br"], "406"),
            (&["identity;q=0, gzip;q=0"], "406"),
            (&["identity;q=0, *;q=0"], "406"),
            (&["identity;q=0.000, br, zstd"], "406"),
            (&["br, *;q=0"], "406"),
            (&["gzip;q=0, *;q=0"], "406"),
            (&["identity;q=0, gzip"], "gzip"),
            (&["identity;q=0, gzip;q=0.001"], "gzip"),
            (&["identity;q=0, *"], "gzip"),
            (&["*;q=0, gzip"], "gzip"),
            (&["*;q=0, identity"], "-"),
            (&["*;q=0, identity;q=0.001"], "-"),
            (&["gzip;q=0, identity;q=0.1"], "-"),
            (&["gzip;q=0, *"], "-"),
            (&["gzip;q=0"], "-"),
        ],
    );
    check(
        "bare.js",
        &[],
        &[
            (&["gzip, br, zstd"], "-"),
            (&["*"], "-"),
            (&["identity;q=0"], "406"),
            (&["identity;q=0, gzip, *"], "406"),
            (&["*;q=0"], "406"),
            (&["*;q=0, gzip"], "406"),
        ],
    );
}

#[test]
fn files_06_a_malformed_field_is_as_if_absent() {
    check(
        "app.js",
        &["br", "zstd", "gzip"],
        &[
            (&["gzip;q=1.001"], "-"),
            (&["gzip;q=2"], "-"),
            (&["gzip;q=0.1234"], "-"),
            (&["gzip;q=.5"], "-"),
            (&["gzip;q="], "-"),
            (&["gzip;q"], "-"),
            (&["gzip;q=-1"], "-"),
            (&["gzip;q=1e0"], "-"),
            (&["gzip br"], "-"),
            (&["gz/ip"], "-"),
            (&[";q=1"], "-"),
            (&["gzip, ;q=0"], "-"),
            (&["identity;q=0, gzip;q=x"], "-"),
            (&["gzip", "br;q=x"], "-"),
        ],
    );
}

#[test]
fn files_06_a_weight_is_no_parameter() {
    // `weight = OWS ";" OWS "q=" qvalue` (RFC 9110 §12.4.2): it allows neither a quoted string nor
    // a lone semicolon. Parameters (§5.6.6) may have both.
    check(
        "app.js",
        &["gzip"],
        &[
            (&["*;q=0;"], "-"),
            (&["gzip;"], "-"),
            (&["gzip;;q=1"], "-"),
            (&["gzip;q =1"], "-"),
            (&["gzip;q= 1"], "-"),
            (&["gzip;q=1;x=y"], "-"),
            (&["gzip;q=1;q=1"], "-"),
            (&["gzip;q=\"1\""], "-"),
        ],
    );
}

/// Thousandths, as `qvalue` writes them (RFC 9110 §12.4.2).
fn qvalue(thousandths: usize) -> String {
    match thousandths {
        1000 => "1".to_owned(),
        0 => "0".to_owned(),
        _ => format!("0.{thousandths:03}"),
    }
}

/// The coding that these weights, by name or `*`, choose from `there`; none if nothing is
/// acceptable.
fn expected<'a>(weights: &[(&str, usize)], there: &[&'a str]) -> Option<&'a str> {
    let weight = |coding: &str| {
        let of = |name: &str| {
            weights
                .iter()
                .find(|(listed, _)| *listed == name)
                .map(|w| w.1)
        };
        of(coding).or_else(|| of("*"))
    };
    // Codings that the client ranks equal keep this order.
    let mut best: Option<(&'a str, usize)> = None;
    for coding in there {
        let weight = weight(coding).unwrap_or(0);
        if weight > best.map_or(0, |(_, best)| best) {
            best = Some((coding, weight));
        }
    }
    match (best, weight("identity")) {
        (best, None) => Some(best.map_or("-", |(coding, _)| coding)),
        (Some((coding, of_best)), Some(identity)) if of_best >= identity => Some(coding),
        (_, Some(0)) => None,
        _ => Some("-"),
    }
}

#[test]
fn files_06_random_weights_are_those_of_the_model() {
    let mut random = Random::announced();
    for bits in 0..8_usize {
        let there: Vec<&str> = CODINGS
            .iter()
            .enumerate()
            .filter(|(n, _)| bits >> n & 1 == 1)
            .map(|(_, (coding, _))| *coding)
            .collect();
        let site = Site::filled(|outer| write(outer, "app.js", &there));
        let mut client = site.connect();
        for _ in 0..100 {
            let mut weights: Vec<(&str, usize)> = Vec::new();
            let mut names = vec!["br", "zstd", "gzip", "identity", "*", "deflate"];
            for _ in 0..1 + random.below(6) {
                let name = names.swap_remove(random.below(names.len()));
                weights.push((name, [0, 1, 500, 500, 999, 1000][random.below(6)]));
            }
            // The RFC leaves open whether `*` also covers an identity that is not listed, or
            // whether identity is then acceptable but last.
            let has = |name: &str| {
                weights
                    .iter()
                    .any(|(listed, weight)| *listed == name && *weight > 0)
            };
            let lists_identity = weights.iter().any(|(listed, _)| *listed == "identity");
            if has("*") && !lists_identity {
                continue;
            }
            let elements: Vec<String> = weights
                .iter()
                .map(|(name, weight)| format!("{name};q={}", qvalue(*weight)))
                .collect();
            let field = elements.join(", ");
            let answer = ask(
                &mut client,
                "GET",
                "/files/app.js",
                &[("Accept-Encoding", &field)],
            );
            let got = match answer.status {
                406 => None,
                _ => Some(answer.header("content-encoding").unwrap_or("-")),
            };
            assert_eq!(got, expected(&weights, &there), "{field} of {there:?}");
        }
    }
}
