//! What can be done to all sockets of a namespace, or to some of them.

use std::time::Duration;

use sala_adapter::adapter::{Answers, Request};
use sala_adapter::{IntoRooms, Target};
use sala_proto::RawArgs;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Namespace, ParentNamespace};
use crate::cluster::split;
use crate::emit::{Broadcast, BroadcastAck, Source};
use crate::error::{AckError, Error};
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

    /// All sockets, as they are now, on all servers of the cluster: see [`Broadcast::fetch_sockets`].
    ///
    /// # Errors
    ///
    /// Only in a cluster: as [`Broadcast::fetch_sockets`].
    ///
    /// *Cancel safety:* may be dropped at any time.
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, AckError<RemoteSocket>> {
        self.all().fetch_sockets().await
    }

    /// How many servers there are in the cluster, this one included: 1 for a server that is alone.
    ///
    /// # Errors
    ///
    /// [`is_unreachable`](Error::is_unreachable), [`is_timeout`](Error::is_timeout) or
    /// [`is_closed`](Error::is_closed) if the broker does not say.
    ///
    /// *Cancel safety:* may be dropped at any time.
    pub async fn server_count(&self) -> Result<usize, Error> {
        match self.inner.link() {
            Some(link) => Ok(link.adapter.server_count().await?),
            None => Ok(1),
        }
    }

    /// Sends an event to the same namespace on the other servers of the cluster: to the handlers that were set
    /// there with [`on_server_side`](Self::on_server_side), not to clients, and not to this server. A
    /// server that is alone has nobody to send it to.
    ///
    /// # Errors
    ///
    /// [`is_reserved_event`](Error::is_reserved_event) for `connect`, `connection` and
    /// `new_namespace`; [`is_serialization`](Error::is_serialization) if the data cannot be encoded;
    /// [`is_backlogged`](Error::is_backlogged) if the queue towards the other servers is full;
    /// [`is_closed`](Error::is_closed) if this server has left the cluster.
    pub fn server_side_emit<T: Serialize + ?Sized>(
        &self,
        event: &str,
        data: &T,
    ) -> Result<(), Error> {
        let packet = server_side_packet(event, data)?;
        match self.inner.link() {
            Some(link) => Ok(link.adapter.server_side_emit(packet)?),
            None => Ok(()),
        }
    }

    /// Sends an event to the other servers of the cluster and collects one answer of each, in the order of
    /// their arrival: none on a server that is alone. A server without a
    /// [handler](Self::on_server_side) for the event does not answer, as in the reference.
    ///
    /// They are waited for as long as the adapter waits: 5 s, unless the backend was told otherwise.
    ///
    /// ```
    /// # async fn example(io: &sala::Server) {
    /// match io.server_side_emit_with_ack::<usize>("how many", &()).await {
    ///     Ok(counts) => println!("{} elsewhere", counts.iter().sum::<usize>()),
    ///     Err(error) => println!("{:?} only: {error}", error.responses()),
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// An [`AckError`] with the answers that did arrive if a server did not answer
    /// ([`is_timeout`](AckError::is_timeout)), could not be asked
    /// ([`is_unreachable`](AckError::is_unreachable)), or answered with something that is no `R`. Also the
    /// errors of [`server_side_emit`](Self::server_side_emit).
    ///
    /// *Cancel safety:* dropping the future forgets the question.
    pub async fn server_side_emit_with_ack<R: DeserializeOwned + Send + 'static>(
        &self,
        event: &str,
        data: &(impl Serialize + ?Sized),
    ) -> Result<Vec<R>, AckError<R>> {
        let packet = server_side_packet(event, data).map_err(AckError::nothing)?;
        let Some(link) = self.inner.link() else {
            return Ok(Vec::new());
        };
        let request = Request::ServerSide(packet);
        let answers = link.adapter.request(request, &Target::all(), None).await;
        let (answers, mut error) = split(answers);
        let replies = match answers {
            Answers::Servers(replies) | Answers::Acks { replies, .. } => replies,
            Answers::Sockets(_) => Vec::new(),
        };
        let mut responses = Vec::new();
        for reply in replies {
            match reply.parse() {
                Ok(response) => responses.push(response),
                Err(wrong) => drop(error.get_or_insert_with(|| wrong.into())),
            }
        }
        match error {
            None => Ok(responses),
            Some(error) => Err(AckError::new(responses, Vec::new(), error)),
        }
    }
}

fn server_side_packet<T: Serialize + ?Sized>(event: &str, data: &T) -> Result<RawArgs, Error> {
    if matches!(event, "connect" | "connection" | "new_namespace") {
        return Err(Error::reserved(event));
    }
    Ok(RawArgs::new_event(event, data)?)
}
