//! The seam between Engine.IO and what is built on it.

use std::time::Instant;

use sala_engine_proto::{CloseReason, Data};

use crate::session::{Scope, SessionHandle};

/// What runs on top of Engine.IO: Socket.IO, or an application of raw Engine.IO messages.
///
/// # Example
///
/// An echo server:
///
/// ```
/// use sala_engine::{App, CloseReason, Connection, Data, Frame, Scope, SessionHandle};
///
/// struct Echo;
///
/// struct EchoConnection(SessionHandle);
///
/// impl App for Echo {
///     type Connection = EchoConnection;
///     fn connect(&self, session: &SessionHandle, _: &mut Scope<'_, '_>) -> EchoConnection {
///         EchoConnection(session.clone())
///     }
/// }
///
/// impl Connection for EchoConnection {
///     fn message(&mut self, data: Data<'_>, _: &mut Scope<'_, '_>) {
///         let frame = match data {
///             Data::Text(text) => Frame::message(|buf| buf.extend_from_slice(text.as_bytes()), Vec::new()),
///             Data::Binary(bytes) => Frame::binary(|buf| buf.extend_from_slice(&bytes)),
///         };
///         self.0.send(frame).ok(); // a session that is gone needs no answer
///     }
///     fn close(&mut self, _: CloseReason, _: Option<&str>, _: &mut Scope<'_, '_>) {}
/// }
/// ```
pub trait App: Send + Sync + 'static {
    /// What the application keeps for each session.
    type Connection: Connection;

    /// Called once per session, in the session's task, right after the open packet was queued
    /// (and, for polling, handed to the first request).
    fn connect(&self, session: &SessionHandle, scope: &mut Scope<'_, '_>) -> Self::Connection;
}

/// The application's side of one session, owned and driven by the session's task.
///
/// All methods are called from that one task, never concurrently, in the order in which things
/// happened. They must not block. Work that waits goes through [`Scope::run`].
pub trait Connection: Send + 'static {
    /// A message from the client, in order of arrival.
    fn message(&mut self, data: Data<'_>, scope: &mut Scope<'_, '_>);

    /// Somebody called [`SessionHandle::poke`]: look at what other tasks left for this one.
    fn poked(&mut self, scope: &mut Scope<'_, '_>) {
        let _ = scope;
    }

    /// When [`timeout`](Self::timeout) wants to be called, if at all. Asked after every other call.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The deadline has passed.
    fn timeout(&mut self, now: Instant, scope: &mut Scope<'_, '_>) {
        let _ = (now, scope);
    }

    /// The server asked for a close that has to wait: data is still queued, or a polling client has
    /// no request open. [`close`](Self::close) follows when the transport has been told.
    fn closing(&mut self, scope: &mut Scope<'_, '_>) {
        let _ = scope;
    }

    /// The session is over; nothing else will be called. Futures still running in the scope live
    /// on until they end or the server's shutdown cuts them off. `description` says more about a
    /// `transport error`.
    fn close(&mut self, reason: CloseReason, description: Option<&str>, scope: &mut Scope<'_, '_>);
}
