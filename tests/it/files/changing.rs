//! Large files, and files that change while the server sends them to a slow client.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use akurai_http::{Request, Response, Router};
use akurai_tests::{Client, DEADLINE, TempDir, TestServer, eventually, set_modified};

use super::{LETTERS, ask, tag};

const MIB: usize = 1 << 20;
/// Longer than all buffers between the file and the client together.
const SIZE: usize = 64 * MIB;

/// The text at the beginning of each MiB of the file.
fn marker(mib: usize) -> String {
    format!("<marker {mib:>4}>")
}

/// A sparse file with a marker at each MiB, and a server of it.
struct Large {
    dir: TempDir,
    server: TestServer,
}

impl Large {
    #[track_caller]
    fn start() -> Large {
        let dir = TempDir::new();
        fill(&dir.join("large.bin"));
        dir.write("letters.txt", LETTERS);
        let root = dir.path().to_path_buf();
        let app = Router::new().files("/files", dir.path()).get(
            "/one/{name}",
            move |request: &Request| {
                Response::file(request, root.join(request.param("name").unwrap()))
            },
        );
        Large {
            dir,
            server: TestServer::start(app),
        }
    }

    /// A client that has asked for the file, and has read only the head and the first MiB.
    #[track_caller]
    fn beginning(&self, way: &str, version: &str, range: Option<&str>) -> (Client, usize) {
        let mut client = self.server.connect().patience(4 * DEADLINE);
        let range = range.map_or(String::new(), |range| format!("Range: {range}\r\n"));
        client.send(format!(
            "GET {way}large.bin HTTP/{version}\r\nHost: t\r\n{range}\r\n"
        ));
        let head = client.read_head();
        let expected = if range.is_empty() { 200 } else { 206 };
        assert_eq!(head.status, expected);
        let length: usize = head
            .header("content-length")
            .expect("a length")
            .parse()
            .unwrap();
        let first = client.read_exactly(MIB);
        if !range.contains(',') {
            assert!(first.starts_with(marker(0).as_bytes()));
        }
        (client, length - MIB)
    }

    /// Fails unless the server still works.
    #[track_caller]
    fn assert_well(&self) {
        let answer = ask(&mut self.server.connect(), "GET", "/files/letters.txt", &[]);
        assert_eq!((answer.status, answer.text()), (200, LETTERS));
        assert_eq!(self.server.handle().stats().panics, 0);
    }
}

/// Removes the file and makes a new one: emptying and refilling it would wait for the disk on some
/// systems.
fn fill(path: &Path) {
    let _ = fs::remove_file(path);
    let mut file = File::create(path).unwrap();
    file.set_len(SIZE as u64).unwrap();
    for mib in 0..SIZE / MIB {
        file.seek(SeekFrom::Start((mib * MIB) as u64)).unwrap();
        file.write_all(marker(mib).as_bytes()).unwrap();
    }
    set_modified(path, TempDir::long_ago());
}

/// Reads the rest of the body, MiB by MiB, with the old file's content; the connection then serves
/// another request.
#[track_caller]
fn expect_whole(client: &mut Client) {
    for mib in 1..SIZE / MIB {
        let mut expected = marker(mib).into_bytes();
        expected.resize(MIB, 0);
        let is_old = client.read_exactly(MIB) == expected;
        assert!(is_old, "MiB {mib} is of another file");
    }
    let answer = ask(client, "GET", "/files/letters.txt", &[]);
    assert_eq!((answer.status, answer.text()), (200, LETTERS));
}

/// Reads to the end, which must come before the promised length.
#[track_caller]
fn expect_aborted(client: &mut Client, length: usize, what: &str) {
    let (rest, _) = client.read_to_end();
    assert!(
        rest.len() < length,
        "{what}: {} of {length} bytes look whole",
        rest.len()
    );
}

fn truncate(path: &Path, len: u64) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(len).unwrap();
}

fn write_at(path: &Path, at: usize, text: &str) {
    let mut file = File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

type Change = fn(&Path);

const CHANGES: &[(&str, Change)] = &[
    ("truncated", |path| truncate(path, 2 * MIB as u64)),
    ("truncated by one byte", |path| {
        truncate(path, SIZE as u64 - 1)
    }),
    ("emptied", |path| truncate(path, 0)),
    ("rewritten, shorter", |path| {
        fs::write(path, "short").unwrap()
    }),
    ("truncated and refilled", |path| {
        truncate(path, 0);
        truncate(path, SIZE as u64);
    }),
    ("appended to", |path| write_at(path, SIZE, "more")),
    ("overwritten at its end", |path| {
        write_at(path, SIZE - 5, "other")
    }),
    ("overwritten at its beginning", |path| {
        write_at(path, 0, "other")
    }),
    ("touched", |path| {
        set_modified(path, std::time::SystemTime::now())
    }),
    // As with a restored backup: another length with the old time.
    ("longer with its old time", |path| {
        write_at(path, SIZE, "more");
        set_modified(path, TempDir::long_ago());
    }),
];

#[test]
fn files_09_a_file_that_changes_under_way_is_never_taken_for_whole() {
    let large = Large::start();
    let path = large.dir.join("large.bin");
    for (what, change) in CHANGES {
        for way in ["/files/", "/one/"] {
            let (mut client, rest) = large.beginning(way, "1.1", None);
            change(&path);
            expect_aborted(&mut client, rest, &format!("{way}, {what}"));
            large.assert_well();
            fill(&path);
        }
    }
}

#[test]
fn files_09_so_it_is_for_http_1_0_and_for_parts() {
    let large = Large::start();
    let path = large.dir.join("large.bin");
    let half = format!("bytes=0-{}", SIZE / 2 + 5);
    let two = format!("bytes=0-{},{}-{}", SIZE / 3, SIZE / 2, SIZE - 10);
    let cases = [
        ("1.0", None),
        ("1.1", Some(half.as_str())),
        ("1.1", Some(two.as_str())),
    ];
    for (version, range) in cases {
        for (what, change) in &CHANGES[..3] {
            let (mut client, rest) = large.beginning("/files/", version, range);
            change(&path);
            let what = format!("HTTP/{version} {range:?}, {what}");
            expect_aborted(&mut client, rest, &what);
            fill(&path);
        }
    }
    large.assert_well();
}

#[test]
fn files_09_a_file_that_is_replaced_or_deleted_comes_whole() {
    let large = Large::start();
    let path = large.dir.join("large.bin");
    let replace: Change = |path| {
        let next = path.with_extension("next");
        fs::write(&next, "another file").unwrap();
        fs::rename(&next, path).unwrap();
    };
    let delete: Change = |path| fs::remove_file(path).unwrap();
    let rename: Change = |path| fs::rename(path, path.with_extension("moved")).unwrap();
    for (way, change) in [
        ("/files/", replace),
        ("/one/", replace),
        ("/files/", delete),
        ("/one/", rename),
    ] {
        let (mut client, _) = large.beginning(way, "1.1", None);
        change(&path);
        expect_whole(&mut client);
        fill(&path);
    }
    large.assert_well();
}

#[test]
fn files_09_a_large_file_comes_whole_and_in_parts() {
    let large = Large::start();
    for way in ["/files/", "/one/"] {
        let (mut client, rest) = large.beginning(way, "1.1", None);
        assert_eq!(rest, SIZE - MIB);
        expect_whole(&mut client);
        let range = format!("bytes={}-{}", 5 * MIB, 9 * MIB - 1);
        let answer = ask(
            &mut client,
            "GET",
            &format!("{way}large.bin"),
            &[("Range", &range)],
        );
        assert_eq!((answer.status, answer.body.len()), (206, 4 * MIB));
        for mib in 0..4 {
            assert!(answer.body[mib * MIB..].starts_with(marker(5 + mib).as_bytes()));
        }
        let range = format!("bytes={}-{},-{MIB},0-{}", 2 * MIB, 4 * MIB, MIB - 1);
        let answer = ask(
            &mut client,
            "GET",
            &format!("{way}large.bin"),
            &[("Range", &range)],
        );
        let parts = super::byteranges::parse(&answer).unwrap();
        for (part, mib) in parts.iter().zip([2, SIZE / MIB - 1, 0]) {
            assert!(part.content.starts_with(marker(mib).as_bytes()), "{mib}");
        }
        assert_eq!(parts[0].content.len(), 2 * MIB + 1);
    }
}

#[test]
fn files_09_memory_does_not_follow_the_files_size() {
    // More than the memory of any of our machines, so the server cannot hold it in memory as a
    // whole.
    const HUGE: u64 = 1 << 40;
    let dir = TempDir::new();
    let path = dir.write("huge.bin", "");
    truncate(&path, HUGE);
    set_modified(&path, TempDir::long_ago());
    let server = TestServer::start(Router::new().files("/files", dir.path()));
    let mut client = server.connect();
    for range in [
        None,
        Some(format!("bytes=1-{}", HUGE - 2)),
        Some("bytes=1-".to_owned()),
    ] {
        let field = range.as_ref().map(|range| ("Range", range.as_str()));
        client.send(super::request("GET", "/files/huge.bin", field.as_slice()));
        let head = client.read_head();
        assert!(
            head.header("content-length")
                .unwrap()
                .parse::<u64>()
                .unwrap()
                >= HUGE - 2
        );
        assert!(client.read_exactly(MIB).iter().all(|byte| *byte == 0));
        client = server.connect();
    }
    let several = format!("bytes=0-{},{}-{}", HUGE / 4, HUGE / 2, HUGE - 1);
    client.send(super::request(
        "GET",
        "/files/huge.bin",
        &[("Range", &several)],
    ));
    let head = client.read_head();
    let length: u64 = head.header("content-length").unwrap().parse().unwrap();
    let content = HUGE / 4 + 1 + HUGE / 2;
    assert!(
        (content..content + 1000).contains(&length),
        "{length} bytes with {content} of content"
    );
    client.read_exactly(MIB);
    drop(client);
    // The server does not send the rest to a client that has left.
    eventually("the connections are gone", || {
        server.handle().stats().connections == 0
    });
    assert_eq!(server.handle().stats().panics, 0);
}

#[test]
fn files_09_the_next_request_sees_the_file_as_it_is_now() {
    let large = Large::start();
    let path = large.dir.join("letters.txt");
    let mut client = large.server.connect();
    let mut last = String::new();
    for n in 0..50 {
        let content = format!("version {n}");
        fs::write(&path, &content).unwrap();
        set_modified(
            &path,
            TempDir::long_ago() + std::time::Duration::from_secs(n),
        );
        let answer = ask(
            &mut client,
            "GET",
            "/files/letters.txt",
            &[("If-None-Match", &last)],
        );
        assert_eq!((answer.status, answer.text()), (200, content.as_str()));
        last = tag(&answer);
    }
    fs::remove_file(&path).unwrap();
    let answer = ask(
        &mut client,
        "GET",
        "/files/letters.txt",
        &[("If-None-Match", &last)],
    );
    super::assert_not_found(&answer, "it is gone");
}
