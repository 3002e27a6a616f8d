//! Connections to Redis, whatever its topology. Shared by all backends of this crate.
//!
//! - [`Connector`] knows the place and opens connections: it finds the master behind Sentinel and a
//!   living node of a Cluster.
//! - [`Commands`] sends commands, in a Cluster to the node that owns the slot.
//! - [`Subscriber`] receives messages into a queue that is bounded in bytes.
//!
//! A connection that breaks is not repaired here: its user gets an error of the kind
//! [`Unreachable`](BackendErrorKind::Unreachable), and the cluster base opens the backend again. Only
//! within a Cluster, where one node of many may go, is a part replaced while the rest goes on.

mod commands;
mod greeting;
mod idle;
#[cfg(feature = "cluster")]
mod nodes;
mod publish;
mod queue;
mod renewed;
#[cfg(feature = "cluster")]
mod sentinel;
#[cfg(feature = "cluster")]
mod slots;
mod subscriber;

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionInfo, Value};
use sala_adapter::{BackendError, BackendErrorKind};

pub(crate) use self::commands::{Commands, Keyed, Unanswered};
use self::greeting::Greeting;
pub(crate) use self::idle::Idle;
pub(crate) use self::publish::{Post, Publisher, Way};
pub(crate) use self::queue::{Incoming, Message};
pub(crate) use self::renewed::Renewed;
pub(crate) use self::subscriber::{Subscriber, Subscription};
use crate::Redis;
use crate::error::failed;
use crate::named::{Limits, without_secrets};
use crate::place::{self, Place};

/// Opens connections to one Redis.
#[derive(Clone)]
pub(crate) struct Connector {
    shared: Arc<Shared>,
}

struct Shared {
    place: Place,
    /// The URLs without secrets.
    shown: String,
    limits: Limits,
    #[cfg(feature = "tls")]
    certificates: crate::named::Certificates,
    /// The nodes of a Cluster as last seen: those that were named may be gone by now.
    #[cfg(feature = "cluster")]
    known: std::sync::Mutex<Vec<ConnectionInfo>>,
    /// Nodes that took a connection or a command and did not answer. Nobody waits for them again until they do.
    #[cfg(feature = "cluster")]
    hanging: std::sync::Mutex<std::collections::HashSet<slots::Address>>,
}

/// One connection and whom it leads to.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) connection: MultiplexedConnection,
    pub(crate) address: Arc<str>,
}

impl Node {
    /// Whether it is still there.
    pub(crate) async fn answers(&self) -> bool {
        self.try_run(&redis::cmd("PING")).await.is_ok()
    }

    /// Runs a command.
    pub(crate) async fn run(&self, doing: &str, cmd: &Cmd) -> Result<Value, BackendError> {
        self.try_run(cmd)
            .await
            .map_err(|error| failed(doing, &self.address, error))
    }

    /// Runs a command; the error as it is.
    pub(crate) async fn try_run(&self, cmd: &Cmd) -> Result<Value, redis::RedisError> {
        let mut connection = self.connection.clone();
        let reply = connection.send_packed_command(cmd).await?;
        reply.extract_error()
    }
}

impl Connector {
    /// Reads the URLs; connects to nothing yet.
    pub(crate) fn new(redis: &Redis) -> Result<Self, BackendError> {
        let shared = Shared {
            place: place::parse(&redis.urls)?,
            shown: shown(&redis.urls),
            limits: redis.limits,
            #[cfg(feature = "tls")]
            certificates: redis.certificates.clone(),
            #[cfg(feature = "cluster")]
            known: Default::default(),
            #[cfg(feature = "cluster")]
            hanging: Default::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The limits that were set.
    pub(crate) fn limits(&self) -> Limits {
        self.shared.limits
    }

    /// Where it is, for errors: without secrets.
    pub(crate) fn shown(&self) -> String {
        self.shared.shown.clone()
    }

    /// Whether it is a Cluster.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.shared.place, Place::Cluster(_))
    }

    /// Connects once and checks that the Redis is what it was said to be, at least of this version.
    pub(crate) async fn check(&self, what: &str, least: (u32, u32)) -> Result<(), BackendError> {
        let node = self.any_node(None::<NoPushes>).await?;
        let greeting = self.greeting(&node).await?;
        let at = &node.address;
        greeting.check_version(what, least, at)?;
        match (greeting.mode.as_str(), self.is_cluster()) {
            ("sentinel", _) => Err(misconfigured(format!(
                "{at} is a sentinel: write redis+sentinel://{at}/NAME-OF-THE-MASTER"
            ))),
            ("cluster", false) => Err(misconfigured(format!(
                "{at} is a node of a Redis Cluster: write redis+cluster://{at} (feature `cluster`)"
            ))),
            ("standalone", true) => Err(misconfigured(format!(
                "{at} is no Redis Cluster: write redis://{at}"
            ))),
            _ => Ok(()),
        }
    }

    async fn greeting(&self, node: &Node) -> Result<Greeting, BackendError> {
        let reply = node
            .run("asking for the version", redis::cmd("HELLO").arg(3))
            .await?;
        Ok(Greeting::of(&reply))
    }

    /// A connection for commands; in a Cluster one to each node that is needed.
    pub(crate) async fn commands(&self) -> Result<Commands, BackendError> {
        #[cfg(feature = "cluster")]
        if self.is_cluster() {
            let nodes = nodes::Nodes::open(self.clone()).await?;
            return Ok(Commands::cluster(nodes));
        }
        self.any_node(None::<NoPushes>).await.map(Commands::one)
    }

    /// A connection for commands that any node takes, all through one: their order is kept.
    pub(crate) async fn commands_anywhere(&self) -> Result<Commands, BackendError> {
        self.any_node(None::<NoPushes>).await.map(Commands::one)
    }

    /// A connection that receives messages of channels and patterns, from any node.
    pub(crate) async fn subscriber(&self) -> Result<Subscriber, BackendError> {
        Subscriber::one(self).await
    }

    /// A connection that receives messages of shard channels: in a Cluster one to each node that owns
    /// some of them.
    pub(crate) async fn shard_subscriber(&self) -> Result<Subscriber, BackendError> {
        #[cfg(feature = "cluster")]
        if self.is_cluster() {
            let nodes = nodes::Nodes::open(self.clone()).await?;
            return Ok(Subscriber::cluster(self, nodes));
        }
        Subscriber::one(self).await
    }

    /// A connection of its own for commands that wait (`XREAD BLOCK`), to the owner of the key. Answers may take as long as they like: the caller
    /// bounds the time.
    pub(crate) async fn waiting(&self, key: &[u8]) -> Result<Node, BackendError> {
        #[cfg(feature = "cluster")]
        if self.is_cluster() {
            let nodes = nodes::Nodes::open(self.clone()).await?;
            let info = nodes.owner(key)?;
            return self.connect(info, None::<NoPushes>, None).await;
        }
        let _ = key;
        let info = self.find().await?;
        self.connect(info, None::<NoPushes>, None).await
    }

    /// A connection to the server, the master, or the first node of a Cluster that answers.
    pub(crate) async fn any_node(
        &self,
        pushes: Option<impl AsyncPushSender + Clone>,
    ) -> Result<Node, BackendError> {
        #[cfg(feature = "cluster")]
        if let Place::Cluster(named) = &self.shared.place {
            return self.first_that_answers(named, pushes).await;
        }
        let info = self.find().await?;
        self.connect(info, pushes, Some(self.shared.limits.command_timeout))
            .await
    }

    /// Where the server or the master is.
    async fn find(&self) -> Result<ConnectionInfo, BackendError> {
        match &self.shared.place {
            Place::One(info) => Ok(ConnectionInfo::clone(info)),
            #[cfg(feature = "cluster")]
            Place::Sentinel(place) => sentinel::find_master(self, place).await,
            #[allow(unreachable_patterns, reason = "depends on the feature `cluster`")]
            _ => Err(misconfigured("the feature `cluster` is needed".to_owned())),
        }
    }

    /// Connects to one server.
    pub(crate) async fn connect(
        &self,
        info: ConnectionInfo,
        pushes: Option<impl AsyncPushSender>,
        response_timeout: Option<Duration>,
    ) -> Result<Node, BackendError> {
        let address = info.addr().to_string();
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.shared.limits.connect_timeout))
            .set_response_timeout(response_timeout);
        if let Some(pushes) = pushes {
            config = config.set_push_sender(pushes);
        }
        let connecting = async {
            let client = self.client(info)?;
            client
                .get_multiplexed_async_connection_with_config(&config)
                .await
        };
        match connecting.await {
            Ok(connection) => Ok(Node {
                connection,
                address: address.into(),
            }),
            Err(error) => Err(failed("connecting to Redis", &address, error)),
        }
    }

    #[cfg(not(feature = "tls"))]
    fn client(&self, info: ConnectionInfo) -> redis::RedisResult<Client> {
        Client::open(info)
    }

    #[cfg(feature = "tls")]
    fn client(&self, info: ConnectionInfo) -> redis::RedisResult<Client> {
        if !matches!(info.addr(), redis::ConnectionAddr::TcpTls { .. }) {
            return Client::open(info);
        }
        // Without a provider of cryptography, or with two linked in, rustls would panic. Whoever
        // installed one first has the say.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let own = &self.shared.certificates;
        let client_tls =
            own.client
                .clone()
                .map(|(client_cert, client_key)| redis::ClientTlsConfig {
                    client_cert,
                    client_key,
                });
        let certificates = redis::TlsCertificates {
            client_tls,
            root_cert: own.root.clone(),
        };
        Client::build_with_tls(info, certificates)
    }
}

#[cfg(feature = "cluster")]
impl Connector {
    /// Tries the nodes of a Cluster one after the other, those last seen first.
    async fn first_that_answers(
        &self,
        named: &[ConnectionInfo],
        pushes: Option<impl AsyncPushSender + Clone>,
    ) -> Result<Node, BackendError> {
        let mut last = misconfigured("no node of the Redis Cluster was named".to_owned());
        for info in self.candidates(named) {
            let timeout = Some(self.shared.limits.command_timeout);
            let address = info.addr().to_string();
            match self.connect(info, pushes.clone(), timeout).await {
                Ok(node) => return Ok(node),
                Err(error) => {
                    self.distrust(&address);
                    last = error;
                }
            }
        }
        Err(last)
    }

    fn candidates(&self, named: &[ConnectionInfo]) -> Vec<ConnectionInfo> {
        let mut all = self.known().clone();
        let new = named
            .iter()
            .filter(|info| !all.iter().any(|other| other.addr() == info.addr()));
        let new: Vec<_> = new.cloned().collect();
        all.extend(new);
        all
    }

    /// Remembers which nodes there are. The order is that of the Cluster, so the one that was lost
    /// last comes last.
    fn remember(&self, nodes: Vec<ConnectionInfo>) {
        *self.known() = nodes;
    }

    /// Tries this node last from now on.
    fn distrust(&self, address: &str) {
        let mut known = self.known();
        let (lost, mut rest): (Vec<_>, Vec<_>) = known
            .drain(..)
            .partition(|info| info.addr().to_string() == address);
        rest.extend(lost);
        *known = rest;
    }

    fn hanging(&self) -> std::sync::MutexGuard<'_, std::collections::HashSet<slots::Address>> {
        self.shared
            .hanging
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Vec<ConnectionInfo>> {
        self.shared
            .known
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn shown(urls: &[String]) -> String {
    let urls: Vec<_> = urls.iter().map(|url| without_secrets(url)).collect();
    urls.join(", ")
}

/// What a connection that follows nothing does with pushes.
type NoPushes = fn(redis::PushInfo) -> Result<(), redis::aio::SendError>;

fn misconfigured(text: String) -> BackendError {
    BackendError::new(BackendErrorKind::Misconfigured, text)
}

/// A value that is text.
pub(crate) fn text_of(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}
