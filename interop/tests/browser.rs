//! Two people in a real browser use the page of the chat, which runs on Sala, or on the official server when
//! `SALA_INTEROP_PEER=reference`; or each on a server of another kind, in one cluster. Screenshots go to the folder
//! `SALA_SCREENSHOTS`, if it is set.

use std::net::SocketAddr;
use std::time::Duration;

use sala::{Drain, Recovery, Server};
use sala_interop::{Peer, node, peer, project_dir};
use sala_redis::Streams;
use sala_testkit::redis::Redis;
use sala_testkit::{Child, ChildBuilder, within_long};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

#[tokio::test(flavor = "multi_thread")]
async fn two_people_chat_in_a_browser() {
    let chat = match peer() {
        Peer::Reference => Chat::Twin(Box::new(twin().start().await)),
        Peer::Sala => Chat::on(Server::builder().recovery(Recovery::new()).build()).await,
    };
    converse(script(chat.addr())).await;
    chat.stop().await;
}

/// The page of one person comes from Sala and that of the other from the official server; both servers share
/// one Redis.
#[tokio::test(flavor = "multi_thread")]
async fn two_people_chat_on_servers_of_both_kinds() {
    let redis = Redis::start().await;
    let node = twin().env("REDIS", redis.url()).start().await;
    let streams = Streams::connect(redis.url().as_str()).await;
    let io = Server::builder()
        .recovery(Recovery::new())
        .adapter(streams.expect("Redis runs"))
        .build();
    io.cluster_ready().await.expect("Redis serves streams");
    let chat = Chat::on(io).await;
    converse(script(chat.addr()).env("OTHER_CHAT", format!("http://{}", node.addr()))).await;
    chat.stop().await;
}

/// The chat on the official server.
fn twin() -> ChildBuilder {
    let server = project_dir().join("../examples/chat/node/server.js");
    node(&server).env("NODE_PATH", project_dir().join("node_modules"))
}

/// What two people do with the chat at this address.
fn script(addr: SocketAddr) -> ChildBuilder {
    let script = node(&project_dir().join("browser/chat.js")).arg(format!("http://{addr}"));
    match std::env::var_os("SALA_SCREENSHOTS") {
        Some(folder) => script.arg(folder),
        None => script,
    }
}

async fn converse(script: ChildBuilder) {
    let mut script = script.listeners(0).start().await;
    let mut steps = 0;
    let result = within_long(Duration::from_secs(120), "the script to end", async {
        while let Some(line) = script.line().await {
            println!("{line}");
            steps += usize::from(line.starts_with("ok "));
        }
        script.exit().await
    });
    assert!(result.await.success(), "the browser script failed");
    assert_eq!(steps, 8, "every step has reported");
}

/// A chat that runs.
enum Chat {
    Twin(Box<Child>),
    Sala {
        addr: SocketAddr,
        stop: oneshot::Sender<()>,
        done: tokio::task::JoinHandle<std::io::Result<()>>,
    },
}

impl Chat {
    async fn on(io: Server) -> Self {
        chat::chat(&io);
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port exists");
        let addr = listener.local_addr().expect("a listener has an address");
        let (stop, stopped) = oneshot::channel();
        let done = tokio::spawn(async move {
            let stopped = async move { stopped.await.expect("the test says when to stop") };
            chat::serve(listener, &io, stopped, Drain::default()).await
        });
        Self::Sala { addr, stop, done }
    }

    fn addr(&self) -> SocketAddr {
        match self {
            Self::Twin(child) => child.addr(),
            Self::Sala { addr, .. } => *addr,
        }
    }

    /// Stops the chat, which must end by itself.
    async fn stop(self) {
        if let Self::Sala { stop, done, .. } = self {
            stop.send(()).expect("the chat is running");
            let ended = within_long(Duration::from_secs(40), "the chat to stop", done).await;
            ended
                .expect("the chat does not panic")
                .expect("the chat stops without an error");
        }
    }
}
