//! What servers of a cluster say to each other.

use sala_proto::{RawArgs, Value};

use crate::target::{Room, RoomSet, ServerId, SocketId, Target};
use crate::text::{text_shown, text_type};

text_type! {
    /// The id by which an answer finds its question. Opaque.
    RequestId
}
text_shown!(RequestId);

impl RequestId {
    /// Makes an id as the reference does: 8 random bytes in hexadecimal.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give.
    #[must_use]
    pub fn random() -> Self {
        Self(ServerId::random().0)
    }
}

/// One message between servers: what is on the wire, whatever the broker.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The namespace that it concerns.
    pub namespace: Room,
    /// Who sends it. [`ServerId::emitter`] for an emitter, which is no server. `None` where the
    /// format has no place for it (answers of the classic Redis adapter, commands of its emitter).
    pub sender: Option<ServerId>,
    /// The only server that it is for: whoever asked, if this is an answer.
    pub recipient: Option<ServerId>,
    /// What it says.
    pub message: Message,
}

/// What a message says: the thirteen types of the reference's cluster adapter, and two questions
/// that only its classic Redis adapter asks.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Message {
    /// 1: a server comes, and wants to hear who is there.
    InitialHeartbeat,
    /// 2: a server is there.
    Heartbeat,
    /// 3: an event for sockets.
    Broadcast {
        /// The event: its name and its arguments.
        packet: RawArgs,
        /// Whom it is for.
        target: Target,
        /// Set if the answers of the clients are wanted.
        request: Option<RequestId>,
    },
    /// 4: make sockets join rooms.
    Join {
        /// Which sockets.
        target: Target,
        /// Which rooms.
        rooms: RoomSet,
    },
    /// 5: make sockets leave rooms.
    Leave {
        /// Which sockets.
        target: Target,
        /// Which rooms.
        rooms: RoomSet,
    },
    /// 6: disconnect sockets from the namespace.
    Disconnect {
        /// Which sockets.
        target: Target,
        /// Close the connection beneath as well.
        close: bool,
    },
    /// 7: which sockets are there?
    FetchSockets {
        /// The question.
        request: RequestId,
        /// Which sockets are meant.
        target: Target,
    },
    /// 8: these.
    FetchSocketsResponse {
        /// The question.
        request: RequestId,
        /// Those that match.
        sockets: Vec<SocketSnapshot>,
    },
    /// 9: an event for the servers themselves.
    ServerSideEmit {
        /// The event: its name and its arguments.
        packet: RawArgs,
        /// Set if an answer is wanted.
        request: Option<RequestId>,
    },
    /// 10: the answer of a server's listener.
    ServerSideEmitResponse {
        /// The question.
        request: RequestId,
        /// The first argument of the answer, or none.
        answer: RawArgs,
    },
    /// 11: how many clients an event with acknowledgement was sent to.
    BroadcastClientCount {
        /// The question.
        request: RequestId,
        /// How many.
        clients: usize,
    },
    /// 12: the answer of one client.
    BroadcastAck {
        /// The question.
        request: RequestId,
        /// The first argument of the answer, or none.
        answer: RawArgs,
    },
    /// 13: a server goes.
    AdapterClose,
    /// Which rooms are there? Asked by `allRooms()` of the classic Redis adapter.
    FetchRooms {
        /// The question.
        request: RequestId,
    },
    /// These.
    FetchRoomsResponse {
        /// The question.
        request: RequestId,
        /// All rooms of the server, those of single sockets included.
        rooms: RoomSet,
    },
    /// Which sockets, by id, are in any of these rooms? Asked by old versions of the classic Redis
    /// adapter; no room means all sockets.
    FetchIds {
        /// The question.
        request: RequestId,
        /// The rooms.
        rooms: RoomSet,
    },
    /// These.
    FetchIdsResponse {
        /// The question.
        request: RequestId,
        /// Their ids.
        ids: Vec<SocketId>,
    },
}

impl Message {
    /// The number of the type in the formats of the cluster adapter; `None` for what only the
    /// classic Redis adapter says.
    #[must_use]
    pub fn number(&self) -> Option<u8> {
        Some(match self {
            Self::InitialHeartbeat => 1,
            Self::Heartbeat => 2,
            Self::Broadcast { .. } => 3,
            Self::Join { .. } => 4,
            Self::Leave { .. } => 5,
            Self::Disconnect { .. } => 6,
            Self::FetchSockets { .. } => 7,
            Self::FetchSocketsResponse { .. } => 8,
            Self::ServerSideEmit { .. } => 9,
            Self::ServerSideEmitResponse { .. } => 10,
            Self::BroadcastClientCount { .. } => 11,
            Self::BroadcastAck { .. } => 12,
            Self::AdapterClose => 13,
            Self::FetchRooms { .. }
            | Self::FetchRoomsResponse { .. }
            | Self::FetchIds { .. }
            | Self::FetchIdsResponse { .. } => return None,
        })
    }

    /// The question that this answers; `None` if it is no answer.
    #[must_use]
    pub fn answers(&self) -> Option<&RequestId> {
        match self {
            Self::FetchSocketsResponse { request, .. }
            | Self::ServerSideEmitResponse { request, .. }
            | Self::BroadcastClientCount { request, .. }
            | Self::BroadcastAck { request, .. }
            | Self::FetchRoomsResponse { request, .. }
            | Self::FetchIdsResponse { request, .. } => Some(request),
            _ => None,
        }
    }

    /// The id of the question that this is; `None` if nobody waits for an answer.
    #[must_use]
    pub fn asks(&self) -> Option<&RequestId> {
        match self {
            Self::Broadcast { request, .. } | Self::ServerSideEmit { request, .. } => {
                request.as_ref()
            }
            Self::FetchSockets { request, .. }
            | Self::FetchRooms { request }
            | Self::FetchIds { request, .. } => Some(request),
            _ => None,
        }
    }
}

/// A socket as it was on its server when that server was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct SocketSnapshot {
    /// Its id.
    pub id: SocketId,
    /// Its handshake, as the reference describes it: an object.
    pub handshake: Value,
    /// The rooms it was in, its own among them.
    pub rooms: RoomSet,
    /// Its `data`; may hold bytes.
    pub data: Value,
}
