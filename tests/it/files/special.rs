//! Entries of the directory that are no regular files, or that lead out of it.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use akurai_http::{Files, Request, Response, Router};
use akurai_tests::{Answer, TempDir, TestServer};

use super::{SECRET, Site, ask, assert_not_found};

/// Makes a FIFO. Opening it for reading blocks until another process opens it for writing.
#[track_caller]
pub(super) fn make_fifo(path: &Path) {
    let status = Command::new("mkfifo").arg(path).status();
    assert!(
        status.expect("mkfifo can be run").success(),
        "{}",
        path.display()
    );
}

#[test]
fn files_01_a_symlink_that_leaves_the_root_is_404() {
    let site = Site::filled(|outer| {
        let root = outer.join("root");
        outer.write("secret.txt", SECRET);
        outer.write("outside/index.html", SECRET);
        outer.write("outside/leaf.txt", SECRET);
        // Its path begins like the root's path.
        outer.write("root-2/leaf.txt", SECRET);
        let links = [
            ("../secret.txt", "out.txt"),
            ("../outside", "out"),
            ("../root-2", "beside"),
            ("..", "up"),
            ("/", "slash"),
            ("/etc/passwd", "passwd"),
            ("loop", "loop"),
            ("nowhere", "dangling"),
            ("out.txt", "twice.txt"),
            ("sub/../../secret.txt", "winding.txt"),
        ];
        for (to, name) in links {
            symlink(to, root.join(name)).unwrap();
        }
        symlink(outer.join("secret.txt"), root.join("absolute.txt")).unwrap();
        fs::create_dir(root.join("linked-index")).unwrap();
        symlink("../../secret.txt", root.join("linked-index/index.html")).unwrap();
    });
    let mut client = site.connect();
    for path in [
        "out.txt",
        "out/leaf.txt",
        "out/",
        "out",
        "out/index.html",
        "beside/leaf.txt",
        "beside",
        "up/secret.txt",
        "up/root/letters.txt/x",
        "up",
        "up/",
        "slash/etc/passwd",
        "slash",
        "passwd",
        "loop",
        "loop/x",
        "dangling",
        "twice.txt",
        "winding.txt",
        "absolute.txt",
        "linked-index/",
        "linked-index/index.html",
    ] {
        let target = format!("/files/{path}");
        assert_not_found(&ask(&mut client, "GET", &target, &[]), &target);
    }
}

#[test]
fn files_01_a_symlink_that_stays_inside_is_followed() {
    let site = Site::filled(|outer| {
        let root = outer.join("root");
        symlink("letters.txt", root.join("alias.txt")).unwrap();
        symlink("alias.txt", root.join("alias-of-alias.txt")).unwrap();
        symlink("../letters.txt", root.join("sub/up.txt")).unwrap();
        symlink("sub", root.join("dir")).unwrap();
        symlink(root.join("sub"), root.join("absolute-dir")).unwrap();
        symlink("../root/letters.txt", root.join("out-and-in.txt")).unwrap();
    });
    let mut client = site.connect();
    for (path, text) in [
        ("alias.txt", super::LETTERS),
        ("alias-of-alias.txt", super::LETTERS),
        ("sub/up.txt", super::LETTERS),
        ("dir/leaf.txt", "leaf"),
        ("dir/", "<title>sub</title>"),
        ("absolute-dir/leaf.txt", "leaf"),
        ("out-and-in.txt", super::LETTERS),
    ] {
        let answer = ask(&mut client, "GET", &format!("/files/{path}"), &[]);
        assert_eq!((answer.status, answer.text()), (200, text), "{path}");
    }
    let answer = ask(&mut client, "GET", "/files/dir", &[]);
    assert_eq!(
        (answer.status, answer.header("location")),
        (301, Some("/files/dir/"))
    );
}

#[test]
fn files_01_the_root_itself_may_be_a_symlink() {
    let outer = TempDir::new();
    outer.write("real/x.txt", "x");
    outer.write("real/sub/x.txt", "x");
    outer.write("secret.txt", SECRET);
    symlink("real", outer.join("link")).unwrap();
    symlink("../secret.txt", outer.join("real/out.txt")).unwrap();
    symlink("../../secret.txt", outer.join("real/sub/out.txt")).unwrap();
    let server = TestServer::start(Router::new().files("/files", outer.join("link")));
    let mut client = server.connect();
    for path in ["", "sub/"] {
        let answer = ask(&mut client, "GET", &format!("/files/{path}x.txt"), &[]);
        assert_eq!((answer.status, answer.text()), (200, "x"));
        let answer = ask(&mut client, "GET", &format!("/files/{path}out.txt"), &[]);
        assert_not_found(&answer, "out of a linked root");
    }
}

#[test]
fn files_01_no_root_is_not_the_working_directory() {
    // Cargo runs tests in the directory of their package.
    assert!(std::path::Path::new("Cargo.toml").is_file());
    let server = TestServer::start(Router::new().files("/files", ""));
    let mut client = server.connect();
    for path in ["Cargo.toml", "it/main.rs"] {
        let answer = ask(&mut client, "GET", &format!("/files/{path}"), &[]);
        assert_not_found(&answer, path);
    }
}

#[test]
fn files_01_a_linked_root_may_move_on_to_the_next_release() {
    let outer = TempDir::new();
    for name in ["one", "two"] {
        outer.write(format!("{name}/x.txt"), name);
        outer.write(format!("{name}/sub/x.txt"), name);
    }
    symlink("one", outer.join("current")).unwrap();
    let server = TestServer::start(Router::new().files("/files", outer.join("current")));
    let mut client = server.connect();
    for name in ["one", "two", "one"] {
        symlink(name, outer.join("next")).unwrap();
        fs::rename(outer.join("next"), outer.join("current")).unwrap();
        for target in ["/files/x.txt", "/files/sub/x.txt"] {
            let answer = ask(&mut client, "GET", target, &[]);
            assert_eq!((answer.status, answer.text()), (200, name));
        }
    }
}

/// A directory with every kind of entry that is no regular file.
fn zoo(outer: &TempDir) -> UnixListener {
    let root = outer.join("root");
    make_fifo(&root.join("fifo"));
    make_fifo(&root.join("fifo.html"));
    fs::create_dir(root.join("fifo-index")).unwrap();
    make_fifo(&root.join("fifo-index/index.html"));
    for end in ["br", "zst", "gz"] {
        make_fifo(&root.join(format!("app.js.{end}")));
    }
    symlink("fifo", root.join("fifo-link")).unwrap();
    symlink("/dev/zero", root.join("zero")).unwrap();
    symlink("/dev/tty", root.join("tty")).unwrap();
    UnixListener::bind(root.join("socket")).expect("the path is short enough")
}

#[test]
fn files_01_only_regular_files_and_a_fifo_never_hangs() {
    let mut socket = None;
    let site = Site::configured(|outer| socket = Some(zoo(outer)), |files| files);
    let mut client = site.connect();
    for name in [
        "fifo",
        "fifo.html",
        "fifo-link",
        "fifo-index/",
        "zero",
        "tty",
        "socket",
    ] {
        for method in ["GET", "HEAD"] {
            let target = format!("/files/{name}");
            let answer = ask(&mut client, method, &target, &[("Range", "bytes=0-0")]);
            assert_eq!(answer.status, 404, "{method} {target}");
        }
        let target = format!("/files/{name}");
        assert_not_found(&ask(&mut client, "GET", &target, &[]), &target);
    }
    // The program may pass a FIFO's path too; the server still refuses it.
    for name in [
        "fifo",
        "fifo-link",
        "fifo-index/index.html",
        "zero",
        "socket",
        "sub",
        "sub/",
    ] {
        let target = format!("/one/{name}");
        assert_not_found(&ask(&mut client, "GET", &target, &[]), &target);
    }
    // They do not count as sidecars, and no request waits for them.
    for way in super::WAYS {
        let fields = [("Accept-Encoding", "br, zstd, gzip")];
        let answer = ask(&mut client, "GET", &format!("{way}app.js"), &fields);
        assert_eq!(
            (answer.status, answer.header("content-encoding")),
            (200, None),
            "{way}"
        );
    }
}

#[test]
fn files_01_a_device_of_the_programs_own_choice_is_no_file() {
    let app = Router::new().get("/{name}", |request: &Request| {
        Response::file(request, format!("/dev/{}", request.param("name").unwrap()))
    });
    let server = TestServer::start(app);
    let mut client = server.connect();
    for path in ["/zero", "/null", "/full", "/random", "/tty", "/stdin"] {
        assert_not_found(&ask(&mut client, "GET", path, &[]), path);
    }
}

#[test]
fn files_07_a_fallback_that_is_a_fifo_or_leads_out_is_404() {
    let outer = TempDir::new();
    outer.write("secret.html", SECRET);
    fs::create_dir(outer.join("root")).unwrap();
    make_fifo(&outer.join("root/fifo.html"));
    symlink("../secret.html", outer.join("root/out.html")).unwrap();
    for name in ["fifo.html", "out.html", "absent.html"] {
        let files = Files::dir(outer.join("root")).fallback(name);
        let server = TestServer::start(Router::new().files("/files", files));
        let accept = [("Accept", "text/html")];
        let answer: Answer = ask(&mut server.connect(), "GET", "/files/route", &accept);
        assert_not_found(&answer, name);
    }
}

#[test]
fn files_01_a_program_may_name_any_regular_file_itself() {
    let outer = TempDir::new();
    outer.write(".hidden", "hidden");
    outer.write("a:b.txt", "colon");
    outer.write("real.txt", "real");
    symlink("real.txt", outer.join("link.txt")).unwrap();
    let root = outer.path().to_path_buf();
    let app = Router::new().get("/{name}", move |request: &Request| {
        Response::file(request, root.join(request.param("name").unwrap()))
    });
    let server = TestServer::start(app);
    let mut client = server.connect();
    for (path, text) in [
        ("/.hidden", "hidden"),
        ("/a:b.txt", "colon"),
        ("/link.txt", "real"),
    ] {
        let answer = ask(&mut client, "GET", path, &[]);
        assert_eq!((answer.status, answer.text()), (200, text), "{path}");
    }
}

#[test]
fn files_01_a_name_that_is_not_utf_8_cannot_be_asked_for() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let site = Site::filled(|outer| {
        for name in [&b"\xff.txt"[..], b"\xc0\xae\xc0\xae", b"\xed\xa0\x80"] {
            outer.write("root/placeholder", SECRET);
            let name = outer.join("root").join(OsStr::from_bytes(name));
            fs::rename(outer.join("root/placeholder"), name).unwrap();
        }
    });
    for path in [
        "%ff.txt",
        "%FF.txt",
        "%c0%ae%c0%ae",
        "%ed%a0%80",
        "%EF%BF%BD.txt",
    ] {
        let target = format!("/files/{path}");
        let answer = ask(&mut site.connect(), "GET", &target, &[]);
        super::assert_refused(&answer, &target);
    }
}
