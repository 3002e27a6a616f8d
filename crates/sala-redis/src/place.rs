//! URLs into what the client library connects to.

use std::time::Duration;

use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{ConnectionInfo, IntoConnectionInfo, ProtocolVersion};
use sala_adapter::{BackendError, BackendErrorKind};

use crate::named::without_secrets;

/// Where a Redis is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// One server.
    One(ConnectionInfo),
    /// A Cluster, found through any of these.
    Cluster(Vec<ConnectionInfo>),
    /// The master that these sentinels know under a name.
    Sentinel(Box<Sentinels>),
}

/// Sentinels, and how to connect to the master whose address they tell.
#[derive(Clone, Debug)]
pub(crate) struct Sentinels {
    pub(crate) sentinels: Vec<ConnectionInfo>,
    pub(crate) master: String,
    /// With the address of a sentinel in the place of the master's.
    pub(crate) template: ConnectionInfo,
}

/// Reads one URL, or the list of URLs of a Cluster.
pub(crate) fn parse(urls: &[String]) -> Result<Place, BackendError> {
    match urls {
        [] => Err(wrong("no URL of a Redis was given")),
        [url] => parse_one(url),
        urls => {
            let infos = urls
                .iter()
                .map(|url| server(url))
                .collect::<Result<_, _>>()?;
            cluster(infos)
        }
    }
}

fn parse_one(url: &str) -> Result<Place, BackendError> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(wrong("not a URL: write redis://host:6379"));
    };
    let (base, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
    match kind {
        "" => server(url).map(Place::One),
        "cluster" => cluster(servers(base, &Parts::of(rest))?),
        "sentinel" => sentinel(base, Parts::of(rest)),
        _ => Err(wrong(format!(
            "unknown kind of Redis `{scheme}`: use redis, redis+cluster or redis+sentinel"
        ))),
    }
}

/// A URL with several hosts, taken apart.
struct Parts<'a> {
    user: &'a str,
    hosts: &'a str,
    path: &'a str,
    query: &'a str,
}

impl<'a> Parts<'a> {
    fn of(rest: &'a str) -> Self {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (user, hosts),
            None => ("", authority),
        };
        Self {
            user,
            hosts,
            path,
            query,
        }
    }
}

/// Each of the hosts as a server of its own.
fn servers(scheme: &str, parts: &Parts<'_>) -> Result<Vec<ConnectionInfo>, BackendError> {
    let at = if parts.user.is_empty() { "" } else { "@" };
    let url = |host| format!("{scheme}://{}{at}{host}/{}", parts.user, parts.path);
    let hosts = parts.hosts.split(',');
    hosts.map(|host| server(&url(host.trim()))).collect()
}

fn cluster(infos: Vec<ConnectionInfo>) -> Result<Place, BackendError> {
    if cfg!(not(feature = "cluster")) {
        return Err(wrong(
            "for a Redis Cluster the feature `cluster` of sala-redis is needed",
        ));
    }
    if infos.iter().any(|info| info.redis_settings().db() != 0) {
        return Err(wrong(
            "a Redis Cluster has no databases: leave the number out of the URL",
        ));
    }
    Ok(Place::Cluster(infos))
}

fn sentinel(scheme: &str, mut parts: Parts<'_>) -> Result<Place, BackendError> {
    if cfg!(not(feature = "cluster")) {
        return Err(wrong(
            "for Sentinel the feature `cluster` of sala-redis is needed",
        ));
    }
    let (master, database) = parts.path.split_once('/').unwrap_or((parts.path, ""));
    if master.is_empty() {
        return Err(wrong(
            "the name of the master is missing: redis+sentinel://host:26379/mymaster",
        ));
    }
    let master = master.to_owned();
    parts.path = database;
    let hosts: Vec<_> = parts.hosts.split(',').map(with_sentinel_port).collect();
    let hosts = hosts.join(",");
    let template = servers(
        scheme,
        &Parts {
            hosts: &hosts,
            ..parts
        },
    )?
    .into_iter()
    .next()
    .ok_or_else(|| wrong("no sentinel was named"))?;
    let user = sentinel_user(parts.query);
    let own = Parts {
        user: &user,
        hosts: &hosts,
        path: "",
        query: "",
    };
    Ok(Place::Sentinel(Box::new(Sentinels {
        sentinels: servers(scheme, &own)?,
        master,
        template,
    })))
}

fn with_sentinel_port(host: &str) -> String {
    let host = host.trim();
    let after_v6 = host.rsplit(']').next().unwrap_or(host);
    if after_v6.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:26379")
    }
}

/// `user:password` for the sentinels themselves, still with percent signs.
fn sentinel_user(query: &str) -> String {
    let of = |name| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    match of("sentinel_password") {
        Some(password) => format!("{}:{password}", of("sentinel_user").unwrap_or("")),
        None => String::new(),
    }
}

/// One server, with what every connection of ours wants.
fn server(url: &str) -> Result<ConnectionInfo, BackendError> {
    let known = [
        "redis",
        "rediss",
        "valkey",
        "valkeys",
        "unix",
        "redis+unix",
        "valkey+unix",
    ];
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    if !known.contains(&scheme) {
        return Err(wrong(format!(
            "`{}` is no URL of a Redis: write redis://host:6379 (or rediss://, unix://)",
            without_secrets(url)
        )));
    }
    if cfg!(not(feature = "tls")) && scheme.ends_with("ss")
        || cfg!(not(feature = "tls")) && scheme == "valkeys"
    {
        return Err(wrong(
            "for rediss:// the feature `tls` of sala-redis is needed",
        ));
    }
    let info = url.into_connection_info().map_err(|error| {
        let text = format!("`{}` cannot be used", without_secrets(url));
        wrong(text).caused_by(error)
    })?;
    let redis = info.redis_settings().clone();
    Ok(info
        .set_redis_settings(redis.set_protocol(ProtocolVersion::RESP3))
        .set_tcp_settings(tcp()))
}

/// Small messages leave at once, and a peer that is gone is noticed.
fn tcp() -> TcpSettings {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(5));
    TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive)
}

fn wrong(text: impl Into<Box<str>>) -> BackendError {
    BackendError::new(BackendErrorKind::Misconfigured, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(url: &str) -> Place {
        parse(&[url.to_owned()]).expect(url)
    }

    fn refusal(url: &str) -> String {
        let error = parse(&[url.to_owned()]).expect_err(url);
        assert_eq!(error.kind(), BackendErrorKind::Misconfigured);
        error.to_string()
    }

    #[test]
    fn one_server_keeps_its_user_password_and_database() {
        let Place::One(info) = one("redis://me:p%40ss@host:7/3") else {
            panic!("one server")
        };
        assert_eq!(info.addr().to_string(), "host:7");
        let redis = info.redis_settings();
        assert_eq!(redis.username(), Some("me"));
        assert_eq!(redis.password(), Some("p@ss"));
        assert_eq!(redis.db(), 3);
        assert!(info.tcp_settings().nodelay());
    }

    #[test]
    fn a_socket_of_this_machine_is_a_server() {
        let Place::One(info) = one("unix:///run/redis.sock?db=1") else {
            panic!("one server")
        };
        assert_eq!(info.addr().to_string(), "/run/redis.sock");
    }

    #[cfg(feature = "cluster")]
    #[test]
    fn a_cluster_is_found_through_any_of_its_nodes() {
        let Place::Cluster(nodes) = one("redis+cluster://u:p@a:1,[::1]:2,c") else {
            panic!("a cluster")
        };
        let names: Vec<_> = nodes.iter().map(|node| node.addr().to_string()).collect();
        assert_eq!(names, ["a:1", "::1:2", "c:6379"]);
        assert!(
            nodes
                .iter()
                .all(|node| node.redis_settings().password() == Some("p"))
        );
        assert!(refusal("redis+cluster://a/1").contains("no databases"));
    }

    #[cfg(feature = "cluster")]
    #[test]
    fn sentinels_have_their_own_port_and_password() {
        let Place::Sentinel(place) =
            one("redis+sentinel://:p@a,b:5/mymaster/2?sentinel_password=s")
        else {
            panic!("sentinels")
        };
        let names: Vec<_> = place
            .sentinels
            .iter()
            .map(|s| s.addr().to_string())
            .collect();
        assert_eq!(names, ["a:26379", "b:5"]);
        assert_eq!(place.sentinels[0].redis_settings().password(), Some("s"));
        assert_eq!(place.template.redis_settings().password(), Some("p"));
        assert_eq!(place.template.redis_settings().db(), 2);
        assert!(refusal("redis+sentinel://a").contains("name of the master"));
    }

    #[test]
    fn what_is_no_url_is_refused_with_an_example() {
        assert!(refusal("localhost:6379").contains("redis://host:6379"));
        assert!(refusal("http://localhost").contains("redis://host:6379"));
        assert!(refusal("redis+ring://a").contains("redis+cluster"));
        assert!(refusal("redis://host/x").contains("cannot be used"));
        assert!(parse(&[]).is_err());
    }
}
