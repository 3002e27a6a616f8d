//! Connections that another process accepts.

use std::future::Future;
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::time::Duration;

use crate::Network;

/// A connection on its way to the process that serves its next request.
#[derive(Debug)]
pub struct Arrival {
    /// The connection, in non-blocking mode. If `remote` is told it may be another kind of stream
    /// socket: then whoever accepted the connection stays between.
    pub stream: TcpStream,
    /// What was read of it and not used.
    pub read: Vec<u8>,
    /// The client's address, if it is not the one that the socket knows.
    pub remote: Option<SocketAddr>,
    /// Whoever accepted the connection decrypts it.
    pub secure: bool,
}

/// How a process lets go of its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leave {
    /// How long all of it may take.
    pub grace: Duration,
    /// Over which time the clients are let go of.
    pub spread: Duration,
}

/// Where a server that is one of several processes behind one port gets its connections: one of
/// them accepts and looks whose each is.
///
/// A connection may carry requests of several sessions, one after the other, as proxies keep a few
/// open for all their clients. So the server asks before each request but the first whether it
/// [is ours](Self::is_ours), and [passes on](Self::pass_on) a connection whose next one is not.
///
/// What knows nothing of servers implements this (`sala-cluster`), and what knows nothing of
/// processes uses it (`sala-engine`).
pub trait Intake: Send + Sync + 'static {
    /// With which two characters the ids of all sessions of this process begin, so that everybody
    /// can tell whose a session is.
    fn session_prefix(&self) -> [u8; 2];

    /// Proxies in front of the process that accepts, whose `X-Forwarded-For` is to be believed:
    /// those of the server's own configuration are added. Default: none.
    fn trusted_proxies(&self) -> Vec<Network> {
        Vec::new()
    }

    /// Says that connections can come now.
    fn begin(&self);

    /// The next connection; `None` if none will come.
    ///
    /// *Cancel safety:* dropping the future loses nothing.
    fn next(&self) -> Pin<Box<dyn Future<Output = Option<Arrival>> + Send + '_>>;

    /// Whether a request is for this process. `first` if it is the first since the connection came;
    /// `session` is the id that it names.
    fn is_ours(&self, first: bool, session: Option<&str>) -> bool;

    /// Gives a connection away, whose next request is for another process.
    fn pass_on(&self, arrival: Arrival);

    /// Tells how many sessions are open, for a fair share of new ones. Called several times a second,
    /// whether the number has changed or not.
    fn report(&self, sessions: usize);

    /// Resolves when the process is to let go of its clients and end.
    fn leave(&self) -> Pin<Box<dyn Future<Output = Leave> + Send>>;
}
