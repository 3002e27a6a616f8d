//! The checks of an upgrade request.

use std::time::Instant;

use sala_engine_proto::ws::deflate::Config;
use sala_engine_proto::ws::handshake::{Accept, Refusal, Request, check, is_upgrade};

const KEY: &[u8] = b"dGhlIHNhbXBsZSBub25jZQ==";

fn request() -> Request<'static> {
    Request {
        method: "GET",
        upgrade: Some(b"websocket"),
        key: Some(KEY),
        version: Some(b"13"),
        protocol: None,
        extensions: None,
    }
}

#[test]
fn a_good_request_is_accepted_with_the_key_of_the_rfc() {
    let accept = check(&request(), None).unwrap();
    assert_eq!(
        accept,
        Accept {
            accept_key: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned(),
            protocol: None,
            deflate: None,
        }
    );
    for good in [
        Request {
            upgrade: Some(b"WebSocket"),
            ..request()
        },
        Request {
            version: Some(b"8"),
            ..request()
        },
        Request {
            key: Some(b"++++////AAAAzzzz0123aa=="),
            ..request()
        },
    ] {
        assert!(check(&good, None).is_ok(), "{good:?}");
    }
}

#[test]
fn bad_headers_are_refused_with_the_texts_of_the_reference_a100() {
    let rows = [
        (
            Request {
                method: "POST",
                ..request()
            },
            Refusal::Method,
            405,
            "Invalid HTTP method",
        ),
        (
            Request {
                method: "get",
                ..request()
            },
            Refusal::Method,
            405,
            "Invalid HTTP method",
        ),
        (
            Request {
                upgrade: None,
                ..request()
            },
            Refusal::Upgrade,
            400,
            "Invalid Upgrade header",
        ),
        (
            Request {
                upgrade: Some(b"h2c, websocket"),
                ..request()
            },
            Refusal::Upgrade,
            400,
            "Invalid Upgrade header",
        ),
    ];
    for (request, refusal, status, text) in rows {
        assert_eq!(check(&request, None), Err(refusal), "{request:?}");
        assert_eq!(
            (refusal.status(), refusal.text(), refusal.header()),
            (status, text, None)
        );
    }
    let long = [b'A'; 50_000];
    let keys = [
        None,
        Some(&b""[..]),
        Some(b"dGhlIHNhbXBsZSBub25jZQ"),
        Some(b"dGhlIHNhbXBsZSBub25jZQ=a"),
        Some(b"dGhlIHNhbXBsZSBub25jZ==="),
        Some(b"dGhlIHNhbXBsZSBub25-ZQ=="),
        Some(b" dGhlIHNhbXBsZSBub25jZQ=="),
        Some(&long),
    ];
    for key in keys {
        assert_eq!(
            check(&Request { key, ..request() }, None),
            Err(Refusal::Key),
            "{key:?}"
        );
    }
    assert_eq!(
        Refusal::Key.text(),
        "Missing or invalid Sec-WebSocket-Key header"
    );
    for version in [
        None,
        Some(&b""[..]),
        Some(b"12"),
        Some(b"14"),
        Some(b"13, 8"),
        Some(b"-13"),
    ] {
        let request = Request {
            version,
            ..request()
        };
        assert_eq!(check(&request, None), Err(Refusal::Version), "{version:?}");
    }
    assert_eq!(
        Refusal::Version.text(),
        "Missing or invalid Sec-WebSocket-Version header"
    );
    assert_eq!(
        Refusal::Version.header(),
        Some(("Sec-WebSocket-Version", "13, 8"))
    );
    assert_eq!(Refusal::Version.status(), 400);
}

#[test]
fn the_first_thing_that_is_wrong_is_reported() {
    let bad = Request {
        method: "PUT",
        ..Request::default()
    };
    assert_eq!(check(&bad, None), Err(Refusal::Method));
    let bad = Request {
        method: "GET",
        ..Request::default()
    };
    assert_eq!(check(&bad, None), Err(Refusal::Upgrade));
    let bad = Request {
        key: None,
        version: None,
        ..request()
    };
    assert_eq!(check(&bad, None), Err(Refusal::Key));
    let bad = Request {
        version: None,
        protocol: Some(b","),
        ..request()
    };
    assert_eq!(check(&bad, None), Err(Refusal::Version));
    let bad = Request {
        protocol: Some(b","),
        extensions: Some(b","),
        ..request()
    };
    assert_eq!(
        check(&bad, Some(&Config::default())),
        Err(Refusal::Protocol)
    );
}

#[test]
fn the_first_subprotocol_is_echoed_a101() {
    for (offered, first) in [
        (&b"foo"[..], "foo"),
        (b"foo, bar", "foo"),
        (b"foo,bar", "foo"),
        (b"v1.x \t , b", "v1.x"),
        (b"  foo  ", "foo"),
    ] {
        let request = Request {
            protocol: Some(offered),
            ..request()
        };
        assert_eq!(
            check(&request, None).unwrap().protocol.as_deref(),
            Some(first)
        );
    }
    for malformed in [
        &b""[..],
        b",",
        b"foo,",
        b",foo",
        b"foo,,bar",
        b"foo bar",
        b"foo, foo",
        b"foo;bar",
        b"foo/1",
        b"\"foo\"",
        b"f\xc3\xa9",
    ] {
        let request = Request {
            protocol: Some(malformed),
            ..request()
        };
        assert_eq!(
            check(&request, None),
            Err(Refusal::Protocol),
            "{malformed:?}"
        );
    }
    assert_eq!(
        Refusal::Protocol.text(),
        "Invalid Sec-WebSocket-Protocol header"
    );
}

#[test]
fn hostile_lists_take_linear_time_i029() {
    let spaces = [&b"b"[..], &[b' '; 50_000], b"x"].concat();
    let many: Vec<u8> = (0..50_000)
        .flat_map(|i| format!("p{i},").into_bytes())
        .collect();
    let started = Instant::now();
    for _ in 0..20 {
        for list in [&spaces, &many] {
            let request = Request {
                protocol: Some(list),
                extensions: Some(list),
                ..request()
            };
            assert_eq!(check(&request, None), Err(Refusal::Protocol));
            let request = Request {
                protocol: None,
                ..request
            };
            let refused = check(&request, Some(&Config::default()));
            assert_eq!(refused, Err(Refusal::Extensions));
        }
    }
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

#[test]
fn an_upgrade_needs_both_headers() {
    for (connection, upgrade, expected) in [
        (Some(&b"Upgrade"[..]), Some(&b"websocket"[..]), true),
        (Some(b"keep-alive, Upgrade"), Some(b"websocket"), true),
        (Some(b"UPGRADE"), Some(b"x"), true),
        (Some(b"keep-alive"), Some(b"websocket"), false),
        (Some(b"upgraded"), Some(b"websocket"), false),
        (Some(b"Upgrade"), None, false),
        (None, Some(b"websocket"), false),
        (None, None, false),
    ] {
        assert_eq!(
            is_upgrade(connection, upgrade),
            expected,
            "{connection:?} {upgrade:?}"
        );
    }
}
