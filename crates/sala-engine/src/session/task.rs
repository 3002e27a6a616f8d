//! The task that owns a session.
//!
//! It reads, decodes, runs the application, writes, and sleeps until the next deadline, always in
//! that order. Nobody else touches the protocol state; others leave things in the mailbox.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use pin_project_lite::pin_project;
use sala_engine_proto::{Action, CloseReason, Frame, PacketType, Session, Transport};
use tokio::time::Sleep;

use super::handle::{ConnectionEvent, SessionHandle};
use super::lane::{Lane, Opening, Probe};
use super::mailbox::{CloseRequest, Incoming};
use super::protocol::{Farewell, Protocol, control};
use super::running::{BoxFuture, Progress, Running, Scope};
use crate::app::{App, Connection};
use crate::transport::io::Upgraded;
use crate::transport::websocket::{Flow, Read};

/// How many rounds a task makes before it lets others run.
const ROUNDS: usize = 4;

// A fan-out wakes thousands of tasks in turn, and finds hardly anything of them in the processor's
// caches. So what such a round looks at stands together, at the front: here, in `Live`, `Protocol`,
// `WebSocket`, `Shared` and `Mailbox`. `repr(C)` keeps it there.
pin_project! {
    /// The owner of one session.
    #[repr(C)]
    pub(crate) struct Task<A: App> {
        // When `sleep` ends; never later than the session's next deadline.
        armed: Instant,
        // Whether `sleep` knows whom to wake.
        registered: bool,
        live: Live<A>,
        #[pin]
        sleep: Sleep,
    }
}

#[repr(C)]
struct Live<A: App> {
    stage: Stage,
    lane: Lane,
    probe: Option<Box<Probe>>,
    /// When something has to be done without being asked.
    deadline: Option<Instant>,
    core: Protocol<A::Connection>,
    app: Arc<A>,
}

/// How a session's life ends.
enum Stage {
    Running,
    /// The session is over; its unfinished handlers are not. The future ends when the server's
    /// patience does.
    Lingering(BoxFuture),
}

/// What others left for a round of work.
struct Mail {
    requests: Vec<Incoming>,
    poked: bool,
    /// What is to be sent, if the transport is a WebSocket.
    frames: VecDeque<Frame>,
}

/// What reading brought.
#[derive(PartialEq, Eq)]
enum Heard {
    Nothing,
    Something,
    /// There may be more.
    More,
}

/// How things stand at the end of a round.
struct Settled {
    close: Option<CloseRequest>,
    /// Nothing waits to be sent.
    drained: bool,
    /// Nothing is left to do: from now on, whoever leaves something wakes the task.
    asleep: bool,
}

/// What a round of work came to.
enum Round {
    /// There is more to do.
    Again,
    /// Nothing to do until somebody wakes the task.
    Sleep,
    /// The task is done.
    Done,
}

/// Where a session starts.
pub(crate) enum Start {
    Polling,
    WebSocket(Box<Opening>),
}

impl<A: App> Task<A> {
    pub(crate) fn new(app: Arc<A>, handle: SessionHandle, start: Start) -> Self {
        let now = Instant::now();
        let transport = handle.transport();
        let timing = handle.core().config.timing;
        let machine = Session::new(timing, handle.revision(), transport, now);
        handle.core().task_started();
        let armed = machine.next_timeout().unwrap_or(now + timing.ping_interval);
        let lane = match start {
            Start::Polling => Lane::Polling(None),
            Start::WebSocket(opening) => Lane::Opening(opening),
        };
        Self {
            armed,
            registered: false,
            live: Live {
                stage: Stage::Running,
                lane,
                probe: None,
                deadline: None,
                core: Protocol {
                    handle,
                    running: Running::default(),
                    ending: None,
                    now,
                    started: false,
                    silent: true,
                    machine,
                    connection: None,
                },
                app,
            },
            sleep: tokio::time::sleep_until(armed.into()),
        }
    }
}

impl<A: App> Future for Task<A> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let live = this.live;
        for _ in 0..ROUNDS {
            // A panic in the application ends this session and nothing else.
            let round = catch_unwind(AssertUnwindSafe(|| live.round(cx)))
                .unwrap_or_else(|_| live.panicked(cx));
            match round {
                Round::Done => return Poll::Ready(()),
                Round::Again => continue,
                Round::Sleep => {}
            }
            let Some(deadline) = live.deadline else {
                return Poll::Pending;
            };
            if deadline < *this.armed || *this.armed <= live.core.now {
                *this.armed = deadline;
                this.sleep.as_mut().reset(deadline.into());
                *this.registered = false;
            }
            if !*this.registered {
                if this.sleep.as_mut().poll(cx).is_ready() {
                    continue;
                }
                *this.registered = true;
            }
            return Poll::Pending;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<A: App> Live<A> {
    fn round(&mut self, cx: &mut Context<'_>) -> Round {
        self.core.now = Instant::now();
        if let Stage::Lingering(patience) = &mut self.stage {
            self.deadline = None;
            self.core.running.poll(cx);
            let over = self.core.running.len() == 0 || patience.as_mut().poll(cx).is_ready();
            return if over { Round::Done } else { Round::Sleep };
        }
        if let Lane::Opening(opening) = &mut self.lane {
            match Pin::new(&mut opening.upgrade).poll(cx) {
                Poll::Pending => return Round::Sleep,
                Poll::Ready(upgraded) => {
                    let Lane::Opening(opening) = std::mem::replace(&mut self.lane, Lane::Gone)
                    else {
                        return Round::Done;
                    };
                    match upgraded {
                        Some(upgraded) => self.open_websocket(*opening, upgraded),
                        None => self.core.end(CloseReason::TransportClose, None),
                    }
                }
            }
        }
        let fresh = !self.core.started;
        if fresh && self.core.ending.is_none() {
            self.core.started = true;
            let mut scope = Scope::new(cx, &mut self.core.running);
            self.core.connection = Some(self.app.connect(&self.core.handle, &mut scope));
        }
        let mut mail = self.take_mail();
        let mut again = self.handle_mail(&mut mail, cx);
        // Whether somebody may have sent, or closed, since the mail was taken.
        let mut busy = fresh || again || self.core.running.len() > 0;
        let mut sent = 0;
        if fresh {
            // Before anything is read, so that a client that has ended its side is answered too.
            sent = self.write(&mut mail.frames, busy, cx);
        }
        if self.core.ending.is_none() {
            let heard = self.read(cx);
            busy |= heard != Heard::Nothing;
            again |= heard == Heard::More;
            again |= self.read_probe(cx);
            busy |= again;
            busy |= self.pass_time(busy, cx);
            again |= self.core.running.poll(cx) == Progress::Finished;
        }
        // Also when the session ends: what was queued before the cause came first.
        sent += self.write(&mut mail.frames, busy, cx);
        let settled = self.settle(mail.frames, sent, again, cx);
        self.close_if_asked(&settled, cx);
        if self.core.ending.is_some() {
            return self.finish(cx);
        }
        if busy || settled.close.is_some() {
            self.set_deadline();
        }
        if settled.asleep {
            Round::Sleep
        } else {
            Round::Again
        }
    }

    fn open_websocket(&mut self, opening: Opening, upgraded: Upgraded) {
        let socket = opening.wrap.wrap(upgraded);
        self.lane = Lane::WebSocket(Box::new(socket));
        let initial = self.core.handle.core().config.initial_packet.clone();
        let mut mailbox = self.core.handle.mailbox();
        mailbox.writable = true;
        for frame in std::iter::once(opening.open_packet).chain(initial) {
            mailbox.bytes += frame.len();
            mailbox.queue.push_back(frame);
        }
    }

    /// Empties the mailbox. What is to be sent by polling stays until a request takes it.
    fn take_mail(&mut self) -> Mail {
        let mut frames = VecDeque::new();
        let mut mailbox = self.core.handle.mailbox();
        mailbox.awake = true;
        if matches!(self.lane, Lane::WebSocket(_)) {
            mailbox.take_frames(&mut frames);
        }
        Mail {
            requests: std::mem::take(&mut mailbox.requests),
            poked: std::mem::take(&mut mailbox.poked),
            frames,
        }
    }

    /// Handles what is not to be sent. Tells whether there was anything.
    fn handle_mail(&mut self, mail: &mut Mail, cx: &mut Context<'_>) -> bool {
        let any = mail.poked || !mail.requests.is_empty();
        for request in std::mem::take(&mut mail.requests) {
            if self.core.ending.is_some() {
                // Dropping the rest of the requests answers them.
                break;
            }
            self.take_request(request, cx);
        }
        if mail.poked {
            self.core
                .with_connection(cx, |connection, scope| connection.poked(scope));
        }
        any
    }

    fn take_request(&mut self, request: Incoming, cx: &mut Context<'_>) {
        match request {
            Incoming::Poll(reply) => match &mut self.lane {
                Lane::Polling(slot) => *slot = Some(reply),
                // The upgrade overtook the poll: let it go.
                _ => {
                    reply
                        .send(self.core.control_reply(&[PacketType::Noop]))
                        .ok();
                }
            },
            Incoming::PollGone => {
                if matches!(self.lane, Lane::Polling(_)) {
                    let description = Some("poll connection closed prematurely");
                    self.core.end(CloseReason::TransportError, description);
                }
            }
            Incoming::Post(body, done) => {
                self.core.receive_payload(&body, cx);
                self.core.handle.mailbox().posting = false;
                // The client may have gone; its packets have arrived all the same.
                done.send(()).ok();
            }
            Incoming::Upgrade(socket) => {
                if self.core.machine.can_upgrade() {
                    self.core.machine.probe_attached(self.core.now);
                    self.probe = Some(Box::new(Probe {
                        socket,
                        answer: Default::default(),
                    }));
                } else {
                    socket.close(None);
                }
            }
        }
    }

    /// Reads from the WebSocket, if that is the transport.
    fn read(&mut self, cx: &mut Context<'_>) -> Heard {
        match self.read_once(cx) {
            // Nearly always that was all, and asking again costs no system call. Then the round
            // can end with the task asleep.
            Heard::Something if self.core.ending.is_none() => match self.read_once(cx) {
                Heard::Nothing => Heard::Something,
                _ => Heard::More,
            },
            heard => heard,
        }
    }

    fn read_once(&mut self, cx: &mut Context<'_>) -> Heard {
        let Lane::WebSocket(socket) = &mut self.lane else {
            return Heard::Nothing;
        };
        if self.core.is_saturated() {
            // The handlers that run will wake the task when they end.
            return Heard::Nothing;
        }
        let core = &mut self.core;
        match socket.poll_read(cx, |event, cx| core.receive_event(event, cx)) {
            Ok(Read::Pending) => return Heard::Nothing,
            Ok(Read::Part) => return Heard::Something,
            Ok(Read::More) => return Heard::More,
            Ok(Read::Ended | Read::Broken) => {
                self.lane = Lane::Gone;
                self.core.end(CloseReason::TransportClose, None);
            }
            Err(error) => {
                self.core.end(CloseReason::TransportError, None);
                if let Some(ending) = &mut self.core.ending {
                    ending.code = Some(error.code());
                    ending.description = Some(Cow::Owned(error.to_string()));
                }
            }
        }
        Heard::Something
    }

    /// Reads from the WebSocket that wants to take over.
    fn read_probe(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(probe) = &mut self.probe else {
            return false;
        };
        let core = &mut self.core;
        let mut action = Action::None;
        let read = probe.socket.poll_read(cx, |event, _| {
            action = core.receive_probe_event(event);
            if action == Action::None {
                Flow::Continue
            } else {
                Flow::Pause
            }
        });
        match read {
            _ if action != Action::None => {}
            Ok(Read::Pending) => return false,
            Ok(Read::Part | Read::More) => return true,
            Ok(Read::Ended | Read::Broken) => {
                self.probe = None;
                self.core.machine.probe_detached();
                return false;
            }
            Err(error) => {
                self.core.machine.probe_detached();
                if let Some(probe) = self.probe.take() {
                    probe.socket.close(Some(error.code()));
                }
                return false;
            }
        }
        self.act(action);
        true
    }

    /// Does what is due. Tells whether anything was.
    fn pass_time(&mut self, busy: bool, cx: &mut Context<'_>) -> bool {
        let now = self.core.now;
        if busy {
            self.set_deadline();
        }
        if self.deadline.is_none_or(|at| at > now) {
            return false;
        }
        let mut any = false;
        while self.core.machine.next_timeout().is_some_and(|at| at <= now) {
            let action = self.core.machine.timeout(now);
            if action == Action::None {
                break;
            }
            any = true;
            self.act(action);
            if self.core.ending.is_some() {
                return any;
            }
        }
        let connection = self.core.connection.as_ref();
        if connection
            .and_then(Connection::deadline)
            .is_some_and(|at| at <= now)
        {
            any = true;
            self.core
                .with_connection(cx, |connection, scope| connection.timeout(now, scope));
        }
        any
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::AnswerProbe => {
                if let Some(probe) = &mut self.probe {
                    probe.answer.push_back(control(PacketType::Pong, "probe"));
                }
                self.core
                    .handle
                    .notify(&ConnectionEvent::Upgrading(Transport::WebSocket));
                self.release_poll();
            }
            Action::ReleasePoll => self.release_poll(),
            Action::Upgrade => self.upgrade(),
            Action::DropProbe => {
                if let Some(probe) = self.probe.take() {
                    probe.socket.close(None);
                }
            }
            other => {
                self.core.act(other);
            }
        }
    }

    /// Answers a waiting poll with a noop, so that the client can stop polling.
    fn release_poll(&mut self) {
        if let Lane::Polling(slot) = &mut self.lane
            && let Some(reply) = slot.take()
        {
            self.core.answer_poll(reply, &[PacketType::Noop]);
        }
    }

    fn upgrade(&mut self) {
        self.release_poll();
        if let Some(probe) = self.probe.take() {
            self.lane = Lane::WebSocket(probe.socket);
        }
        let handle = &self.core.handle;
        handle.set_websocket();
        handle.core().stats.upgraded();
        handle.mailbox().writable = true;
        handle.notify(&ConnectionEvent::Upgrade(Transport::WebSocket));
    }

    /// Hands what is queued to the transport: `frames` and, if the session was `busy`, what came
    /// meanwhile. Tells what that weighed that has gone out; what has not stays in `frames`.
    fn write(&mut self, frames: &mut VecDeque<Frame>, busy: bool, cx: &mut Context<'_>) -> usize {
        if let Some(probe) = &mut self.probe {
            let mut sent = 0;
            let answer = probe.socket.poll_send(cx, &mut probe.answer, &mut sent);
            if matches!(answer, Poll::Ready(Err(_))) {
                self.probe = None;
                self.core.machine.probe_detached();
            }
        }
        match &mut self.lane {
            Lane::Polling(slot) => self.core.write_poll(slot),
            Lane::WebSocket(socket) => {
                if busy {
                    self.core.handle.mailbox().take_frames(frames);
                }
                return self.core.write_websocket(socket, frames, cx);
            }
            Lane::Opening(_) | Lane::Gone => {}
        }
        0
    }

    /// Puts back what was not sent, and goes to sleep unless there is something left to do.
    fn settle(
        &mut self,
        unsent: VecDeque<Frame>,
        sent: usize,
        again: bool,
        cx: &mut Context<'_>,
    ) -> Settled {
        let mut mailbox = self.core.handle.mailbox();
        mailbox.put_back(unsent, sent);
        let mut due = !mailbox.queue.is_empty();
        match &self.lane {
            Lane::WebSocket(socket) => {
                mailbox.writable = !due && socket.is_idle();
                due &= socket.is_idle();
            }
            _ => due &= mailbox.writable,
        }
        let asleep = !again && !due && !mailbox.has_news() && self.core.ending.is_none();
        if asleep {
            mailbox.sleep(cx.waker());
        }
        Settled {
            close: mailbox.close.take(),
            drained: mailbox.bytes == 0,
            asleep,
        }
    }

    /// Looks whether somebody asked for a close, and whether the transport is ready for it.
    fn close_if_asked(&mut self, settled: &Settled, cx: &mut Context<'_>) {
        let drained = settled.drained;
        match settled.close {
            Some(CloseRequest::Now(reason, description)) => self.core.end(reason, description),
            Some(CloseRequest::Drained) => {
                if drained && self.lane.is_ready_to_close() {
                    self.core.end(CloseReason::ForcedClose, None);
                } else {
                    self.core.machine.close_pending(self.core.now);
                    self.core
                        .with_connection(cx, |connection, scope| connection.closing(scope));
                }
            }
            None => {
                let closing = !self.core.handle.is_open() && self.core.machine.is_closing();
                if closing && drained && self.lane.is_ready_to_close() {
                    self.core.end(CloseReason::ForcedClose, None);
                    if let Some(ending) = &mut self.core.ending {
                        ending.farewell = Farewell::NoopAndClose;
                    }
                }
            }
        }
    }

    /// Ends the session: tells the peer, then the application.
    fn finish(&mut self, cx: &mut Context<'_>) -> Round {
        let Some(ending) = self.core.ending.take() else {
            return Round::Done;
        };
        if let Some(probe) = self.probe.take() {
            probe.socket.close(None);
        }
        match std::mem::replace(&mut self.lane, Lane::Gone) {
            Lane::Polling(Some(reply)) => {
                let packets: &[PacketType] = match ending.farewell {
                    Farewell::Close => &[PacketType::Close],
                    Farewell::Noop => &[PacketType::Noop],
                    Farewell::NoopAndClose => &[PacketType::Noop, PacketType::Close],
                };
                self.core.answer_poll(reply, packets);
            }
            Lane::WebSocket(socket) => socket.close(ending.code),
            _ => {}
        }
        self.core.finish(&ending, cx);
        self.linger(cx)
    }

    fn linger(&mut self, cx: &mut Context<'_>) -> Round {
        self.core.running.poll(cx);
        if self.core.running.len() == 0 {
            return Round::Done;
        }
        let core = Arc::clone(self.core.handle.core());
        self.stage = Stage::Lingering(Box::pin(async move { core.cut_off().await }));
        Round::Again
    }

    fn panicked(&mut self, cx: &mut Context<'_>) -> Round {
        tracing::error!("the application panicked while handling a session; the session is closed");
        // What panicked may be half-changed: it gets no further call.
        self.core.connection = None;
        self.core
            .end(CloseReason::TransportError, Some("internal error"));
        catch_unwind(AssertUnwindSafe(|| self.finish(cx))).unwrap_or(Round::Done)
    }

    /// Asks everybody anew for a deadline. Only what happens to them can have changed it.
    fn set_deadline(&mut self) {
        let connection = self.core.connection.as_ref().and_then(Connection::deadline);
        let machine = self.core.machine.next_timeout();
        self.deadline = connection.into_iter().chain(machine).min();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::websocket::WebSocket;

    struct Nothing;

    impl App for Nothing {
        type Connection = Nothing;
        fn connect(&self, _: &SessionHandle, _: &mut Scope<'_, '_>) -> Self {
            Self
        }
    }

    impl Connection for Nothing {
        fn message(&mut self, _: sala_engine_proto::Data<'_>, _: &mut Scope<'_, '_>) {}
        fn close(&mut self, _: CloseReason, _: Option<&str>, _: &mut Scope<'_, '_>) {}
    }

    /// What an idle session costs is mostly these. Growth is a decision, not an accident.
    #[test]
    fn an_idle_session_stays_small() {
        let sizes = [
            size_of::<Task<Nothing>>(),
            size_of::<WebSocket>(),
            super::super::handle::SHARED_SIZE,
            size_of::<crate::Request>(),
        ];
        println!("task, WebSocket, shared, request: {sizes:?}");
        assert!(sizes.iter().sum::<usize>() < 1500);
    }
}
