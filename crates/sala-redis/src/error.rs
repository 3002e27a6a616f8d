//! Errors of the client library, in the words of the backend contract.

use redis::{ErrorKind, RedisError, ServerErrorKind};
use sala_adapter::BackendErrorKind::{Misconfigured, Refused, Unreachable};
use sala_adapter::{BackendError, BackendErrorKind};

/// What went wrong while `doing` something at an address.
pub(crate) fn failed(doing: &str, address: &str, error: RedisError) -> BackendError {
    let advice = advice(&error);
    let text = match advice {
        "" => format!("{doing} at {address} failed"),
        _ => format!("{doing} at {address} failed ({advice})"),
    };
    BackendError::new(kind(&error), text).caused_by(error)
}

/// Whether the connection is of no use any more.
pub(crate) fn ends_connection(error: &RedisError) -> bool {
    error.is_unrecoverable_error() || error.is_timeout() || error.is_io_error()
}

/// Whether the answer did not come in time: whoever was asked is there and hangs.
#[cfg(feature = "cluster")]
pub(crate) fn is_timeout(error: &BackendError) -> bool {
    let cause = std::error::Error::source(error);
    let cause = cause.and_then(|cause| cause.downcast_ref::<RedisError>());
    cause.is_some_and(RedisError::is_timeout)
}

fn kind(error: &RedisError) -> BackendErrorKind {
    match error.kind() {
        ErrorKind::InvalidClientConfig => Misconfigured,
        ErrorKind::AuthenticationFailed | ErrorKind::RESP3NotSupported => Refused,
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::TryAgain
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask,
        ) => Unreachable,
        ErrorKind::Server(_) | ErrorKind::Extension => Refused,
        _ => Unreachable,
    }
}

/// What somebody can do about it, if we know.
fn advice(error: &RedisError) -> &'static str {
    match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS" | "NOAUTH")) => {
            "check the user and the password in the URL: redis://user:password@host:6379"
        }
        (ErrorKind::RESP3NotSupported, _) | (_, Some("NOPROTO")) => "Redis 6.0 or newer is needed",
        (ErrorKind::Server(ServerErrorKind::NoPerm), _) => {
            "give this user of Redis the commands and channels that the documentation of sala-redis lists"
        }
        (_, Some("OOM")) => "Redis is at its maxmemory: raise it or evict",
        (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => {
            "this is a replica: name the master, or use redis+sentinel://"
        }
        (_, Some("DENIED")) => {
            "Redis runs in protected mode: set a password or bind it to a private address"
        }
        _ if error.is_connection_refusal() => "nothing listens there: is Redis running?",
        _ if error.is_timeout() => "no answer in time",
        _ => "",
    }
}
