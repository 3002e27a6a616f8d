//! What namespaces and their parents can be given: handlers and middlewares.

use std::borrow::Cow;
use std::sync::Arc;

use super::table::{Listener, Table};
use super::{Namespace, ParentNamespace};
use crate::event::{EventHandler, erase_event};
use crate::gate::GateHandler;
use crate::handler::{
    self, AdmitHandler, ConnectHandler, DisconnectHandler, EventKey, Handler, ServerSideHandler,
    erase_admit, erase_connect, erase_disconnect, erase_server_side,
};
use crate::socket::{Incoming, Outgoing, Socket};
use crate::versioned::Versioned;

/// The same methods for both kinds of namespaces.
macro_rules! registration {
    ($type:ty, $watch:expr) => {
        /// # Handlers
        ///
        /// They are shared by all sockets: a client costs nothing for them. Several handlers of one
        /// event are called in the order in which they were added. Handlers of one connection start
        /// in the order in which its events arrive; what a handler does before it first waits is not
        /// interrupted by the same client.
        impl $type {
            fn change<R>(&self, change: impl FnOnce(&mut Table) -> R) -> R {
                let table: &Versioned<Table> = &self.inner.table;
                table.change(change)
            }

            /// Calls a handler for each event with this name. The handler's value is the
            /// acknowledgement, if the client asked for one: see [`Handler`].
            ///
            /// ```
            /// use sala::{Server, Socket};
            ///
            /// let io = Server::new();
            /// io.on("add", async |_socket: Socket, (a, b): (i32, i32)| a + b);
            /// ```
            pub fn on<S>(
                &self,
                event: impl Into<Cow<'static, str>>,
                handler: impl Handler<S>,
            ) -> &Self {
                let key = EventKey::from(event.into());
                self.change(|table| table.add_event(key, false, handler::erase(handler)));
                self
            }

            /// Calls a handler for each event of its type: see [`Event`](crate::Event).
            pub fn on_event<S>(&self, handler: impl EventHandler<S>) -> &Self {
                let (key, handler) = erase_event(handler);
                self.change(|table| table.add_event(key, false, handler));
                self
            }

            /// Removes all handlers of an event.
            pub fn off(&self, event: &str) -> &Self {
                self.change(|table| table.remove_event(event));
                self
            }

            /// Calls a handler when a client has connected: the reference's `connection` event. The
            /// client has been told by then. What the handler does before it first waits, such as
            /// joining rooms or adding listeners, is done before the client's next packet is looked
            /// at. Called for recovered sockets too.
            ///
            /// ```
            /// use sala::{Server, Socket};
            ///
            /// #[derive(serde::Deserialize)]
            /// struct Auth { team: String }
            ///
            /// let io = Server::new();
            /// io.on_connect(async |socket: Socket, auth: Auth| socket.join(auth.team));
            /// ```
            pub fn on_connect<S>(&self, handler: impl ConnectHandler<S>) -> &Self {
                self.change(|table| table.connect.push(erase_connect(handler)));
                self
            }

            /// Calls a handler when a socket leaves, while it still is in its rooms.
            pub fn on_disconnecting<S>(&self, handler: impl DisconnectHandler<S>) -> &Self {
                let listener = Listener::new(erase_disconnect(handler));
                self.change(|table| table.disconnecting.push(listener));
                self
            }

            /// Calls a handler when a socket has left its rooms and the namespace.
            pub fn on_disconnect<S>(&self, handler: impl DisconnectHandler<S>) -> &Self {
                let listener = Listener::new(erase_disconnect(handler));
                self.change(|table| table.disconnect.push(listener));
                self
            }

            /// Calls `listener` for each event that comes in, before gates and handlers, also if
            /// nobody handles it. It runs in the connection's task and must be quick.
            pub fn on_any(
                &self,
                listener: impl Fn(&Socket, &Incoming<'_>) + Send + Sync + 'static,
            ) -> &Self {
                let listener = Listener::new(Arc::new(listener) as _);
                self.change(|table| table.any.push(listener));
                self
            }

            /// Calls `listener` for each event that is sent to a client, once for each client. It
            /// runs where the event is sent and must be quick. Broadcasts take a slower path then.
            pub fn on_any_outgoing(
                &self,
                listener: impl Fn(&Socket, &Outgoing<'_>) + Send + Sync + 'static,
            ) -> &Self {
                let listener = Listener::new(Arc::new(listener) as _);
                self.change(|table| table.any_outgoing.push(listener));
                $watch(self);
                self
            }

            /// Adds a middleware: a function that decides whether a client may enter, the
            /// reference's `use`. Middlewares run one after the other, in the order in which they
            /// were added, once for each client and namespace. The first refusal is sent to the
            /// client.
            ///
            /// ```
            /// use sala::{Attempt, Refused, Server};
            ///
            /// let io = Server::new();
            /// io.admit(async |attempt: Attempt| match attempt.handshake().query("token") {
            ///     Some(token) if token == "secret" => Ok(()),
            ///     _ => Err(Refused::new("not authorized")),
            /// });
            /// ```
            pub fn admit(&self, middleware: impl AdmitHandler) -> &Self {
                self.change(|table| table.admit.push(erase_admit(middleware)));
                self
            }

            /// Calls a handler for each event with this name that *another server* of the cluster sends
            /// with [`server_side_emit`](Namespace::server_side_emit) or
            /// [`server_side_emit_with_ack`](Namespace::server_side_emit_with_ack); clients cannot send
            /// such events. What the handler returns is the answer, if one was asked for: see
            /// [`ServerSideHandler`]. What goes wrong reaches
            /// [`on_error`](crate::ServerBuilder::on_error), and the other server is not answered.
            ///
            /// The handlers of a namespace run in one task: they start in the order in which the events
            /// arrive, and overlap where they wait. Up to 1024 run and 1024 events wait; what comes
            /// beyond is dropped and reported.
            ///
            /// ```
            /// use sala::{Namespace, Server};
            ///
            /// let io = Server::new();
            /// io.on_server_side("how many", async |io: Namespace| io.sockets_count());
            /// io.on_server_side("ban", async |io: Namespace, user: String| {
            ///     io.in_(format!("user:{user}")).local().disconnect_sockets(true);
            /// });
            /// ```
            pub fn on_server_side<S>(
                &self,
                event: impl Into<Cow<'static, str>>,
                handler: impl ServerSideHandler<S>,
            ) -> &Self {
                let key = EventKey::from(event.into());
                let handler = erase_server_side(handler);
                self.change(|table| table.add_server_side(key, handler));
                self
            }

            /// Removes all handlers of an event of other servers.
            pub fn off_server_side(&self, event: &str) -> &Self {
                self.change(|table| table.remove_server_side(event));
                self
            }

            /// Lets a function decide whether an event reaches its handlers, and change it: the
            /// reference's `socket.use`, for all sockets. Gates run one after the other. While one
            /// waits, later events are not held back.
            pub fn gate(&self, gate: impl GateHandler) -> &Self {
                let listener = Listener::new(gate.erase().0);
                self.change(|table| table.gates.push(listener));
                self
            }
        }
    };
}

registration!(Namespace, |nsp: &Namespace| nsp.inner.watch());
registration!(ParentNamespace, |_: &ParentNamespace| {});
