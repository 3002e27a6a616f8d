//! The worker's end of the bus: one socket for messages, and for questions to the recovery store.

use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sala_adapter::recovery::Offset;
use sala_adapter::target::Room;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

use crate::channel::bus::{Answer, Ask, Downstream, Upstream};
use crate::channel::wire::Text;
use crate::channel::{self, Queue, Receiver};

/// What may wait for the primary before senders wait.
const QUEUE_BYTES: usize = 4 << 20;
/// Messages that came and that the server has not applied yet.
const MAX_INBOUND: usize = 256;
/// The primary is waited for as long as it lives.
const PATIENCE: Duration = Duration::from_secs(365 * 24 * 3600);

/// What is shared by the halves of the backend and the store.
#[derive(Debug)]
pub(crate) struct Bus {
    queue: Queue,
    numbers: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Questions to the store.
    answers: HashMap<u64, oneshot::Sender<Answer>>,
    /// Broadcasts that wait for their place in the log.
    logged: HashMap<u64, Logged>,
    closed: bool,
}

/// A broadcast that waits for its place in the log.
#[derive(Debug)]
pub(crate) struct Logged {
    pub(crate) namespace: Room,
    /// Its number at the cluster base.
    pub(crate) number: u64,
    pub(crate) placed: oneshot::Sender<Option<Offset>>,
}

/// What comes in the order of the log.
#[derive(Debug)]
pub(crate) enum Inbound {
    Message {
        offset: Option<Offset>,
        body: Bytes,
    },
    Placed {
        logged: Logged,
        offset: Option<Offset>,
    },
    Lost(u64),
    Malformed,
}

impl Bus {
    /// Takes the socket into use.
    pub(crate) fn start(socket: StdUnixStream) -> io::Result<(Arc<Self>, mpsc::Receiver<Inbound>)> {
        socket.set_nonblocking(true)?;
        let (mut sender, receiver) = channel::split(UnixStream::from_std(socket)?);
        let bus = Arc::new(Self {
            queue: Queue::new(QUEUE_BYTES),
            numbers: AtomicU64::new(0),
            waiting: Mutex::default(),
        });
        tokio::spawn({
            let bus = Arc::clone(&bus);
            async move { sender.drive(&bus.queue).await }
        });
        let (inbound, received) = mpsc::channel(MAX_INBOUND);
        tokio::spawn(listen(Arc::clone(&bus), receiver, inbound));
        Ok((bus, received))
    }

    /// Sends something, waiting for room. An error means that the primary has gone.
    pub(crate) async fn send(&self, message: &Upstream) -> Result<(), Gone> {
        let room = self.queue.room(0, QUEUE_BYTES, PATIENCE).await;
        room.map_err(|_| Gone)?;
        self.queue.put(0, message.encode().into());
        Ok(())
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Waits for the place of a broadcast that is about to be sent under this number.
    pub(crate) fn expect(&self, number: u64, logged: Logged) {
        let mut waiting = self.lock();
        // If the bus is closed, the dropped sender tells.
        if !waiting.closed {
            waiting.logged.insert(number, logged);
        }
    }

    /// Asks the recovery store.
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Answer, Gone> {
        let number = self.next_number();
        let (sender, answer) = oneshot::channel();
        {
            let mut waiting = self.lock();
            if waiting.closed {
                return Err(Gone);
            }
            waiting.answers.insert(number, sender);
        }
        let _forget = Forget { bus: self, number };
        self.send(&Upstream::Ask(number, ask)).await?;
        answer.await.map_err(|_| Gone)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.queue.close();
        let mut waiting = self.lock();
        *waiting = Waiting {
            closed: true,
            ..Waiting::default()
        };
    }
}

/// The primary has gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone;

/// Forgets a question that nobody waits for any more.
struct Forget<'a> {
    bus: &'a Bus,
    number: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.bus.lock().answers.remove(&self.number);
    }
}

/// Takes what comes until the primary has gone.
async fn listen(bus: Arc<Bus>, mut receiver: Receiver, inbound: mpsc::Sender<Inbound>) {
    loop {
        let frame = match receiver.recv().await {
            Ok(Some(frame)) => frame,
            Ok(None) => break,
            Err(error) => {
                tracing::error!(%error, "the bus of the workers broke");
                break;
            }
        };
        let item = match Downstream::decode(frame) {
            Ok(Downstream::Deliver { offset, body }) => Inbound::Message {
                offset: place(&offset),
                body,
            },
            Ok(Downstream::Sent { number, offset }) => {
                let Some(logged) = bus.lock().logged.remove(&number) else {
                    continue;
                };
                Inbound::Placed {
                    logged,
                    offset: place(&offset),
                }
            }
            Ok(Downstream::Answer { number, answer }) => {
                if let Some(waiting) = bus.lock().answers.remove(&number) {
                    // Whoever asked may have given up.
                    waiting.send(answer).ok();
                }
                continue;
            }
            Ok(Downstream::Lost { count }) => Inbound::Lost(count),
            Err(_) => Inbound::Malformed,
        };
        if inbound.send(item).await.is_err() {
            // The server has left the cluster; the store may still be asked.
            inbound_gone(&bus, &mut receiver).await;
            break;
        }
    }
    bus.close();
}

/// Goes on for the store alone.
async fn inbound_gone(bus: &Bus, receiver: &mut Receiver) {
    while let Ok(Some(frame)) = receiver.recv().await {
        if let Ok(Downstream::Answer { number, answer }) = Downstream::decode(frame)
            && let Some(waiting) = bus.lock().answers.remove(&number)
        {
            waiting.send(answer).ok();
        }
    }
}

fn place(offset: &Text) -> Option<Offset> {
    (!offset.is_empty()).then(|| offset.as_str().into())
}
