//! What can be done to all sockets of a namespace, or to some of them.

use std::time::Duration;

use sala_adapter::{IntoRooms, Target};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Namespace, ParentNamespace};
use crate::emit::{Broadcast, BroadcastAck, Source};
use crate::error::Error;
use crate::event::Event;
use crate::socket::RemoteSocket;

/// The same methods for both kinds of namespaces.
macro_rules! operations {
    ($type:ident, $source:path) => {
        /// # Emitting and managing sockets
        ///
        /// Each of the first methods begins a [`Broadcast`], which may be narrowed further; the
        /// others act on all sockets of the namespace.
        impl $type {
            fn all(&self) -> Broadcast<'_> {
                Broadcast::new($source(self), Target::all())
            }

            /// Only the sockets in these rooms: one room, or several of which each will do.
            pub fn to(&self, rooms: impl IntoRooms) -> Broadcast<'_> {
                self.all().to(rooms)
            }

            /// The same as [`to`](Self::to).
            pub fn in_(&self, rooms: impl IntoRooms) -> Broadcast<'_> {
                self.all().to(rooms)
            }

            /// Not the sockets in these rooms. The id of a socket is the name of a room.
            pub fn except(&self, rooms: impl IntoRooms) -> Broadcast<'_> {
                self.all().except(rooms)
            }

            /// Only the sockets of this server.
            pub fn local(&self) -> Broadcast<'_> {
                self.all().local()
            }

            /// The packet may be dropped for clients whose connection cannot take it at once.
            pub fn volatile(&self) -> Broadcast<'_> {
                self.all().volatile()
            }

            /// Says whether the packet may be compressed.
            pub fn compress(&self, compress: bool) -> Broadcast<'_> {
                self.all().compress(compress)
            }

            /// How long to wait for acknowledgements.
            pub fn timeout(&self, timeout: Duration) -> Broadcast<'_> {
                self.all().timeout(timeout)
            }

            /// Sends an event to all: see [`Broadcast::emit`].
            ///
            /// # Errors
            ///
            /// As [`Broadcast::emit`].
            pub fn emit<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Result<(), Error> {
                self.all().emit(event, data)
            }

            /// Sends a typed event to all: see [`Event`].
            ///
            /// # Errors
            ///
            /// As [`Broadcast::emit`].
            pub fn send<E: Event>(&self, event: &E) -> Result<(), Error> {
                self.all().send(event)
            }

            /// Makes all sockets join rooms.
            pub fn sockets_join(&self, rooms: impl IntoRooms) {
                self.all().sockets_join(rooms);
            }

            /// Makes all sockets leave rooms.
            pub fn sockets_leave(&self, rooms: impl IntoRooms) {
                self.all().sockets_leave(rooms);
            }

            /// Disconnects all sockets; with `close`, their connections are closed too. What was
            /// emitted to them before still arrives.
            pub fn disconnect_sockets(&self, close: bool) {
                self.all().disconnect_sockets(close);
            }
        }
    };
}

operations!(Namespace, Source::Namespace);
operations!(ParentNamespace, Source::Parent);

impl Namespace {
    /// Sends an event to all and returns a future of their answers: see
    /// [`Broadcast::emit_with_ack`].
    ///
    /// # Errors
    ///
    /// As [`Broadcast::emit_with_ack`].
    pub fn emit_with_ack<R: DeserializeOwned + Send + 'static>(
        &self,
        event: &str,
        data: &(impl Serialize + ?Sized),
    ) -> BroadcastAck<R> {
        self.all().emit_with_ack(event, data)
    }

    /// Sends a typed event to all and returns a future of their typed answers: see [`Event`].
    ///
    /// # Errors
    ///
    /// As [`Broadcast::emit_with_ack`].
    pub fn ask<E: Event<Ack: Send + 'static>>(&self, event: &E) -> BroadcastAck<E::Ack> {
        self.all().ask(event)
    }

    /// All sockets, as they are now.
    ///
    /// # Errors
    ///
    /// Only in a cluster.
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, Error> {
        self.all().fetch_sockets().await
    }

    /// Sends an event to the other servers of the cluster, not to clients. A server that is alone
    /// has nobody to send it to.
    ///
    /// # Errors
    ///
    /// [`is_reserved_event`](Error::is_reserved_event) for `connect`, `connection` and
    /// `new_namespace`; [`is_serialization`](Error::is_serialization) if the data cannot be encoded.
    pub fn server_side_emit<T: Serialize + ?Sized>(
        &self,
        event: &str,
        data: &T,
    ) -> Result<(), Error> {
        if matches!(event, "connect" | "connection" | "new_namespace") {
            return Err(Error::reserved(event));
        }
        sala_proto::RawArgs::new(data)?;
        Ok(())
    }

    /// Sends an event to the other servers of the cluster and collects one answer of each: none on
    /// a server that is alone.
    ///
    /// # Errors
    ///
    /// As [`server_side_emit`](Self::server_side_emit).
    pub async fn server_side_emit_with_ack<R: DeserializeOwned + Send + 'static>(
        &self,
        event: &str,
        data: &(impl Serialize + ?Sized),
    ) -> Result<Vec<R>, Error> {
        self.server_side_emit(event, data)?;
        Ok(Vec::new())
    }
}
