//! Who receives a packet, and the names used for it.

mod rooms;

use std::time::Duration;

pub use self::rooms::{IntoRooms, RoomIter, RoomSet};
use crate::text::{Text, text_shown, text_type};

text_type! {
    /// The name of a room.
    ///
    /// 24 bytes, cheap to clone: names up to 22 bytes are kept inline, longer ones are shared.
    /// Any text is a name, also the empty one. The reference accepts numbers as well, with `1`
    /// and `"1"` being different rooms; here a name is always text.
    Room
}
text_shown!(Room);

text_type! {
    /// The public id of a Socket.IO socket, which is also the name of the room that only this
    /// socket is in.
    ///
    /// Usually 20 random characters, different for each namespace. A client of Socket.IO 2
    /// (revision 3 of Engine.IO) computes the id itself, so there it is the Engine.IO session id
    /// on `/` and `/ns#<session id>` elsewhere. Ids of other servers are taken as they are.
    ///
    /// 24 bytes, without an allocation up to 22 characters.
    SocketId
}
text_shown!(SocketId);

text_type! {
    /// The id of a server within its cluster.
    ServerId
}
text_shown!(ServerId);

impl SocketId {
    /// Makes an id of 20 characters (`0-9A-Za-z-_`, 120 random bits).
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give.
    #[must_use]
    pub fn random() -> Self {
        Self(Text::random())
    }

    /// The id of a socket whose client speaks revision 3: `session` on `/`, elsewhere
    /// `<namespace>#<session>`.
    #[must_use]
    pub fn revision3(namespace: &str, session: &str) -> Self {
        if namespace == "/" {
            session.into()
        } else {
            format!("{namespace}#{session}").into()
        }
    }
}

impl ServerId {
    /// Makes an id as the reference does: 8 random bytes in hexadecimal.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give.
    #[must_use]
    pub fn random() -> Self {
        format!("{:016x}", rand::random::<u64>()).into()
    }

    /// What emitters call themselves: they are no servers, and nobody waits for them.
    #[must_use]
    pub fn emitter() -> Self {
        "emitter".into()
    }

    /// Whether this is [`emitter`](Self::emitter).
    #[must_use]
    pub fn is_emitter(&self) -> bool {
        self.as_bytes() == b"emitter"
    }
}

impl From<SocketId> for Room {
    fn from(id: SocketId) -> Self {
        Self(id.0)
    }
}

impl From<&SocketId> for Room {
    fn from(id: &SocketId) -> Self {
        Self(id.0.clone())
    }
}

impl From<&Room> for SocketId {
    /// The socket whose own room this would be. Does not allocate.
    fn from(room: &Room) -> Self {
        Self(room.0.clone())
    }
}

impl Room {
    /// Whether the reference takes it for the own room of a socket when it chooses a channel: by its length, 20
    /// UTF-16 units. Ids of clients of revision 3 outside of `/` are longer.
    #[must_use]
    pub fn is_as_long_as_a_socket_id(&self) -> bool {
        self.as_str().encode_utf16().count() == 20
    }
}

impl From<&Room> for Room {
    fn from(room: &Room) -> Self {
        room.clone()
    }
}

/// Which sockets of a namespace are meant, and how they are to be reached.
///
/// No room means every socket; several rooms mean their union, each socket once. Sockets in any
/// of the `except` rooms are left out, whatever the rooms say. A socket id is the name of a room,
/// so both lists may hold ids.
///
/// ```
/// use sala_adapter::{SocketId, Target};
///
/// let sender = SocketId::random();
/// let target = Target::all().to(["news", "sport"]).except(&sender).volatile();
/// assert_eq!(target.rooms.len(), 2);
/// assert!(target.flags.volatile);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Target {
    /// The rooms; none means every socket of the namespace.
    pub rooms: RoomSet,
    /// Sockets in these rooms are left out.
    pub except: RoomSet,
    /// How the packet is to be sent.
    pub flags: Flags,
}

/// How a packet is to be sent. The default sets none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// May be dropped for a socket that is not ready to receive it.
    pub volatile: bool,
    /// Whether it may be compressed; `None` if the caller did not say, which means yes.
    pub compress: Option<bool>,
    /// Only sockets of this server.
    pub local: bool,
    /// How long to wait for the acknowledgements, in whole milliseconds on the wire.
    pub timeout: Option<Duration>,
    /// One socket is meant, so one acknowledgement is enough and is returned by itself.
    pub expect_single_response: bool,
}

impl Target {
    /// Every socket of the namespace.
    pub fn all() -> Self {
        Self::default()
    }

    /// Adds rooms to the union of rooms.
    pub fn to(mut self, rooms: impl IntoRooms) -> Self {
        rooms.add_to(&mut self.rooms);
        self
    }

    /// The same as [`to`](Self::to).
    pub fn in_(self, rooms: impl IntoRooms) -> Self {
        self.to(rooms)
    }

    /// Leaves out the sockets in these rooms.
    pub fn except(mut self, rooms: impl IntoRooms) -> Self {
        rooms.add_to(&mut self.except);
        self
    }

    /// Only sockets of this server.
    pub fn local(mut self) -> Self {
        self.flags.local = true;
        self
    }

    /// The packet may be dropped for a socket that is not ready to receive it.
    pub fn volatile(mut self) -> Self {
        self.flags.volatile = true;
        self
    }

    /// Says whether the packet may be compressed. Default: it may.
    pub fn compress(mut self, compress: bool) -> Self {
        self.flags.compress = Some(compress);
        self
    }

    /// Says how long to wait for acknowledgements.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.flags.timeout = Some(timeout);
        self
    }

    /// Whether a socket in `joined` is meant (its own room counts as one of them).
    ///
    /// This is the rule by which a missed packet is chosen for a recovered session.
    #[must_use]
    pub fn matches(&self, joined: &RoomSet) -> bool {
        is_meant(&self.rooms, &self.except, joined)
    }
}

/// The rule of [`Target::matches`].
pub(crate) fn is_meant(rooms: &RoomSet, except: &RoomSet, joined: &RoomSet) -> bool {
    (rooms.is_empty() || rooms.intersects(joined)) && !except.intersects(joined)
}

#[cfg(test)]
mod tests;
