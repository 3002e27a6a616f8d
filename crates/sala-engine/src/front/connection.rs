//! One connection: a request is read, handled, answered; then the next.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::UPGRADE;
use http::{Method, Response, StatusCode};
use sala_engine_proto::Query;
use sala_engine_proto::intake::Arrival;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::body::{self, Arriving, RequestBody};
use super::head::{self, Head, MAX_HEAD, NoHead};
use super::reply::{self, Manner, Unsent};
use super::{Front, Host, OneRequest, Rewind};
use crate::app::App;
use crate::edge::{EngineResponse, PendingPoll, Routed, Via};
use crate::request::ConnectionInfo;
use crate::serve::Life;
use crate::transport::buffers::with_buffers;
use crate::transport::io::{Io, Upgraded, Upgrading};

/// How long a connection may take nothing of a reply.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// How long, and how many bytes, a refused client may go on sending before the connection is cut.
/// Cutting it at once could destroy the reply before the client has read it.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 8 << 20;

pub(super) struct Connection<A: App> {
    host: Arc<Host<A>>,
    life: Life,
    info: ConnectionInfo,
    /// None when it has been handed over.
    io: Option<TcpStream>,
    /// What was read and not used: part of a head, or requests behind the one that is handled.
    leftover: Vec<u8>,
    /// No request has been started.
    fresh: bool,
    state: State,
}

enum State {
    Waiting(Waiting),
    Handling(Exchange),
    Sending {
        unsent: Unsent,
        then: Then,
        deadline: Instant,
    },
    /// All is said; what the client still sends is thrown away.
    Lingering {
        left: usize,
        deadline: Instant,
    },
    Gone,
}

/// For the head of a request.
struct Waiting {
    deadline: Instant,
    /// Nobody has looked at what is left over.
    unseen: bool,
}

/// A request that is being handled.
struct Exchange {
    work: Work,
    /// The rest of the body, until it has been read.
    arriving: Option<Box<Arriving>>,
    fate: Fate,
}

/// What is to happen after the reply.
struct Fate {
    manner: Manner,
    heir: Option<Heir>,
}

/// Who wants the connection after a 101.
struct Heir {
    to: oneshot::Sender<Upgraded>,
    /// It has something to say at once, and says the 101 with it.
    speaks: bool,
}

enum Work {
    Poll(PendingPoll),
    Other(Pin<Box<dyn Future<Output = EngineResponse> + Send>>),
}

/// What happens when a reply has been sent.
enum Then {
    Next,
    HandOver(Heir),
    End { linger: bool },
}

/// A request whose head is complete.
struct Accepted {
    head: Head,
    body: RequestBody,
    arriving: Option<Box<Arriving>>,
    used: usize,
}

/// What a step of work came to.
pub(super) enum Step {
    Again,
    /// Nothing to do until the connection, the handler or the clock wakes the task.
    Sleep(Option<Instant>),
    Done,
}

impl<A: App> Connection<A> {
    /// A new connection, whose first head is to come before `deadline`.
    pub(super) fn new(
        io: TcpStream,
        read: Vec<u8>,
        info: ConnectionInfo,
        host: Arc<Host<A>>,
        life: Life,
        deadline: Instant,
    ) -> Self {
        Self {
            host,
            life,
            info,
            io: Some(io),
            state: State::Waiting(Waiting {
                deadline,
                unseen: !read.is_empty(),
            }),
            leftover: read,
            fresh: true,
        }
    }

    /// Its first request has been served already.
    pub(super) fn is_known(&mut self) {
        self.fresh = false;
    }

    /// Does what can be done now.
    pub(super) fn step(&mut self, cx: &mut Context<'_>) -> Step {
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Waiting(waiting) => self.wait(waiting, cx),
            State::Handling(exchange) => self.handle(exchange, cx),
            State::Sending {
                unsent,
                then,
                deadline,
            } => self.send_more(unsent, then, deadline, cx),
            State::Lingering { left, deadline } => self.linger(left, deadline, cx),
            State::Gone => Step::Done,
        }
    }

    /// The deadline that a step gave has passed.
    pub(super) fn time_out(&mut self, cx: &mut Context<'_>) -> Step {
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Waiting(_) if !self.leftover.is_empty() => {
                self.refuse(StatusCode::REQUEST_TIMEOUT, cx)
            }
            // Between requests, or the client does not read.
            _ => Step::Done,
        }
    }

    /// Reads until the head of a request is complete.
    fn wait(&mut self, mut waiting: Waiting, cx: &mut Context<'_>) -> Step {
        let before = self.leftover.len();
        let found = if std::mem::take(&mut waiting.unseen) && !self.leftover.is_empty() {
            self.look()
        } else if self.leftover.is_empty() && self.life.is_stopping() {
            return Step::Done;
        } else {
            match self.read_head(cx) {
                Poll::Ready(Ok(found)) => found,
                Poll::Ready(Err(_)) => return Step::Done,
                Poll::Pending => {
                    let deadline = waiting.deadline;
                    self.state = State::Waiting(waiting);
                    return Step::Sleep(Some(deadline));
                }
            }
        };
        match found {
            Ok(accepted) => self.start(accepted, cx),
            Err(NoHead::Partial) => {
                if before == 0 {
                    // The pause before a request is not held against it.
                    waiting.deadline = self.head_deadline();
                }
                self.state = State::Waiting(waiting);
                Step::Again
            }
            Err(NoHead::Foreign) => self.hand_over(),
            Err(NoHead::Elsewhere) => self.pass_on(),
            Err(NoHead::Refused(status)) => self.refuse(status, cx),
        }
    }

    /// Reads once. What is not used is left over.
    fn read_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Result<Accepted, NoHead>>> {
        let Some(io) = &mut self.io else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let before = self.leftover.len();
        let leftover = &mut self.leftover;
        let (host, fresh) = (&self.host, self.fresh);
        let found = with_buffers(|buffers| {
            let read = ready!(poll_read(io, cx, buffers.room()))?;
            if before > 0 {
                leftover.extend_from_slice(read);
                return Poll::Ready(io::Result::Ok(None));
            }
            let found = accept(read, host, fresh);
            let used = found.as_ref().map_or(0, |accepted| accepted.used);
            *leftover = read[used..].to_vec();
            Poll::Ready(Ok(Some(found)))
        });
        Poll::Ready(Ok(match ready!(found)? {
            Some(found) => found,
            // A head that trickles in is parsed once, not for each of its bytes.
            None if self.leftover.len() <= MAX_HEAD && !head::may_end(&self.leftover, before) => {
                Err(NoHead::Partial)
            }
            None => self.look(),
        }))
    }

    /// Looks at what is left over.
    fn look(&mut self) -> Result<Accepted, NoHead> {
        let found = accept(&self.leftover, &self.host, self.fresh);
        if let Ok(accepted) = &found {
            self.leftover = self.leftover[accepted.used..].to_vec();
        }
        found
    }

    fn head_deadline(&self) -> Instant {
        Instant::now() + self.host.engine.config().header_timeout
    }

    /// Begins to handle a request.
    fn start(&mut self, accepted: Accepted, cx: &mut Context<'_>) -> Step {
        let Accepted {
            head,
            body,
            arriving,
            ..
        } = accepted;
        self.fresh = false;
        let mut parts = head.parts;
        let mut fate = Fate {
            manner: Manner {
                without_body: parts.method == Method::HEAD,
                close: head.close,
            },
            heir: None,
        };
        let mut upgrading = None;
        if parts.headers.contains_key(UPGRADE) {
            let (to, connection) = oneshot::channel();
            upgrading = Some(Upgrading::Front(connection));
            fate.heir = Some(Heir { to, speaks: false });
        }
        let via = Via {
            info: Some(self.info.behind(&self.host.proxies, &mut parts.headers)),
            upgrading,
        };
        let work = match self.host.engine.route(parts, body, via) {
            Routed::Answered(response) => {
                return self.send(response, fate, arriving.is_some(), cx);
            }
            Routed::Poll(poll) => Work::Poll(poll),
            Routed::Work(work) => {
                if let Some(heir) = &mut fate.heir {
                    heir.speaks = work.opens_session();
                }
                let engine = self.host.engine.clone();
                Work::Other(Box::pin(async move { engine.work(work).await }))
            }
        };
        self.state = State::Handling(Exchange {
            work,
            arriving,
            fate,
        });
        Step::Again
    }

    fn handle(&mut self, mut exchange: Exchange, cx: &mut Context<'_>) -> Step {
        loop {
            let response = match &mut exchange.work {
                Work::Poll(poll) => Pin::new(poll).poll(cx),
                Work::Other(work) => work.as_mut().poll(cx),
            };
            if let Poll::Ready(response) = response {
                let Exchange { arriving, fate, .. } = exchange;
                let unread = arriving.is_some_and(|arriving| !arriving.is_complete());
                return self.send(response, fate, unread, cx);
            }
            match self.read_behind(&mut exchange, cx) {
                Poll::Ready(Ok(())) => {}
                // The client has gone; dropping the request tells the session.
                Poll::Ready(Err(_)) => return Step::Done,
                Poll::Pending => {
                    self.state = State::Handling(exchange);
                    return Step::Sleep(None);
                }
            }
        }
    }

    /// Reads while a request is handled: its body if somebody asks for it, which makes the result
    /// ready, then the requests behind it, within limits. That the client goes shows here.
    fn read_behind(
        &mut self,
        exchange: &mut Exchange,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(io) = &mut self.io else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        with_buffers(|buffers| {
            if let Some(arriving) = &mut exchange.arriving
                && !arriving.is_over()
            {
                // Nobody reads the body of a poll: it is thrown away.
                if !arriving.is_wanted() && !matches!(exchange.work, Work::Poll(_)) {
                    return Poll::Pending;
                }
                let mut read = ready!(poll_read(io, cx, buffers.room()))?;
                arriving.feed(&mut read);
                self.leftover.extend_from_slice(read);
                return Poll::Ready(Ok(()));
            }
            loop {
                let room = MAX_HEAD.saturating_sub(self.leftover.len());
                if room == 0 {
                    return Poll::Pending;
                }
                let read = ready!(poll_read(io, cx, &mut buffers.room()[..room]))?;
                self.leftover.extend_from_slice(read);
            }
        })
    }

    /// Refuses a request whose end is not known.
    fn refuse(&mut self, status: StatusCode, cx: &mut Context<'_>) -> Step {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = status;
        let manner = Manner {
            without_body: false,
            close: true,
        };
        self.send(response, Fate { manner, heir: None }, true, cx)
    }

    /// Begins to send a reply. If the request has not been read to its end, the connection is of no
    /// more use.
    fn send(
        &mut self,
        response: EngineResponse,
        fate: Fate,
        unread: bool,
        cx: &mut Context<'_>,
    ) -> Step {
        let Some(io) = &mut self.io else {
            return Step::Done;
        };
        let Fate { mut manner, heir } = fate;
        manner.close |= unread || self.life.is_stopping() || head::has_close(response.headers());
        let then = match heir {
            Some(heir) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                if heir.speaks {
                    let response = reply::head_only(response, manner);
                    return self.bequeath(heir, response);
                }
                Then::HandOver(heir)
            }
            _ if manner.close => Then::End {
                linger: unread || !self.leftover.is_empty(),
            },
            _ => Then::Next,
        };
        match Unsent::begin(io, cx, response, manner) {
            Ok(unsent) if unsent.is_empty() => self.sent(then, cx),
            Ok(unsent) => {
                self.state = State::Sending {
                    unsent,
                    then,
                    deadline: Instant::now() + SEND_TIMEOUT,
                };
                Step::Again
            }
            Err(_) => Step::Done,
        }
    }

    fn send_more(
        &mut self,
        mut unsent: Unsent,
        then: Then,
        mut deadline: Instant,
        cx: &mut Context<'_>,
    ) -> Step {
        let Some(io) = &mut self.io else {
            return Step::Done;
        };
        loop {
            match unsent.poll_send(io, cx) {
                Poll::Ready(Ok(true)) => return self.sent(then, cx),
                Poll::Ready(Ok(false)) => deadline = Instant::now() + SEND_TIMEOUT,
                Poll::Ready(Err(_)) => return Step::Done,
                Poll::Pending => {
                    self.state = State::Sending {
                        unsent,
                        then,
                        deadline,
                    };
                    return Step::Sleep(Some(deadline));
                }
            }
        }
    }

    /// The reply has gone out.
    fn sent(&mut self, then: Then, cx: &mut Context<'_>) -> Step {
        match then {
            Then::Next => {
                self.state = State::Waiting(Waiting {
                    deadline: self.head_deadline(),
                    unseen: true,
                });
                Step::Again
            }
            Then::HandOver(heir) => self.bequeath(heir, Bytes::new()),
            Then::End { linger: false } => Step::Done,
            Then::End { linger: true } => {
                self.leftover = Vec::new();
                if let Some(io) = &mut self.io
                    && Pin::new(io).poll_shutdown(cx).is_ready()
                {
                    self.state = State::Lingering {
                        left: LINGER_BYTES,
                        deadline: Instant::now() + LINGER,
                    };
                }
                Step::Again
            }
        }
    }

    /// Gives the connection away, with as much of the `response` as has yet to be sent.
    fn bequeath(&mut self, heir: Heir, response: Bytes) -> Step {
        if let Some(io) = self.io.take() {
            let early = std::mem::take(&mut self.leftover).into();
            // An heir that has gone leaves nobody to talk to.
            heir.to
                .send(Upgraded {
                    io: Io::Tcp(io),
                    early,
                    response,
                })
                .ok();
        }
        Step::Done
    }

    fn linger(&mut self, mut left: usize, deadline: Instant, cx: &mut Context<'_>) -> Step {
        let Some(io) = &mut self.io else {
            return Step::Done;
        };
        while left > 0 && !self.life.is_stopping() {
            let read =
                with_buffers(|buffers| poll_read(io, cx, buffers.room()).map_ok(|read| read.len()));
            match read {
                Poll::Ready(Ok(n)) => left = left.saturating_sub(n),
                Poll::Ready(Err(_)) => break,
                Poll::Pending => {
                    self.state = State::Lingering { left, deadline };
                    return Step::Sleep(Some(deadline));
                }
            }
        }
        Step::Done
    }

    /// Gives the connection to the process that owns the session of the next request, which has not
    /// been touched.
    fn pass_on(&mut self) -> Step {
        let read = std::mem::take(&mut self.leftover);
        if let (Some(io), Some(intake)) = (self.io.take(), &self.host.intake) {
            match io.into_std() {
                Ok(stream) => intake.pass_on(Arrival {
                    stream,
                    read,
                    remote: self.info.remote,
                    secure: self.info.secure,
                }),
                Err(error) => tracing::error!(%error, "a connection could not be passed on"),
            }
        }
        Step::Done
    }

    /// Gives the connection to the server behind, with what was read. It comes back after one request
    /// if the next one may be for another process.
    fn hand_over(&mut self) -> Step {
        let Some(io) = self.io.take() else {
            return Step::Done;
        };
        let read = std::mem::take(&mut self.leftover);
        let (host, info, life) = (Arc::clone(&self.host), self.info, self.life.clone());
        match host.intake.as_ref().and_then(|_| plain(&read)) {
            Some(head) => {
                let request = OneRequest::new(io, read, head.len, head.framing);
                let again = Arc::clone(&host);
                let life_again = life.clone();
                let back = Box::new(move |io, read| {
                    tokio::spawn(Front::again(io, read, info, again, life_again));
                });
                host.behind.take_one(request, info, life, back);
            }
            None => host.behind.take(Rewind::new(read, io), info, life),
        }
        Step::Done
    }
}

/// Reads something. The end of the connection is an error.
pub(super) fn poll_read<'b>(
    io: &mut TcpStream,
    cx: &mut Context<'_>,
    buf: &'b mut [u8],
) -> Poll<io::Result<&'b [u8]>> {
    let n = {
        let mut buf = ReadBuf::new(buf);
        ready!(Pin::new(io).poll_read(cx, &mut buf))?;
        buf.filled().len()
    };
    Poll::Ready(if n == 0 {
        Err(io::ErrorKind::UnexpectedEof.into())
    } else {
        Ok(&buf[..n])
    })
}

/// Takes a request that `input` begins with.
fn accept<A: App>(input: &[u8], host: &Host<A>, fresh: bool) -> Result<Accepted, NoHead> {
    let owns = |target: &str| host.engine.config().path.is_exactly(target);
    let head = match head::parse(input, owns) {
        // It comes back after this request, so the end of its head is waited for.
        Err(NoHead::Foreign) if host.intake.is_some() => return Err(foreign(input)),
        head => head?,
    };
    if let Some(intake) = &host.intake {
        let query = Query::parse(head.parts.uri.query().unwrap_or(""));
        if !intake.is_ours(fresh, query.sid.as_deref()) {
            return Err(NoHead::Elsewhere);
        }
    }
    let mut rest = &input[head.len..];
    let (body, arriving) = body::begin(head.framing, &mut rest)
        .map_err(|_| NoHead::Refused(StatusCode::BAD_REQUEST))?;
    Ok(Accepted {
        head,
        body,
        arriving: arriving.map(Box::new),
        used: input.len() - rest.len(),
    })
}

/// What is to be done about a request that is not the engine's, if a single one can be taken out of
/// the connection.
fn foreign(input: &[u8]) -> NoHead {
    match head::parse(input, |_| true) {
        Err(NoHead::Partial) => NoHead::Partial,
        _ => NoHead::Foreign,
    }
}

/// The head of a request that has an end, and behind which there can be others.
fn plain(input: &[u8]) -> Option<Head> {
    let head = head::parse(input, |_| true).ok()?;
    let stays = !head.close
        && !head.parts.headers.contains_key(UPGRADE)
        && head.parts.method != Method::CONNECT;
    stays.then_some(head)
}
