//! A thread swaps files and links while the server serves requests.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use akurai_tests::{Answer, Client, TempDir, set_modified};

use super::special::make_fifo;
use super::{LETTERS, SECRET, Site, ask, assert_no_secret, assert_not_found, tag};

/// A thread that calls a function repeatedly until this is dropped.
struct Swapper {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Swapper {
    fn start(mut swap: impl FnMut() + Send + 'static) -> Swapper {
        let done = Arc::new(AtomicBool::new(false));
        let is_done = Arc::clone(&done);
        let thread = thread::spawn(move || {
            for _ in 0..50_000_000_u64 {
                if is_done.load(Ordering::Relaxed) {
                    return;
                }
                swap();
            }
        });
        Swapper {
            done,
            thread: Some(thread),
        }
    }
}

impl Drop for Swapper {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(
                thread::panicking() || ended.is_ok(),
                "the swapping thread failed"
            );
        }
    }
}

/// Replaces the entry at `path` by a symlink to `to`, in one step.
fn relink(path: &Path, to: &Path) {
    let next = path.with_extension("next");
    let _ = fs::remove_file(&next);
    symlink(to, &next).expect("the name is free");
    fs::rename(&next, path).expect("both lie in one directory");
}

/// Requests `target` until both outcomes have occurred, at least 1500 times and at most 30,000
/// times.
#[track_caller]
fn ask_often(
    site: &Site,
    target: &str,
    fields: &[(&str, &str)],
    mut is_file: impl FnMut(&Answer) -> bool,
) {
    let mut client: Client = site.connect();
    let (mut files, mut others) = (0, 0);
    for _ in 0..30_000 {
        let answer = ask(&mut client, "GET", target, fields);
        assert_no_secret(&answer, target);
        match is_file(&answer) {
            true => files += 1,
            false => others += 1,
        }
        if files + others >= 1500 && files > 0 && others > 0 {
            return;
        }
    }
    panic!("{target}: only one of the two was seen: {files} and {others}");
}

/// Either 200 with the letters, or 404.
#[track_caller]
fn is_letters(answer: &Answer) -> bool {
    if answer.status == 200 {
        assert_eq!(answer.text(), LETTERS);
        return true;
    }
    assert_not_found(answer, "a link that leads out");
    false
}

#[test]
fn files_01_a_link_swapped_back_and_forth_never_leads_out() {
    let site = Site::filled(|outer| {
        outer.write("secret.txt", SECRET);
        outer.write("outside/leaf.txt", SECRET);
        outer.write("root/inside/leaf.txt", LETTERS);
    });
    let link = site.outer.join("root/swap.txt");
    let dir_link = site.outer.join("root/swapped");
    let (inside, outside) = (Path::new("letters.txt"), Path::new("../secret.txt"));
    relink(&link, inside);
    relink(&dir_link, Path::new("inside"));
    let swapper = Swapper::start(move || {
        relink(&link, outside);
        relink(&dir_link, Path::new("../outside"));
        relink(&link, inside);
        relink(&dir_link, Path::new("inside"));
    });
    for target in ["/files/swap.txt", "/files/swapped/leaf.txt"] {
        ask_often(&site, target, &[], is_letters);
    }
    drop(swapper);
}

#[test]
fn files_06_a_sidecar_swapped_back_and_forth_never_leads_out() {
    let site = Site::filled(|outer| {
        outer.write("secret.txt", SECRET);
        outer.write("root/coded", "coded");
    });
    let link = site.outer.join("root/app.js.gz");
    relink(&link, Path::new("coded"));
    // A link that stays inside may or may not count as a sidecar; a file does.
    let sidecar = site.outer.join("root/coded");
    let swapper = Swapper::start(move || {
        relink(&link, Path::new("../secret.txt"));
        let next = link.with_extension("next");
        fs::copy(&sidecar, &next).expect("the name is free");
        fs::rename(&next, &link).expect("both lie in one directory");
    });
    ask_often(
        &site,
        "/files/app.js",
        &[("Accept-Encoding", "gzip")],
        |answer| {
            assert_eq!(answer.status, 200);
            let is_coded = answer.header("content-encoding").is_some();
            let text = if is_coded {
                "coded"
            } else {
                "let plain = 'an application';"
            };
            // The copy is empty for a moment before its rename, never after it.
            assert_eq!(answer.text(), text);
            is_coded
        },
    );
    drop(swapper);
}

#[test]
fn files_01_a_fifo_in_the_place_of_a_file_never_hangs() {
    let site = Site::start();
    let root = site.outer.join("root");
    make_fifo(&root.join("fifo"));
    let (fifo, file) = (root.join("fifo"), root.join("letters.txt"));
    let path = root.join("swap.txt");
    fs::hard_link(&file, &path).unwrap();
    let swapper = Swapper::start(move || {
        for what in [&fifo, &file] {
            let next = path.with_extension("next");
            let _ = fs::remove_file(&next);
            fs::hard_link(what, &next).expect("the name is free");
            fs::rename(&next, &path).expect("both lie in one directory");
            // Renaming a hard link over another link to the same file leaves both.
            let _ = fs::remove_file(&next);
        }
    });
    for target in ["/files/swap.txt", "/one/swap.txt"] {
        ask_often(&site, target, &[], is_letters);
    }
    drop(swapper);
}

#[test]
fn files_04_a_tag_is_that_of_the_bytes_it_comes_with() {
    // Two versions, each moved into place by rename: all fields of an answer must come from the
    // same version.
    let site = Site::start();
    let root = site.outer.join("root");
    let versions = [
        ("a".repeat(1000), 1),
        ("b".repeat(1000), 2),
        ("c".repeat(700_000), 3),
    ];
    let mut tags = Vec::new();
    for (content, age) in &versions {
        let modified = TempDir::long_ago() + std::time::Duration::from_secs(*age);
        site.outer.write_at(format!("v{age}"), content, modified);
        site.outer.write_at("root/swap.bin", content, modified);
        tags.push(tag(&site.get("/files/swap.bin", &[])));
    }
    let outer = site.outer.path().to_path_buf();
    let path = root.join("swap.bin");
    let mut age = 0;
    let swapper = Swapper::start(move || {
        age = age % 3 + 1;
        let next = path.with_extension("next");
        let _ = fs::remove_file(&next);
        fs::hard_link(outer.join(format!("v{age}")), &next).expect("the name is free");
        fs::rename(&next, &path).expect("both lie in one file system");
        let _ = fs::remove_file(&next);
    });
    let mut client = site.connect();
    for n in 0..600 {
        let target = ["/files/swap.bin", "/one/swap.bin"][n % 2];
        let fields = [("Range", "bytes=0-99")];
        let answer = ask(
            &mut client,
            "GET",
            target,
            if n % 3 == 0 { &fields } else { &[] },
        );
        let etag = tag(&answer);
        let version = tags
            .iter()
            .position(|of| *of == etag)
            .expect("one of the three tags");
        let content = &versions[version].0;
        let (status, expected) = match n % 3 {
            0 => (206, &content[..100]),
            _ => (200, content.as_str()),
        };
        assert_eq!(answer.status, status);
        assert!(
            answer.text() == expected,
            "tag {version} on {} bytes",
            answer.body.len()
        );
        if let Some(range) = answer.header("content-range") {
            assert_eq!(range, format!("bytes 0-99/{}", content.len()));
        }
    }
    drop(swapper);
}

#[test]
fn files_09_a_file_written_in_place_is_never_framed_wrongly() {
    // When the server opens the file, it is empty, cut or whole. The client gets either the
    // promised length, or an end before it, or an error.
    let site = Site::start();
    let path = site.outer.join("root/busy.txt");
    fs::write(&path, LETTERS).unwrap();
    let writer = path.clone();
    let swapper = Swapper::start(move || {
        fs::write(&writer, LETTERS.repeat(20_000)).expect("it is there");
        fs::write(&writer, LETTERS).expect("it is there");
    });
    let mut client = site.connect();
    let (mut whole, mut failed) = (0, 0);
    for n in 0..1500 {
        let target = ["/files/busy.txt", "/one/busy.txt"][n % 2];
        client.send(super::request("GET", target, &[]));
        match client.try_read_response(false) {
            Ok(answer) => {
                if answer.status == 500 {
                    // The file was cut after the head was made, before its only piece was read, and
                    // nothing had been sent yet.
                    failed += 1;
                    continue;
                }
                assert_eq!(answer.status, 200);
                let text = answer.text();
                assert!(
                    LETTERS.repeat(1 + text.len() / 26).starts_with(text),
                    "{text}"
                );
                whole += 1;
            }
            Err(akurai_tests::ReadError::Ended(..)) => {
                failed += 1;
                client = site.connect();
            }
            Err(error) => panic!("{error}"),
        }
    }
    drop(swapper);
    set_modified(&path, TempDir::long_ago());
    assert_eq!(site.get("/files/busy.txt", &[]).text(), LETTERS);
    assert!(whole > 0, "all {failed} of 1500 failed");
}

#[test]
fn files_02_a_directory_swapped_back_and_forth_is_never_listed_from_outside() {
    let site = Site::configured(
        |outer| {
            outer.write(format!("outside/{SECRET}.txt"), SECRET);
            outer.write("root/inside/leaf.txt", LETTERS);
        },
        akurai_http::Files::listing,
    );
    let link = site.outer.join("root/swapped");
    relink(&link, Path::new("inside"));
    let swapper = Swapper::start(move || {
        relink(&link, Path::new("../outside"));
        relink(&link, Path::new("inside"));
    });
    ask_often(&site, "/files/swapped/", &[], |answer| {
        if answer.status == 200 {
            assert!(answer.text().contains("leaf.txt"), "{}", answer.text());
            return true;
        }
        assert_not_found(answer, "a directory that leads out");
        false
    });
    drop(swapper);
}

#[test]
fn files_02_a_fifo_in_the_place_of_a_directory_never_hangs() {
    let site = Site::configured(
        |outer| {
            outer.write("root/inside/leaf.txt", LETTERS);
            make_fifo(&outer.join("root/fifo"));
        },
        akurai_http::Files::listing,
    );
    let (asked, listed) = (
        site.outer.join("root/swapped"),
        site.outer.join("root/bare/swapped"),
    );
    relink(&asked, Path::new("inside"));
    relink(&listed, Path::new("../inside"));
    let swapper = Swapper::start(move || {
        relink(&asked, Path::new("fifo"));
        relink(&listed, Path::new("../fifo"));
        relink(&asked, Path::new("inside"));
        relink(&listed, Path::new("../inside"));
    });
    ask_often(&site, "/files/swapped/", &[], |answer| {
        if answer.status == 200 {
            assert!(answer.text().contains("leaf.txt"), "{}", answer.text());
            return true;
        }
        assert_not_found(answer, "a FIFO");
        false
    });
    // For a link, the listing looks up the link's target.
    ask_often(&site, "/files/bare/", &[], |answer| {
        assert_eq!(answer.status, 200);
        assert!(!answer.text().contains("fifo"), "{}", answer.text());
        answer.text().contains("swapped")
    });
    drop(swapper);
}
