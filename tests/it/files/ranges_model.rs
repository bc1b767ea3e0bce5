//! Random ranges of random files, compared with a model as plain as the RFC's text.

use akurai_http::{Files, Request, Response, Router};
use akurai_tests::{Random, TempDir, TestServer};

use super::ask;
use super::byteranges::{parse, parse_content_range};

/// A `range-spec` (RFC 9110 §14.1.1), as the test made it rather than as a parser read it.
#[derive(Debug, Clone, Copy)]
enum Spec {
    Between(usize, usize),
    From(usize),
    Suffix(usize),
}

impl Spec {
    fn random(random: &mut Random, len: usize) -> Spec {
        // Mostly small, so that several ranges fit; also around the file's ends, and past them.
        let position = |random: &mut Random| match random.below(8) {
            0 => (len + random.below(3)).saturating_sub(1),
            1 => random.below(3),
            _ => random.below(len + 2),
        };
        let first = position(random);
        match random.below(10) {
            0 => Spec::From(position(random)),
            1 => Spec::Suffix(random.below(len + 2)),
            2 => Spec::Suffix(random.below(3)),
            // Sometimes backwards, which makes the whole field invalid.
            3 if first > 0 && random.below(6) == 0 => Spec::Between(first, first - 1),
            4 => Spec::Between(first, first + random.below(len + 2)),
            _ => Spec::Between(first, first + random.below(len / 12 + 2)),
        }
    }

    /// This many ranges that do not overlap, in any order, while the file has room for them.
    fn apart(random: &mut Random, count: usize, len: usize) -> Vec<Spec> {
        let step = (len / count).max(1);
        let spec = |n: usize| Spec::Between(n * step, n * step + random.below(step));
        let mut specs: Vec<Spec> = (0..count).map(spec).collect();
        let turn = random.below(count);
        specs.rotate_left(turn);
        specs
    }

    fn text(self) -> String {
        match self {
            Spec::Between(first, last) => format!("{first}-{last}"),
            Spec::From(first) => format!("{first}-"),
            Spec::Suffix(len) => format!("-{len}"),
        }
    }

    /// The positions in a file of `len` bytes that this spec asks for, one by one.
    fn positions(self, len: usize) -> Vec<usize> {
        let asked = |at: &usize| match self {
            Spec::Between(first, last) => (first..=last).contains(at),
            Spec::From(first) => *at >= first,
            Spec::Suffix(suffix) => *at + suffix >= len,
        };
        (0..len).filter(asked).collect()
    }
}

/// The expected status and positions.
fn expected(specs: &[Spec], len: usize) -> (u16, Vec<Vec<usize>>) {
    let is_backwards = |spec: &Spec| matches!(spec, Spec::Between(first, last) if first > last);
    if specs.iter().any(is_backwards) || specs.len() > 64 {
        return (200, Vec::new());
    }
    let mut parts: Vec<Vec<usize>> = specs.iter().map(|spec| spec.positions(len)).collect();
    parts.retain(|part| !part.is_empty());
    let overlaps = |a: &Vec<usize>, b: &Vec<usize>| a.iter().any(|at| b.contains(at));
    let overlapping = (0..parts.len())
        .filter(|n| (0..parts.len()).any(|m| *n != m && overlaps(&parts[*n], &parts[m])))
        .count();
    let sum: usize = parts.iter().map(Vec::len).sum();
    match parts.len() {
        0 => (416, Vec::new()),
        _ if overlapping > 2 || sum > len => (200, Vec::new()),
        _ => (206, parts),
    }
}

#[test]
fn files_05_random_ranges_are_those_of_the_model() {
    let mut random = Random::announced();
    let mut statuses = [0; 3];
    for _ in 0..6 {
        let len = 1 + random.below(600);
        let content = random.bytes(len);
        let dir = TempDir::new();
        let path = dir.write("data.bin", &content);
        let leaked: &'static [u8] = Box::leak(content.clone().into_boxed_slice());
        let embedded: &'static [(&'static str, &'static [u8])] =
            Box::leak(Box::new([("data.bin", leaked)]));
        let app = Router::new()
            .files("/files", dir.path())
            .files("/built", Files::embedded(embedded))
            .get("/one/data.bin", move |request: &Request| {
                Response::file(request, &path)
            });
        let server = TestServer::start(app);
        let mut client = server.connect();
        for _ in 0..200 {
            let count = match random.below(10) {
                0..4 => 1,
                4..8 => 2 + random.below(4),
                // Around the largest number of ranges that the server answers.
                _ => 60 + random.below(7),
            };
            let specs: Vec<Spec> = match count {
                60.. => Spec::apart(&mut random, count, len),
                _ => (0..count).map(|_| Spec::random(&mut random, len)).collect(),
            };
            let comma = [",", ", ", " ,", ",,", "\t,\t"][random.below(5)];
            let list: Vec<String> = specs.iter().map(|spec| spec.text()).collect();
            let range = format!("bytes={}", list.join(comma));
            let (status, parts) = expected(&specs, len);
            // None of more than 64 ranges can be satisfied: either answer is right.
            let nothing = specs.iter().all(|spec| spec.positions(len).is_empty());
            if nothing && specs.len() > 64 {
                continue;
            }
            statuses[usize::from(status != 200) + usize::from(status == 416)] += 1;
            for way in super::WAYS {
                let target = format!("{way}data.bin");
                let answer = ask(&mut client, "GET", &target, &[("Range", &range)]);
                assert_eq!(answer.status, status, "{target} of {len} bytes, {range}");
                let pick =
                    |part: &[usize]| -> Vec<u8> { part.iter().map(|at| content[*at]).collect() };
                let range_of =
                    |part: &[usize]| (part[0] as u64, part[part.len() - 1] as u64, len as u64);
                match (status, parts.as_slice()) {
                    (206, [part]) => {
                        let of = answer.header("content-range").and_then(parse_content_range);
                        assert_eq!(of, Some(range_of(part)), "{range}");
                        assert_eq!(answer.body, pick(part), "{range}");
                    }
                    (206, parts) => {
                        let sent = parse(&answer).unwrap_or_else(|why| panic!("{range}: {why}"));
                        assert_eq!(sent.len(), parts.len(), "{range} of {len}");
                        for (sent, part) in sent.iter().zip(parts) {
                            assert_eq!((sent.first, sent.last, sent.complete), range_of(part));
                            assert_eq!(sent.content, pick(part), "{range}");
                        }
                    }
                    (416, _) => {
                        let of = format!("bytes */{len}");
                        assert_eq!(answer.header("content-range"), Some(of.as_str()), "{range}");
                    }
                    _ => assert_eq!(answer.body, content, "{range}"),
                }
            }
        }
    }
    assert!(
        statuses.iter().all(|count| *count > 20),
        "too few of one kind: {statuses:?}"
    );
}
