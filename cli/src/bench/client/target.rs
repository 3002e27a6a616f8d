//! Where to connect, and with what.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::{HeaderMap, HeaderValue};
use tokio::net::{TcpSocket, TcpStream, lookup_host};

use super::{Error, Url};

/// Clients of one source address: the usual range of ports has 28,000, and each may need two.
const CLIENTS_PER_SOURCE: usize = 10_000;

/// One server, its address looked up.
#[derive(Debug)]
pub(crate) struct Target {
    address: SocketAddr,
    pub(super) authority: String,
    /// The `Host` header.
    pub(super) host: HeaderValue,
    /// `/socket.io/?EIO=4`, and the user's own query after it.
    base: String,
    pub(super) headers: HeaderMap,
    /// What stands before the data of a packet: nothing, or `/name,`.
    pub(super) namespace: String,
    /// JSON of the CONNECT packet; may be empty.
    pub(super) auth: String,
}

/// What the user chose beside the address.
#[derive(Debug, Default)]
pub(crate) struct Handshake {
    pub(crate) path: String,
    pub(crate) namespace: String,
    pub(crate) headers: HeaderMap,
    pub(crate) auth: String,
}

impl Target {
    /// Looks the host up and takes the first of its addresses where somebody listens.
    pub(crate) async fn find(url: &Url, handshake: Handshake) -> Result<Self, Error> {
        let mut last = Error::Resolve(io::Error::other("no address"));
        for address in lookup_host((url.host.as_str(), url.port))
            .await
            .map_err(Error::Resolve)?
        {
            match TcpStream::connect(address).await {
                Ok(_) => return Ok(Self::new(url, handshake, address)),
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }

    fn new(url: &Url, handshake: Handshake, address: SocketAddr) -> Self {
        let Handshake {
            path,
            namespace,
            headers,
            auth,
        } = handshake;
        let (separator, query) = if url.query.is_empty() {
            ("", "")
        } else {
            ("&", url.query.as_str())
        };
        Self {
            address,
            authority: url.authority.clone(),
            host: url.host_header.clone(),
            base: format!("{path}?EIO=4{separator}{query}"),
            headers,
            namespace: if namespace == "/" {
                String::new()
            } else {
                format!("{namespace},")
            },
            auth,
        }
    }

    /// Opens a TCP connection for client number `index`.
    ///
    /// To a server on this machine, the clients take their source addresses from all of 127.0.0.0/8, since one
    /// address has no more than some 28,000 ports.
    pub(super) async fn dial(&self, index: usize) -> Result<TcpStream, Error> {
        let stream = match source(self.address, index) {
            None => TcpStream::connect(self.address).await?,
            Some(source) => {
                let socket = TcpSocket::new_v4()?;
                socket.bind((source, 0).into())?;
                socket.connect(self.address).await?
            }
        };
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// The path and query of a request.
    pub(super) fn request(&self, transport: &str, sid: Option<&str>) -> String {
        let base = &self.base;
        match sid {
            None => format!("{base}&transport={transport}"),
            Some(sid) => format!("{base}&transport={transport}&sid={sid}"),
        }
    }
}

fn source(server: SocketAddr, index: usize) -> Option<Ipv4Addr> {
    let IpAddr::V4(address) = server.ip() else {
        return None;
    };
    let group = u16::try_from(index / CLIENTS_PER_SOURCE).ok()?;
    if !address.is_loopback() || group == 0 {
        return None;
    }
    let [high, low] = group.to_be_bytes();
    Some(Ipv4Addr::new(127, 1, high, low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_many_clients_on_this_machine_have_a_source_of_their_own() {
        let here: SocketAddr = "127.0.0.1:1".parse().expect("an address");
        assert_eq!(source(here, 9_999), None);
        assert_eq!(source(here, 10_000), Some(Ipv4Addr::new(127, 1, 0, 1)));
        assert_eq!(source(here, 999_999), Some(Ipv4Addr::new(127, 1, 0, 99)));
        assert_eq!(
            source("10.0.0.1:1".parse().expect("an address"), 50_000),
            None
        );
        assert_eq!(source("[::1]:1".parse().expect("an address"), 50_000), None);
    }

    #[test]
    fn a_request_names_version_transport_and_session() {
        let url = "http://host:1/?token=x".parse().expect("a URL");
        let handshake = Handshake {
            path: "/socket.io/".into(),
            namespace: "/admin".into(),
            ..Handshake::default()
        };
        let target = Target::new(&url, handshake, "127.0.0.1:1".parse().expect("an address"));
        assert_eq!(
            target.request("polling", None),
            "/socket.io/?EIO=4&token=x&transport=polling"
        );
        assert!(
            target
                .request("websocket", Some("abc"))
                .ends_with("&transport=websocket&sid=abc")
        );
        assert_eq!(target.namespace, "/admin,");
    }
}
