//! The way of a client into a namespace.

use std::fmt;
use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use sala_proto::RawArgs;
use serde::de::DeserializeOwned;

use super::Namespace;
use super::dynamic::resolve;
use super::table::Table;
use crate::client::Work;
use crate::error::{Error, Refused};
use crate::handler::Failure;
use crate::server::ServerInner;
use crate::socket::Socket;

/// A client that wants to enter a namespace, as [middlewares](Namespace::admit) see it.
///
/// It dereferences to the [`Socket`] that the client will have: rooms joined now take effect when
/// the client is let in, and what is emitted reaches the client before it is told that it is
/// connected. The socket is not connected yet: targets do not find it.
#[derive(Clone)]
pub struct Attempt(Socket);

impl Attempt {
    /// The socket that the client will have.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        &self.0
    }

    /// What the client sent with its CONNECT packet: the `auth` option of the official clients, `{}`
    /// if there is none.
    ///
    /// # Errors
    ///
    /// [`is_deserialization`](Error::is_deserialization) if it is no `T`.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.0.handshake().auth()
    }
}

impl Deref for Attempt {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.0
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Attempt").field(&self.0).finish()
    }
}

/// A place in a namespace: as long as somebody has one, a child namespace is not cleaned up.
pub(crate) struct Seat(Namespace);

impl Seat {
    /// Takes a place in a namespace that exists.
    pub(crate) fn take(shared: &Arc<ServerInner>, name: &str) -> Option<Self> {
        let inner = shared.directory.enter(name)?;
        Some(Self(Namespace {
            inner,
            shared: shared.clone(),
        }))
    }

    pub(crate) fn nsp(&self) -> &Namespace {
        &self.0
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let cleanup = self.0.shared.options.cleanup_empty_child_namespaces;
        self.0.shared.directory.release(&self.0.inner, cleanup);
    }
}

/// Asks the parents for a namespace that does not exist yet.
pub(crate) async fn find(shared: Arc<ServerInner>, name: Box<str>, auth: RawArgs) -> Option<Seat> {
    let inner = resolve(&shared, &name, &auth).await?;
    Some(Seat(Namespace { inner, shared }))
}

/// Runs the middlewares and leaves their verdict to the connection's task.
pub(crate) async fn decide(table: Arc<Table>, socket: Socket) {
    let run = async {
        for middleware in &table.admit {
            middleware.call(Attempt(socket.clone())).await?;
        }
        Ok(())
    };
    let verdict = AssertUnwindSafe(run)
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| {
            Failure::panic(&*panic).report(&socket, Some("connection"));
            Err(Refused::new("internal server error"))
        });
    let inbox = socket.0.inbox.clone();
    let session = socket.conn().clone();
    inbox.push(&session, Work::Decided(socket, verdict));
}
