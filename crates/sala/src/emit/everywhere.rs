//! Emitting in a cluster: to the sockets of this server and to the other servers.

use std::convert::Infallible;
use std::sync::{Arc, Weak};

use sala_adapter::adapter::{AckSink, Command, Request};
use sala_adapter::recovery::Offset;
use sala_adapter::{SocketId, Target};
use sala_proto::{Args, RawArgs};
use serde::Serialize;
use tokio::sync::oneshot;

use super::DEFAULT_BROADCAST_TIMEOUT;
use super::ack::Pending;
use super::broadcast::ask;
use crate::cluster::{Link, report};
use crate::error::{Error, ErrorKind};
use crate::namespace::Namespace;
use crate::socket::Socket;
use crate::socket::acks::AckSink as ClientSink;
use crate::socket::inner::SocketInner;

/// The longest time for which this server waits on behalf of another one.
const MAX_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(600);

/// The first of several arguments: what an answer between servers is made of.
pub(crate) fn first_argument(args: RawArgs) -> RawArgs {
    match args.len() {
        0 | 1 => args.after_event(),
        _ => RawArgs::from_values(args.to_values().into_iter().take(1).collect()),
    }
}

impl Namespace {
    /// Sends an event to the sockets of all servers that are meant: to those of this server at once,
    /// unless it goes through the log of the cluster.
    pub(super) fn broadcast_everywhere<T: Serialize + ?Sized>(
        &self,
        link: &Link,
        event: &str,
        data: &T,
        target: &Target,
    ) -> Result<(), Error> {
        if link.store.is_none() {
            let packet = RawArgs::new_event(event, data)?;
            self.broadcast_here(event, data, target)?;
            return Ok(link.adapter.broadcast(packet, target)?);
        }
        let packet = RawArgs::new_event(event, data)?;
        if !target.flags.volatile && !target.flags.local {
            return Ok(link.adapter.broadcast_logged(packet, target)?);
        }
        let (nsp, here, meant) = (self.clone(), packet.clone(), target.clone());
        link.in_order(move || nsp.deliver(&here, &meant, None));
        if !target.flags.local {
            link.adapter.broadcast(packet, target)?;
        }
        Ok(())
    }

    /// Has the other servers ask their clients.
    pub(super) fn ask_elsewhere<T: Serialize + ?Sized>(
        &self,
        event: &str,
        data: &T,
        target: &Target,
    ) -> Result<Option<Pending>, Error> {
        let Some(link) = self.inner.link().filter(|_| !target.flags.local) else {
            return Ok(None);
        };
        let request = Request::Emit(RawArgs::new_event(event, data)?);
        let timeout = target.flags.timeout.unwrap_or(DEFAULT_BROADCAST_TIMEOUT);
        Ok(Some(link.adapter.request(request, target, Some(timeout))))
    }

    /// Does something with the sockets of all servers that are meant.
    pub(crate) fn command(&self, command: Command, target: &Target) {
        let Some(link) = self.inner.link() else {
            return self.obey(&command, target);
        };
        let (nsp, own, meant) = (self.clone(), command.clone(), target.clone());
        // Not before they have what was sent to them before.
        link.in_order(move || nsp.obey(&own, &meant));
        if !target.flags.local
            && let Err(error) = link.adapter.command(command, target)
        {
            // The cluster has told the application, or it is the server's end.
            tracing::debug!(namespace = self.name(), %error, "a command did not reach the cluster");
        }
    }

    /// Does something with the sockets of this server that are meant.
    pub(crate) fn obey(&self, command: &Command, target: &Target) {
        for socket in self.select(target) {
            match command {
                Command::Join(rooms) => socket.join(rooms),
                Command::Leave(rooms) => rooms.iter().for_each(|room| socket.leave(room)),
                Command::Disconnect { close } => socket.disconnect_now(*close),
            }
        }
    }

    /// Delivers an event that comes from the cluster to the sockets of this server: encoded once.
    pub(crate) fn deliver(&self, packet: &RawArgs, target: &Target, offset: Option<&Offset>) {
        let Some(event) = packet.event() else {
            return;
        };
        let delivered = match offset {
            Some(offset) if self.inner.has_store() => {
                self.broadcast_at(&event, packet, target, offset)
            }
            _ => self.broadcast_here(&event, packet, target),
        };
        if let Err(error) = delivered {
            report(self, &event, ErrorKind::Encode, &error.into());
        }
    }

    /// Delivers an event that wants answers on behalf of another server. Returns how many sockets were
    /// asked.
    pub(crate) fn deliver_question(
        &self,
        packet: &RawArgs,
        target: &Target,
        answers: AckSink,
    ) -> usize {
        let Some(event) = packet.event() else {
            return 0;
        };
        let id = self.inner.next_ack();
        let frame = match self.encode_question(&event, packet, id, target) {
            Ok(frame) => frame,
            Err(error) => {
                report(self, &event, ErrorKind::Encode, &error.into());
                return 0;
            }
        };
        let (open, all_answered) = oneshot::channel();
        let sink: Arc<dyn ClientSink> = Arc::new(Asker {
            answers,
            _open: open,
        });
        let mut sockets = self.select(target);
        sockets.retain(|socket| socket.await_ack(id, sink.clone()).is_ok());
        drop(sink);
        let asked = sockets.len();
        forget_later(&sockets, id, target, all_answered);
        ask(&sockets, &event, &frame, target.flags.volatile);
        asked
    }
}

/// A server that waits for answers of clients of this one. Each of them holds it until it has answered or is gone.
struct Asker {
    answers: AckSink,
    /// Dropped with it.
    _open: oneshot::Sender<Infallible>,
}

impl ClientSink for Asker {
    fn reply(&self, _: &SocketId, args: &Args<'_>) {
        (self.answers)(first_argument(args.clone().into_owned()));
    }

    /// The asking server finds out by itself: the protocol has no word for it.
    fn gone(&self, _: &SocketId) {}
}

/// Has the sockets forget a question of another server when that has ceased to wait, unless all have answered before.
fn forget_later(
    sockets: &[Socket],
    id: u64,
    target: &Target,
    all_answered: oneshot::Receiver<Infallible>,
) {
    if sockets.is_empty() {
        return;
    }
    let timeout = target.flags.timeout.unwrap_or(DEFAULT_BROADCAST_TIMEOUT);
    let sockets: Vec<Weak<SocketInner>> = sockets
        .iter()
        .map(|socket| Arc::downgrade(&socket.0))
        .collect();
    tokio::spawn(async move {
        if tokio::time::timeout(timeout.min(MAX_TIMEOUT), all_answered)
            .await
            .is_ok()
        {
            return;
        }
        for socket in sockets.iter().filter_map(Weak::upgrade) {
            Socket(socket).forget_ack(id);
        }
    });
}
