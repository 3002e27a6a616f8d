//! The polling transport: one GET always waits, POSTs follow each other.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::frame::{Frame, Open, read_payload, write_payload};
use super::http::Http;
use super::{Error, Target};

/// Frames received that nobody has looked at, after which the next GET waits.
const WAITING: usize = 256;

/// Frames that one POST takes.
const BATCH: usize = 256;

type Received = Result<Frame, Error>;

/// An open session over polling; its two loops end when it is dropped.
#[derive(Debug)]
pub(super) struct Polling {
    outgoing: mpsc::UnboundedSender<Frame>,
    incoming: mpsc::Receiver<Received>,
    _loops: JoinSet<()>,
}

impl Polling {
    /// Shakes hands.
    pub(super) async fn open(target: &Arc<Target>, index: usize) -> Result<Self, Error> {
        let mut get = Http::new(target.clone(), index);
        let (open, frames) = handshake(&mut get).await?;
        let (sender, incoming) = mpsc::channel(WAITING);
        let (outgoing, queue) = mpsc::unbounded_channel();
        let post = Http::new(target.clone(), index);
        let mut loops = JoinSet::new();
        loops.spawn(receive(get, open.sid.clone(), frames, sender.clone()));
        loops.spawn(transmit(post, open, queue, sender));
        Ok(Self {
            outgoing,
            incoming,
            _loops: loops,
        })
    }

    pub(super) fn send(&self, frame: Frame) {
        // Fails only when the loop has ended, and then its error is the next thing received.
        let _ = self.outgoing.send(frame);
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Received> {
        Poll::Ready(ready!(self.incoming.poll_recv(cx)).unwrap_or(Err(Error::Closed)))
    }
}

/// Opens a session: what the server says of it, and the frames that came along.
pub(super) async fn handshake(http: &mut Http) -> Result<(Open, Vec<Frame>), Error> {
    let mut frames = read_payload(&http.get(None).await?)?;
    let open = Open::read(&frames.remove(0))?;
    Ok((open, frames))
}

async fn receive(mut http: Http, sid: String, first: Vec<Frame>, sender: mpsc::Sender<Received>) {
    let mut frames = Ok(first);
    loop {
        match frames {
            Ok(frames) => {
                for frame in frames {
                    if sender.send(Ok(frame)).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => {
                let _ = sender.send(Err(error)).await;
                return;
            }
        }
        frames = http
            .get(Some(&sid))
            .await
            .and_then(|payload| read_payload(&payload));
    }
}

async fn transmit(
    mut http: Http,
    open: Open,
    mut queue: mpsc::UnboundedReceiver<Frame>,
    errors: mpsc::Sender<Received>,
) {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let mut rest = batch.as_slice();
        while !rest.is_empty() {
            let (payload, written) = write_payload(rest, open.max_payload);
            if let Err(error) = http.post(&open.sid, payload).await {
                let _ = errors.send(Err(error)).await;
                return;
            }
            rest = &rest[written..];
        }
        batch.clear();
    }
}
