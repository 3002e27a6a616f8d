//! Commands that outlive their connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{Cmd, Value};
use sala_adapter::{BackendError, BackendErrorKind};
use tokio::time::Instant;

use super::{Commands, Connector};

/// How long an answer may take before whoever gives it up takes the connection for dead.
const DOUBT: Duration = Duration::from_secs(1);

/// Sends commands over a connection that is opened when it is needed, and once more if it turns out to be broken: one
/// that lies idle is closed by Redis (`timeout`) or forgotten by a proxy, and nobody notices.
///
/// For commands that may be run twice.
pub(crate) struct Renewed {
    connector: Connector,
    slot: Mutex<Option<Commands>>,
}

impl Renewed {
    /// Connects at the first command.
    pub(crate) fn new(connector: Connector) -> Self {
        Self {
            connector,
            slot: Mutex::default(),
        }
    }

    /// Begins with a connection that is there.
    pub(crate) fn over(connector: Connector, commands: Commands) -> Arc<Self> {
        let slot = Mutex::new(Some(commands));
        Arc::new(Self { connector, slot })
    }

    /// As [`Commands::run`].
    pub(crate) async fn run(
        &self,
        doing: &str,
        key: &[u8],
        cmd: &Cmd,
    ) -> Result<Value, BackendError> {
        self.twice(|commands| async move { commands.run(doing, key, cmd.clone()).await })
            .await
    }

    /// As [`Commands::everywhere`].
    pub(crate) async fn everywhere(
        &self,
        doing: &str,
        cmd: &Cmd,
    ) -> Result<Vec<Value>, BackendError> {
        self.twice(|commands| async move { commands.everywhere(doing, cmd).await })
            .await
    }

    async fn twice<T, F>(&self, ask: impl Fn(Commands) -> F) -> Result<T, BackendError>
    where
        F: Future<Output = Result<T, BackendError>>,
    {
        match self.once(&ask).await {
            Err(error) if error.kind() == BackendErrorKind::Unreachable => self.once(&ask).await,
            result => result,
        }
    }

    async fn once<T, F>(&self, ask: &impl Fn(Commands) -> F) -> Result<T, BackendError>
    where
        F: Future<Output = Result<T, BackendError>>,
    {
        let known = self.slot().clone();
        let commands = match known {
            Some(commands) => commands,
            None => self.connect().await?,
        };
        let mut trial = Trial {
            renewed: self,
            begun: Instant::now(),
            is_over: false,
        };
        let result = ask(commands).await;
        trial.is_over = true;
        if result.is_err() {
            *self.slot() = None;
        }
        result
    }

    async fn connect(&self) -> Result<Commands, BackendError> {
        let commands = self.connector.commands().await?;
        *self.slot() = Some(commands.clone());
        Ok(commands)
    }

    fn slot(&self) -> MutexGuard<'_, Option<Commands>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A command that is under way. Who gives it up after a while has seen no answer: a connection that swallows
/// everything would otherwise be kept for ever by callers that are less patient than it.
struct Trial<'a> {
    renewed: &'a Renewed,
    begun: Instant,
    is_over: bool,
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.begun.elapsed() >= DOUBT {
            *self.renewed.slot() = None;
        }
    }
}
