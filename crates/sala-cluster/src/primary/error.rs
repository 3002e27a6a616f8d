//! Why a primary ends without having been asked to.

use std::fmt;
use std::io;

use super::config::MAX_WORKERS;

/// What went wrong in a primary.
#[derive(Debug)]
#[non_exhaustive]
pub enum PrimaryError {
    /// There is nothing to listen on.
    NoAddress,
    /// There are no workers, or more than there can be.
    Workers {
        /// How many there were to be.
        count: usize,
    },
    /// An address cannot be listened on.
    Listen {
        /// As it was given.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Something that the primary needs of the operating system failed.
    System {
        /// What it was.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Workers died again and again right after their start, and none was left.
    WorkersDie {
        /// How many in a row, on one seat.
        deaths: u32,
        /// How the last one ended.
        last: String,
    },
    /// On the way out, workers had to be killed: they did not end within the grace period, or the
    /// primary was told a second time to end.
    Killed {
        /// How many.
        workers: usize,
    },
}

impl fmt::Display for PrimaryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress => f.write_str(
                "there is no address to listen on: name one, or start with systemd's socket activation",
            ),
            Self::Workers { count } => write!(
                f,
                "the number of workers must be from 1 to {MAX_WORKERS}, not {count}"
            ),
            Self::Listen { address, .. } => write!(f, "cannot listen on {address}"),
            Self::System { what, .. } => f.write_str(what),
            Self::WorkersDie { deaths, last } => write!(
                f,
                "{deaths} workers in a row died right after their start and none is left: {last}; \
                 see what they wrote before"
            ),
            Self::Killed { workers } => write!(
                f,
                "{workers} workers had to be killed: they had not ended by themselves"
            ),
        }
    }
}

impl std::error::Error for PrimaryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { source, .. } | Self::System { source, .. } => Some(source),
            _ => None,
        }
    }
}
