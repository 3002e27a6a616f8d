//! HTTP/1.1 under the engine's path, on connections that the engine accepts itself.
//!
//! A polling client keeps two connections open for as long as it lives, so what matters is what an
//! idle one costs. Here it costs the state below and nothing else: reads go into a buffer of the
//! thread, and only what cannot be used at once is kept.
//!
//! The first request on a connection that is not the engine's, or that is in any way unusual, takes
//! the connection to the HTTP server that stands behind, for good. If this process is one of several,
//! where each request may be for another one, it takes a plain request there and comes back.

mod body;
pub mod chunked;
mod connection;
pub mod head;
mod one_request;
mod reply;
mod rewind;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::net::TcpStream;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, Sleep};

use self::connection::{Connection, Step};
pub(crate) use self::one_request::{OneRequest, Reply};
pub(crate) use self::rewind::Rewind;
use crate::app::App;
use crate::behind::Behind;
use crate::engine::Engine;
use crate::http::TrustedProxies;
use crate::request::ConnectionInfo;
use crate::serve::Life;
use sala_engine_proto::intake::Intake;

/// What all connections of a listener share.
pub(crate) struct Host<A: App> {
    pub(crate) engine: Engine<A>,
    /// Serves requests that are not for the engine.
    pub(crate) behind: Box<dyn Behind>,
    /// Who tells the address of a client behind it.
    pub(crate) proxies: TrustedProxies,
    /// Where connections come from and go back to, if this process is one of several.
    pub(crate) intake: Option<Arc<dyn Intake>>,
}

pin_project! {
    /// One connection.
    pub(crate) struct Front<A: App> {
        connection: Connection<A>,
        #[pin]
        stop: OwnedNotified,
        #[pin]
        sleep: Sleep,
        // When `sleep` ends. It is set again only if that is too late, or has been.
        armed: Instant,
        // Whether `sleep` and `stop` know whom to wake.
        registered: bool,
        listening: bool,
    }
}

impl<A: App> Front<A> {
    /// A new connection of which something has been read already, or nothing.
    pub(crate) fn new(
        io: TcpStream,
        read: Vec<u8>,
        info: ConnectionInfo,
        host: Arc<Host<A>>,
        life: Life,
    ) -> Self {
        let deadline = Instant::now() + host.engine.config().header_timeout;
        Self {
            stop: life.stop_begins(),
            sleep: tokio::time::sleep_until(deadline),
            armed: deadline,
            registered: false,
            listening: false,
            connection: Connection::new(io, read, info, host, life, deadline),
        }
    }

    /// A connection that has carried requests before.
    fn again(
        io: TcpStream,
        read: Vec<u8>,
        info: ConnectionInfo,
        host: Arc<Host<A>>,
        life: Life,
    ) -> Self {
        let mut front = Self::new(io, read, info, host, life);
        front.connection.is_known();
        front
    }
}

impl<A: App> Future for Front<A> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        loop {
            let deadline = match this.connection.step(cx) {
                Step::Again => continue,
                Step::Done => return Poll::Ready(()),
                Step::Sleep(deadline) => deadline,
            };
            if !*this.listening {
                *this.listening = true;
                // Only to be woken: whether it is time to stop is asked where it matters.
                if this.stop.as_mut().poll(cx).is_ready() {
                    continue;
                }
            }
            let Some(deadline) = deadline else {
                return Poll::Pending;
            };
            if deadline < *this.armed || !*this.registered {
                this.sleep.as_mut().reset(deadline);
                *this.armed = deadline;
                *this.registered = true;
            }
            if this.sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            *this.registered = false;
            if deadline <= Instant::now()
                && let Step::Done = this.connection.time_out(cx)
            {
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CloseReason, Connection, Data, Scope, SessionHandle};

    struct Nothing;

    impl App for Nothing {
        type Connection = Nothing;
        fn connect(&self, _: &SessionHandle, _: &mut Scope<'_, '_>) -> Self {
            Self
        }
    }

    impl Connection for Nothing {
        fn message(&mut self, _: Data<'_>, _: &mut Scope<'_, '_>) {}
        fn close(&mut self, _: CloseReason, _: Option<&str>, _: &mut Scope<'_, '_>) {}
    }

    /// A polling client has two of these. Growth is a decision, not an accident.
    #[test]
    fn a_connection_stays_small() {
        let size = size_of::<Front<Nothing>>();
        println!("{size} bytes");
        assert!(size <= 512);
    }
}
