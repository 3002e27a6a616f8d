//! Emitting to all that a target means.

use std::fmt;
use std::time::Duration;

use sala_adapter::adapter::{Answers, Command, Request};
use sala_adapter::recovery::Offset;
use sala_adapter::{IntoRooms, Target};
use sala_engine::Frame;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ack::BroadcastAck;
use super::{DEFAULT_BROADCAST_TIMEOUT, check_name};
use crate::cluster::split;
use crate::error::{AckError, Error};
use crate::event::Event;
use crate::namespace::{Namespace, ParentNamespace};
use crate::socket::inner::Phase;
use crate::socket::{RemoteSocket, Socket};

/// Something for all sockets that a target means, being put together: made by the methods of
/// [`Namespace`] and [`Socket`], ends in [`emit`](Self::emit) or one of the other commands.
///
/// Without rooms, all sockets of the namespace are meant; with rooms, those in any of them. Each
/// gets a packet once. It is encoded once.
#[derive(Clone)]
#[must_use = "nothing is sent before `emit` is called"]
pub struct Broadcast<'a> {
    source: Source<'a>,
    target: Target,
}

/// Whose sockets are meant.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    Namespace(&'a Namespace),
    /// All children.
    Parent(&'a ParentNamespace),
}

impl<'a> Broadcast<'a> {
    pub(crate) fn new(source: Source<'a>, target: Target) -> Self {
        Self { source, target }
    }

    /// To the sockets in these rooms as well; the first rooms replace "everybody".
    pub fn to(mut self, rooms: impl IntoRooms) -> Self {
        self.target = self.target.to(rooms);
        self
    }

    /// The same as [`to`](Self::to).
    pub fn in_(self, rooms: impl IntoRooms) -> Self {
        self.to(rooms)
    }

    /// Not to the sockets in these rooms, whatever other rooms they are in. The id of a socket is
    /// the name of a room.
    pub fn except(mut self, rooms: impl IntoRooms) -> Self {
        self.target = self.target.except(rooms);
        self
    }

    /// Only to sockets of this server.
    pub fn local(mut self) -> Self {
        self.target = self.target.local();
        self
    }

    /// The packet may be dropped for each client whose connection cannot take it at this instant.
    pub fn volatile(mut self) -> Self {
        self.target = self.target.volatile();
        self
    }

    /// Says whether the packet may be compressed. Default: it may, where the connection compresses.
    pub fn compress(mut self, compress: bool) -> Self {
        self.target = self.target.compress(compress);
        self
    }

    /// How long to wait for acknowledgements. Default [`DEFAULT_BROADCAST_TIMEOUT`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.target = self.target.timeout(timeout);
        self
    }

    /// One socket is meant, and one answer is enough.
    pub(crate) fn expect_single_response(mut self) -> Self {
        self.target.flags.expect_single_response = true;
        self
    }

    /// Sends an event. Never waits. Nobody being there is no error.
    ///
    /// In a cluster it goes to the sockets of this server at once and is queued for the other servers
    /// (unless [`local`](Self::local)).
    ///
    /// A tuple spreads over the arguments, `()` is none, anything else is one. serde sees arrays of
    /// fixed size as tuples: wrap one in a tuple, `&([1, 2],)`, to send it as one argument.
    ///
    /// # Errors
    ///
    /// [`is_reserved_event`](Error::is_reserved_event) if clients keep the name for themselves,
    /// [`is_serialization`](Error::is_serialization) if the data cannot be encoded. In a cluster also
    /// [`is_backlogged`](Error::is_backlogged) if the queue towards the other servers is full, and
    /// [`is_closed`](Error::is_closed) if this server has left the cluster; the sockets of this server
    /// got the event all the same.
    pub fn emit<T: Serialize + ?Sized>(self, event: &str, data: &T) -> Result<(), Error> {
        check_name(event)?;
        match self.source {
            Source::Namespace(nsp) => nsp.broadcast(event, data, &self.target),
            Source::Parent(parent) => {
                let children = parent.children().into_iter();
                let sent = children.map(|child| child.broadcast(event, data, &self.target));
                // One child's full queue is no reason to leave out the others.
                sent.fold(Ok(()), Result::and)
            }
        }
    }

    /// Sends a typed event: see [`Event`].
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    pub fn send<E: Event>(self, event: &E) -> Result<(), Error> {
        self.emit(E::NAME, event)
    }

    /// Sends an event at once and returns a future of the clients' answers: of each its first
    /// argument, or all of them if `R` is a tuple.
    ///
    /// The future resolves to all answers, in the order in which they arrived, when everybody has
    /// answered; at once if nobody is meant. In a cluster the clients of the other servers are asked
    /// too; their answers come after those of this server's clients, and only the first argument of each.
    ///
    /// ```
    /// # async fn example(io: &sala::Server) {
    /// match io.to("room").emit_with_ack::<String>("who", &()).await {
    ///     Ok(names) => println!("all {} answered: {names:?}", names.len()),
    ///     Err(error) => println!("{:?} only, not {:?}", error.responses(), error.missing()),
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// An [`AckError`] with the answers that did arrive, when the rest is known to
    /// be missing: the [`timeout`](Self::timeout) has passed, or clients left (the reference waits
    /// for them until the timeout), or answered with something that is no `R`; or a server of the
    /// cluster did not answer, or could not be asked
    /// ([`is_unreachable`](Error::is_unreachable)). Also the errors of [`emit`](Self::emit), and [`is_unsupported`](Error::is_unsupported) for a
    /// [parent namespace](ParentNamespace).
    ///
    /// *Cancel safety:* dropping the future forgets the question; answers are then ignored.
    pub fn emit_with_ack<R: DeserializeOwned + Send + 'static>(
        self,
        event: &str,
        data: &(impl Serialize + ?Sized),
    ) -> BroadcastAck<R> {
        let asked = self
            .namespace("acknowledgements are not supported on parent namespaces")
            .and_then(|nsp| {
                check_name(event)?;
                nsp.question(event, data, &self.target)
            });
        asked.unwrap_or_else(BroadcastAck::failed)
    }

    /// Sends a typed event and returns a future of the typed answers: see [`Event`].
    ///
    /// # Errors
    ///
    /// As [`emit_with_ack`](Self::emit_with_ack).
    pub fn ask<E: Event<Ack: Send + 'static>>(self, event: &E) -> BroadcastAck<E::Ack> {
        self.emit_with_ack(E::NAME, event)
    }

    /// The sockets that are meant, as they are now, on all servers of the cluster.
    ///
    /// The other servers are waited for until the [`timeout`](Self::timeout), if one was given, otherwise
    /// for as long as the adapter waits (5 s).
    ///
    /// ```
    /// # async fn example(io: &sala::Server) {
    /// match io.in_("news").fetch_sockets().await {
    ///     Ok(sockets) => println!("{} readers", sockets.len()),
    ///     // A server did not answer: what is known of the others is still there.
    ///     Err(error) => println!("at least {} readers: {error}", error.responses().len()),
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// An [`AckError`] with the sockets that were found, those of this server at least, if other servers
    /// could not be asked or did not answer. [`is_unsupported`](Error::is_unsupported) if asked of a
    /// [parent namespace](ParentNamespace).
    ///
    /// *Cancel safety:* may be dropped at any time.
    pub async fn fetch_sockets(self) -> Result<Vec<RemoteSocket>, AckError<RemoteSocket>> {
        let nsp = self
            .namespace("fetchSockets() is not supported on parent namespaces")
            .map_err(AckError::nothing)?;
        let here = nsp.select(&self.target).into_iter();
        let mut found: Vec<RemoteSocket> = here.map(RemoteSocket::here).collect();
        let Some(link) = nsp.inner.link().filter(|_| !self.target.flags.local) else {
            return Ok(found);
        };
        let timeout = self.target.flags.timeout;
        let request = link
            .adapter
            .request(Request::Sockets, &self.target, timeout);
        let (answers, error) = split(request.await);
        if let Answers::Sockets(sockets) = answers {
            let sockets = sockets.into_iter();
            found.extend(sockets.map(|socket| RemoteSocket::elsewhere(nsp, socket)));
        }
        match error {
            None => Ok(found),
            Some(error) => Err(AckError::new(found, Vec::new(), error)),
        }
    }

    /// Makes the sockets that are meant join rooms.
    ///
    /// In a cluster the other servers are told; that they could not be is reported to
    /// [`on_error`](crate::ServerBuilder::on_error).
    pub fn sockets_join(self, rooms: impl IntoRooms) {
        self.command(&Command::Join(rooms.into_rooms()));
    }

    /// Makes the sockets that are meant leave rooms. In a cluster as
    /// [`sockets_join`](Self::sockets_join).
    pub fn sockets_leave(self, rooms: impl IntoRooms) {
        self.command(&Command::Leave(rooms.into_rooms()));
    }

    /// Disconnects the sockets that are meant from their namespace; with `close`, their connections
    /// are closed too. What was emitted to them before still arrives. In a cluster as
    /// [`sockets_join`](Self::sockets_join).
    pub fn disconnect_sockets(self, close: bool) {
        self.command(&Command::Disconnect { close });
    }

    fn command(&self, command: &Command) {
        match self.source {
            Source::Namespace(nsp) => nsp.command(command.clone(), &self.target),
            Source::Parent(parent) => {
                for child in parent.children() {
                    child.command(command.clone(), &self.target);
                }
            }
        }
    }

    /// The namespace; the text says what a parent cannot do.
    fn namespace(&self, otherwise: &'static str) -> Result<&'a Namespace, Error> {
        match self.source {
            Source::Namespace(nsp) => Ok(nsp),
            Source::Parent(_) => Err(Error::unsupported(otherwise)),
        }
    }
}

/// What came of handing a packet to many.
#[derive(Default)]
struct Sent {
    slow: Vec<Socket>,
    /// Everybody, if there are listeners of outgoing events.
    watched: Vec<Socket>,
}

impl Sent {
    /// Runs code of the user, for which no lock is held any more.
    fn tell(&self, event: &str, frame: &Frame) {
        self.slow.iter().for_each(Socket::report_slow);
        self.watched
            .iter()
            .for_each(|socket| socket.show_outgoing(event, frame));
    }
}

impl Namespace {
    /// Encodes an event once and hands it to all that are meant, on all servers.
    fn broadcast<T: Serialize + ?Sized>(
        &self,
        event: &str,
        data: &T,
        target: &Target,
    ) -> Result<(), Error> {
        match self.inner.link() {
            Some(link) if !target.flags.local || link.store.is_some() => {
                self.broadcast_everywhere(link, event, data, target)
            }
            _ => self.broadcast_here(event, data, target),
        }
    }

    /// Encodes an event once and hands it to all of this server that are meant.
    pub(super) fn broadcast_here<T: Serialize + ?Sized>(
        &self,
        event: &str,
        data: &T,
        target: &Target,
    ) -> Result<(), Error> {
        let encode = |offset: Option<&str>| {
            let frame = self
                .shared
                .encode_event(self.name(), None, event, data, offset)?;
            Ok(frame.compress(target.flags.compress != Some(false)))
        };
        let (frame, sent) = match self.inner.log() {
            Some(log) if !target.flags.volatile => log.append(target, encode, |frame| {
                self.push_to_all(frame, target, None)
            })?,
            _ => {
                let frame = encode(None)?;
                let sent = self.push_to_all(&frame, target, None);
                (frame, sent)
            }
        };
        sent.tell(event, &frame);
        Ok(())
    }

    /// The same with a place in the log of the cluster, which clients are told of unless it is volatile.
    pub(super) fn broadcast_at<T: Serialize + ?Sized>(
        &self,
        event: &str,
        data: &T,
        target: &Target,
        offset: &Offset,
    ) -> Result<(), Error> {
        let shown = Some(offset.as_str()).filter(|_| !target.flags.volatile);
        let frame = self
            .shared
            .encode_event(self.name(), None, event, data, shown)?;
        let frame = frame.compress(target.flags.compress != Some(false));
        let sent = self.push_to_all(&frame, target, Some(offset));
        sent.tell(event, &frame);
        Ok(())
    }

    /// Puts a packet into the queues of all that are meant. Calls no code of the user.
    fn push_to_all(&self, frame: &Frame, target: &Target, offset: Option<&Offset>) -> Sent {
        let watched = self.inner.is_watched();
        let stored = self.inner.has_store();
        let mut sent = Sent::default();
        self.inner.rooms.for_each(target, |socket| {
            let pushed = if stored {
                socket.push_once(frame, offset, target.flags.volatile)
            } else if socket.0.phase() == Phase::Connected {
                let pushed = socket.push(frame, target.flags.volatile);
                pushed.map(|()| true)
            } else {
                return;
            };
            if pushed.is_err() {
                sent.slow.push(socket.clone());
            }
            if watched && pushed.unwrap_or(true) {
                sent.watched.push(socket.clone());
            }
        });
        sent
    }

    /// Sends an event that asks for acknowledgements: one id, and so one frame, for all.
    fn question<R: DeserializeOwned + Send + 'static>(
        &self,
        event: &str,
        data: &(impl Serialize + ?Sized),
        target: &Target,
    ) -> Result<BroadcastAck<R>, Error> {
        let id = self.inner.next_ack();
        let frame = self.encode_question(event, data, id, target)?;
        let elsewhere = self.ask_elsewhere(event, data, target)?;
        let timeout = target.flags.timeout.unwrap_or(DEFAULT_BROADCAST_TIMEOUT);
        let answers = BroadcastAck::register(self.select(target), elsewhere, id, timeout);
        self.ask_in_order(answers.recipients(), event, frame, target.flags.volatile);
        Ok(answers)
    }

    pub(super) fn encode_question<T: Serialize + ?Sized>(
        &self,
        event: &str,
        data: &T,
        id: u64,
        target: &Target,
    ) -> Result<Frame, Error> {
        let frame = self
            .shared
            .encode_event(self.name(), Some(id), event, data, None)?;
        Ok(frame.compress(target.flags.compress != Some(false)))
    }

    /// The same once they have what was sent to them before.
    pub(super) fn ask_in_order(
        &self,
        sockets: &[Socket],
        event: &str,
        frame: Frame,
        volatile: bool,
    ) {
        match self.inner.link() {
            Some(link) => {
                let (sockets, event): (Vec<Socket>, Box<str>) = (sockets.to_vec(), event.into());
                link.in_order(move || ask(&sockets, &event, &frame, volatile));
            }
            None => ask(sockets, event, &frame, volatile),
        }
    }

    /// The connected sockets that are meant.
    pub(crate) fn select(&self, target: &Target) -> Vec<Socket> {
        let mut sockets = self.inner.rooms.select(target);
        sockets.retain(|socket| socket.0.phase() == Phase::Connected);
        sockets
    }
}

/// Hands an event that asks for acknowledgements to those who were asked, now.
pub(super) fn ask(sockets: &[Socket], event: &str, frame: &Frame, volatile: bool) {
    for socket in sockets {
        socket.show_outgoing(event, frame);
        if socket.push(frame, volatile).is_err() {
            socket.report_slow();
        }
    }
}

impl fmt::Debug for Broadcast<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
