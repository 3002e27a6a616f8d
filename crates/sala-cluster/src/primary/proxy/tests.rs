use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;

/// A client, its worker, and who is between.
fn start() -> (DuplexStream, UnixStream, JoinHandle<()>) {
    let (client, theirs) = duplex(64);
    let (near, worker) = UnixStream::pair().unwrap();
    (client, worker, tokio::spawn(between(theirs, near)))
}

#[tokio::test]
async fn bytes_go_both_ways_and_an_end_is_told() {
    let (mut client, mut worker, between) = start();
    let request = vec![7; 100_000];
    let (read, ()) = tokio::join!(
        async {
            let mut read = vec![0; request.len()];
            worker.read_exact(&mut read).await.unwrap();
            read
        },
        async { client.write_all(&request).await.unwrap() }
    );
    assert_eq!(read, request);
    // The client has said all and still gets its answer.
    client.shutdown().await.unwrap();
    assert_eq!(worker.read(&mut [0; 8]).await.unwrap(), 0);
    worker.write_all(b"answer").await.unwrap();
    drop(worker);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "answer");
    between.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_ignores_the_end_is_cut() {
    let (mut client, worker, between) = start();
    drop(worker);
    assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
    let start = tokio::time::Instant::now();
    between.await.unwrap();
    assert_eq!(start.elapsed(), LINGER);
    assert!(client.write_all(b"more").await.is_err());
}

#[tokio::test]
async fn a_worker_hears_that_its_client_has_gone() {
    let (client, mut worker, between) = start();
    drop(client);
    assert_eq!(worker.read(&mut [0; 8]).await.unwrap(), 0);
    drop(worker);
    between.await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_its_worker() {
    let (mut client, worker, _between) = start();
    let mut sent = 0;
    loop {
        match worker.try_write(&[7; 4096]) {
            Ok(n) => sent += n,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                let stopped = tokio::time::timeout(Duration::from_millis(300), worker.writable());
                if stopped.await.is_err() {
                    break;
                }
            }
        }
    }
    // Two socket buffers, and what is being copied.
    assert!(sent < 1 << 20, "{sent}");
    let mut read = vec![0; sent];
    client.read_exact(&mut read).await.unwrap();
}

#[test]
fn names_are_read_and_written() {
    for forwarding in [Forwarding::Descriptor, Forwarding::Proxy] {
        assert_eq!(forwarding.to_string().parse(), Ok(forwarding));
    }
    assert!("pipe".parse::<Forwarding>().is_err());
}
