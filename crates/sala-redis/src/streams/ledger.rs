//! What is known of the entries that we wrote. Outlives connections.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::id::StreamId;

/// What is known of the entries that this server wrote.
///
/// When a connection breaks, nobody says which of the commands that were under way Redis has executed. The
/// stream knows: [`Written::confirmed`] says from where on to look there for entries of ours.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    streams: HashMap<String, Written>,
    /// By lane: the connection that wrote last.
    writers: HashMap<String, Writer>,
}

/// What was written to one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// All entries of ours up to here are accounted for.
    pub(super) confirmed: StreamId,
    /// So many more were under way when we last heard of it.
    pub(super) in_flight: usize,
}

/// A connection, as Redis names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Writer {
    /// Its number. A Redis that was started again counts from the beginning.
    pub(super) id: String,
    /// Its own address, which makes the number safe to use.
    pub(super) address: String,
}

impl Ledger {
    pub(super) fn of(&self, stream: &str) -> Option<Written> {
        self.streams.get(stream).copied()
    }

    /// Begins to write to a stream that ends at `end`.
    pub(super) fn begin(&mut self, stream: &str, end: StreamId) {
        let new = Written {
            confirmed: end,
            in_flight: 0,
        };
        self.streams.insert(stream.to_owned(), new);
    }

    /// An entry is about to be written.
    pub(super) fn depart(&mut self, stream: &str) {
        if let Some(written) = self.streams.get_mut(stream) {
            written.in_flight += 1;
        }
    }

    /// What has become of one of them is known: it is in the stream, or it is not.
    pub(super) fn arrive(&mut self, stream: &str, id: Option<StreamId>) {
        if let Some(written) = self.streams.get_mut(stream) {
            written.in_flight = written.in_flight.saturating_sub(1);
            written.confirmed = id.map_or(written.confirmed, |id| written.confirmed.max(id));
        }
    }

    /// Who writes over a lane.
    pub(super) fn writer(&self, lane: &str) -> Option<&Writer> {
        self.writers.get(lane)
    }

    /// Notes who does now.
    pub(super) fn set_writer(&mut self, lane: &str, writer: Option<Writer>) {
        match writer {
            Some(writer) => self.writers.insert(lane.to_owned(), writer),
            None => self.writers.remove(lane),
        };
    }
}

impl Writer {
    /// Reads the answer to `CLIENT INFO`: `id=3 addr=127.0.0.1:50000 …`.
    pub(super) fn parse(info: &str) -> Option<Self> {
        let of = |name: &str| {
            let mut members = info.split_ascii_whitespace();
            members
                .find_map(|member| member.strip_prefix(name))
                .map(str::to_owned)
        };
        Some(Self {
            id: of("id=")?,
            address: of("addr=")?,
        })
    }
}

pub(super) fn lock(shared: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_known_by_its_number_and_its_address() {
        let info = "id=3 addr=127.0.0.1:50000 laddr=127.0.0.1:6379 fd=8 name= db=0\n";
        let writer = Writer::parse(info).expect("both are there");
        assert_eq!((&*writer.id, &*writer.address), ("3", "127.0.0.1:50000"));
        assert_eq!(Writer::parse("id=3"), None);
    }
}
