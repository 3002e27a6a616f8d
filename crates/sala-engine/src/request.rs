//! The head of the HTTP request that opened a session.

use std::net::SocketAddr;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, request::Parts};
use sala_engine_proto::Query;

use crate::http::TrustedProxies;

/// The first HTTP request of a session, kept for the life of the session.
///
/// Headers are copied into one allocation: the header map of an HTTP library would keep its whole
/// read buffer alive for as long as the session lives.
#[derive(Debug)]
pub struct Request {
    method: Method,
    text: Box<str>,
    target: u32,
    headers: Box<[HeaderSpan]>,
    extensions: Option<Box<Extensions>>,
    remote: Option<SocketAddr>,
    secure: bool,
}

/// Where one header lies in the text: its name, then its value.
#[derive(Debug, Clone, Copy)]
struct HeaderSpan {
    name: u32,
    value: u32,
    end: u32,
}

/// What is known of the connection that a request came over. The host puts it into the request's
/// extensions; [`serve_connection`](crate::serve_connection) does so by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// The peer's address as the server sees it: that of a proxy, behind a proxy that is not
    /// [trusted](crate::EngineConfig::trusted_proxies).
    pub remote: Option<SocketAddr>,
    /// Whether the connection is encrypted by this process.
    pub secure: bool,
}

impl ConnectionInfo {
    /// The same for a single request, which a proxy may have passed on.
    pub(crate) fn behind(self, proxies: &TrustedProxies, headers: &mut HeaderMap) -> Self {
        Self {
            remote: self.remote.map(|peer| proxies.client(peer, headers)),
            ..self
        }
    }
}

impl Request {
    /// Copies the head of a request. Bytes of header values that are not UTF-8 are replaced. `info`
    /// counts if the extensions have none.
    pub(crate) fn new(parts: &mut Parts, info: Option<ConnectionInfo>) -> Self {
        let info = parts.extensions.remove().or(info).unwrap_or_default();
        let target = parts
            .uri
            .path_and_query()
            .map_or(parts.uri.path(), |target| target.as_str());
        let size = parts.headers.iter().fold(target.len(), |n, (name, value)| {
            n + name.as_str().len() + value.len()
        });
        let mut text = String::with_capacity(size);
        text.push_str(target);
        let target = text.len() as u32;
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| {
                let at = text.len() as u32;
                text.push_str(name.as_str());
                let middle = text.len() as u32;
                match std::str::from_utf8(value.as_bytes()) {
                    Ok(value) => text.push_str(value),
                    Err(_) => text.push_str(&String::from_utf8_lossy(value.as_bytes())),
                }
                HeaderSpan {
                    name: at,
                    value: middle,
                    end: text.len() as u32,
                }
            })
            .collect();
        let extensions = std::mem::take(&mut parts.extensions);
        Self {
            method: parts.method.clone(),
            text: text.into_boxed_str(),
            target,
            headers,
            extensions: (!extensions.is_empty()).then(|| Box::new(extensions)),
            remote: info.remote,
            secure: info.secure,
        }
    }

    /// The method. A handshake is always a GET.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The raw request target: path and query.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.text[..self.target as usize]
    }

    /// The decoded query string.
    #[must_use]
    pub fn query(&self) -> Query {
        Query::parse(self.url().split_once('?').map_or("", |(_, query)| query))
    }

    /// The first value of a header; names are compared without regard to case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// All headers, names in lower case, in the order of the request.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|span| {
            let name = &self.text[span.name as usize..span.value as usize];
            (name, &self.text[span.value as usize..span.end as usize])
        })
    }

    /// The headers as a map, built anew at each call. A value that is no longer a legal header
    /// value after its bytes were replaced is left out.
    #[must_use]
    pub fn header_map(&self) -> HeaderMap {
        self.headers()
            .filter_map(|(name, value)| {
                let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
                Some((name, HeaderValue::from_str(value).ok()?))
            })
            .collect()
    }

    /// What layers in front of the server left in the request, such as a login session.
    #[must_use]
    pub fn extension<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.extensions.as_ref()?.get()
    }

    /// The peer's address as the server sees it, or what a
    /// [trusted proxy](crate::EngineConfig::trusted_proxies) said, if the host told.
    #[must_use]
    pub fn remote_address(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// Whether the direct connection is encrypted.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }
}
