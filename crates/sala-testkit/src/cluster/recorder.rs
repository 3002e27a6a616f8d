use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sala_adapter::adapter::{AckSink, Command};
use sala_adapter::message::SocketSnapshot;
use sala_adapter::recovery::Offset;
use sala_adapter::{Local, Room, RoomSet, SocketId, Target};
use sala_proto::{Object, RawArgs, Value};
use tokio::sync::watch;
use tokio::time::timeout;

use super::node::heard_event;

/// A namespace without sockets of flesh: it writes down what the cluster asks of it, and answers as it was told.
pub struct Recorder {
    state: Mutex<State>,
    changes: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    heard: Vec<Heard>,
    sockets: Vec<SocketSnapshot>,
    /// Rooms beside those of the sockets.
    rooms: RoomSet,
    mute: bool,
    panics: bool,
    kept: Vec<AckSink>,
}

/// What a namespace was asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// An event for sockets: its name and its arguments.
    Event {
        /// The name, then the arguments.
        event: Vec<Value>,
        /// For whom.
        target: Target,
        /// The place in the log.
        offset: Option<Offset>,
        /// Whether answers are wanted.
        ack: bool,
    },
    /// A command.
    Command(Command, Target),
    /// An event for the servers.
    ServerSide(Vec<Value>),
}

impl Heard {
    /// The first argument of an event, if it is an integer.
    #[must_use]
    pub fn number(&self) -> Option<i64> {
        let (Self::Event { event, .. } | Self::ServerSide(event)) = self else {
            return None;
        };
        match event.get(1) {
            Some(Value::Number(sala_proto::Number::Int(n))) => Some(*n),
            Some(Value::Number(sala_proto::Number::UInt(n))) => i64::try_from(*n).ok(),
            _ => None,
        }
    }
}

impl Recorder {
    /// A namespace with these sockets. Each answers events with its id, and the server answers events for servers
    /// with the id of its first socket.
    #[must_use]
    pub fn new(sockets: Vec<SocketSnapshot>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                sockets,
                ..State::default()
            }),
            changes: watch::Sender::new(0),
        })
    }

    /// Notes that a room has members now, or none any more.
    pub fn occupy(&self, room: &Room, occupied: bool) {
        let mut state = self.lock();
        if occupied {
            state.rooms.insert(room.clone());
        } else {
            state.rooms.remove(room);
        }
    }

    /// Nobody answers from now on: questions stay open.
    pub fn mute(&self) {
        self.lock().mute = true;
    }

    /// All sockets answer, once for each question that was left open.
    pub fn answer_kept(&self) {
        let kept = std::mem::take(&mut self.lock().kept);
        let sockets = self.sockets(&Target::all());
        for answer in kept {
            sockets.iter().for_each(|socket| answer(args(&socket.id)));
        }
    }

    /// Whether events make the application panic.
    pub fn panics(&self, panics: bool) {
        self.lock().panics = panics;
    }

    /// Everything so far.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        self.lock().heard.clone()
    }

    /// Forgets everything so far.
    pub fn forget(&self) {
        self.lock().heard.clear();
    }

    /// Waits until so many things were heard, and returns all.
    ///
    /// # Panics
    ///
    /// When that takes longer than `patience`.
    pub async fn wait(&self, count: usize, patience: Duration) -> Vec<Heard> {
        let what = format!("{count} messages");
        self.wait_for(&what, patience, |heard| heard.len() >= count)
            .await
    }

    /// Waits until the condition holds for what was heard, and returns all.
    ///
    /// # Panics
    ///
    /// When that takes longer than `patience`.
    pub async fn wait_for(
        &self,
        what: &str,
        patience: Duration,
        condition: impl Fn(&[Heard]) -> bool,
    ) -> Vec<Heard> {
        let mut changes = self.changes.subscribe();
        let done = changes.wait_for(|_| condition(&self.lock().heard));
        if timeout(patience, done).await.is_err() {
            let heard = self.heard();
            let (count, last) = (heard.len(), heard.last());
            panic!("waited {patience:?} in vain for {what}: heard {count}, last {last:?}");
        }
        self.heard()
    }

    fn note(&self, heard: Heard) {
        self.lock().heard.push(heard);
        self.changes.send_modify(|count| *count += 1);
    }

    fn event(&self, packet: &RawArgs, target: &Target, offset: Option<&Offset>, ack: bool) {
        assert!(!self.lock().panics, "told to panic");
        self.note(Heard::Event {
            event: heard_event(packet),
            target: target.clone(),
            offset: offset.cloned(),
            ack,
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Local for Recorder {
    fn broadcast(&self, packet: &RawArgs, target: &Target, offset: Option<&Offset>) {
        self.event(packet, target, offset, false);
    }

    fn broadcast_with_ack(&self, packet: &RawArgs, target: &Target, answers: AckSink) -> usize {
        self.event(packet, target, None, true);
        let sockets = self.sockets(target);
        if self.lock().mute {
            self.lock().kept.push(answers);
        } else {
            for socket in &sockets {
                answers(args(&socket.id));
            }
        }
        sockets.len()
    }

    fn command(&self, command: &Command, target: &Target) {
        self.note(Heard::Command(command.clone(), target.clone()));
    }

    fn sockets(&self, target: &Target) -> Vec<SocketSnapshot> {
        let state = self.lock();
        let meant = state.sockets.iter().filter(|it| target.matches(&it.rooms));
        meant.cloned().collect()
    }

    fn server_side_emit(&self, packet: &RawArgs, answer: Option<AckSink>) {
        self.note(Heard::ServerSide(heard_event(packet)));
        let mut state = self.lock();
        let Some(answer) = answer else {
            return;
        };
        if state.mute {
            state.kept.push(answer);
            return;
        }
        let first = state.sockets.first().map(|socket| socket.id.clone());
        drop(state);
        let first = first.map_or(args(&SocketId::from("nobody")), |id| args(&id));
        answer(first.clone());
        // Only the first answer counts.
        answer(first);
    }

    fn rooms(&self) -> RoomSet {
        let state = self.lock();
        let rooms = state.sockets.iter().flat_map(|socket| socket.rooms.iter());
        rooms.chain(state.rooms.iter()).cloned().collect()
    }

    fn has_room(&self, room: &Room) -> bool {
        self.rooms().contains(room)
    }
}

fn args(id: &SocketId) -> RawArgs {
    RawArgs::from_values(vec![id.as_str().into()])
}

/// A socket in its own room and in these, with a handshake and data that holds bytes.
#[must_use]
pub fn socket(id: &str, rooms: &[&str]) -> SocketSnapshot {
    let mut all: RoomSet = rooms.iter().copied().collect();
    all.insert(id.into());
    let mut handshake = Object::new();
    handshake.insert("url", "/socket.io/?EIO=4");
    handshake.insert("secure", false);
    let mut data = Object::new();
    data.insert("name", id);
    data.insert("secret", bytes::Bytes::from_static(&[0, 1, 255]));
    SocketSnapshot {
        id: id.into(),
        handshake: Value::Object(handshake),
        rooms: all,
        data: Value::Object(data),
    }
}
