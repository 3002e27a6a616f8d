use flate2::read::ZlibDecoder;
use http::header::ACCEPT_ENCODING;

use super::*;

/// The bundles as published, in the order of `FILES`.
const PUBLISHED: [&[u8]; 8] = [
    include_bytes!("../../assets/client-dist/socket.io.js"),
    include_bytes!("../../assets/client-dist/socket.io.js.map"),
    include_bytes!("../../assets/client-dist/socket.io.min.js"),
    include_bytes!("../../assets/client-dist/socket.io.min.js.map"),
    include_bytes!("../../assets/client-dist/socket.io.esm.min.js"),
    include_bytes!("../../assets/client-dist/socket.io.esm.min.js.map"),
    include_bytes!("../../assets/client-dist/socket.io.msgpack.min.js"),
    include_bytes!("../../assets/client-dist/socket.io.msgpack.min.js.map"),
];

fn get(name: &str, request: &[(http::HeaderName, &'static str)]) -> (StatusCode, HeaderMap, Bytes) {
    let request = request
        .iter()
        .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
        .collect();
    respond(find(name).expect(name), &Method::GET, &request)
}

fn inflate(mut decoder: impl Read) -> Vec<u8> {
    let mut plain = Vec::new();
    decoder.read_to_end(&mut plain).expect("decodes");
    plain
}

#[test]
fn every_file_comes_as_published_in_every_encoding() {
    for (file, published) in FILES.iter().zip(PUBLISHED) {
        for (accept, encoding) in [
            ("br", "br"),
            ("gzip", "gzip"),
            ("deflate", "deflate"),
            ("identity", ""),
        ] {
            // Twice: what is made on the first request is kept for the second.
            for _ in 0..2 {
                let (status, headers, body) = get(file.name, &[(ACCEPT_ENCODING, accept)]);
                assert_eq!(status, 200, "C047: {}", file.name);
                let named = headers
                    .get(CONTENT_ENCODING)
                    .map_or(&b""[..], |name| name.as_bytes());
                assert_eq!(named, encoding.as_bytes());
                assert_eq!(headers[CONTENT_LENGTH], body.len().to_string());
                let plain = match encoding {
                    "br" => inflate(brotli_decompressor::Decompressor::new(&*body, 4096)),
                    "gzip" => inflate(GzDecoder::new(&*body)),
                    "deflate" => inflate(ZlibDecoder::new(&*body)),
                    _ => body.to_vec(),
                };
                assert!(plain == published, "{} as {accept:?}", file.name);
            }
        }
    }
}

#[test]
fn replies_carry_the_headers_of_the_reference() {
    for file in &FILES {
        let (_, headers, _) = get(file.name, &[]);
        let names: Vec<_> = headers.keys().map(|name| name.as_str()).collect();
        assert_eq!(
            names,
            ["cache-control", "content-type", "etag", "content-length"],
            "C048"
        );
        assert_eq!(headers[CACHE_CONTROL], "public, max-age=0");
        assert_eq!(headers[ETAG], "\"4.8.4\"");
        let kind = if file.name.ends_with(".map") {
            "json"
        } else {
            "javascript"
        };
        assert_eq!(
            headers[CONTENT_TYPE],
            format!("application/{kind}; charset=utf-8")
        );
    }
}

#[test]
fn the_version_is_that_of_the_bundles() {
    let banner = format!("Socket.IO v{VERSION}\n");
    for (file, published) in FILES.iter().zip(PUBLISHED).step_by(2) {
        let head = String::from_utf8_lossy(&published[..100]);
        assert!(head.contains(&banner), "{}: {head}", file.name);
    }
}

#[test]
fn a_client_that_has_the_version_gets_304_and_nothing_else() {
    let table: [(&[&str], bool); 11] = [
        (&["\"4.8.4\""], true),
        (&["W/\"4.8.4\""], true),
        (&[], false),
        (&[""], false),
        (&["*"], false),
        (&["4.8.4"], false),
        (&["\"4.8.3\""], false),
        (&["w/\"4.8.4\""], false),
        (&["W/W/\"4.8.4\""], false),
        (&["\"4.8.4\", \"4.8.3\""], false),
        (&["\"4.8.4\"", "\"4.8.4\""], false),
    ];
    for (tags, current) in table {
        let request = tags
            .iter()
            .map(|tag| (IF_NONE_MATCH, HeaderValue::from_static(tag)))
            .collect();
        let file = find("socket.io.js").expect("served");
        let (status, headers, body) = respond(file, &Method::GET, &request);
        assert_eq!(status, if current { 304 } else { 200 }, "C049: {tags:?}");
        assert_eq!(headers.is_empty(), current);
        assert_eq!(body.is_empty(), current);
    }
}

#[test]
fn any_method_is_answered_and_head_without_a_body() {
    let file = find("socket.io.min.js").expect("served");
    let (_, expected, bundle) = respond(file, &Method::GET, &HeaderMap::new());
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let reply = respond(file, &method, &HeaderMap::new());
        assert_eq!(
            reply,
            (StatusCode::OK, expected.clone(), bundle.clone()),
            "C052: {method}"
        );
    }
    let reply = respond(file, &Method::HEAD, &HeaderMap::new());
    assert_eq!(reply, (StatusCode::OK, expected, Bytes::new()));
}

#[test]
fn only_the_eight_files_are_found_and_a_query_is_ignored() {
    for name in ["socket.io.js?v=1", "socket.io.js?", "socket.io.js?a=b?c"] {
        assert_eq!(
            find(name).map(|file| file.name),
            Some("socket.io.js"),
            "C051: {name}"
        );
    }
    let unknown = [
        "",
        "?socket.io.js",
        "nope.js",
        "socket.io.esm.js",
        "socket.io.msgpack.js",
        "socket.io.slim.js",
        "Socket.io.js",
        "socket.io.js/",
        "/socket.io.js",
        "./socket.io.js",
        "../client-dist/socket.io.js",
        "socket.io.js.gz",
        "socket.io%2Ejs",
        "LICENSE",
        "README.md",
        "__proto__",
    ];
    for name in unknown {
        assert!(find(name).is_none(), "C054, I005: {name}");
    }
}
