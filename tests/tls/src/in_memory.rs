//! Both sessions against rustls' client, without a socket.

use std::io::{IoSlice, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use akurai_http::Session;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};

use crate::configs::{openssl_context, rustls_config};
use crate::info::TlsInfo;
use crate::over_openssl::OpensslSession;
use crate::over_rustls::RustlsSession;

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];
/// The server offers no more at a time.
const MOST_BYTES: usize = 16 * 1024;

fn certificates() -> PathBuf {
    std::env::var_os("TLS_CERTIFICATES")
        .expect("`run` makes the certificates")
        .into()
}

fn sessions() -> [Box<dyn Session>; 2] {
    let rustls = rustls_config(&certificates()).expect("a configuration");
    let openssl = openssl_context(&certificates()).expect("a context");
    [
        Box::new(RustlsSession::new(rustls).expect("a session")),
        Box::new(OpensslSession::new(&openssl).expect("a session")),
    ]
}

fn client(version: &'static SupportedProtocolVersion) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(certificates().join("ca.pem")).expect("the CA");
    roots.add(ca).expect("the CA");
    let config = ClientConfig::builder_with_protocol_versions(&[version]);
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    ClientConnection::new(Arc::new(config), name).expect("a client")
}

/// A session as the server drives it, and its client.
struct Pair {
    session: Box<dyn Session>,
    client: ClientConnection,
    /// What the session gave, and whether the client's end came.
    plain: Vec<u8>,
    has_ended: bool,
}

impl Pair {
    /// Runs `check` for each session under each version of TLS, the handshake done.
    fn each(check: impl Fn(&mut Pair)) {
        for version in VERSIONS {
            for session in sessions() {
                let client = client(version);
                let (plain, has_ended) = (Vec::new(), false);
                let mut pair = Pair {
                    session,
                    client,
                    plain,
                    has_ended,
                };
                while pair.client.is_handshaking() {
                    pair.client_sends(MOST_BYTES);
                    pair.session_sends();
                }
                pair.client_sends(MOST_BYTES);
                check(&mut pair);
            }
        }
    }

    fn is_tls13(&self) -> bool {
        self.client.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3)
    }

    fn client_output(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut wire).expect("a Vec takes all");
        }
        wire
    }

    /// What the client has to send, in pieces of so many bytes.
    fn client_sends(&mut self, piece_bytes: usize) {
        for mut wire in self.client_output().chunks(piece_bytes) {
            while !wire.is_empty() {
                self.read();
                let count = self.session.receive(wire).expect("a right record");
                assert!(count > 0);
                wire = &wire[count..];
            }
        }
        self.read();
    }

    fn read(&mut self) {
        let mut plain = [0; 1000];
        while let Some(count) = self.session.read(&mut plain).expect("a right record") {
            self.plain.extend_from_slice(&plain[..count]);
            self.has_ended = count == 0;
            if self.has_ended {
                break;
            }
        }
    }

    fn output(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        self.session.output(&mut wire).expect("output");
        let mut rest = Vec::new();
        self.session.output(&mut rest).expect("output");
        assert!(rest.is_empty(), "all of it at once");
        wire
    }

    /// What the session has to send; the client's plain bytes of it.
    fn session_sends(&mut self) -> Vec<u8> {
        let wire = self.output();
        let (mut wire, mut plain) = (&wire[..], Vec::new());
        while !wire.is_empty() && self.client.read_tls(&mut wire).expect("a slice") > 0 {
            let state = self.client.process_new_packets().expect("right records");
            let at = plain.len();
            plain.resize(at + state.plaintext_bytes_to_read(), 0);
            self.client
                .reader()
                .read_exact(&mut plain[at..])
                .expect("plain bytes");
        }
        plain
    }

    fn client_writes(&mut self, bytes: &[u8]) {
        self.client.writer().write_all(bytes).expect("it takes all");
    }

    fn session_writes(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = self
                .session
                .write(&[IoSlice::new(rest)])
                .expect("it takes some");
            assert!(count > 0);
            rest = &rest[count..];
        }
    }
}

/// Bytes that no shift leaves the same.
fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at % 251) as u8).collect()
}

#[test]
fn cut_anywhere_bytes_arrive_both_ways() {
    for piece_bytes in [1, 7, 1000, MOST_BYTES] {
        Pair::each(|pair| {
            pair.client_writes(&bytes(50_000));
            pair.client_sends(piece_bytes);
            assert_eq!(pair.plain, bytes(50_000));
            pair.session_writes(&bytes(40_000));
            assert_eq!(pair.session_sends(), bytes(40_000));
            assert!(!pair.has_ended);
        });
    }
}

#[test]
fn a_long_record_with_short_ones_behind_it_arrives() {
    // The first piece's length moves the record's end to each place in the last piece.
    for first_bytes in (1..MOST_BYTES).step_by(97) {
        Pair::each(|pair| {
            let mut all = Vec::new();
            for count in [first_bytes, 16_384, 1, 500, 3000, 16_384, 1] {
                let record = bytes(count);
                pair.client_writes(&record);
                all.extend_from_slice(&record);
            }
            pair.client_sends(MOST_BYTES);
            assert!(pair.plain == all, "{first_bytes}");
        });
    }
}

#[test]
fn key_updates_are_answered_with_the_next_write_at_the_latest() {
    Pair::each(|pair| {
        if !pair.is_tls13() {
            return;
        }
        for _ in 0..3 {
            pair.client.refresh_traffic_keys().expect("a key update");
            pair.client_writes(b"new keys");
            pair.client_sends(1);
            pair.session_writes(b"as well");
            assert_eq!(pair.session_sends(), b"as well");
        }
        assert_eq!(pair.plain, b"new keysnew keysnew keys");
    });
}

#[test]
fn an_end_is_what_the_peer_said() {
    Pair::each(|pair| {
        pair.client_writes(b"the last");
        pair.client_sends(MOST_BYTES);
        assert!(!pair.has_ended);
        pair.client.send_close_notify();
        pair.client_sends(MOST_BYTES);
        assert_eq!((&pair.plain[..], pair.has_ended), (&b"the last"[..], true));
        // The other direction is still open; bytes after the end are nothing.
        pair.session_writes(b"an answer");
        assert_eq!(pair.session_sends(), b"an answer");
        pair.session.receive(b"noise").expect("it is ignored");
        pair.read();
        assert_eq!((&pair.plain[..], pair.has_ended), (&b"the last"[..], true));
    });
}

#[test]
fn close_is_said_once_and_input_still_arrives() {
    Pair::each(|pair| {
        pair.session_writes(b"the last");
        pair.session.close().expect("an alert");
        assert_eq!(pair.session_sends(), b"the last");
        assert_eq!(pair.client.reader().read(&mut [0]).expect("an end"), 0);
        pair.client_writes(b"still here");
        pair.client_sends(MOST_BYTES);
        assert_eq!(
            (&pair.plain[..], pair.has_ended),
            (&b"still here"[..], false)
        );
    });
}

#[test]
fn close_during_a_handshake_is_no_error() {
    for version in VERSIONS {
        for mut session in sessions() {
            let mut client = client(version);
            let mut wire = Vec::new();
            client.write_tls(&mut wire).expect("a hello");
            session
                .receive(&wire[..wire.len() / 2])
                .expect("half a hello");
            session.close().expect("no error");
        }
    }
}

#[test]
fn many_slices_make_one_record() {
    Pair::each(|pair| {
        pair.output();
        let slices = [
            IoSlice::new(b"head"),
            IoSlice::new(b""),
            IoSlice::new(b"body"),
        ];
        assert_eq!(pair.session.write(&slices).expect("all of it"), 8);
        let wire = pair.output();
        let length = usize::from(u16::from_be_bytes([wire[3], wire[4]]));
        // Record type 23: application data (RFC 8446 §5.1).
        assert_eq!((wire[0], wire.len()), (23, 5 + length));
    });
}

#[test]
fn wrong_bytes_get_an_alert() {
    for mut session in sessions() {
        let result = session.receive(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        result
            .and_then(|_| session.read(&mut [0]))
            .expect_err("this is no TLS");
        let mut wire = Vec::new();
        session.output(&mut wire).expect("output");
    }
    Pair::each(|pair| {
        pair.client_writes(b"to be broken");
        let mut wire = pair.client_output();
        wire[10] ^= 1;
        let result = pair.session.receive(&wire);
        result
            .and_then(|_| pair.session.read(&mut [0]))
            .expect_err("a broken record");
        let wire = pair.output();
        assert!(!wire.is_empty(), "no alert");
        let mut wire = &wire[..];
        pair.client.read_tls(&mut wire).expect("a slice");
        let error = pair.client.process_new_packets().expect_err("an alert");
        assert_eq!(
            error,
            rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac)
        );
    });
}

#[test]
fn info_names_server_and_version() {
    Pair::each(|pair| {
        let info = pair.session.info().expect("an info");
        let info = info.downcast::<TlsInfo>().expect("ours");
        assert_eq!(info.server_name.as_deref(), Some("localhost"));
        let version = if pair.is_tls13() { "3" } else { "2" };
        assert!(info.protocol.ends_with(version), "{}", info.protocol);
        assert_eq!(info.client_certificate, None);
    });
}
