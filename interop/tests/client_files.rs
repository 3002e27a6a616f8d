//! C.6: the files of the client.

use std::io::Read;

use flate2::read::{GzDecoder, ZlibDecoder};
use sala_interop::Probe;
use sala_testkit::http::{self, send};
use serde_json::json;

use crate::support::assert_refused;

const FILES: [&str; 4] = [
    "socket.io.js",
    "socket.io.min.js",
    "socket.io.esm.min.js",
    "socket.io.msgpack.min.js",
];
const FILE: &str = "/socket.io/socket.io.min.js";

#[tokio::test]
async fn eight_files_are_served() {
    // C047, C048
    let probe = Probe::start(json!({})).await;
    for file in FILES {
        let reply = http::get(probe.addr(), &format!("/socket.io/{file}")).await;
        assert_eq!(reply.status, 200, "{file}");
        assert_eq!(
            reply.header("content-type"),
            Some("application/javascript; charset=utf-8")
        );
        assert_eq!(reply.header("cache-control"), Some("public, max-age=0"));
        let etag = reply.header("etag").unwrap();
        assert!(
            etag.starts_with('"') && etag.ends_with('"') && etag.len() > 4,
            "{etag}"
        );
        assert!(reply.text().contains("Socket.IO v4."), "{file}");
        let map = http::get(probe.addr(), &format!("/socket.io/{file}.map")).await;
        assert_eq!(
            (map.status, map.header("content-type")),
            (200, Some("application/json; charset=utf-8"))
        );
        assert_eq!(map.json()["version"], 3);
    }
}

#[tokio::test]
async fn an_unchanged_file_is_not_sent_again() {
    // C049
    let probe = Probe::start(json!({})).await;
    let etag = http::get(probe.addr(), FILE)
        .await
        .header("etag")
        .unwrap()
        .to_owned();
    for tag in [etag.clone(), format!("W/{etag}")] {
        let reply = send(probe.addr(), "GET", FILE, &[("If-None-Match", &tag)], b"").await;
        assert_eq!(reply.status, 304);
        assert_eq!(
            (reply.header("content-type"), reply.header("etag")),
            (None, None)
        );
    }
    for tag in ["\"0.0.0\"", "W/\"0.0.0\""] {
        assert_eq!(
            send(probe.addr(), "GET", FILE, &[("If-None-Match", tag)], b"")
                .await
                .status,
            200
        );
    }
}

#[tokio::test]
async fn files_are_compressed_as_the_client_prefers() {
    // C050
    let probe = Probe::start(json!({})).await;
    let plain = http::get(probe.addr(), FILE).await.body;
    let table = [
        ("gzip", Some("gzip")),
        ("deflate", Some("deflate")),
        ("br", Some("br")),
        ("gzip, br", Some("gzip")),
        ("br, gzip", Some("br")),
        ("gzip;q=0.5, br;q=0.9", Some("br")),
        ("*", Some("br")),
        ("identity", None),
        ("gzip;q=0", None),
    ];
    for (accept, encoding) in table {
        let reply = send(
            probe.addr(),
            "GET",
            FILE,
            &[("Accept-Encoding", accept)],
            b"",
        )
        .await;
        assert_eq!(reply.header("content-encoding"), encoding, "{accept}");
        let mut body = Vec::new();
        match encoding {
            Some("gzip") => drop(
                GzDecoder::new(&reply.body[..])
                    .read_to_end(&mut body)
                    .unwrap(),
            ),
            Some("deflate") => drop(
                ZlibDecoder::new(&reply.body[..])
                    .read_to_end(&mut body)
                    .unwrap(),
            ),
            Some(_) => {
                assert!(reply.body.len() < plain.len() / 2);
                continue;
            }
            None => body = reply.body,
        }
        assert!(body == plain, "{accept}");
    }
}

#[tokio::test]
async fn queries_and_methods_do_not_matter() {
    // C051, C052
    let probe = Probe::start(json!({})).await;
    let plain = http::get(probe.addr(), FILE).await.body;
    assert!(http::get(probe.addr(), &format!("{FILE}?v=1")).await.body == plain);
    assert!(send(probe.addr(), "POST", FILE, &[], b"").await.body == plain);
    let head = send(probe.addr(), "HEAD", FILE, &[], b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn cors_covers_the_files() {
    // C053, A196
    let probe = Probe::start(json!({"cors": {"origin": "*"}})).await;
    let reply = http::get(probe.addr(), FILE).await;
    assert_eq!(
        (reply.status, reply.header("access-control-allow-origin")),
        (200, Some("*"))
    );
}

#[tokio::test]
async fn other_files_are_refused_by_the_engine() {
    // C054, I005
    let probe = Probe::start(json!({})).await;
    for file in [
        "nope.js",
        "socket.io.esm.js",
        "socket.io.js.map.map",
        "../package.json",
        "%2e%2e/package.json",
        "socket.io.min.js/",
    ] {
        assert_refused(
            &http::get(probe.addr(), &format!("/socket.io/{file}")).await,
            0,
            "Transport unknown",
        );
    }
}

#[tokio::test]
async fn serving_files_can_be_switched_off() {
    // C055
    let probe = Probe::start(json!({"serveClient": false})).await;
    for file in FILES {
        assert_refused(
            &http::get(probe.addr(), &format!("/socket.io/{file}")).await,
            0,
            "Transport unknown",
        );
    }
}

#[tokio::test]
async fn files_follow_the_path() {
    // A003, C047
    let probe = Probe::start(json!({"path": "/x"})).await;
    assert_eq!(http::get(probe.addr(), "/x/socket.io.js").await.status, 200);
}
