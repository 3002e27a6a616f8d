//! Two people in a real browser use the page of the chat, which runs on Sala, or on the official server when
//! `SALA_INTEROP_PEER=reference`. Screenshots go to the folder `SALA_SCREENSHOTS`, if it is set.

use std::net::SocketAddr;
use std::time::Duration;

use sala::{Drain, Recovery, Server};
use sala_interop::{Peer, node, peer, project_dir};
use sala_testkit::{Child, within_long};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

#[tokio::test(flavor = "multi_thread")]
async fn two_people_chat_in_a_browser() {
    let chat = Chat::start().await;
    let mut script =
        node(&project_dir().join("browser/chat.js")).arg(format!("http://{}", chat.addr()));
    if let Some(folder) = std::env::var_os("SALA_SCREENSHOTS") {
        script = script.arg(folder);
    }
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
    chat.stop().await;
}

/// The chat of this run's peer.
enum Chat {
    Twin(Box<Child>),
    Sala {
        addr: SocketAddr,
        stop: oneshot::Sender<()>,
        done: tokio::task::JoinHandle<std::io::Result<()>>,
    },
}

impl Chat {
    async fn start() -> Self {
        if peer() == Peer::Reference {
            let twin = node(&project_dir().join("browser/reference-chat.js"));
            return Self::Twin(Box::new(twin.start().await));
        }
        let io = Server::builder().recovery(Recovery::new()).build();
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
