//! A socket whose session came back from a store that all servers share.
//!
//! The store and the live deliveries of this server are two ways by which the same packet may come. From the
//! moment at which targets find the socket, what is delivered to it is held back; then the store is asked
//! what was logged up to now; then the client gets the one, and of the other what was not among it.
//! What the store gave may still come by the live way for some time: so it is remembered.

use std::collections::HashSet;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use sala_adapter::recovery::Offset;
use sala_engine::Frame;
use tokio::time::Instant;

use super::Socket;
use super::inner::Phase;
use super::send::TooSlow;

/// How many bytes are held back for one client, which is not told anything meanwhile.
const MAX_HELD_BYTES: usize = 8 * 1024 * 1024;
/// For how long a packet may come twice: longer than a server lags behind the log without being cut off
/// from it.
const MEMORY: Duration = Duration::from_secs(60);

/// How far a socket has come.
#[derive(Default)]
pub(crate) enum CatchUp {
    /// Nothing is special about it.
    #[default]
    Done,
    Holding(Box<Held>),
    Recent(Box<Recent>),
}

/// What was delivered in the meantime.
#[derive(Default)]
pub(crate) struct Held {
    packets: Vec<(Frame, Option<Offset>)>,
    bytes: usize,
}

/// What the store gave.
pub(crate) struct Recent {
    offsets: HashSet<Offset, RandomState>,
    until: Instant,
}

impl Socket {
    fn catch_up(&self) -> MutexGuard<'_, CatchUp> {
        let state = &self.0.extra().catch_up;
        state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds back what is delivered from now on.
    pub(crate) fn hold(&self) {
        *self.catch_up() = CatchUp::Holding(Box::default());
    }

    /// Sends a packet of a namespace whose log all servers share. Returns whether it was (or will be) sent: not to
    /// a socket that is not in the namespace yet or any more, nor twice to one that has just come back.
    pub(crate) fn push_once(
        &self,
        frame: &Frame,
        offset: Option<&Offset>,
        volatile: bool,
    ) -> Result<bool, TooSlow> {
        // Only a socket that was recovered can hold something or have seen something.
        if self.0.recovered {
            let mut state = self.catch_up();
            match &mut *state {
                CatchUp::Holding(held) => {
                    let kept = held.add(frame, offset);
                    if kept.is_err() {
                        // As any client that takes nothing: a gap in what it gets would be worse.
                        self.0.session.close_now();
                    }
                    return kept.map(|()| true);
                }
                CatchUp::Recent(recent) => {
                    let known = offset.is_some_and(|offset| recent.contains(offset));
                    if recent.offsets.is_empty() || recent.until < Instant::now() {
                        *state = CatchUp::Done;
                    }
                    if known {
                        return Ok(false);
                    }
                }
                CatchUp::Done => {}
            }
        }
        if self.0.phase() != Phase::Connected {
            return Ok(false);
        }
        self.push(frame, volatile).map(|()| true)
    }

    /// Lets the client in: sends what it missed, the answer to its CONNECT packet, and what was held back. False if
    /// the socket has left meanwhile.
    pub(crate) fn release(
        &self,
        missed: Vec<(Frame, Offset)>,
        reply: &Frame,
    ) -> Result<bool, TooSlow> {
        let mut state = self.catch_up();
        let CatchUp::Holding(held) = std::mem::take(&mut *state) else {
            return Ok(false);
        };
        let mut seen = Recent {
            offsets: HashSet::default(),
            until: Instant::now() + MEMORY,
        };
        for (frame, offset) in missed {
            self.push(&frame, false)?;
            seen.offsets.insert(offset);
        }
        self.push(reply, false)?;
        for (frame, offset) in held.packets {
            if !offset.is_some_and(|offset| seen.contains(&offset)) {
                self.push(&frame, false)?;
            }
        }
        if !seen.offsets.is_empty() {
            *state = CatchUp::Recent(Box::new(seen));
        }
        Ok(self.0.advance(Phase::Connecting, Phase::Connected))
    }
}

impl Held {
    fn add(&mut self, frame: &Frame, offset: Option<&Offset>) -> Result<(), TooSlow> {
        self.bytes += frame.len();
        if self.bytes > MAX_HELD_BYTES {
            return Err(TooSlow);
        }
        self.packets.push((frame.clone(), offset.cloned()));
        Ok(())
    }
}

impl Recent {
    /// Whether the client has this packet; it does not come a third time.
    fn contains(&mut self, offset: &Offset) -> bool {
        self.offsets.remove(offset)
    }
}
