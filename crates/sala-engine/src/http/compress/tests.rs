use std::io::Read;

use flate2::read::{GzDecoder, ZlibDecoder};

use super::*;

fn accept(values: &[&'static str]) -> HeaderMap {
    values
        .iter()
        .map(|value| (ACCEPT_ENCODING, HeaderValue::from_static(value)))
        .collect()
}

fn chosen<const N: usize>(headers: &HeaderMap, offer: [&'static str; N]) -> &'static str {
    preferred(headers, offer).map_or("-", |index| offer[index])
}

/// The header; what `accepts` 1.3.8 on Node.js chose of gzip and deflate; of br, gzip and deflate.
const TABLE: &[(&str, &str, &str)] = &[
    ("", "-", "-"),
    ("gzip", "gzip", "gzip"),
    ("deflate", "deflate", "deflate"),
    ("br", "-", "br"),
    ("gzip, deflate", "gzip", "gzip"),
    ("deflate, gzip", "deflate", "deflate"),
    ("gzip, br", "gzip", "gzip"),
    ("br, gzip", "gzip", "br"),
    ("gzip, deflate, br, zstd", "gzip", "gzip"),
    ("*", "gzip", "br"),
    ("*;q=0", "-", "-"),
    ("*, gzip;q=0", "deflate", "br"),
    ("gzip;q=0", "-", "-"),
    ("gzip;q=0, deflate", "deflate", "deflate"),
    ("gzip;q=0.5, deflate;q=0.8", "deflate", "deflate"),
    ("gzip;q=0.5, *", "deflate", "br"),
    ("identity", "-", "-"),
    ("identity;q=1, gzip;q=0.5", "gzip", "gzip"),
    ("GZIP", "gzip", "gzip"),
    ("gzip;Q=0", "gzip", "gzip"),
    ("gzip; q=0", "-", "-"),
    ("gzip ;q=0", "-", "-"),
    ("gzip;q =0", "gzip", "gzip"),
    ("gzip;q= 0", "-", "-"),
    ("gzip;x=1;q=0", "-", "-"),
    ("gzip;q", "-", "-"),
    ("gzip;q=", "-", "-"),
    ("gzip;q=abc", "-", "-"),
    ("gzip;q=2, deflate", "gzip", "gzip"),
    ("gzip;q=0.5x, deflate;q=.6", "deflate", "deflate"),
    ("gzip;q=-1", "-", "-"),
    ("gzip;q=0.5-, deflate;q=0.4", "gzip", "gzip"),
    ("gzip;q=0.5.9, deflate;q=0.6", "deflate", "deflate"),
    ("gzip;q=1., deflate", "gzip", "gzip"),
    ("gzip x, deflate", "deflate", "deflate"),
    ("x-gzip", "-", "-"),
    (",,gzip,,", "gzip", "gzip"),
    (";q=1", "-", "-"),
    ("gzip;q=0.1, gzip;q=0.9, deflate;q=0.5", "gzip", "gzip"),
    ("gzip, gzip;q=0", "gzip", "gzip"),
    ("*;q=0.5, deflate;q=0.4", "gzip", "br"),
    ("gzip;q=0.0001", "gzip", "gzip"),
    ("deflate;q=1.0,gzip;q=1", "deflate", "deflate"),
    ("gzip;q=.", "-", "-"),
    ("gzip;q=+0.5, deflate;q=0.4", "gzip", "gzip"),
    ("\tgzip\t,\tdeflate", "gzip", "gzip"),
    ("gzip;;q=0", "-", "-"),
    ("gzip;q=0;q=1", "-", "-"),
];

#[test]
fn the_choice_is_that_of_the_reference() {
    for &(header, polling, files) in TABLE {
        let headers = accept(&[header]);
        assert_eq!(
            chosen(&headers, ["gzip", "deflate"]),
            polling,
            "A198: {header:?}"
        );
        assert_eq!(
            chosen(&headers, ["br", "gzip", "deflate"]),
            files,
            "C050: {header:?}"
        );
    }
    assert_eq!(chosen(&accept(&[]), ["gzip", "deflate"]), "-");
}

#[test]
fn several_header_lines_count_as_one() {
    assert_eq!(
        chosen(&accept(&["deflate", "gzip"]), ["gzip", "deflate"]),
        "deflate"
    );
    assert_eq!(
        chosen(&accept(&["deflate;q=0.1", "gzip"]), ["gzip", "deflate"]),
        "gzip"
    );
}

#[test]
fn bytes_beyond_ascii_are_no_encoding() {
    let value = HeaderValue::from_bytes(b"\xff\xfe, gzip;q=\xff, deflate").expect("obs-text");
    let headers = [(ACCEPT_ENCODING, value)].into_iter().collect();
    assert_eq!(Encoding::negotiate(&headers), Some(Encoding::Deflate));
}

#[test]
fn a_hostile_header_is_read_once() {
    // A quarter of a million entries and parameters: quadratic work would not end in a test.
    let parts = ["*,", ";q=0", "gzip;", ",", "q=1111111111", "=", " "];
    for part in parts {
        let value = HeaderValue::try_from(part.repeat(250_000)).expect("legal characters");
        let headers = [(ACCEPT_ENCODING, value)].into_iter().collect();
        let _ = Encoding::negotiate(&headers);
    }
}

#[test]
fn compressed_replies_decode_to_the_same_bytes() {
    let long = "4hello \u{1e}".repeat(10_000);
    for text in ["", "4", &long] {
        let gzip = encode(text.as_bytes(), Encoding::Gzip);
        let mut decoded = String::new();
        GzDecoder::new(&*gzip)
            .read_to_string(&mut decoded)
            .expect("gzip");
        assert_eq!(decoded, text);

        let deflate = encode(text.as_bytes(), Encoding::Deflate);
        assert_eq!(deflate[0], 0x78, "the zlib format, not the bare one");
        decoded.clear();
        ZlibDecoder::new(&*deflate)
            .read_to_string(&mut decoded)
            .expect("zlib");
        assert_eq!(decoded, text);
    }
    assert!(encode(long.as_bytes(), Encoding::Gzip).len() < long.len() / 20);
}

#[test]
fn the_encoding_names_itself() {
    assert_eq!(Encoding::Gzip.header(), "gzip");
    assert_eq!(Encoding::Deflate.header(), "deflate");
}
