//! Emitting to one client.

use std::fmt;
use std::slice::from_ref;
use std::time::Duration;

use sala_adapter::{Flags, IntoRooms, SocketId, Target};
use sala_engine::Frame;
use sala_proto::RawArgs;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ack::AckFuture;
use super::broadcast::{Broadcast, Source};
use super::check_name;
use crate::cluster::Link;
use crate::error::Error;
use crate::event::Event;
use crate::namespace::Namespace;
use crate::socket::inner::Phase;
use crate::socket::{Elsewhere, Socket};

/// An emit to one client, being put together: made by the methods of [`Socket`], ends in
/// [`emit`](Self::emit), [`send`](Self::send), [`emit_with_ack`](Self::emit_with_ack) or
/// [`ask`](Self::ask). Choosing rooms makes it a [`Broadcast`] to others.
#[derive(Clone)]
#[must_use = "nothing is sent before `emit` is called"]
pub struct Emit<'a> {
    to: Recipient<'a>,
    flags: Flags,
}

/// Whom it is for.
#[derive(Clone, Copy)]
enum Recipient<'a> {
    Here(&'a Socket),
    Elsewhere(&'a Elsewhere),
}

impl<'a> Recipient<'a> {
    fn id(self) -> &'a SocketId {
        match self {
            Self::Here(socket) => socket.id(),
            Self::Elsewhere(socket) => &socket.id,
        }
    }

    fn nsp(self) -> &'a Namespace {
        match self {
            Self::Here(socket) => socket.nsp(),
            Self::Elsewhere(socket) => &socket.nsp,
        }
    }
}

impl<'a> Emit<'a> {
    pub(crate) fn new(socket: &'a Socket) -> Self {
        Self {
            to: Recipient::Here(socket),
            flags: Flags::default(),
        }
    }

    /// For a socket that another server has described.
    pub(crate) fn elsewhere(socket: &'a Elsewhere) -> Self {
        Self {
            to: Recipient::Elsewhere(socket),
            flags: Flags::default(),
        }
    }

    /// The packet may be dropped: it is if the connection cannot take it at this instant.
    pub fn volatile(mut self) -> Self {
        self.flags.volatile = true;
        self
    }

    /// Says whether the packet may be compressed. Default: it may, if the connection compresses.
    pub fn compress(mut self, compress: bool) -> Self {
        self.flags.compress = Some(compress);
        self
    }

    /// How long to wait for the acknowledgement. Default: until the client leaves; for
    /// [broadcasts](Broadcast), [`DEFAULT_BROADCAST_TIMEOUT`](crate::DEFAULT_BROADCAST_TIMEOUT).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.flags.timeout = Some(timeout);
        self
    }

    /// To the sockets in these rooms instead, without this one.
    pub fn to(self, rooms: impl IntoRooms) -> Broadcast<'a> {
        self.broadcast().to(rooms)
    }

    /// The same as [`to`](Self::to).
    pub fn in_(self, rooms: impl IntoRooms) -> Broadcast<'a> {
        self.to(rooms)
    }

    /// To all sockets of the namespace instead, without this one and those in these rooms.
    pub fn except(self, rooms: impl IntoRooms) -> Broadcast<'a> {
        self.broadcast().except(rooms)
    }

    /// To all sockets of the namespace on this server instead, without this one.
    pub fn local(self) -> Broadcast<'a> {
        self.broadcast().local()
    }

    /// To all sockets of the namespace instead, without this one.
    pub fn broadcast(self) -> Broadcast<'a> {
        let target = Target {
            flags: self.flags,
            ..Target::all().except(self.to.id())
        };
        Broadcast::new(Source::Namespace(self.to.nsp()), target)
    }

    /// To all that have the id for a room: the socket, wherever it is.
    fn somewhere(self, socket: &'a Elsewhere) -> Broadcast<'a> {
        let target = Target {
            flags: self.flags,
            ..Target::all().to(&socket.id)
        };
        Broadcast::new(Source::Namespace(&socket.nsp), target).expect_single_response()
    }

    /// Sends an event. Never waits. A client that has left is no error: see
    /// [`Socket::is_connected`].
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
        let handle = match self.to {
            Recipient::Here(socket) => socket,
            Recipient::Elsewhere(socket) => return self.somewhere(socket).emit(event, data),
        };
        let socket = &handle.0;
        let nsp = &socket.nsp;
        if let Some(link) = nsp.inner.link()
            && link.store.is_some()
            && socket.phase() > Phase::Connecting
        {
            return self.emit_in_order(link, handle, event, data);
        }
        let encode = |offset: Option<&str>| -> Result<Frame, Error> {
            let frame = nsp
                .shared
                .encode_event(nsp.name(), None, event, data, offset)?;
            Ok(frame.compress(self.flags.compress != Some(false)))
        };
        let volatile = self.flags.volatile;
        let (frame, pushed) = match nsp.inner.log() {
            // Who is not let in yet can have missed nothing.
            Some(log) if !volatile && socket.phase() > Phase::Connecting => {
                let target = Target::all().to(handle.id());
                log.append(&target, encode, |frame| handle.push(frame, false))?
            }
            _ => {
                let frame = encode(None)?;
                let pushed = handle.push(&frame, volatile);
                (frame, pushed)
            }
        };
        if pushed.is_err() {
            handle.report_slow();
        }
        handle.show_outgoing(event, &frame);
        Ok(())
    }

    /// The same in a cluster that keeps a log: what can be missed goes through it, as in the reference,
    /// and what cannot does not overtake it.
    fn emit_in_order<T: Serialize + ?Sized>(
        self,
        link: &Link,
        socket: &Socket,
        event: &str,
        data: &T,
    ) -> Result<(), Error> {
        let nsp = socket.nsp();
        if !self.flags.volatile {
            let target = Target {
                flags: self.flags,
                ..Target::all().to(socket.id())
            };
            let packet = RawArgs::new_event(event, data)?;
            return Ok(link.adapter.broadcast_logged(packet, &target)?);
        }
        let frame = nsp
            .shared
            .encode_event(nsp.name(), None, event, data, None)?;
        let frame = frame.compress(self.flags.compress != Some(false));
        let (socket, event): (Socket, Box<str>) = (socket.clone(), event.into());
        link.in_order(move || {
            // Volatile ones are dropped rather than queued.
            socket.push(&frame, true).ok();
            socket.show_outgoing(&event, &frame);
        });
        Ok(())
    }

    /// Sends a typed event: see [`Event`].
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    pub fn send<E: Event>(self, event: &E) -> Result<(), Error> {
        self.emit(E::NAME, event)
    }

    /// Sends an event at once and returns a future of the client's answer: its first argument, or
    /// all of them if `R` is a tuple.
    ///
    /// ```
    /// # async fn example(socket: &sala::Socket) -> Result<(), sala::Error> {
    /// use std::time::Duration;
    ///
    /// let sum: i32 = socket.timeout(Duration::from_secs(5)).emit_with_ack("add", &(1, 2)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`emit`](Self::emit); [`is_timeout`](Error::is_timeout) if a
    /// [`timeout`](Self::timeout) passed; [`is_closed`](Error::is_closed) if the client left
    /// without answering; [`is_deserialization`](Error::is_deserialization) if the answer is no `R`.
    ///
    /// *Cancel safety:* dropping the future forgets the question; an answer is then ignored.
    pub fn emit_with_ack<R: DeserializeOwned + Send + 'static>(
        self,
        event: &str,
        data: &(impl Serialize + ?Sized),
    ) -> AckFuture<R> {
        let socket = match self.to {
            Recipient::Here(socket) => socket,
            Recipient::Elsewhere(socket) => {
                return AckFuture::somewhere(self.somewhere(socket).emit_with_ack(event, data));
            }
        };
        let nsp = socket.nsp();
        let id = nsp.inner.next_ack();
        let frame = check_name(event).and_then(|()| {
            nsp.shared
                .encode_event(nsp.name(), Some(id), event, data, None)
        });
        let waiting = frame.and_then(|frame| {
            let answer = AckFuture::register(socket, id, self.flags.timeout)?;
            let frame = frame.compress(self.flags.compress != Some(false));
            nsp.ask_in_order(from_ref(socket), event, frame, self.flags.volatile);
            Ok(answer)
        });
        waiting.unwrap_or_else(AckFuture::failed)
    }

    /// Sends a typed event and returns a future of the typed answer: see [`Event`].
    ///
    /// # Errors
    ///
    /// As [`emit_with_ack`](Self::emit_with_ack).
    pub fn ask<E: Event<Ack: Send + 'static>>(self, event: &E) -> AckFuture<E::Ack> {
        self.emit_with_ack(E::NAME, event)
    }
}

impl fmt::Debug for Emit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emit")
            .field("to", self.to.id())
            .field("flags", &self.flags)
            .finish()
    }
}
