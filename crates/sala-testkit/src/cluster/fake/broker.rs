use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sala_adapter::backend::{
    BackendError, BackendErrorKind, Delivery, Follow, Parcel, RoomsFollowed, State as Sending,
};
use sala_adapter::message::{Envelope, Message};
use sala_adapter::recovery::Offset;
use sala_adapter::{Room, ServerId};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::store::Sessions;

/// A broker for the servers of one test. Clones are the same broker.
///
/// By itself it does what the worst of the real brokers do: everybody hears everything about a namespace that
/// they follow, their own messages and the answers to others included.
#[derive(Clone, Default)]
pub struct FakeBroker {
    state: Arc<Mutex<State>>,
    pub(super) sessions: Arc<Sessions>,
}

#[derive(Default)]
struct State {
    down: Option<Down>,
    next_link: u64,
    links: HashMap<u64, LinkState>,
    dead: HashSet<ServerId>,
    apart: HashSet<(ServerId, ServerId)>,
    log: Vec<Logged>,
    fate: Option<FateOf>,
    pause: Duration,
    follow_pause: Duration,
    refuses_to_follow: bool,
    stalled: bool,
    panics: bool,
    largest: Option<usize>,
    sent: Vec<Envelope>,
}

type FateOf = Box<dyn FnMut(&Passage<'_>) -> Fate + Send>;

/// Why nobody can connect.
enum Down {
    Gone,
    Refuses,
}

struct LinkState {
    server: ServerId,
    rooms: RoomsFollowed,
    logs: bool,
    namespaces: HashMap<Room, HashSet<Room>>,
    inbox: mpsc::UnboundedSender<Item>,
}

/// What a link receives, with its number in the log.
pub(super) type Item = (Delivery, Option<usize>);

#[derive(Clone)]
pub(super) struct Logged {
    pub(super) envelope: Envelope,
    pub(super) offset: Offset,
}

/// A message on its way from one server to another.
#[derive(Debug)]
pub struct Passage<'a> {
    /// Who sent it; emitters and injected messages have no sender here.
    pub from: Option<&'a ServerId>,
    /// Who is about to receive it.
    pub to: &'a ServerId,
    /// The message.
    pub envelope: &'a Envelope,
}

/// What becomes of a message on its way to one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives.
    Arrives,
    /// It arrives twice.
    Twice,
    /// It arrives later, so others overtake it.
    Late(Duration),
    /// It never arrives.
    Lost,
    /// It arrives as something that is no message.
    Garbled,
}

impl FakeBroker {
    /// A broker that is up and works.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Breaks all links, and refuses new ones as unreachable.
    pub fn stop(&self) {
        self.lock().go(Down::Gone);
    }

    /// Breaks all links, and refuses new ones for a reason that trying again does not remove.
    pub fn refuse(&self) {
        self.lock().go(Down::Refuses);
    }

    /// Is up again.
    pub fn start(&self) {
        self.lock().down = None;
    }

    /// Breaks the link of one server, which may connect again.
    pub fn cut(&self, server: &ServerId) {
        self.lock().links.retain(|_, link| link.server != *server);
    }

    /// A server dies: its link breaks, it can never connect again, and others no longer count it.
    pub fn kill(&self, server: &ServerId) {
        self.lock().dead.insert(server.clone());
        self.cut(server);
    }

    /// Two servers do not hear each other from now on.
    pub fn part(&self, a: &ServerId, b: &ServerId) {
        let mut state = self.lock();
        state.apart.insert((a.clone(), b.clone()));
        state.apart.insert((b.clone(), a.clone()));
    }

    /// All servers hear each other again.
    pub fn heal(&self) {
        self.lock().apart.clear();
    }

    /// Decides what becomes of each message on its way to each server; the default is that it arrives.
    pub fn decide(&self, fate: impl FnMut(&Passage<'_>) -> Fate + Send + 'static) {
        self.lock().fate = Some(Box::new(fate));
    }

    /// How long the broker takes to accept a batch.
    pub fn slow(&self, pause: Duration) {
        self.lock().pause = pause;
    }

    /// How long the broker takes to begin or end to send what concerns a namespace or a room.
    pub fn slow_to_follow(&self, pause: Duration) {
        self.lock().follow_pause = pause;
    }

    /// Whether the broker lets servers in, and refuses to send them anything.
    pub fn refuse_to_follow(&self, refuses: bool) {
        self.lock().refuses_to_follow = refuses;
    }

    /// Whether the broker accepts nothing, without failing.
    pub fn stall(&self, stalled: bool) {
        self.lock().stalled = stalled;
    }

    /// Whether the code that talks to the broker panics when it sends.
    pub fn panic_on_send(&self, panics: bool) {
        self.lock().panics = panics;
    }

    /// Refuses messages that weigh more than this, and only those.
    pub fn refuse_larger_than(&self, bytes: usize) {
        self.lock().largest = Some(bytes);
    }

    /// Has every server that follows a namespace receive this.
    pub fn inject(&self, mut delivery: impl FnMut() -> Delivery) {
        for link in self.lock().links.values() {
            // Its reader may just have ended.
            let _ = link.inbox.send((delivery(), None));
        }
    }

    /// Has a message arrive at every server that follows its namespace.
    pub fn inject_message(&self, envelope: &Envelope) {
        self.lock().route(None, envelope, None);
    }

    /// All messages that were accepted so far.
    #[must_use]
    pub fn sent(&self) -> Vec<Envelope> {
        self.lock().sent.clone()
    }

    /// The rooms of a namespace that a server follows.
    #[must_use]
    pub fn followed(&self, server: &ServerId, namespace: &str) -> Vec<Room> {
        let state = self.lock();
        let mut links = state.links.values().filter(|link| link.server == *server);
        let rooms = links.find_map(|link| link.namespaces.get(&Room::from(namespace)));
        let mut rooms: Vec<_> = rooms.into_iter().flatten().cloned().collect();
        rooms.sort_unstable();
        rooms
    }

    pub(super) fn connect(
        &self,
        server: &ServerId,
        rooms: RoomsFollowed,
        place: Option<usize>,
    ) -> Result<(u64, mpsc::UnboundedReceiver<Item>), BackendError> {
        let mut state = self.lock();
        if state.dead.contains(server) {
            return Err(gone());
        }
        match state.down {
            Some(Down::Gone) => return Err(gone()),
            Some(Down::Refuses) => {
                let text = "the broker wants a password; give one";
                return Err(BackendError::new(BackendErrorKind::Refused, text));
            }
            None => {}
        }
        let (inbox, receiver) = mpsc::unbounded_channel();
        for (number, logged) in state
            .log
            .iter()
            .enumerate()
            .skip(place.unwrap_or(usize::MAX))
        {
            // The receiver is right here.
            let _ = inbox.send((logged.delivery(), Some(number)));
        }
        let id = state.next_link;
        state.next_link += 1;
        let link = LinkState {
            server: server.clone(),
            rooms,
            logs: place.is_some(),
            namespaces: HashMap::new(),
            inbox,
        };
        state.links.insert(id, link);
        Ok((id, receiver))
    }

    pub(super) fn disconnect(&self, link: u64) {
        self.lock().links.remove(&link);
    }

    /// How many messages the log has.
    pub(super) fn log_len(&self) -> usize {
        self.lock().log.len()
    }

    pub(super) fn log_after(&self, offset: &Offset) -> Option<Vec<Logged>> {
        let state = self.lock();
        let at = state.log.iter().position(|it| it.offset == *offset)?;
        Some(state.log[at + 1..].to_vec())
    }

    pub(super) async fn send(&self, link: u64, batch: &mut [Parcel]) -> Result<(), BackendError> {
        let pause = self.lock().pause;
        if pause > Duration::ZERO {
            sleep(pause).await;
        }
        while self.lock().stalled {
            sleep(Duration::from_millis(10)).await;
        }
        assert!(!self.lock().panics, "told to panic");
        let mut state = self.lock();
        for parcel in batch.iter_mut().filter(|parcel| parcel.is_waiting()) {
            parcel.state = state.accept(link, &parcel.envelope)?;
        }
        Ok(())
    }

    pub(super) async fn follow(&self, link: u64, change: &Follow) -> Result<(), BackendError> {
        let pause = self.lock().follow_pause;
        if pause > Duration::ZERO {
            sleep(pause).await;
        }
        let mut state = self.lock();
        if state.refuses_to_follow {
            let text = "the broker keeps its channels to itself; ask for them";
            return Err(BackendError::new(BackendErrorKind::Refused, text));
        }
        let link = state.links.get_mut(&link).ok_or_else(gone)?;
        let namespaces = &mut link.namespaces;
        match change {
            Follow::Namespace(name) => {
                namespaces.entry(name.clone()).or_default();
            }
            Follow::LeaveNamespace(name) => {
                namespaces.remove(name);
            }
            Follow::Room { namespace, room } => {
                let rooms = namespaces.get_mut(namespace);
                let new = rooms.is_some_and(|rooms| rooms.insert(room.clone()));
                assert!(
                    new,
                    "{room} of {namespace} is followed twice or without its namespace"
                );
            }
            Follow::LeaveRoom { namespace, room } => {
                let rooms = namespaces.get_mut(namespace);
                let known = rooms.is_some_and(|rooms| rooms.remove(room));
                assert!(known, "{room} of {namespace} was not followed");
            }
        }
        Ok(())
    }

    pub(super) fn count(&self, namespace: &str) -> Result<usize, BackendError> {
        let state = self.lock();
        if state.down.is_some() {
            return Err(gone());
        }
        let name = Room::from(namespace);
        let follow = |link: &&LinkState| link.namespaces.contains_key(&name);
        Ok(state.links.values().filter(follow).count())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn go(&mut self, why: Down) {
        self.down = Some(why);
        self.links.clear();
    }

    fn accept(&mut self, link: u64, envelope: &Envelope) -> Result<Sending, BackendError> {
        let link = self.links.get(&link).ok_or_else(gone)?;
        let (sender, logs) = (link.server.clone(), link.logs);
        if let (Some(largest), Message::Broadcast { packet, .. }) =
            (self.largest, &envelope.message)
            && packet.weight() > largest
        {
            let text = format!("the broker takes at most {largest} bytes");
            let error = BackendError::new(BackendErrorKind::TooLarge, text);
            return Ok(Sending::Failed(error));
        }
        self.sent.push(envelope.clone());
        let loggable = matches!(&envelope.message, Message::Broadcast { request: None, .. });
        let number = (logs && loggable).then(|| self.append(envelope));
        self.route(Some(&sender), envelope, number);
        Ok(Sending::Sent(number.map(|at| self.log[at].offset.clone())))
    }

    fn append(&mut self, envelope: &Envelope) -> usize {
        self.log.push(Logged {
            envelope: envelope.clone(),
            offset: format!("{}-0", self.log.len() + 1).into(),
        });
        self.log.len() - 1
    }

    fn route(&mut self, from: Option<&ServerId>, envelope: &Envelope, number: Option<usize>) {
        for link in self.links.values() {
            if !link.hears(envelope, number.is_some()) {
                continue;
            }
            let to = &link.server;
            if from.is_some_and(|from| self.apart.contains(&(from.clone(), to.clone()))) {
                continue;
            }
            let passage = Passage { from, to, envelope };
            let fate = self
                .fate
                .as_mut()
                .map_or(Fate::Arrives, |fate| fate(&passage));
            let offset = number.map(|at| self.log[at].offset.clone());
            let delivery = || Delivery::Message {
                envelope: envelope.clone(),
                offset: offset.clone(),
            };
            link.deliver(fate, delivery, number);
        }
    }
}

impl LinkState {
    /// Whether the link follows what the message is for. A log is read whole.
    fn hears(&self, envelope: &Envelope, logged: bool) -> bool {
        let Some(rooms) = self.namespaces.get(&envelope.namespace) else {
            return logged && self.logs;
        };
        match &envelope.message {
            Message::Broadcast {
                target,
                request: None,
                ..
            } if target.rooms.len() == 1 => target.rooms.iter().all(|room| match self.rooms {
                RoomsFollowed::None => true,
                // As the real ones, it takes whatever has 20 characters for the room of a socket.
                RoomsFollowed::Public => room.as_bytes().len() == 20 || rooms.contains(room),
                RoomsFollowed::All => rooms.contains(room),
            }),
            _ => true,
        }
    }

    fn deliver(&self, fate: Fate, delivery: impl Fn() -> Delivery, number: Option<usize>) {
        // A reader that has just ended receives nothing more.
        let send = |delivery| drop(self.inbox.send((delivery, number)));
        match fate {
            Fate::Lost => {}
            Fate::Arrives => send(delivery()),
            Fate::Twice => {
                send(delivery());
                send(delivery());
            }
            Fate::Garbled => send(garbled()),
            Fate::Late(by) => {
                let (inbox, late) = (self.inbox.clone(), (delivery(), number));
                tokio::spawn(async move {
                    // Not after the link has ended.
                    if timeout(by, inbox.closed()).await.is_err() {
                        let _ = inbox.send(late);
                    }
                });
            }
        }
    }
}

impl Logged {
    fn delivery(&self) -> Delivery {
        Delivery::Message {
            envelope: self.envelope.clone(),
            offset: Some(self.offset.clone()),
        }
    }
}

fn garbled() -> Delivery {
    Delivery::Malformed {
        source: "the fake broker".into(),
        error: BackendError::new(BackendErrorKind::Malformed, "garbled on the way"),
    }
}

pub(super) fn gone() -> BackendError {
    BackendError::new(BackendErrorKind::Unreachable, "the fake broker is down")
}
