//! What most sockets never use.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::catch_up::CatchUp;
use super::data::{Data, Extensions};
use crate::namespace::table::Table;
use crate::versioned::Versioned;

/// The parts of a socket that are made when they are first used.
#[derive(Default)]
pub(crate) struct Extra {
    data: Mutex<Data>,
    pub(super) extensions: Extensions,
    /// Listeners of this socket alone.
    pub(crate) table: Versioned<Table>,
    pub(super) catch_up: Mutex<CatchUp>,
}

impl Extra {
    pub(crate) fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
