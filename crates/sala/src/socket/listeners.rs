//! Listeners of one socket.

use std::borrow::Cow;
use std::fmt;

use sala_engine::Frame;
use sala_proto::{Args, Assembler, Codec, Limits, RawArgs};

use super::Socket;
use crate::error::ErrorContext;
use crate::event::{EventHandler, erase_event};
use crate::gate::GateHandler;
use crate::handler::{self, DisconnectHandler, EventKey, Handler, erase_disconnect};
use crate::namespace::table::{Listener, ListenerId, Table};

/// An event that has come in, as catch-all listeners see it.
#[derive(Debug)]
pub struct Incoming<'a> {
    name: &'a str,
    args: &'a Args<'a>,
    wants_ack: bool,
}

impl<'a> Incoming<'a> {
    pub(crate) fn new(name: &'a str, args: &'a Args<'a>, wants_ack: bool) -> Self {
        Self {
            name,
            args,
            wants_ack,
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// The arguments; read them with [`parse`](Args::parse).
    #[must_use]
    pub fn args(&self) -> &Args<'a> {
        self.args
    }

    /// Whether the client asked for an acknowledgement.
    #[must_use]
    pub fn wants_ack(&self) -> bool {
        self.wants_ack
    }
}

/// An event that is sent to a client, as outgoing catch-all listeners see it.
pub struct Outgoing<'a> {
    name: &'a str,
    frame: &'a Frame,
    codec: &'a Codec,
}

impl<'a> Outgoing<'a> {
    pub(crate) fn new(name: &'a str, frame: &'a Frame, codec: &'a Codec) -> Self {
        Self { name, frame, codec }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// The arguments, read back from the encoded packet at each call. With connection state
    /// recovery on, the last one is the offset of the packet. None if the codec cannot read what it
    /// wrote.
    #[must_use]
    pub fn args(&self) -> Option<RawArgs> {
        let limits = Limits::default()
            .attachments(usize::MAX)
            .attachment_bytes(usize::MAX)
            .nesting(usize::MAX)
            .namespace(usize::MAX)
            .event(usize::MAX);
        let mut assembler = Assembler::new(self.codec, limits);
        for part in self.frame.parts() {
            let packet = if part.is_binary() {
                assembler.push_binary(part.payload_bytes()).ok()?
            } else {
                // The first byte is the type digit of the transport.
                let text = std::str::from_utf8(part.payload().get(1..)?).ok()?;
                assembler
                    .push_text(text)
                    .ok()?
                    .map(sala_proto::Packet::into_owned)
            };
            if let Some(packet) = packet {
                return packet.data;
            }
        }
        None
    }
}

impl fmt::Debug for Outgoing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// # Listeners of this socket alone
///
/// They are for what differs from client to client; handlers that all sockets of a namespace share
/// belong to the [`Namespace`](crate::Namespace), where they cost nothing per client. They are
/// called after those of the namespace, in the order in which they were added.
///
/// Added in a middleware or, before its first wait, in a connect handler, they miss nothing.
impl Socket {
    fn change<R>(&self, change: impl FnOnce(&mut Table) -> R) -> R {
        self.0.extra().table.change(change)
    }

    /// Calls a handler for each event with this name.
    pub fn on<S>(
        &self,
        event: impl Into<Cow<'static, str>>,
        handler: impl Handler<S>,
    ) -> ListenerId {
        let key = EventKey::from(event.into());
        self.change(|table| table.add_event(key, false, handler::erase(handler)))
    }

    /// Calls a handler for the next event with this name.
    pub fn once<S>(
        &self,
        event: impl Into<Cow<'static, str>>,
        handler: impl Handler<S>,
    ) -> ListenerId {
        let key = EventKey::from(event.into());
        self.change(|table| table.add_event(key, true, handler::erase(handler)))
    }

    /// Calls a handler for each event of its type: see [`Event`](crate::Event).
    pub fn on_event<S>(&self, handler: impl EventHandler<S>) -> ListenerId {
        let (key, handler) = erase_event(handler);
        self.change(|table| table.add_event(key, false, handler))
    }

    /// Removes all listeners of an event; false if there was none.
    pub fn off(&self, event: &str) -> bool {
        self.change(|table| table.remove_event(event))
    }

    /// Removes one listener, of whatever kind; false if it has gone.
    pub fn remove_listener(&self, id: ListenerId) -> bool {
        self.change(|table| table.remove(id))
    }

    /// Removes all listeners of this socket, of every kind.
    pub fn remove_all_listeners(&self) {
        self.change(|table| *table = Table::default());
    }

    /// The names of the events that this socket has listeners for.
    #[must_use]
    pub fn event_names(&self) -> Vec<String> {
        self.0
            .extra
            .get()
            .map_or_else(Vec::new, |extra| extra.table.get().event_names())
    }

    /// Calls `listener` for each event that comes in, before gates and handlers, also if nobody
    /// handles it. It runs in the connection's task and must be quick.
    pub fn on_any(
        &self,
        listener: impl Fn(&Socket, &Incoming<'_>) + Send + Sync + 'static,
    ) -> ListenerId {
        let listener = Listener::new(std::sync::Arc::new(listener) as _);
        let id = listener.id();
        self.change(|table| table.any.push(listener));
        id
    }

    /// As [`on_any`](Self::on_any), in front of those that are there.
    pub fn prepend_any(
        &self,
        listener: impl Fn(&Socket, &Incoming<'_>) + Send + Sync + 'static,
    ) -> ListenerId {
        let listener = Listener::new(std::sync::Arc::new(listener) as _);
        let id = listener.id();
        self.change(|table| table.any.insert(0, listener));
        id
    }

    /// Removes all that [`on_any`](Self::on_any) and [`prepend_any`](Self::prepend_any) added;
    /// [`remove_listener`](Self::remove_listener) removes one.
    pub fn off_any(&self) {
        self.change(|table| table.any.clear());
    }

    /// The catch-all listeners, in the order in which they are called.
    #[must_use]
    pub fn listeners_any(&self) -> Vec<ListenerId> {
        let extra = self.0.extra.get();
        extra.map_or_else(Vec::new, |extra| {
            extra.table.get().any.iter().map(Listener::id).collect()
        })
    }

    /// Calls `listener` for each event that is sent to this client, broadcasts and dropped volatile
    /// ones included, acknowledgements not. It runs where the event is sent and must be quick.
    ///
    /// From the first call on, broadcasts in this namespace take a slower path.
    pub fn on_any_outgoing(
        &self,
        listener: impl Fn(&Socket, &Outgoing<'_>) + Send + Sync + 'static,
    ) -> ListenerId {
        let listener = Listener::new(std::sync::Arc::new(listener) as _);
        let id = listener.id();
        self.change(|table| table.any_outgoing.push(listener));
        self.0.nsp.inner.watch();
        id
    }

    /// As [`on_any_outgoing`](Self::on_any_outgoing), in front of those that are there.
    pub fn prepend_any_outgoing(
        &self,
        listener: impl Fn(&Socket, &Outgoing<'_>) + Send + Sync + 'static,
    ) -> ListenerId {
        let listener = Listener::new(std::sync::Arc::new(listener) as _);
        let id = listener.id();
        self.change(|table| table.any_outgoing.insert(0, listener));
        self.0.nsp.inner.watch();
        id
    }

    /// Removes all outgoing catch-all listeners; [`remove_listener`](Self::remove_listener) removes
    /// one.
    pub fn off_any_outgoing(&self) {
        self.change(|table| table.any_outgoing.clear());
    }

    /// The outgoing catch-all listeners, in the order in which they are called.
    #[must_use]
    pub fn listeners_any_outgoing(&self) -> Vec<ListenerId> {
        let extra = self.0.extra.get();
        extra.map_or_else(Vec::new, |extra| {
            extra
                .table
                .get()
                .any_outgoing
                .iter()
                .map(Listener::id)
                .collect()
        })
    }

    /// Lets a function decide whether an event reaches its handlers, and change it: the reference's
    /// `socket.use`. Gates run one after the other, those of the namespace first. While one waits,
    /// later events are not held back.
    pub fn gate(&self, gate: impl GateHandler) -> ListenerId {
        let listener = Listener::new(gate.erase().0);
        let id = listener.id();
        self.change(|table| table.gates.push(listener));
        id
    }

    /// Calls `listener` for what goes wrong with this socket, before the server's
    /// [`on_error`](crate::ServerBuilder::on_error): the reference's `error` event, and more.
    pub fn on_error(
        &self,
        listener: impl Fn(&ErrorContext<'_>) + Send + Sync + 'static,
    ) -> ListenerId {
        let listener = Listener::new(std::sync::Arc::new(listener) as _);
        let id = listener.id();
        self.change(|table| table.errors.push(listener));
        id
    }

    /// Calls a handler when the socket leaves, while it still is in its rooms.
    pub fn on_disconnecting<S>(&self, handler: impl DisconnectHandler<S>) -> ListenerId {
        let listener = Listener::new(erase_disconnect(handler));
        let id = listener.id();
        self.change(|table| table.disconnecting.push(listener));
        id
    }

    /// Calls a handler when the socket has left its rooms and its namespace.
    pub fn on_disconnect<S>(&self, handler: impl DisconnectHandler<S>) -> ListenerId {
        let listener = Listener::new(erase_disconnect(handler));
        let id = listener.id();
        self.change(|table| table.disconnect.push(listener));
        id
    }
}
