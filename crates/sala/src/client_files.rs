//! The official client's bundles, served under the path of the server.
//!
//! They are built in compressed, which is how nearly every browser wants them: half the size of the
//! plain files, and nothing to compress while serving. Plain and `deflate` copies are made when
//! somebody first asks, and kept: at most 1.5 MB for all eight files.

use std::{io::Read, sync::OnceLock};

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
};
use sala_engine::http::compress::{Encoding, encode, preferred};

#[cfg(test)]
mod tests;

/// The version of the npm package `socket.io` that the bundles come from.
const VERSION: &str = "4.8.4";

/// One bundle or source map.
#[derive(Debug)]
pub(crate) struct ClientFile {
    name: &'static str,
    gzip: &'static [u8],
    br: &'static [u8],
    plain: OnceLock<Bytes>,
    deflate: OnceLock<Bytes>,
}

macro_rules! client_file {
    ($name:literal) => {
        ClientFile {
            name: $name,
            gzip: include_bytes!(concat!("../assets/client-dist/", $name, ".gz")),
            br: include_bytes!(concat!("../assets/client-dist/", $name, ".br")),
            plain: OnceLock::new(),
            deflate: OnceLock::new(),
        }
    };
}
static FILES: [ClientFile; 8] = [
    client_file!("socket.io.js"),
    client_file!("socket.io.js.map"),
    client_file!("socket.io.min.js"),
    client_file!("socket.io.min.js.map"),
    client_file!("socket.io.esm.min.js"),
    client_file!("socket.io.esm.min.js.map"),
    client_file!("socket.io.msgpack.min.js"),
    client_file!("socket.io.msgpack.min.js.map"),
];

/// The file of this name, which is what follows the server's path and its slash in the request
/// target. A query after it is ignored. All other names are none of ours: the request goes on to the
/// engine, which refuses it.
pub(crate) fn find(path_after_prefix: &str) -> Option<&'static ClientFile> {
    let name = path_after_prefix.split('?').next()?;
    FILES.iter().find(|file| file.name == name)
}

/// The reply to a request for a file, whatever its method; HEAD gets no body. CORS headers, if any,
/// are added by the caller.
///
/// `If-None-Match` is compared with the ETag as a whole, as the reference does: lists and `*` never
/// match. The ETag is the version, the same for every file and encoding.
pub(crate) fn respond(
    file: &'static ClientFile,
    method: &Method,
    request: &HeaderMap,
) -> (StatusCode, HeaderMap, Bytes) {
    let mut headers = HeaderMap::with_capacity(5);
    if is_current(request) {
        return (StatusCode::NOT_MODIFIED, headers, Bytes::new());
    }
    let (encoding, body) = file.encoded(request);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=0"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.content_type()));
    headers.insert(ETAG, etag());
    if let Some(encoding) = encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    headers.insert(CONTENT_LENGTH, body.len().into());
    let body = if method == Method::HEAD {
        Bytes::new()
    } else {
        body
    };
    (StatusCode::OK, headers, body)
}

impl ClientFile {
    fn content_type(&self) -> &'static str {
        if self.name.ends_with(".map") {
            "application/json; charset=utf-8"
        } else {
            "application/javascript; charset=utf-8"
        }
    }

    /// The file in the encoding that the client prefers, and its name unless plain.
    fn encoded(&'static self, request: &HeaderMap) -> (Option<&'static str>, Bytes) {
        match preferred(request, ["br", "gzip", "deflate"]) {
            Some(0) => (Some("br"), Bytes::from_static(self.br)),
            Some(1) => (Some("gzip"), Bytes::from_static(self.gzip)),
            Some(_) => (Some("deflate"), self.deflate()),
            None => (None, self.plain()),
        }
    }

    fn plain(&self) -> Bytes {
        let decode = || {
            let mut plain = Vec::new();
            GzDecoder::new(self.gzip)
                .read_to_end(&mut plain)
                .expect("a test decodes every built-in file");
            plain.into()
        };
        self.plain.get_or_init(decode).clone()
    }

    fn deflate(&self) -> Bytes {
        let encode = || encode(&self.plain(), Encoding::Deflate).into();
        self.deflate.get_or_init(encode).clone()
    }
}

/// Whether the client already has this version, by a strong or a weak ETag.
fn is_current(request: &HeaderMap) -> bool {
    let mut tags = request
        .get_all(IF_NONE_MATCH)
        .iter()
        .map(HeaderValue::as_bytes);
    let (Some(tag), None) = (tags.next(), tags.next()) else {
        return false;
    };
    let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
    tag == etag().as_bytes()
}

fn etag() -> HeaderValue {
    HeaderValue::try_from(format!("\"{VERSION}\"")).expect("a version is ASCII")
}
