//! The names of the channels, and which message goes to which.

use std::sync::Arc;

use sala_adapter::{Envelope, Message, Room};

use super::SubscriptionMode;

/// Names channels.
#[derive(Clone, Debug)]
pub(super) struct Channels {
    pub(super) prefix: Arc<str>,
    pub(super) mode: SubscriptionMode,
}

impl Channels {
    /// What concerns a namespace.
    pub(super) fn namespace(&self, namespace: &str) -> String {
        format!("{}#{namespace}#", self.prefix)
    }

    /// Of a room, or the answers for a server: the reference names both alike.
    pub(super) fn within(&self, namespace: &str, name: &str) -> String {
        format!("{}#{namespace}#{name}#", self.prefix)
    }

    /// Where a message goes.
    pub(super) fn of(&self, envelope: &Envelope) -> String {
        let namespace = envelope.namespace.as_str();
        let room = || self.only_room(&envelope.message);
        match (&envelope.recipient, room()) {
            (Some(server), _) => self.within(namespace, server.as_str()),
            (None, Some(room)) => self.within(namespace, room.as_str()),
            (None, None) => self.namespace(namespace),
        }
    }

    /// The room whose channel a message goes to.
    fn only_room<'m>(&self, message: &'m Message) -> Option<&'m Room> {
        let Message::Broadcast {
            target,
            request: None,
            ..
        } = message
        else {
            return None;
        };
        let mut rooms = target.rooms.iter();
        let room = rooms.next().filter(|_| rooms.next().is_none())?;
        self.has_channel(room).then_some(room)
    }

    /// Whether senders use the channel of a room of this name.
    fn has_channel(&self, room: &Room) -> bool {
        match self.mode {
            SubscriptionMode::Static => false,
            SubscriptionMode::Dynamic => !room.is_as_long_as_a_socket_id(),
            SubscriptionMode::DynamicPrivate => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use sala_adapter::message::RequestId;
    use sala_adapter::{ServerId, Target};
    use sala_proto::RawArgs;

    use super::*;

    fn channel(mode: SubscriptionMode, target: Target, request: Option<&str>) -> String {
        let channels = Channels {
            prefix: "p".into(),
            mode,
        };
        channels.of(&Envelope {
            namespace: "/chat".into(),
            sender: Some("me".into()),
            recipient: None,
            message: Message::Broadcast {
                packet: RawArgs::new_event("e", &()).expect("an event"),
                target,
                request: request.map(RequestId::from),
            },
        })
    }

    #[test]
    fn only_a_broadcast_to_one_room_without_acknowledgement_uses_its_channel() {
        use SubscriptionMode::{Dynamic, DynamicPrivate, Static};
        let twenty = "abcdefghij0123456789";
        for (mode, room, to) in [
            (Static, "r", "p#/chat#"),
            (Dynamic, "r", "p#/chat#r#"),
            (Dynamic, twenty, "p#/chat#"),
            // Ten characters, twenty units.
            (Dynamic, "😀😀😀😀😀😀😀😀😀😀", "p#/chat#"),
            (DynamicPrivate, twenty, "p#/chat#abcdefghij0123456789#"),
        ] {
            assert_eq!(channel(mode, Target::all().to(room), None), to);
            assert_eq!(
                channel(mode, Target::all().to(room), Some("id")),
                "p#/chat#"
            );
            assert_eq!(
                channel(mode, Target::all().to([room, "other"]), None),
                "p#/chat#"
            );
        }
        assert_eq!(channel(Dynamic, Target::all(), None), "p#/chat#");
    }

    #[test]
    fn answers_go_to_whoever_asked() {
        let channels = Channels {
            prefix: "p".into(),
            mode: SubscriptionMode::Dynamic,
        };
        let answer = Envelope {
            namespace: "/".into(),
            sender: Some("me".into()),
            recipient: Some(ServerId::from("them")),
            message: Message::BroadcastClientCount {
                request: "id".into(),
                clients: 0,
            },
        };
        assert_eq!(channels.of(&answer), "p#/#them#");
    }
}
