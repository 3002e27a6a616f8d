//! Between a server and Redis: a cable that breaks, or is slow.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Passes bytes on, and cuts all connections once after so many of them.
pub struct Proxy {
    addr: SocketAddr,
    fuse: Arc<Fuse>,
    _task: JoinSet<()>,
}

/// Which way the bytes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// What the client sends.
    ToRedis,
    /// What Redis answers.
    FromRedis,
}

struct Fuse {
    to_redis: AtomicUsize,
    from_redis: AtomicUsize,
    cuts: AtomicUsize,
    blown: tokio::sync::Notify,
    /// The command whose answers are kept back.
    held: watch::Sender<Option<&'static str>>,
}

const NEVER: usize = usize::MAX;

impl Proxy {
    /// A proxy in front of a Redis.
    pub async fn to(redis: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let fuse = Arc::new(Fuse {
            to_redis: NEVER.into(),
            from_redis: NEVER.into(),
            cuts: 0.into(),
            blown: tokio::sync::Notify::new(),
            held: watch::Sender::new(None),
        });
        let mut task = JoinSet::new();
        task.spawn(accept(listener, redis, fuse.clone()));
        Self {
            addr,
            fuse,
            _task: task,
        }
    }

    /// Where a client finds Redis behind the proxy.
    pub fn url(&self) -> String {
        format!("redis://{}", self.addr)
    }

    /// Cuts all connections when so many more bytes went this way; the last of them still arrive.
    pub fn cut_after(&self, way: Way, bytes: usize) {
        self.fuse.of(way).store(bytes, Ordering::SeqCst);
    }

    /// Keeps back what Redis answers from now on over connections that send or have sent this command, `XADD` or `XREAD`.
    pub fn hold(&self, command: &'static str) {
        self.fuse.held.send_replace(Some(command));
    }

    /// Lets go of what was kept back.
    pub fn release(&self) {
        self.fuse.held.send_replace(None);
    }

    /// How often it has cut.
    pub fn cuts(&self) -> usize {
        self.fuse.cuts.load(Ordering::SeqCst)
    }
}

impl Fuse {
    fn of(&self, way: Way) -> &AtomicUsize {
        match way {
            Way::ToRedis => &self.to_redis,
            Way::FromRedis => &self.from_redis,
        }
    }

    /// How many of these bytes may pass, and whether that was all.
    fn burn(&self, way: Way, bytes: usize) -> (usize, bool) {
        let left = self.of(way);
        match left.load(Ordering::SeqCst) {
            NEVER => (bytes, false),
            some if some > bytes => {
                left.store(some - bytes, Ordering::SeqCst);
                (bytes, false)
            }
            last => {
                left.store(NEVER, Ordering::SeqCst);
                self.cuts.fetch_add(1, Ordering::SeqCst);
                (last, true)
            }
        }
    }
}

async fn accept(listener: TcpListener, redis: SocketAddr, fuse: Arc<Fuse>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let fuse = fuse.clone();
        connections.spawn(async move {
            let Ok(server) = TcpStream::connect(redis).await else {
                return;
            };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            let sent = Sent::default();
            tokio::select! {
                () = pass(from_client, to_server, Way::ToRedis, &fuse, &sent) => {}
                () = pass(from_server, to_client, Way::FromRedis, &fuse, &sent) => {}
                () = fuse.blown.notified() => {}
            }
        });
    }
}

/// Which commands a connection has sent.
#[derive(Default)]
struct Sent {
    xadd: AtomicBool,
    xread: AtomicBool,
}

impl Sent {
    fn of(&self, command: &str) -> &AtomicBool {
        match command {
            "XADD" => &self.xadd,
            _ => &self.xread,
        }
    }

    fn note(&self, bytes: &[u8]) {
        for command in ["XADD", "XREAD"] {
            if bytes
                .windows(command.len())
                .any(|it| it == command.as_bytes())
            {
                self.of(command).store(true, Ordering::SeqCst);
            }
        }
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Way, fuse: &Fuse, sent: &Sent) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        match way {
            Way::ToRedis => sent.note(&buffer[..read]),
            Way::FromRedis => {
                let mut held = fuse.held.subscribe();
                let may_pass = |held: &Option<&str>| {
                    held.is_none_or(|command| !sent.of(command).load(Ordering::SeqCst))
                };
                held.wait_for(may_pass).await.expect("the proxy lives");
            }
        }
        let (bytes, was_all) = fuse.burn(way, read);
        if to.write_all(&buffer[..bytes]).await.is_err() {
            return;
        }
        if was_all {
            fuse.blown.notify_waiters();
            return;
        }
    }
}
