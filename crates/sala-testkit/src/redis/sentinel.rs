use std::ffi::OsString;
use std::net::SocketAddr;

use super::{Redis, program};
use crate::{Daemon, Folder};

/// The name under which the sentinels know the master.
const NAME: &str = "mymaster";

/// A master and a replica, watched by three sentinels who replace the master half a second after it is gone.
#[derive(Debug)]
pub struct RedisSentinel {
    /// The first master.
    pub master: Redis,
    /// The server that takes over.
    pub replica: Redis,
    sentinels: Vec<Redis>,
}

impl RedisSentinel {
    /// Starts all five and waits until they know each other.
    pub async fn start() -> Self {
        let master = Redis::with(&["--repl-diskless-sync-delay", "0"]).await;
        let port = master.port().to_string();
        let replica = Redis::with(&["--replicaof", "127.0.0.1", &port]).await;
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            let args = |port, folder: &Folder| options(port, &master, folder);
            sentinels.push(Redis::ready(Daemon::start(program(), args).await).await);
        }
        let group = Self {
            master,
            replica,
            sentinels,
        };
        group.wait_until_complete().await;
        group
    }

    async fn wait_until_complete(&self) {
        self.replica
            .until(&["INFO", "replication"], |info| {
                info.text().contains("master_link_status:up")
            })
            .await;
        for sentinel in &self.sentinels {
            sentinel
                .until(&["SENTINEL", "MASTER", NAME], |master| {
                    let fields = master.items().chunks_exact(2);
                    let of = |name: &str| {
                        let mut fields = fields.clone();
                        fields
                            .find(|field| field[0].text() == name)
                            .map(|field| field[1].number())
                    };
                    of("num-slaves") == Some(1) && of("num-other-sentinels") == Some(2)
                })
                .await;
        }
    }

    /// The name under which the sentinels know the master.
    pub fn name(&self) -> &'static str {
        NAME
    }

    /// The addresses of the sentinels.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sentinels.iter().map(Redis::addr).collect()
    }

    /// Kills the master and waits until the sentinels name the replica instead.
    pub async fn fail_over(&mut self) {
        self.master.kill().await;
        let port = self.replica.port();
        self.sentinels[0]
            .until(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME], |address| {
                address.items()[1].number() == i64::from(port)
            })
            .await;
    }
}

/// A sentinel writes what it learns into its configuration, which therefore has to be a file.
fn options(port: u16, master: &Redis, folder: &Folder) -> Vec<OsString> {
    let file = folder.path().join("sentinel.conf");
    let lines = [
        format!("port {port}"),
        "bind 127.0.0.1".to_owned(),
        format!("dir {}", folder.path().display()),
        format!("sentinel monitor {NAME} 127.0.0.1 {} 2", master.port()),
        format!("sentinel down-after-milliseconds {NAME} 500"),
        format!("sentinel failover-timeout {NAME} 3000"),
        format!("sentinel parallel-syncs {NAME} 1"),
    ];
    std::fs::write(&file, lines.join("\n")).expect("a temporary folder can be written");
    vec![file.into(), "--sentinel".into()]
}
