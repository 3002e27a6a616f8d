//! The address on the command line.

use std::str::FromStr;

use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Uri};

/// `http://host:port/namespace?query`, read as the official client reads it: the path is the namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) authority: String,
    pub(crate) host_header: HeaderValue,
    /// Without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Starts with `/`; `/` alone is the main namespace.
    pub(crate) namespace: String,
    /// Without `?`.
    pub(crate) query: String,
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = match text.split_once("://") {
            None => text,
            Some(("http" | "ws", rest)) => rest,
            Some(("https" | "wss", _)) => {
                return Err("sala bench does not speak TLS: measure the server itself, behind its proxy, at its \
                            http:// address"
                    .into());
            }
            Some((scheme, _)) => return Err(format!("{scheme}:// is not http:// or ws://")),
        };
        let uri: Uri = format!("http://{rest}")
            .parse()
            .map_err(|error| format!("{error}; write http://host:port"))?;
        let authority = uri.authority().map(Authority::as_str).unwrap_or_default();
        let host = uri.host().unwrap_or_default();
        if host.is_empty() || authority.contains('@') {
            return Err("write http://host:port".into());
        }
        Ok(Self {
            authority: authority.into(),
            host_header: HeaderValue::from_str(authority).map_err(|_| "write http://host:port")?,
            host: host.trim_start_matches('[').trim_end_matches(']').into(),
            port: uri.port_u16().unwrap_or(80),
            namespace: uri.path().into(),
            query: uri
                .path_and_query()
                .and_then(PathAndQuery::query)
                .unwrap_or_default()
                .into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_and_the_port_may_be_left_out() {
        let url: Url = "localhost:3000".parse().expect("a URL");
        assert_eq!(
            (url.host.as_str(), url.port, url.namespace.as_str()),
            ("localhost", 3000, "/")
        );
        let url: Url = "ws://example.com".parse().expect("a URL");
        assert_eq!((url.authority.as_str(), url.port), ("example.com", 80));
    }

    #[test]
    fn the_path_is_the_namespace() {
        let url: Url = "http://[::1]:80/admin?token=1".parse().expect("a URL");
        assert_eq!(url.host, "::1");
        assert_eq!(url.authority, "[::1]:80");
        assert_eq!(url.namespace, "/admin");
        assert_eq!(url.query, "token=1");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for wrong in [
            "",
            "http://",
            "https://example.com",
            "ftp://example.com",
            "http://a b",
            "http://u:p@host/",
        ] {
            assert!(wrong.parse::<Url>().is_err(), "{wrong}");
        }
    }
}
