//! `X-Forwarded-For`: what proxies in front say of the client's address.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use sala_engine_proto::Network;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose word is taken.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// Trusts these, and nobody else.
    #[must_use]
    pub fn new(networks: impl IntoIterator<Item = Network>) -> Self {
        Self(networks.into_iter().collect())
    }

    /// The address of the client behind a request that came from `peer`.
    ///
    /// Each proxy has appended whom it heard from, so the list is read from its end: past the proxies
    /// that are trusted, up to the first address that is not one of them. What is no address ends it too;
    /// then the client is the last proxy that is known. The port of an address in the list is often
    /// missing, and then 0.
    ///
    /// The header of a peer that is not trusted is taken out of the request, so that nobody further
    /// in believes it. If nobody is trusted, the header is not looked at and stays.
    #[must_use]
    pub fn client(&self, peer: SocketAddr, headers: &mut HeaderMap) -> SocketAddr {
        if self.0.is_empty() {
            return peer;
        }
        if !self.contains(peer.ip()) {
            headers.remove(FORWARDED_FOR);
            return peer;
        }
        let mut client = peer;
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        for hop in lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')) {
            let Some(address) = address(hop) else {
                break;
            };
            client = address;
            if !self.contains(client.ip()) {
                break;
            }
        }
        client
    }

    fn contains(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(ip))
    }
}

/// An address as proxies write it: with or without a port, of IPv6 with or without brackets.
fn address(text: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    match bare.parse::<IpAddr>() {
        Ok(ip) => Some(SocketAddr::new(ip, 0)),
        Err(_) => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests;
