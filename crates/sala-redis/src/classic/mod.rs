//! Classic pub/sub.

mod inlet;
mod names;
mod outlet;
mod parser;
mod read;
mod requests;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sala_adapter::backend::{Backend, Context, Counter, Link, Members, Profile};
use sala_adapter::{BackendError, BoxFuture};

pub use self::inlet::ClassicInlet;
use self::names::Names;
pub use self::outlet::ClassicOutlet;
pub use self::parser::Parser;
pub use self::read::{decode_broadcast, decode_request, decode_response};
pub use self::write::encode;
use crate::Redis;
use crate::connect::{Connector, Publisher, Renewed, Way};
use crate::numsub;
use crate::peers::Peers;

/// What the errors call it.
const NAME: &str = "redis classic pub/sub";

/// The backend over classic pub/sub: what `createAdapter` of `@socket.io/redis-adapter` is for
/// Node.js.
///
/// It works with every Redis from 6.0 on, alone, as a Cluster and behind Sentinel, and with the emitters of
/// all languages. Every server receives every message; what is for a single room without members here is left
/// unread. In a Cluster every node carries everything: for many servers there [`Sharded`](crate::Sharded) is the
/// better choice.
///
/// Redis keeps nothing: what is sent while a server's connection is down, this server does not hear.
///
/// With access rules (ACL) the user needs `+hello +ping +subscribe +unsubscribe
/// +psubscribe +punsubscribe +publish +pubsub|numsub`, `+cluster|slots` in a Cluster, and the channels
/// `&socket.io#* &socket.io-request#* &socket.io-response#*`; a pattern counts as itself, so the rule has to
/// have the same text as the pattern that is followed, or be `allchannels`.
///
/// ```no_run
/// # async fn run() -> Result<(), sala_adapter::BackendError> {
/// use sala_redis::Classic;
///
/// let backend = Classic::connect("redis://127.0.0.1:6379").await?;
///
/// let backend = Classic::options()
///     .key("my-app")
///     .publish_on_specific_response_channel(true)
///     .connect("redis+sentinel://10.0.0.1,10.0.0.2/mymaster")
///     .await?;
/// # let _ = backend;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Classic {
    options: ClassicOptions,
    connector: Connector,
}

/// The options of [`Classic`].
#[derive(Clone)]
#[must_use]
pub struct ClassicOptions {
    names: Names,
    request_timeout: Duration,
    parser: Option<Arc<dyn Parser>>,
    check_peers: bool,
}

impl Default for ClassicOptions {
    fn default() -> Self {
        Self {
            names: Names {
                key: "socket.io".into(),
                specific: false,
            },
            request_timeout: Duration::from_secs(5),
            parser: None,
            check_peers: true,
        }
    }
}

impl fmt::Debug for ClassicOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClassicOptions")
            .field("names", &self.names)
            .field("request_timeout", &self.request_timeout)
            .field("has_parser", &self.parser.is_some())
            .field("check_peers", &self.check_peers)
            .finish()
    }
}

impl ClassicOptions {
    /// How the names of all channels begin (`key`). Default: `socket.io`. Must not be that of
    /// another kind of adapter on the same Redis.
    pub fn key(mut self, key: impl AsRef<str>) -> Self {
        self.names.key = key.as_ref().into();
        self
    }

    /// How long the answers of other servers are waited for, if the caller does not say
    /// (`requestsTimeout`). Default: 5 s.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Whether answers go to the server that asked alone, instead of to all
    /// (`publishOnSpecificResponseChannel`). Default: no. Servers of a cluster may differ: all hear both.
    pub fn publish_on_specific_response_channel(mut self, specific: bool) -> Self {
        self.names.specific = specific;
        self
    }

    /// Another format in the place of MessagePack (`parser`). All servers and emitters must have the
    /// same.
    pub fn parser(mut self, parser: impl Parser) -> Self {
        self.parser = Some(Arc::new(parser));
        self
    }

    /// Whether to look at start-up if the servers that are there already use another kind of adapter with this prefix:
    /// then [`connect`](Self::connect) fails, because neither would hear the other. Switch it off to replace such servers by this
    /// kind one after the other. Default: yes.
    pub fn check_peers(mut self, check: bool) -> Self {
        self.check_peers = check;
        self
    }

    /// Checks that the Redis can be reached and is what its URL says.
    ///
    /// # Errors
    ///
    /// With a text that says what to do: a URL that is none, nobody there, a wrong password, a Redis
    /// before 6.0, a Cluster that is none, a master that no sentinel knows, servers with another kind of adapter.
    ///
    /// *Cancel safety:* may be dropped at any time.
    pub async fn connect(self, redis: impl Into<Redis>) -> Result<Classic, BackendError> {
        let connector = checked(&redis.into()).await?;
        if self.check_peers {
            let peers = Peers::of(&connector, &self.names.key).await?;
            peers.check_classic().await?;
        }
        Ok(Classic {
            options: self,
            connector,
        })
    }

    /// The half that sends alone, for a process that is no server.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// *Cancel safety:* may be dropped at any time.
    pub async fn outlet(self, redis: impl Into<Redis>) -> Result<ClassicOutlet, BackendError> {
        let connector = checked(&redis.into()).await?;
        Ok(self.outlet_over(connector))
    }

    fn outlet_over(&self, connector: Connector) -> ClassicOutlet {
        let publisher = Publisher::new(connector, Way::Everywhere);
        ClassicOutlet::new(self.names.clone(), self.parser.clone(), publisher)
    }
}

async fn checked(redis: &Redis) -> Result<Connector, BackendError> {
    let connector = Connector::new(redis)?;
    connector.check("the classic backend", (6, 0)).await?;
    Ok(connector)
}

impl fmt::Debug for Classic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Classic")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Classic {
    /// With the default [`options`](Self::options).
    ///
    /// # Errors
    ///
    /// As [`ClassicOptions::connect`].
    ///
    /// *Cancel safety:* may be dropped at any time.
    pub async fn connect(redis: impl Into<Redis>) -> Result<Self, BackendError> {
        Self::options().connect(redis).await
    }

    /// The options, with the defaults of the reference.
    pub fn options() -> ClassicOptions {
        ClassicOptions::default()
    }
}

impl Backend for Classic {
    type Outlet = ClassicOutlet;
    type Inlet = ClassicInlet;

    fn profile(&self) -> Profile {
        let mut profile = Profile::new(NAME, Members::Counted);
        profile.request_timeout = self.options.request_timeout;
        profile
    }

    async fn open(
        &mut self,
        context: &Context,
    ) -> Result<Link<ClassicOutlet, ClassicInlet>, BackendError> {
        let options = &self.options;
        let subscriber = self.connector.subscriber().await?;
        let mut outlet = options.outlet_over(self.connector.clone());
        let mut commands = outlet.commands().await?;
        if self.connector.is_cluster() {
            // Each node knows its own subscribers only.
            commands = self.connector.commands().await?;
        }
        let counter = RequestCounter {
            names: options.names.clone(),
            commands: Renewed::over(self.connector.clone(), commands),
        };
        let inlet = ClassicInlet::new(
            options.names.clone(),
            options.parser.clone(),
            context.clone(),
            subscriber,
            self.connector.limits(),
        );
        Ok(Link {
            outlet,
            inlet,
            counter: Some(Arc::new(counter)),
        })
    }
}

/// Asks Redis how many servers follow the requests of a namespace.
struct RequestCounter {
    names: Names,
    commands: Arc<Renewed>,
}

impl Counter for RequestCounter {
    fn count<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<usize, BackendError>> {
        let channel = self.names.requests(namespace);
        Box::pin(numsub::count(&self.commands, "NUMSUB", channel))
    }
}
