//! The names of the channels.

use std::sync::Arc;

use sala_adapter::{Envelope, Message, Room};

use crate::peers::escaped;

/// Names channels.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) key: Arc<str>,
    /// Whether answers go to the channel of whoever asked, as far as that is possible.
    pub(super) specific: bool,
}

impl Names {
    /// Broadcasts of a namespace.
    pub(super) fn broadcasts(&self, namespace: &str) -> String {
        format!("{}#{namespace}#", self.key)
    }

    /// The pattern of all channels for broadcasts of a namespace. Only its last character stands for others.
    pub(super) fn pattern(&self, namespace: &str) -> String {
        format!("{}*", escaped(&self.broadcasts(namespace)))
    }

    /// Questions and commands.
    pub(super) fn requests(&self, namespace: &str) -> String {
        format!("{}-request#{namespace}#", self.key)
    }

    /// Answers for everybody.
    pub(super) fn responses(&self, namespace: &str) -> String {
        format!("{}-response#{namespace}#", self.key)
    }

    /// Answers for one server.
    pub(super) fn responses_to(&self, namespace: &str, server: &str) -> String {
        format!("{}-response#{namespace}#{server}#", self.key)
    }

    /// Where a message goes.
    pub(super) fn of(&self, envelope: &Envelope) -> String {
        let namespace = envelope.namespace.as_str();
        match &envelope.message {
            Message::Broadcast {
                target,
                request: None,
                ..
            } => match only(target.rooms.iter()) {
                Some(room) => format!("{}#{namespace}#{room}#", self.key),
                None => self.broadcasts(namespace),
            },
            // The reference never sends these to one server alone.
            Message::ServerSideEmitResponse { .. } => self.responses(namespace),
            message if message.answers().is_some() => match &envelope.recipient {
                Some(server) if self.specific => self.responses_to(namespace, server.as_str()),
                _ => self.responses(namespace),
            },
            _ => self.requests(namespace),
        }
    }
}

fn only<'r>(mut rooms: impl Iterator<Item = &'r Room>) -> Option<&'r Room> {
    let room = rooms.next()?;
    rooms.next().is_none().then_some(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_the_channels_of_its_namespace_alone() {
        let names = Names {
            key: "socket.io".into(),
            specific: false,
        };
        assert_eq!(names.pattern("/"), "socket.io#/#*");
        assert_eq!(
            names.pattern("/a*?[b]\\^"),
            "socket.io#/a\\*\\?\\[b\\]\\\\^#*"
        );
    }
}
