//! Sending commands, one by one or many at once.

use redis::{Cmd, RedisError, Value};
use sala_adapter::{BackendError, BackendErrorKind};

use super::Node;
#[cfg(feature = "cluster")]
use super::nodes::Nodes;
use crate::error::failed;

/// Sends commands to a server, or to the nodes of a Cluster. Cheap to clone; clones share their
/// connections.
#[derive(Clone)]
pub(crate) struct Commands {
    via: Via,
}

#[derive(Clone)]
enum Via {
    One(Node),
    #[cfg(feature = "cluster")]
    Cluster(Nodes),
}

/// A command and the key or shard channel that decides where it goes.
pub(crate) struct Keyed {
    pub(crate) key: Vec<u8>,
    pub(crate) cmd: Cmd,
}

/// What to do with a command of a Cluster whose node went away before it had answered: it may have been run. Without a
/// Cluster the caller decides, since then all ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// Run it again, at whoever owns its slot then.
    Again,
    /// Its result is the error.
    Fails,
}

impl Commands {
    pub(super) fn one(node: Node) -> Self {
        Self {
            via: Via::One(node),
        }
    }

    #[cfg(feature = "cluster")]
    pub(super) fn cluster(nodes: Nodes) -> Self {
        Self {
            via: Via::Cluster(nodes),
        }
    }

    /// Runs one command. `doing` says in an error what was tried.
    pub(crate) async fn run(
        &self,
        doing: &str,
        key: &[u8],
        cmd: Cmd,
    ) -> Result<Value, BackendError> {
        let key = key.to_vec();
        let one = vec![Keyed { key, cmd }];
        let mut replies = self.pipeline(doing, one, Unanswered::Again).await?;
        replies.pop().unwrap_or_else(|| Err(no_reply(doing)))
    }

    /// Sends commands all at once. Those with the same key arrive in their order. There is one result
    /// for each.
    ///
    /// # Errors
    ///
    /// If the connection is of no use any more; in a Cluster, if no node can be reached. A single node of
    /// a Cluster that is gone shows in the results of its commands.
    pub(crate) async fn pipeline(
        &self,
        doing: &str,
        commands: Vec<Keyed>,
        unanswered: Unanswered,
    ) -> Result<Vec<Result<Value, BackendError>>, BackendError> {
        match &self.via {
            Via::One(node) => on_one(node, doing, commands).await,
            #[cfg(feature = "cluster")]
            Via::Cluster(nodes) => cluster::pipeline(nodes, doing, commands, unanswered).await,
        }
    }

    /// Whether the connection is still there. Those of a Cluster are asked one by one when they are used.
    pub(crate) async fn answer(&self) -> bool {
        match &self.via {
            Via::One(node) => node.answers().await,
            #[cfg(feature = "cluster")]
            Via::Cluster(_) => true,
        }
    }

    /// Runs a command on every node. Nodes that cannot be reached are left out.
    ///
    /// # Errors
    ///
    /// If none can, or if one hangs.
    pub(crate) async fn everywhere(
        &self,
        doing: &str,
        cmd: &Cmd,
    ) -> Result<Vec<Value>, BackendError> {
        match &self.via {
            Via::One(node) => node.run(doing, cmd).await.map(|value| vec![value]),
            #[cfg(feature = "cluster")]
            Via::Cluster(nodes) => cluster::everywhere(nodes, doing, cmd).await,
        }
    }
}

async fn on_one(
    node: &Node,
    doing: &str,
    commands: Vec<Keyed>,
) -> Result<Vec<Result<Value, BackendError>>, BackendError> {
    let name = |error| failed(doing, &node.address, error);
    let commands = commands.into_iter().map(|keyed| keyed.cmd).collect();
    let replies = send(node, commands).await.map_err(name)?;
    let mut results = Vec::with_capacity(replies.len());
    for reply in replies {
        match reply.map_err(name) {
            // A master that became a replica, or reads its data: the next connection may find better.
            Err(error) if error.kind() == BackendErrorKind::Unreachable => return Err(error),
            result => results.push(result),
        }
    }
    Ok(results)
}

/// Sends commands over one connection, and returns a result for each.
pub(super) async fn send(
    node: &Node,
    commands: Vec<Cmd>,
) -> Result<Vec<Result<Value, RedisError>>, RedisError> {
    let mut connection = node.connection.clone();
    if let [cmd] = commands.as_slice() {
        let reply = connection.send_packed_command(cmd).await?;
        return Ok(vec![reply.extract_error()]);
    }
    let count = commands.len();
    let mut pipeline = redis::Pipeline::with_capacity(count);
    for cmd in commands {
        pipeline.add_command(cmd);
    }
    let replies = connection.send_packed_commands(&pipeline, 0, count).await?;
    Ok(replies.into_iter().map(Value::extract_error).collect())
}

fn no_reply(doing: &str) -> BackendError {
    BackendError::new(BackendErrorKind::Unreachable, format!("{doing}: no reply"))
}

#[cfg(feature = "cluster")]
mod cluster {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use futures_util::future::join_all;
    use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
    use sala_adapter::{BackendError, BackendErrorKind};
    use tokio::time::{Instant, sleep};

    use super::super::nodes::Nodes;
    use super::super::slots::Address;
    use super::{Keyed, Unanswered, no_reply, send};
    use crate::error::{ends_connection, failed, is_timeout};

    /// How long a command waits for its slot to be served again. Longer, and one lost node would hold up
    /// what goes to the others.
    const PATIENCE: Duration = Duration::from_millis(500);
    /// Between two attempts.
    const PAUSE: Duration = Duration::from_millis(50);

    type Replies = Vec<Result<Value, BackendError>>;

    pub(super) async fn pipeline(
        nodes: &Nodes,
        doing: &str,
        commands: Vec<Keyed>,
        unanswered: Unanswered,
    ) -> Result<Replies, BackendError> {
        let deadline = Instant::now() + PATIENCE;
        let mut results: Vec<_> = commands.iter().map(|_| None).collect();
        let mut open: Vec<usize> = (0..commands.len()).collect();
        loop {
            let again = attempt(nodes, doing, &commands, unanswered, open, &mut results).await;
            if again.is_empty() {
                break;
            }
            let refreshed = nodes.refresh().await;
            if Instant::now() >= deadline {
                break;
            }
            if let Err(error) = refreshed {
                // What some node has taken must not be sent again.
                match results.iter().any(|result| matches!(result, Some(Ok(_)))) {
                    true => break,
                    false => return Err(error),
                }
            }
            sleep(PAUSE).await;
            open = again;
        }
        Ok(results
            .into_iter()
            .map(|result| result.unwrap_or_else(|| Err(no_reply(doing))))
            .collect())
    }

    /// Sends the commands that are open, each to the owner of its slot. Returns those to try again.
    async fn attempt(
        nodes: &Nodes,
        doing: &str,
        commands: &[Keyed],
        unanswered: Unanswered,
        open: Vec<usize>,
        results: &mut [Option<Result<Value, BackendError>>],
    ) -> Vec<usize> {
        let mut again = Vec::new();
        let mut groups: BTreeMap<Address, Vec<usize>> = BTreeMap::new();
        for i in open {
            match nodes.owner_of(&commands[i].key) {
                Ok(owner) => groups.entry(owner).or_default().push(i),
                Err(error) => {
                    results[i] = Some(Err(error));
                    again.push(i);
                }
            }
        }
        let sent = groups.iter().map(|(address, which)| {
            let which = which.iter().map(|&i| commands[i].cmd.clone()).collect();
            to_one(nodes, doing, address, which)
        });
        let replies = join_all(sent).await;
        for ((address, which), outcomes) in groups.iter().zip(replies) {
            for (&i, outcome) in which.iter().zip(outcomes) {
                let (result, retry) = outcome.sort(doing, address, unanswered);
                results[i] = Some(result);
                if retry {
                    again.push(i);
                }
            }
        }
        again.sort_unstable();
        again
    }

    enum Outcome {
        Reply(Result<Value, RedisError>),
        NoConnection(BackendError),
        /// The node has not answered before.
        Hangs(BackendError),
    }

    impl Outcome {
        /// The result, and whether another attempt may end better.
        fn sort(
            self,
            doing: &str,
            address: &Address,
            unanswered: Unanswered,
        ) -> (Result<Value, BackendError>, bool) {
            match self {
                Self::Reply(Ok(value)) => (Ok(value), false),
                Self::Reply(Err(error)) => {
                    let again = unanswered == Unanswered::Again && ends_connection(&error);
                    let retry = again || may_be_elsewhere(&error);
                    (Err(failed(doing, &shown(address), error)), retry)
                }
                Self::NoConnection(error) => (Err(error), true),
                Self::Hangs(error) => (Err(error), false),
            }
        }
    }

    async fn to_one(
        nodes: &Nodes,
        doing: &str,
        address: &Address,
        commands: Vec<Cmd>,
    ) -> Vec<Outcome> {
        if let Err(error) = nodes.unless_hanging(address) {
            return same(commands.len(), || Outcome::Hangs(copy(&error)));
        }
        let node = match nodes.node(address).await {
            Ok(node) => node,
            Err(error) => return same(commands.len(), || Outcome::NoConnection(copy(&error))),
        };
        let replies = match send(&node, commands.clone()).await {
            Ok(replies) => replies,
            Err(error) => {
                nodes.lose(address, &failed(doing, &node.address, error.clone()));
                return same(commands.len(), || Outcome::Reply(Err(error.clone())));
            }
        };
        let mut outcomes = Vec::with_capacity(replies.len());
        for (reply, cmd) in replies.into_iter().zip(&commands) {
            let reply = match reply {
                Err(error) if is_ask(&error) => at_new_owner(nodes, doing, &error, cmd).await,
                reply => Outcome::Reply(reply),
            };
            outcomes.push(reply);
        }
        outcomes
    }

    /// The slot is on its way to another node, and this key is there already.
    async fn at_new_owner(nodes: &Nodes, doing: &str, ask: &RedisError, cmd: &Cmd) -> Outcome {
        let Some((host, port)) = ask.redirect_node() else {
            return Outcome::NoConnection(failed(doing, "a moving slot", ask.clone()));
        };
        let node = match nodes.node(&(host.to_owned(), port)).await {
            Ok(node) => node,
            Err(error) => return Outcome::NoConnection(error),
        };
        match send(&node, vec![redis::cmd("ASKING"), cmd.clone()]).await {
            Ok(mut replies) => match replies.pop() {
                Some(reply) => Outcome::Reply(reply),
                None => Outcome::NoConnection(no_reply(doing)),
            },
            Err(error) => Outcome::Reply(Err(error)),
        }
    }

    fn same(count: usize, outcome: impl Fn() -> Outcome) -> Vec<Outcome> {
        (0..count).map(|_| outcome()).collect()
    }

    fn copy(error: &BackendError) -> BackendError {
        BackendError::new(error.kind(), error.to_string())
    }

    fn is_ask(error: &RedisError) -> bool {
        error.kind() == ErrorKind::Server(ServerErrorKind::Ask)
    }

    /// Whether another node, or the same a little later, may take the command.
    pub(super) fn may_be_elsewhere(error: &RedisError) -> bool {
        use ServerErrorKind::{
            Ask, BusyLoading, ClusterDown, MasterDown, Moved, ReadOnly, TryAgain,
        };
        matches!(
            error.kind(),
            ErrorKind::Server(
                Moved | Ask | TryAgain | ClusterDown | MasterDown | BusyLoading | ReadOnly
            )
        )
    }

    fn shown((host, port): &Address) -> String {
        format!("{host}:{port}")
    }

    pub(super) async fn everywhere(
        nodes: &Nodes,
        doing: &str,
        cmd: &Cmd,
    ) -> Result<Vec<Value>, BackendError> {
        let all = nodes.all();
        // A node that hangs may have an answer that would count.
        all.iter()
            .try_for_each(|address| nodes.unless_hanging(address))?;
        let asked = all
            .iter()
            .map(|address| on_node(nodes, doing, address, cmd));
        let (mut values, mut last) = (Vec::new(), None);
        for reply in join_all(asked).await {
            match reply {
                Ok(value) => values.push(value),
                Err(error) if is_timeout(&error) => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        if last.is_some() {
            // Somebody left: who is there now?
            nodes.refresh().await?;
        }
        match (values.is_empty(), last) {
            (true, Some(error)) => Err(error),
            _ => Ok(values),
        }
    }

    /// Runs a command on one node; twice if the connection turns out to be broken: one that lay idle may be gone while
    /// the node is there.
    async fn on_node(
        nodes: &Nodes,
        doing: &str,
        address: &Address,
        cmd: &Cmd,
    ) -> Result<Value, BackendError> {
        if let Some(node) = nodes.opened(address) {
            match node.run(doing, cmd).await {
                Err(error) if error.kind() == BackendErrorKind::Unreachable => {
                    nodes.lose(address, &error);
                }
                reply => return reply,
            }
        }
        let node = nodes.node(address).await?;
        let reply = node.run(doing, cmd).await;
        reply.inspect_err(|error| nodes.lose(address, error))
    }
}
