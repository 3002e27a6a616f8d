//! Sessions that come back from a store that all servers share.
//!
//! The store answers later, so this is in three steps, each of which leaves work for the next: take the
//! session; let targets find its socket and hold back what they deliver; let the client in.

use std::sync::Arc;

use sala_adapter::recovery::{Offset, PrivateId, RecoveryStore, SavedSession};
use sala_engine::{Frame, Scope};
use sala_proto::RawArgs;

use super::connect::Claim;
use super::{Live, Restored, Work};
use crate::cluster::sessions::{self, Missed};
use crate::error::{Error, Refused};
use crate::namespace::Namespace;
use crate::namespace::admission::Seat;
use crate::socket::{Data, Socket};

/// A client whose session was asked for.
pub(crate) struct Asked {
    seat: Seat,
    auth: Option<RawArgs>,
    offset: Offset,
    taken: Option<(SavedSession<Data>, Missed)>,
}

impl Asked {
    /// The client is gone: the session waits for it again.
    pub(super) fn give_up(self) {
        if let Some((session, _)) = self.taken {
            sessions::put_back(self.seat.nsp(), session);
        }
    }
}

/// A client whose session was taken, and what was logged for it since.
pub(crate) struct CaughtUp {
    socket: Socket,
    session: SavedSession<Data>,
    missed: Option<Missed>,
}

impl CaughtUp {
    /// The client is gone: the session waits for it again.
    pub(super) fn give_up(self) {
        sessions::put_back(self.socket.nsp(), self.session);
    }
}

impl Live {
    /// Asks the store for a session.
    pub(super) fn ask_store(
        &mut self,
        seat: Seat,
        auth: Option<RawArgs>,
        claim: Claim,
        store: Arc<dyn RecoveryStore>,
        scope: &mut Scope<'_, '_>,
    ) {
        self.resolving.push(seat.nsp().name().into());
        let (inbox, session) = (self.inbox.clone(), self.session.clone());
        scope.run(Box::pin(async move {
            let pid = PrivateId::from(claim.pid);
            let offset = Offset::from(claim.offset);
            let taken = sessions::take(seat.nsp(), &*store, &pid, &offset).await;
            let asked = Asked {
                seat,
                auth,
                offset,
                taken,
            };
            if let Some(Work::Taken(asked)) = inbox.offer(&session, Work::Taken(Box::new(asked))) {
                asked.give_up();
            }
        }));
    }

    /// The store has answered.
    pub(super) fn taken(&mut self, asked: Asked, scope: &mut Scope<'_, '_>) {
        let name = asked.seat.nsp().name();
        self.resolving.retain(|waiting| **waiting != *name);
        if self.broken {
            return asked.give_up();
        }
        let restored = asked.taken.map(|(session, missed)| {
            Box::new(Restored {
                session,
                offset: asked.offset.as_str().into(),
                missed: super::Missed::Stored(missed),
            })
        });
        self.enter(asked.seat, asked.auth, restored, scope);
    }

    /// Lets targets find the socket, and asks the store what was logged since it gave the session.
    pub(super) fn catch_up(
        &mut self,
        index: usize,
        session: SavedSession<Data>,
        offset: &str,
        mut missed: Missed,
        scope: &mut Scope<'_, '_>,
    ) {
        let socket = self.members[index].socket.clone();
        let nsp = socket.nsp().clone();
        let Some(store) = nsp.inner.link().and_then(|link| link.store.clone()) else {
            return;
        };
        socket.hold();
        if let Err(error) = nsp.inner.rooms.admit(socket.id(), &socket, &socket.0.rooms) {
            tracing::warn!(socket = %socket.id(), ?error, "a socket id is taken");
            return self.refuse(index, &Refused::new("the session is in use"));
        }
        nsp.inner.tell_room_events();
        let after = match missed.last() {
            Some((_, offset)) => offset.clone(),
            None => Offset::from(offset),
        };
        let (inbox, connection) = (self.inbox.clone(), self.session.clone());
        scope.run(Box::pin(async move {
            let since = sessions::missed(&nsp, &*store, &session.rooms, &after).await;
            let caught = CaughtUp {
                socket,
                session,
                missed: since.map(|mut since| {
                    missed.append(&mut since);
                    missed
                }),
            };
            let work = Work::CaughtUp(Box::new(caught));
            if let Some(Work::CaughtUp(caught)) = inbox.offer(&connection, work) {
                caught.give_up();
            }
        }));
    }

    /// The store has told what was logged: the client may come in.
    pub(super) fn caught_up(&mut self, caught: CaughtUp, scope: &mut Scope<'_, '_>) {
        let Some(index) = self.index_of(&caught.socket).filter(|_| !self.broken) else {
            return caught.give_up();
        };
        if caught.missed.is_none() {
            // Nobody knows what the client has missed. It comes again in a moment, to a store that works or
            // as a new client.
            caught.give_up();
            return self.break_off();
        }
        let CaughtUp { socket, missed, .. } = caught;
        let nsp = socket.nsp();
        let frames = encode_missed(nsp, missed.unwrap_or_default());
        let released = match (frames, self.encode_reply(&socket)) {
            (Ok(frames), Ok(reply)) => socket.release(frames, &reply),
            // Only a parser of the user can fail here.
            (Err(error), _) | (_, Err(error)) => return self.violation(error),
        };
        match released {
            Ok(true) => {
                self.shared.counters.recovered.count();
                self.greet(index, scope);
            }
            Ok(false) => self.refuse(index, &Refused::new("the session is in use")),
            Err(_) => {
                socket.report_slow();
                self.break_off();
            }
        }
    }
}

fn encode_missed(nsp: &Namespace, missed: Missed) -> Result<Vec<(Frame, Offset)>, Error> {
    let encode = |(packet, offset): (RawArgs, Offset)| {
        let event = packet.event()?;
        let place = Some(offset.as_str());
        let frame = nsp
            .shared
            .encode_event(nsp.name(), None, &event, &packet, place);
        Some(frame.map(|frame| (frame, offset.clone())))
    };
    missed.into_iter().filter_map(encode).collect()
}
