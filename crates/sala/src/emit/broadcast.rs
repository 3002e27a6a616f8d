//! Emitting to all that a target means.

use std::fmt;
use std::time::Duration;

use sala_adapter::{IntoRooms, Target};
use sala_engine::Frame;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ack::BroadcastAck;
use super::{DEFAULT_BROADCAST_TIMEOUT, check_name};
use crate::error::Error;
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

    /// Sends an event. Never waits. Nobody being there is no error.
    ///
    /// A tuple spreads over the arguments, `()` is none, anything else is one. serde sees arrays of
    /// fixed size as tuples: wrap one in a tuple, `&([1, 2],)`, to send it as one argument.
    ///
    /// # Errors
    ///
    /// [`is_reserved_event`](Error::is_reserved_event) if clients keep the name for themselves,
    /// [`is_serialization`](Error::is_serialization) if the data cannot be encoded.
    pub fn emit<T: Serialize + ?Sized>(self, event: &str, data: &T) -> Result<(), Error> {
        check_name(event)?;
        match self.source {
            Source::Namespace(nsp) => nsp.broadcast(event, data, &self.target),
            Source::Parent(parent) => {
                let mut children = parent.children().into_iter();
                children.try_for_each(|child| child.broadcast(event, data, &self.target))
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
    /// answered; at once if nobody is meant.
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
    /// An [`AckError`](crate::AckError) with the answers that did arrive, when the rest is known to
    /// be missing: the [`timeout`](Self::timeout) has passed, or clients left (the reference waits
    /// for them until the timeout), or answered with something that is no `R`. Also the errors of
    /// [`emit`](Self::emit), and [`is_unsupported`](Error::is_unsupported) for a
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

    /// The sockets that are meant, as they are now.
    ///
    /// # Errors
    ///
    /// If asked of a [parent namespace](ParentNamespace).
    pub async fn fetch_sockets(self) -> Result<Vec<RemoteSocket>, Error> {
        let nsp = self.namespace("fetchSockets() is not supported on parent namespaces")?;
        Ok(nsp
            .select(&self.target)
            .into_iter()
            .map(RemoteSocket::local)
            .collect())
    }

    /// Makes the sockets that are meant join rooms.
    pub fn sockets_join(self, rooms: impl IntoRooms) {
        let rooms = rooms.into_rooms();
        self.for_each(|socket| socket.join(&rooms));
    }

    /// Makes the sockets that are meant leave rooms.
    pub fn sockets_leave(self, rooms: impl IntoRooms) {
        let rooms = rooms.into_rooms();
        self.for_each(|socket| rooms.iter().for_each(|room| socket.leave(room)));
    }

    /// Disconnects the sockets that are meant from their namespace; with `close`, their connections
    /// are closed too. What was emitted to them before still arrives.
    pub fn disconnect_sockets(self, close: bool) {
        self.for_each(|socket| socket.disconnect(close));
    }

    fn for_each(&self, f: impl FnMut(Socket)) {
        let sockets: Vec<Socket> = match self.source {
            Source::Namespace(nsp) => nsp.select(&self.target),
            Source::Parent(parent) => {
                let children = parent.children().into_iter();
                children
                    .flat_map(|child| child.select(&self.target))
                    .collect()
            }
        };
        sockets.into_iter().for_each(f);
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

impl Namespace {
    /// Encodes an event once and hands it to all that are meant.
    fn broadcast<T: Serialize + ?Sized>(
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
        let (frame, sent) = match &self.inner.recovery {
            Some(log) if !target.flags.volatile => {
                log.append(target, encode, |frame| self.push_to_all(frame, target))?
            }
            _ => {
                let frame = encode(None)?;
                let sent = self.push_to_all(&frame, target);
                (frame, sent)
            }
        };
        // Code of the user, for which no lock is held any more.
        sent.slow.iter().for_each(Socket::report_slow);
        sent.watched
            .iter()
            .for_each(|socket| socket.show_outgoing(event, &frame));
        Ok(())
    }

    /// Puts a packet into the queues of all that are meant. Calls no code of the user.
    fn push_to_all(&self, frame: &Frame, target: &Target) -> Sent {
        let watched = self.inner.is_watched();
        let mut sent = Sent::default();
        self.inner.rooms.for_each(target, |socket| {
            if socket.0.phase() != Phase::Connected {
                return;
            }
            if socket.push(frame, target.flags.volatile).is_err() {
                sent.slow.push(socket.clone());
            }
            if watched {
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
        let frame = self
            .shared
            .encode_event(self.name(), Some(id), event, data, None)?;
        let frame = frame.compress(target.flags.compress != Some(false));
        let timeout = target.flags.timeout.unwrap_or(DEFAULT_BROADCAST_TIMEOUT);
        let answers = BroadcastAck::register(self.select(target), id, timeout);
        for socket in answers.recipients() {
            socket.show_outgoing(event, &frame);
            if socket.push(&frame, target.flags.volatile).is_err() {
                socket.report_slow();
            }
        }
        Ok(answers)
    }

    /// The connected sockets that are meant.
    pub(crate) fn select(&self, target: &Target) -> Vec<Socket> {
        let mut sockets = self.inner.rooms.select(target);
        sockets.retain(|socket| socket.0.phase() == Phase::Connected);
        sockets
    }
}

impl fmt::Debug for Broadcast<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
