//! The probe: a server process that does what a test says and reports what happens to it.
//!
//! Commands are JSON objects, one per line on the probe's stdin, with the name in `do` and a number in `n`;
//! the answer carries the same number in `re` and either `value` or `error`. Events are JSON objects with their
//! name in `ev`. Bytes are written `{"$bin": base64}`. The options of the server come as JSON in the environment
//! variable `PROBE_OPTIONS`, under the names of the reference.
//!
//! # Commands of the Socket.IO probe
//!
//! Those that act on sockets name one (`socket`) or a set of them: `nsp` (default `/`), `to`, `inside`, `except`
//! (a room or a list), `flags` (`volatile`, `local`, `broadcast`), `compress`, `timeout` in milliseconds.
//!
//! | command | effect |
//! |---|---|
//! | `of {nsp}` | creates and watches a namespace; `/` is watched from the start |
//! | `make {nsp}` | creates a namespace without watching it |
//! | `parent {pattern, flags}` or `{rule}` | a dynamic namespace; answers its name. Rules: `{token}`, `{name}`, `{error}`, each with `delay` |
//! | `use {nsp, steps}` | a namespace middleware, see below |
//! | `release {token, refuse}` | lets a held middleware go on |
//! | `gate {nsp, event, refuse or replace or delay}` | a per-packet middleware on every later socket |
//! | `greet {nsp, args}` | an emit from the connection handler |
//! | `handle {nsp, event, with, …}` | a canned handler, see below |
//! | `outgoing {nsp}`, `farewell {nsp, event}`, `watchRooms {nsp}`, `on {nsp, event, answer}` | more reports: outgoing packets, an emit to the rooms while disconnecting, adapter events, server-side events, which are answered if there is an `answer` |
//! | `emit {…, args, ack, repeat}` | emits; `ack` is a token under which the answer is reported; `repeat` appends 0, 1, … |
//! | `burst {commands}` | several emits in one turn of the event loop |
//! | `ack {token, args}` | answers an event that asked for it |
//! | `join`, `leave {…, rooms}`, `disconnect {…, close}`, `fetch {…}` | |
//! | `state {socket}`, `setData {socket, data}`, `members {nsp}`, `namespaces`, `count` | |
//! | `closeConn {socket, discard}`, `close`, `exit`, `sync` | |
//!
//! In a cluster (option `adapter`, see `reference/adapter.js`):
//!
//! | command | effect |
//! |---|---|
//! | `serverSideEmit {nsp, args, ack}` | with `ack`, the answers are reported as those of `emit` are |
//! | `serverCount {nsp}` | how many servers know the namespace |
//! | `remote {id, nsp, act, …}` | acts on the remote socket `id`: `emit` (`args`, `ack`, `timeout`), `join` or `leave` (`rooms`), `disconnect` (`close`) |
//! | `stats` | what Sala has counted of its link with the others |
//! | `load {…, args, every}`, `unload {name}` | emits every so many milliseconds, with a running number at the end; the second argument is the name |
//!
//! Middleware steps, run in order: `{report: name}`, `{join: room}`, `{emit: args}`, `{data: {…}}`, `{disconnect: true}`,
//! `{needToken: text}`, `{needQuery: key}`, `{refuse: {message, data} | {bare: value}}`, `{twice: true}`,
//! `{hold: true}` (reports `waiting` with a token for `release`).
//!
//! Canned handlers (`with`): `ack-back`, `emit-back` (event name + `-back`), `emit-many` (first argument times `out`),
//! `ask` (emits `out` expecting an ack, then `<name>-answer`), `join`, `leave`, `to`, `in`, `volatile`, `disconnect`
//! (`close`), `close-conn`, `throw`, `whoami`, `set-data`, `count` (acks how many arrived and how many out of order), `counted` (acks how
//! many the handler `of` has counted).
//! Events without a canned handler are reported as `event`, with an `ack` token if the client asked for one.
//!
//! Bytes that both ends know are written `{"$fill": length}`, see `reference/support.js`.
//!
//! # Commands of the official clients
//!
//! One process (`clients/driver.js`) holds many clients, each with a name (`client`). It reports `got {client, args}` and
//! `left {client, reason}`; events named `tally` are only counted.
//!
//! | command | effect |
//! |---|---|
//! | `connect {client, url, nsp, options}` | answers `{id, recovered}` once it is connected |
//! | `answer {client, args}` | what it says when asked; by default its name, `null` for nothing |
//! | `drop {client}`, `again {client, url}` | loses its connection without a goodbye; connects again, to any server |
//! | `close {client}` | says goodbye |
//! | `tallies {client}` | for each sender the numbers that came and when, in milliseconds since 1970; `forget` empties them |
//! | `emitter {redis, options}` | connects the official emitter of the classic adapter |
//! | `emit {nsp, to, except, flags, compress, act, …}` | has it `emit` (`args`), `join` or `leave` (`rooms`), `disconnect` (`close`) or `serverSideEmit` (`args`) |
//!
//! # Commands of the Engine.IO probe
//!
//! `send {id, data, compress, repeat, callback}`, `close {id, discard}`, `state {id}`, `count`, `set {options}`,
//! `closeEngine`, `closeHttp`, `sync`.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use sala_testkit::{Child, ChildBuilder, PATIENCE, within, within_long};
use serde_json::{Value, json};

use crate::{Peer, fixture, fixture_of, node, project_dir};

/// A server, or a crowd of clients, under command.
#[derive(Debug)]
pub struct Probe {
    child: Child,
    events: VecDeque<Value>,
    commands: u64,
}

impl Probe {
    /// Starts a Socket.IO server with these options.
    pub async fn start(options: Value) -> Self {
        Self::of("probe", options).await
    }

    /// Starts a Socket.IO server of this peer with these options.
    pub async fn of_peer(peer: Peer, options: Value) -> Self {
        Self::with(fixture_of(peer, "probe"), options).await
    }

    /// Starts an Engine.IO server with these options.
    pub async fn engine(options: Value) -> Self {
        Self::of("probe-engine", options).await
    }

    /// Starts the process that holds official clients.
    pub async fn clients() -> Self {
        let script = node(&project_dir().join("clients/driver.js"));
        Self::over(script.listeners(0).start().await)
    }

    async fn of(name: &str, options: Value) -> Self {
        Self::with(fixture(name), options).await
    }

    async fn with(program: ChildBuilder, options: Value) -> Self {
        let child = program.env("PROBE_OPTIONS", options.to_string());
        Self::over(child.start().await)
    }

    fn over(child: Child) -> Self {
        Self {
            child,
            events: VecDeque::new(),
            commands: 0,
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.child.addr()
    }

    /// The id of the process.
    ///
    /// # Panics
    ///
    /// When it has ended.
    pub fn id(&self) -> u32 {
        self.child.id().expect("the server runs")
    }

    /// The process.
    pub fn process(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Gives a command and waits for its value.
    ///
    /// # Panics
    ///
    /// When the command fails.
    #[track_caller]
    pub fn run(&mut self, command: Value) -> impl Future<Output = Value> {
        let place = std::panic::Location::caller();
        async move {
            match self.attempt(command.clone()).await {
                Ok(value) => value,
                Err(error) => panic!("{command} failed: {error} ({place})"),
            }
        }
    }

    /// Gives a command and waits for its value or its error.
    pub async fn attempt(&mut self, mut command: Value) -> Result<Value, String> {
        self.commands += 1;
        let number = self.commands;
        command["n"] = json!(number);
        self.child.write_line(&command.to_string()).await;
        let what = format!("the answer to {command}");
        loop {
            let line = within(&what, self.read()).await;
            if line.get("re").and_then(Value::as_u64) == Some(number) {
                return match line.get("error").and_then(Value::as_str) {
                    Some(error) => Err(error.to_owned()),
                    None => Ok(line["value"].clone()),
                };
            }
            self.events.push_back(line);
        }
    }

    /// The next event of this name; others stay queued. Cancel safe.
    #[track_caller]
    pub fn event(&mut self, name: &str) -> impl Future<Output = Value> {
        self.event_where(name, |_| true)
    }

    /// The next event of this name that fits.
    #[track_caller]
    pub fn event_where(
        &mut self,
        name: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> impl Future<Output = Value> {
        self.event_after(PATIENCE, name, fits)
    }

    /// The next event of this name that fits, for which one may have to wait this long.
    #[track_caller]
    pub fn event_after(
        &mut self,
        patience: Duration,
        name: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> impl Future<Output = Value> {
        let what = format!("the event `{name}`");
        within_long(patience, &what, async move {
            let fits = |event: &Value| event["ev"] == name && fits(event);
            if let Some(found) = self.events.iter().position(fits) {
                return self.events.remove(found).expect("the position was found");
            }
            loop {
                let event = self.read().await;
                if fits(&event) {
                    return event;
                }
                self.events.push_back(event);
            }
        })
    }

    /// Takes the events of this name that have happened so far.
    pub async fn taken(&mut self, name: &str) -> Vec<Value> {
        self.run(json!({"do": "sync"})).await;
        let (taken, kept) = self
            .events
            .drain(..)
            .partition(|event: &Value| event["ev"] == name);
        self.events = kept;
        taken.into()
    }

    /// Asserts that no event of this name has happened.
    #[track_caller]
    pub fn expect_none(&mut self, name: &str) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            let taken = self.taken(name).await;
            assert!(
                taken.is_empty(),
                "no `{name}` is expected, but {taken:?} ({place})"
            );
        }
    }

    /// Forgets what was reported so far.
    pub async fn forget(&mut self) {
        self.run(json!({"do": "sync"})).await;
        self.events.clear();
    }

    async fn read(&mut self) -> Value {
        let Some(line) = self.child.line().await else {
            panic!("the server has ended")
        };
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("the server printed {line:?}"))
    }
}
