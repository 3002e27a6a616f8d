//! The answers to one request. No I/O.

use std::collections::HashSet;
use std::mem;

use foldhash::fast::RandomState;
use sala_proto::RawArgs;

use super::Map;
use super::members::MAX_MEMBERS;
use super::weight;
use crate::adapter::{Answers, Missing};
use crate::message::{Message, SocketSnapshot};
use crate::target::ServerId;

type Names = HashSet<ServerId, RandomState>;

/// Collects the answers to one request and knows when they are complete.
pub(super) struct Collector {
    content: Content,
    awaited: Awaited,
    /// Servers that have answered, where answers have a sender.
    heard: Names,
    /// How many servers have answered.
    answered: usize,
    bytes: usize,
    max_bytes: usize,
}

/// Whose answers are waited for.
enum Awaited {
    /// Those of these servers.
    Named(Names),
    /// Those of as many servers; `None` until the broker has counted them.
    Counted(Option<usize>),
}

enum Content {
    Sockets(Vec<SocketSnapshot>),
    Servers(Vec<RawArgs>),
    Acks(Acks),
}

/// Acknowledgements of clients: each server first says to how many it sent the event.
struct Acks {
    /// One is enough.
    single: bool,
    /// To how many clients the event was sent.
    announced: usize,
    /// How many of them were on a server that has gone.
    lost: usize,
    replies: Vec<(Option<ServerId>, RawArgs)>,
    /// Clients and replies, where answers have a sender.
    by_server: Map<ServerId, Clients>,
}

#[derive(Default)]
struct Clients {
    announced: Option<usize>,
    replied: usize,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    Sockets,
    Servers,
    Acks { single: bool },
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was added, or left out because it was there before.
    Taken,
    /// It fits no request.
    Ignored,
    /// It is more than may be kept.
    TooLarge,
}

impl Collector {
    /// Waits for these servers; or, with `None`, for as many as [`expect`](Self::expect) will say.
    pub(super) fn new(wanted: Wanted, servers: Option<Vec<ServerId>>, max_bytes: usize) -> Self {
        Self {
            content: match wanted {
                Wanted::Sockets => Content::Sockets(Vec::new()),
                Wanted::Servers => Content::Servers(Vec::new()),
                Wanted::Acks { single } => Content::Acks(Acks::new(single)),
            },
            awaited: match servers {
                Some(servers) => Awaited::Named(servers.into_iter().collect()),
                None => Awaited::Counted(None),
            },
            heard: Names::default(),
            answered: 0,
            bytes: 0,
            max_bytes,
        }
    }

    /// The broker has counted so many other servers.
    pub(super) fn expect(&mut self, servers: usize) {
        if let Awaited::Counted(count) = &mut self.awaited {
            *count = Some(servers);
        }
    }

    /// Takes an answer.
    pub(super) fn answer(&mut self, sender: Option<&ServerId>, message: Message) -> Verdict {
        let bytes = self.bytes.saturating_add(weight::of_message(&message));
        if bytes > self.max_bytes || self.heard.len() >= MAX_MEMBERS {
            return Verdict::TooLarge;
        }
        match (&mut self.content, message) {
            (Content::Acks(acks), Message::BroadcastAck { answer, .. }) => {
                acks.reply(sender, answer);
            }
            (Content::Acks(acks), Message::BroadcastClientCount { clients, .. }) => {
                if note(&mut self.heard, sender) {
                    acks.announce(sender, clients);
                    self.server_answered(sender);
                }
            }
            (Content::Sockets(all), Message::FetchSocketsResponse { sockets, .. }) => {
                if note(&mut self.heard, sender) {
                    all.extend(sockets);
                    self.server_answered(sender);
                }
            }
            (Content::Servers(all), Message::ServerSideEmitResponse { answer, .. }) => {
                if note(&mut self.heard, sender) {
                    all.push(answer);
                    self.server_answered(sender);
                }
            }
            _ => return Verdict::Ignored,
        }
        self.bytes = bytes;
        Verdict::Taken
    }

    fn server_answered(&mut self, sender: Option<&ServerId>) {
        self.answered += 1;
        if let (Awaited::Named(names), Some(sender)) = (&mut self.awaited, sender) {
            names.remove(sender);
        }
    }

    /// A server has gone: neither it nor its clients will answer.
    pub(super) fn departed(&mut self, server: &ServerId) {
        if let Awaited::Named(names) = &mut self.awaited {
            names.remove(server);
        }
        if let Content::Acks(acks) = &mut self.content {
            acks.departed(server);
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        let servers = match &self.awaited {
            Awaited::Named(names) => names.is_empty(),
            Awaited::Counted(count) => count.is_some_and(|count| self.answered >= count),
        };
        match &self.content {
            Content::Acks(acks) => acks.is_enough() || (servers && acks.is_complete()),
            _ => servers,
        }
    }

    /// Who has not answered. `known` are the servers that were heard from lately.
    pub(super) fn missing(&self, known: Vec<ServerId>) -> Missing {
        match &self.awaited {
            Awaited::Named(names) => {
                let mut names: Vec<_> = names.iter().cloned().collect();
                names.sort_unstable();
                Missing::Servers(names)
            }
            Awaited::Counted(count) => {
                let mut silent = known;
                silent.retain(|server| !self.heard.contains(server));
                Missing::Count {
                    received: self.answered,
                    expected: count.unwrap_or(self.answered + silent.len()),
                    silent,
                }
            }
        }
    }

    /// What was collected.
    pub(super) fn finish(&mut self) -> Answers {
        match &mut self.content {
            Content::Sockets(sockets) => Answers::Sockets(mem::take(sockets)),
            Content::Servers(answers) => Answers::Servers(mem::take(answers)),
            Content::Acks(acks) => Answers::Acks {
                expected: acks.announced,
                replies: acks.replies.drain(..).map(|(_, reply)| reply).collect(),
            },
        }
    }
}

/// Notes that a server has answered. `false` if it had before: brokers may deliver twice.
fn note(heard: &mut Names, sender: Option<&ServerId>) -> bool {
    sender.is_none_or(|sender| heard.insert(sender.clone()))
}

impl Acks {
    fn new(single: bool) -> Self {
        Self {
            single,
            announced: 0,
            lost: 0,
            replies: Vec::new(),
            by_server: Map::default(),
        }
    }

    fn announce(&mut self, sender: Option<&ServerId>, clients: usize) {
        self.announced = self.announced.saturating_add(clients);
        if let Some(sender) = sender {
            let server = self.by_server.entry(sender.clone()).or_default();
            server.announced = Some(clients);
            if server.replied > clients {
                server.replied = clients;
                self.drop_surplus(sender, clients);
            }
        }
    }

    /// Keeps the first `limit` replies of a server: the question had arrived there twice.
    fn drop_surplus(&mut self, server: &ServerId, limit: usize) {
        let mut kept = 0;
        self.replies.retain(|(from, _)| {
            let other = from.as_ref() != Some(server);
            kept += usize::from(!other);
            other || kept <= limit
        });
    }

    /// Adds a reply, unless its server has no client left that could have replied.
    fn reply(&mut self, sender: Option<&ServerId>, answer: RawArgs) {
        if let Some(sender) = sender {
            if !self.by_server.contains_key(sender) && self.by_server.len() >= MAX_MEMBERS {
                return;
            }
            let clients = self.by_server.entry(sender.clone()).or_default();
            if clients.announced.is_some_and(|n| clients.replied >= n) {
                return;
            }
            clients.replied += 1;
        }
        self.replies.push((sender.cloned(), answer));
    }

    fn departed(&mut self, server: &ServerId) {
        if let Some(clients) = self.by_server.remove(server) {
            let announced = clients.announced.unwrap_or(0);
            self.lost = self
                .lost
                .saturating_add(announced.saturating_sub(clients.replied));
        }
    }

    fn is_enough(&self) -> bool {
        self.single && !self.replies.is_empty()
    }

    fn is_complete(&self) -> bool {
        self.replies.len() >= self.announced.saturating_sub(self.lost)
    }
}

#[cfg(test)]
mod tests;
