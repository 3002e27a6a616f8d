//! Whether the servers that are there already use another kind of adapter.
//!
//! Servers of different kinds do not hear each other, and nothing says so: each cluster looks fine and is half of
//! what it should be. What they subscribe to in the main namespace, which every server has, tells them apart.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use sala_adapter::{BackendError, BackendErrorKind};

use crate::connect::{Connector, Renewed};
use crate::numsub;

/// How long servers that start at this moment may take to subscribe to all they need.
const START: Duration = Duration::from_millis(300);

/// What servers of a kind have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kind {
    /// What to write to use it, too.
    backend: &'static str,
    /// How many there are is what `PUBSUB` says to this.
    which: &'static str,
    channel: String,
}

impl Kind {
    fn classic(prefix: &str) -> Self {
        Self {
            backend: "`Classic`, on Node.js createAdapter of @socket.io/redis-adapter",
            which: "NUMSUB",
            channel: format!("{prefix}-request#/#"),
        }
    }

    fn sharded(prefix: &str) -> Self {
        Self {
            backend: "`Sharded`, on Node.js createShardedAdapter, or `Streams` with `sharded_pubsub(true)`",
            which: "SHARDNUMSUB",
            channel: format!("{prefix}#/#"),
        }
    }

    fn streams(prefix: &str) -> Self {
        Self {
            backend: "`Streams`, on Node.js @socket.io/redis-streams-adapter",
            which: "NUMSUB",
            channel: format!("{prefix}#/#"),
        }
    }

    async fn count(&self, commands: &Renewed) -> Result<usize, BackendError> {
        unless_refused(numsub::count(commands, self.which, self.channel.clone()).await)
    }
}

/// A user who may not ask, or a Redis that does not know the question, has no peers as far as we know.
fn unless_refused<T: Default>(answer: Result<T, BackendError>) -> Result<T, BackendError> {
    match answer {
        Err(error) if error.kind() == BackendErrorKind::Refused => Ok(T::default()),
        answer => answer,
    }
}

/// What a server is about to join.
pub(crate) struct Peers<'a> {
    connector: &'a Connector,
    prefix: &'a str,
    commands: Arc<Renewed>,
}

impl<'a> Peers<'a> {
    pub(crate) async fn of(
        connector: &'a Connector,
        prefix: &'a str,
    ) -> Result<Self, BackendError> {
        Ok(Self {
            connector,
            prefix,
            commands: Renewed::over(connector.clone(), connector.commands().await?),
        })
    }

    /// Refuses to be the first classic one among others.
    pub(crate) async fn check_classic(&self) -> Result<(), BackendError> {
        let p = self.prefix;
        self.check(
            Kind::classic(p),
            [Kind::sharded(p), Kind::streams(p)],
            "key",
        )
        .await
    }

    /// Refuses to be the first sharded one among others; warns if others seem to have more channels than this one.
    pub(crate) async fn check_sharded(&self, is_static: bool) -> Result<(), BackendError> {
        let p = self.prefix;
        let others = [Kind::classic(p), Kind::streams(p)];
        self.check(Kind::sharded(p), others, "channel_prefix")
            .await?;
        if is_static && self.follow_rooms().await? {
            tokio::time::sleep(START).await;
            if self.follow_rooms().await? {
                tracing::warn!(
                    prefix = p,
                    "other servers of this cluster follow channels of rooms: their subscription mode is dynamic, this one's is static, so it does not hear what they send to a single room. Set the same subscription_mode on all servers"
                );
            }
        }
        Ok(())
    }

    /// Refuses to be the first one with streams among others.
    pub(crate) async fn check_streams(&self, sharded: bool) -> Result<(), BackendError> {
        let p = self.prefix;
        let (ours, other) = match sharded {
            true => (Kind::sharded(p), Kind::streams(p)),
            false => (Kind::streams(p), Kind::sharded(p)),
        };
        self.check(ours, [Kind::classic(p), other], "channel_prefix")
            .await
    }

    async fn check(&self, ours: Kind, others: [Kind; 2], option: &str) -> Result<(), BackendError> {
        for other in others {
            let theirs = other.count(&self.commands).await?;
            if theirs == 0 {
                continue;
            }
            let found = self.found(&other, theirs);
            if ours.count(&self.commands).await? > 0 {
                tracing::warn!(
                    "{found}. They neither hear this server and those of its kind nor are heard: use one kind of adapter, or another {option}"
                );
                continue;
            }
            let text = format!(
                "{found}, and by none with {}. This server would neither hear them nor be heard: use their kind of adapter, or another {option}; if they are about to be replaced, or are no servers, set check_peers(false)",
                ours.backend
            );
            return Err(BackendError::new(BackendErrorKind::Misconfigured, text));
        }
        Ok(())
    }

    fn found(&self, kind: &Kind, count: usize) -> String {
        let Kind {
            backend,
            which,
            channel,
        } = kind;
        format!(
            "the prefix `{}` at {} is used by servers with {backend} (PUBSUB {which} {channel}: {count})",
            self.prefix,
            self.connector.shown()
        )
    }

    /// Whether there are more channels in the main namespace than servers, each of which has one.
    async fn follow_rooms(&self) -> Result<bool, BackendError> {
        let servers = Kind::sharded(self.prefix).count(&self.commands).await?;
        let mut channels = redis::cmd("PUBSUB");
        let pattern = format!("{}?*", escaped(&Kind::sharded(self.prefix).channel));
        channels.arg("SHARDCHANNELS").arg(pattern);
        let doing = "looking which channels are followed";
        let lists = unless_refused(self.commands.everywhere(doing, &channels).await)?;
        let len = |list: &Value| match list {
            Value::Array(items) | Value::Set(items) => items.len(),
            _ => 0,
        };
        Ok(servers > 0 && lists.iter().map(len).sum::<usize>() > servers)
    }

    /// Warns if the stream of the main namespace is not there, but would be with another number of streams.
    pub(crate) async fn check_stream(
        &self,
        name: &str,
        count: u32,
        stream_of: impl Fn(u32) -> String,
    ) -> Result<(), BackendError> {
        if Kind::streams(self.prefix).count(&self.commands).await? == 0
            || self.is_written(&stream_of(count)).await?
        {
            return Ok(());
        }
        for other in (1..=LOOKED_AT).filter(|other| *other != count) {
            let stream = stream_of(other);
            if self.is_written(&stream).await? {
                tracing::warn!(
                    stream,
                    "other servers are there, nothing is in the stream of this one ({name}, stream_count {count}), and there is another stream, as with another stream_count: set the same stream_name and stream_count on all servers"
                );
                break;
            }
        }
        Ok(())
    }

    async fn is_written(&self, stream: &str) -> Result<bool, BackendError> {
        let mut newest = redis::cmd("XREVRANGE");
        newest.arg(stream).arg("+").arg("-").arg("COUNT").arg(1);
        let doing = "looking at the streams";
        let newest = self.commands.run(doing, stream.as_bytes(), &newest).await;
        let newest = unless_refused(newest.map(Some))?;
        Ok(matches!(newest, Some(Value::Array(items)) if !items.is_empty()))
    }
}

/// So many numbers of streams are looked at.
const LOOKED_AT: u32 = 16;

/// As a pattern that stands for this text alone.
pub(crate) fn escaped(text: &str) -> String {
    let mut pattern = String::new();
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}
