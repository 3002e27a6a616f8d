//! Emitting to one client.

use std::fmt;
use std::time::Duration;

use sala_adapter::{Flags, IntoRooms, Target};
use sala_engine::Frame;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ack::AckFuture;
use super::broadcast::{Broadcast, Source};
use super::check_name;
use crate::error::Error;
use crate::event::Event;
use crate::socket::Socket;
use crate::socket::inner::Phase;

/// An emit to one client, being put together: made by the methods of [`Socket`], ends in
/// [`emit`](Self::emit), [`send`](Self::send), [`emit_with_ack`](Self::emit_with_ack) or
/// [`ask`](Self::ask). Choosing rooms makes it a [`Broadcast`] to others.
#[derive(Clone)]
#[must_use = "nothing is sent before `emit` is called"]
pub struct Emit<'a> {
    socket: &'a Socket,
    flags: Flags,
}

impl<'a> Emit<'a> {
    pub(crate) fn new(socket: &'a Socket) -> Self {
        Self {
            socket,
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
            ..Target::all().except(self.socket.id())
        };
        Broadcast::new(Source::Namespace(self.socket.nsp()), target)
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
        let socket = &self.socket.0;
        let nsp = &socket.nsp;
        let encode = |offset: Option<&str>| -> Result<Frame, Error> {
            let frame = nsp
                .shared
                .encode_event(nsp.name(), None, event, data, offset)?;
            Ok(frame.compress(self.flags.compress != Some(false)))
        };
        let volatile = self.flags.volatile;
        let (frame, pushed) = match &nsp.inner.recovery {
            // Who is not let in yet can have missed nothing.
            Some(log) if !volatile && socket.phase() > Phase::Connecting => {
                let target = Target::all().to(self.socket.id());
                log.append(&target, encode, |frame| self.socket.push(frame, false))?
            }
            _ => {
                let frame = encode(None)?;
                let pushed = self.socket.push(&frame, volatile);
                (frame, pushed)
            }
        };
        if pushed.is_err() {
            self.socket.report_slow();
        }
        self.socket.show_outgoing(event, &frame);
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
        let nsp = self.socket.nsp();
        let id = nsp.inner.next_ack();
        let frame = check_name(event).and_then(|()| {
            nsp.shared
                .encode_event(nsp.name(), Some(id), event, data, None)
        });
        let waiting = frame.and_then(|frame| {
            let answer = AckFuture::register(self.socket, id, self.flags.timeout)?;
            let frame = frame.compress(self.flags.compress != Some(false));
            self.socket.show_outgoing(event, &frame);
            if self.socket.push(&frame, self.flags.volatile).is_err() {
                self.socket.report_slow();
            }
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
            .field("to", self.socket.id())
            .field("flags", &self.flags)
            .finish()
    }
}
