//! Private Redis servers: one alone, three as a cluster, and a pair watched by sentinels.
//!
//! The program is `redis-server`, or what the environment variable `SALA_REDIS_SERVER` names: `valkey-server`, say.

mod cluster;
mod proxy;
mod sentinel;

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;

pub use cluster::RedisCluster;
pub use proxy::{Proxy, Way};
pub use sentinel::RedisSentinel;

use crate::daemon::SHORTLY;
use crate::resp::{Reply, Resp};
use crate::{Daemon, Folder, within_long};

/// Asking until something holds takes longest when a failover has to happen.
const LONG: std::time::Duration = std::time::Duration::from_secs(20);

/// One Redis server. See [`Daemon`] for its life.
#[derive(Debug)]
pub struct Redis {
    daemon: Daemon,
}

impl Redis {
    /// Starts a server that forgets everything when it is killed.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts a server that has every write on disk before it answers.
    pub async fn durable() -> Self {
        Self::with(&["--appendonly", "yes", "--appendfsync", "always"]).await
    }

    /// Starts a server with more options, as on its command line.
    pub async fn with(options: &[&str]) -> Self {
        Self::of(program(), options).await
    }

    /// Starts a server that another program is, such as `valkey-server`.
    pub async fn of(program: impl AsRef<OsStr>, options: &[&str]) -> Self {
        let options: Vec<OsString> = options.iter().map(OsString::from).collect();
        let args = |port, folder: &Folder| {
            let mut args = plain(port, folder);
            args.extend(options.clone());
            args
        };
        Self::ready(Daemon::start(program, args).await).await
    }

    async fn ready(daemon: Daemon) -> Self {
        let server = Self { daemon };
        server.wait_until_ready().await;
        server
    }

    /// Waits until it answers, which it does when it has read its data.
    async fn wait_until_ready(&self) {
        self.until(&["PING"], |reply| *reply == Reply::Status("PONG".into()))
            .await;
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.daemon.addr()
    }

    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.daemon.port()
    }

    /// Its address as clients write it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.addr())
    }

    /// A new connection to it.
    pub async fn client(&self) -> Resp {
        Resp::open(self.addr()).await
    }

    /// Runs one command on a connection of its own.
    #[track_caller]
    pub fn run(&self, command: &[&str]) -> impl Future<Output = Reply> {
        let place = std::panic::Location::caller();
        async move {
            match self.client().await.attempt(command).await {
                Ok(Reply::Error(error)) => panic!("{command:?}: {error} ({place})"),
                Ok(reply) => reply,
                Err(error) => panic!("{command:?}: {error} ({place})"),
            }
        }
    }

    /// Repeats a command until its reply fits; that reply.
    ///
    /// # Panics
    ///
    /// When it never does.
    pub async fn until(&self, command: &[&str], fits: impl Fn(&Reply) -> bool) -> Reply {
        let what = format!("{command:?} on {} to give the right answer", self.addr());
        within_long(LONG, &what, async {
            let mut client = self.client().await;
            loop {
                match client.attempt(command).await {
                    Ok(reply) if fits(&reply) => return reply,
                    Ok(_) => {}
                    Err(_) => client = self.client().await,
                }
                tokio::time::sleep(SHORTLY).await;
            }
        })
        .await
    }

    /// Kills it as a crash would, and waits until it is gone.
    pub async fn kill(&mut self) {
        self.daemon.kill().await;
    }

    /// Starts it again, on the same port with what it had on disk, and waits until it answers.
    pub async fn start_again(&mut self) {
        self.daemon.start_again().await;
        self.wait_until_ready().await;
    }

    /// Stops it where it is, with its connections open, as in a partition.
    pub async fn freeze(&self) {
        self.daemon.freeze().await;
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    pub async fn thaw(&self) {
        self.daemon.thaw().await;
    }
}

/// The program that is started.
fn program() -> OsString {
    std::env::var_os("SALA_REDIS_SERVER").unwrap_or_else(|| "redis-server".into())
}

/// Options that every private server needs.
fn plain(port: u16, folder: &Folder) -> Vec<OsString> {
    let port = port.to_string();
    let dir = folder.path().to_str().expect("temporary folders are text");
    let options = [
        "--port",
        &port,
        "--bind",
        "127.0.0.1",
        "--dir",
        dir,
        "--save",
        "",
        "--daemonize",
        "no",
    ];
    options.iter().map(OsString::from).collect()
}
