//! Which Redis is meant, and how long it may take.

use std::fmt;
use std::time::Duration;

use sala_adapter::{BackendError, BackendErrorKind, Message};

/// Names a Redis: one server, a Cluster, or the master that Sentinel knows of.
///
/// | URL | what |
/// |---|---|
/// | `redis://localhost:6379` | one server |
/// | `redis://user:password@host:6379/2` | with a user, a password and a database |
/// | `redis://:password@host:6379` | with the password of the default user |
/// | `rediss://host:6379` | over TLS (feature `tls`) |
/// | `unix:///run/redis.sock` | a socket of this machine (`?user=…&pass=…&db=…`) |
/// | `redis+cluster://a:7000,b:7000` | a Redis Cluster, found through any of these nodes (feature `cluster`) |
/// | `redis+sentinel://a:26379,b:26379/mymaster` | the master of that name, and whoever replaces it (feature `cluster`) |
///
/// A list of URLs is a Cluster too. `rediss+cluster://` and `rediss+sentinel://` use TLS for all
/// connections. User and password are those of Redis; the sentinels' own are given by
/// `?sentinel_user=…&sentinel_password=…`, the database behind Sentinel by `/mymaster/2`. Special characters are written with percent
/// signs (`%40` for `@`), as in any URL.
///
/// ```
/// use std::time::Duration;
/// use sala_redis::Redis;
///
/// let one = Redis::from("redis://127.0.0.1:6379").command_timeout(Duration::from_secs(2));
/// let cluster = Redis::from(["redis://10.0.0.1:7000", "redis://10.0.0.2:7000"]);
/// # let _ = (one, cluster);
/// ```
///
/// Naming never fails; what is wrong with a URL is said by `connect`.
#[derive(Clone)]
#[must_use]
pub struct Redis {
    pub(crate) urls: Vec<String>,
    pub(crate) limits: Limits,
    #[cfg(feature = "tls")]
    pub(crate) certificates: Certificates,
}

/// How long things may take and how large they may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) connect_timeout: Duration,
    pub(crate) command_timeout: Duration,
    pub(crate) max_message: usize,
    pub(crate) max_socket_list: usize,
    pub(crate) max_waiting: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            command_timeout: Duration::from_secs(5),
            max_message: 16 << 20,
            max_socket_list: 28 << 20,
            max_waiting: 64 << 20,
        }
    }
}

impl Limits {
    /// Whether a message may have so many bytes on the wire.
    pub(crate) fn check(&self, message: &Message, bytes: usize) -> Result<(), BackendError> {
        let is_list = matches!(message, Message::FetchSocketsResponse { .. });
        let (limit, text) = match is_list {
            true => (
                self.max_socket_list,
                "a list of sockets is larger than max_socket_list_bytes: ask for the sockets of a room, or raise it on all servers, and client-output-buffer-limit (pubsub) of Redis with it",
            ),
            false => (
                self.max_message,
                "a message is larger than max_message_bytes, which all servers should set alike",
            ),
        };
        if bytes <= limit {
            return Ok(());
        }
        let text = format!("{text} ({bytes} bytes, the limit is {limit})");
        Err(BackendError::new(BackendErrorKind::TooLarge, text))
    }

    /// How large anything may be that arrives.
    pub(crate) fn largest(&self) -> usize {
        self.max_message.max(self.max_socket_list)
    }

    /// Something arrived that is larger than that, and was not read.
    pub(crate) fn exceeded_by(&self, bytes: usize) -> BackendError {
        let limit = self.largest();
        let text = format!(
            "a message of {bytes} bytes is larger than max_message_bytes and max_socket_list_bytes ({limit}), which all servers should set alike"
        );
        BackendError::new(BackendErrorKind::TooLarge, text)
    }
}

/// Certificates in PEM, for TLS.
#[cfg(feature = "tls")]
#[derive(Clone, Default)]
pub(crate) struct Certificates {
    pub(crate) root: Option<Vec<u8>>,
    pub(crate) client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Redis {
    fn new(urls: Vec<String>) -> Self {
        Self {
            urls,
            limits: Limits::default(),
            #[cfg(feature = "tls")]
            certificates: Certificates::default(),
        }
    }

    /// How long connecting may take, name resolution, TLS and password included. Default: 5 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.limits.connect_timeout = timeout;
        self
    }

    /// How long Redis may take to answer a command before the connection is given up. An idle
    /// connection is asked this often whether it is still there. Default: 5 s.
    pub fn command_timeout(mut self, timeout: Duration) -> Self {
        self.limits.command_timeout = timeout.max(Duration::from_millis(10));
        self
    }

    /// How large a message may be, in bytes as they are on the wire. Larger ones are neither sent
    /// nor taken: the sender gets an error, a receiver counts it as malformed. Default: 16 MiB. For the lists of
    /// `fetch_sockets` see [`max_socket_list_bytes`](Self::max_socket_list_bytes).
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_message = bytes;
        self
    }

    /// How large the list of all its sockets may be with which a server answers `fetch_sockets` of another one: a single
    /// message, in which a socket with a browser's handshake takes about 1.3 KiB. A server with a longer list gets an error
    /// and does not answer, so that the other one times out. Default: 28 MiB, about 21,000 sockets: Redis cuts
    /// a connection off for which more than 32 MiB wait (`client-output-buffer-limit pubsub`); raise both together.
    pub fn max_socket_list_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_socket_list = bytes;
        self
    }

    /// How many bytes of received messages may wait for this server to apply them; at least as many as the largest message
    /// has. Beyond that the
    /// server is too slow for its cluster: what arrived first is still applied, the connection is
    /// given up, and the loss is reported. Default: 64 MiB.
    pub fn max_waiting_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_waiting = bytes;
        self
    }

    /// Trusts servers whose certificate was signed by one of these (PEM), instead of those that the
    /// operating system trusts.
    #[cfg(feature = "tls")]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.certificates.root = Some(pem.into());
        self
    }

    /// Shows this certificate and proves it with the key (both PEM), for servers that demand it.
    #[cfg(feature = "tls")]
    pub fn client_certificate(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.certificates.client = Some((certificate.into(), key.into()));
        self
    }
}

impl From<&str> for Redis {
    fn from(url: &str) -> Self {
        Self::new(vec![url.to_owned()])
    }
}

impl From<String> for Redis {
    fn from(url: String) -> Self {
        Self::new(vec![url])
    }
}

impl From<&String> for Redis {
    fn from(url: &String) -> Self {
        Self::new(vec![url.clone()])
    }
}

impl<S: Into<String>> From<Vec<S>> for Redis {
    fn from(urls: Vec<S>) -> Self {
        Self::new(urls.into_iter().map(Into::into).collect())
    }
}

impl<S: Into<String>, const N: usize> From<[S; N]> for Redis {
    fn from(urls: [S; N]) -> Self {
        Self::new(urls.into_iter().map(Into::into).collect())
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<_> = self.urls.iter().map(|url| without_secrets(url)).collect();
        f.debug_struct("Redis")
            .field("urls", &urls)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// The URL as logs may show it: no user, no password, no query.
pub(crate) fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let hosts = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{hosts}{path}")
        }
        // Without a scheme it is no URL; somebody may have pasted a password.
        None => "(no URL)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_url_holds_no_secret() {
        for (url, shown) in [
            ("redis://u:p%40ss@host:1/2", "redis://host:1/2"),
            (
                "redis+sentinel://:p@a,b/m?sentinel_password=x",
                "redis+sentinel://a,b/m",
            ),
            ("unix:///run/r.sock?pass=x", "unix:///run/r.sock"),
            ("hunter2", "(no URL)"),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
        let shown = format!("{:?}", Redis::from("redis://:secret@host"));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
