//! Ways to reach a Redis other than plain TCP.

#![cfg(feature = "classic")]
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use sala_adapter::Target;
use sala_redis::{Classic, Redis};
use sala_testkit::Folder;
use sala_testkit::redis::Redis as Server;
use support::{Node, event};

async fn two_servers_meet(redis: impl Into<Redis>) {
    let redis = redis.into();
    let mut a = Node::start("a", Classic::connect(redis.clone()).await.unwrap()).await;
    let mut b = Node::start("b", Classic::connect(redis).await.unwrap()).await;
    a.send(vec![event("hello", Target::all())]).await;
    assert_eq!(b.event().await, "hello");
}

#[tokio::test]
async fn over_a_socket_of_this_machine() {
    let folder = Folder::new();
    let path = folder.path().join("redis.sock");
    let _server = Server::with(&["--unixsocket", path.to_str().unwrap()]).await;
    two_servers_meet(format!("unix://{}", path.display())).await;
}

#[cfg(feature = "tls")]
mod tls {
    use std::path::Path;
    use std::process::Command;

    use sala_adapter::BackendErrorKind;

    use super::*;

    fn openssl(folder: &Path, args: &str) {
        let args = args.split(' ').map(|arg| arg.replace('_', " "));
        let done = Command::new("openssl")
            .args(args)
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    /// An authority, and a key that it has signed for 127.0.0.1.
    fn certificates() -> Folder {
        let folder = Folder::new();
        let path = folder.path();
        openssl(
            path,
            "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=authority -keyout ca.key -out ca.pem",
        );
        openssl(
            path,
            "req -newkey rsa:2048 -nodes -subj /CN=redis -keyout redis.key -out redis.csr",
        );
        std::fs::write(path.join("ext"), "subjectAltName=IP:127.0.0.1\n").unwrap();
        openssl(
            path,
            "x509 -req -days 1 -in redis.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile ext -out redis.pem",
        );
        folder
    }

    async fn server(folder: &Path, clients: &str) -> (Server, String) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        drop(listener);
        let file = |name: &str| folder.join(name).display().to_string();
        let (cert, key, ca) = (file("redis.pem"), file("redis.key"), file("ca.pem"));
        let options = [
            "--tls-port",
            &port,
            "--tls-cert-file",
            &cert,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &ca,
            "--tls-auth-clients",
            clients,
        ];
        (
            Server::with(&options).await,
            format!("rediss://127.0.0.1:{port}"),
        )
    }

    #[tokio::test]
    async fn over_tls_with_an_authority_of_our_own() {
        let folder = certificates();
        let (_server, url) = server(folder.path(), "no").await;
        let root = std::fs::read(folder.path().join("ca.pem")).unwrap();
        two_servers_meet(Redis::from(&url).root_certificates(root)).await;
        // Nobody else vouches for it.
        let error = Classic::connect(&url)
            .await
            .expect_err("an unknown authority");
        assert_eq!(error.kind(), BackendErrorKind::Unreachable, "{error}");
    }

    #[tokio::test]
    async fn over_tls_with_a_certificate_of_the_client() {
        let folder = certificates();
        let (_server, url) = server(folder.path(), "yes").await;
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        let redis = || Redis::from(&url).root_certificates(read("ca.pem"));
        two_servers_meet(redis().client_certificate(read("redis.pem"), read("redis.key"))).await;
        assert!(Classic::connect(redis()).await.is_err());
    }
}
