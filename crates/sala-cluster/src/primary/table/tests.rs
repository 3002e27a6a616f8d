use std::os::unix::net::UnixStream;

use bytes::Bytes;
use tokio::time::timeout;

use super::*;
use crate::channel::Queue;

/// A worker that takes what its queue holds and no more.
fn worker(id: u32, room: usize) -> Arc<Link> {
    Arc::new(Link::fake(id, Queue::new(room)))
}

fn connection(newcomer: bool) -> (Connection, OwnedFd) {
    let (near, _far) = UnixStream::pair().unwrap();
    let connection = Connection {
        remote: None,
        secure: false,
        read: Bytes::from(vec![b'x'; 1000]),
        newcomer,
    };
    (connection, near.into())
}

async fn send(table: &Table, session: Option<&str>) -> bool {
    let (connection, descriptor) = connection(session.is_none());
    let sent = table.dispatch(session, connection, descriptor);
    let sent = timeout(Duration::from_secs(60), sent).await;
    sent.expect("nobody waits for ever").is_ok()
}

/// The primary served nobody any more once the queue of one hanging worker was full: whoever found
/// it full took a lock that it held already.
#[tokio::test(start_paused = true)]
async fn newcomers_go_round_a_worker_whose_queue_is_full() {
    let table = Table::new(Balance::RoundRobin);
    let hanging = worker(1, 2000);
    let other = worker(2, usize::MAX);
    table.add(Arc::clone(&hanging));
    table.add(Arc::clone(&other));
    for _ in 0..10 {
        assert!(send(&table, None).await);
    }
    assert_eq!(hanging.control.drain().len(), 1);
    assert_eq!(other.control.drain().len(), 9);
    let open: Vec<_> = table.loads().iter().map(|load| load.open).collect();
    assert_eq!(open, [false, true]);
    // It is heard from again.
    table.set_open(1, true);
    assert!(table.loads()[0].open);
}

#[tokio::test(start_paused = true)]
async fn a_session_of_a_worker_that_hangs_is_refused_and_one_of_a_dead_one_is_anybodys() {
    let table = Table::new(Balance::RoundRobin);
    let hanging = worker(1, 0);
    let other = worker(2, usize::MAX);
    table.add(Arc::clone(&hanging));
    table.add(Arc::clone(&other));
    let session = |link: &Link| {
        let prefix = link.prefix.text();
        format!(
            "{}000000000000000000",
            std::str::from_utf8(&prefix).unwrap()
        )
    };
    // An empty queue takes one, however small it is.
    assert!(send(&table, Some(&session(&hanging))).await);
    assert!(!send(&table, Some(&session(&hanging))).await);
    table.remove(1);
    hanging.control.close();
    assert!(send(&table, Some(&session(&hanging))).await);
    assert_eq!(other.control.drain().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_leaves_is_not_opened_again() {
    let table = Table::new(Balance::RoundRobin);
    let leaving = worker(1, usize::MAX);
    leaving.leaving.store(true, Ordering::Release);
    table.add(Arc::clone(&leaving));
    table.set_open(1, true);
    assert!(!table.loads()[0].open);
    assert!(!send(&table, None).await, "after two seconds it is told so");
}
