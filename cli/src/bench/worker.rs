//! One client's life, from its connection to the loss of it or the end of the run.

use std::sync::Arc;

use tokio::time::timeout;

use super::Run;
use super::caller::Caller;
use super::client::{Client, Error, Kind};
use super::fanout::{Speaker, listen};
use super::pace::Turns;
use super::payload::array;
use super::plan::Scenario;

/// What a client does, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Idle,
    Call,
    /// Receives what is sent to this room.
    Listen(usize),
    Speak,
}

impl Part {
    fn emits(self) -> bool {
        matches!(self, Self::Call | Self::Speak)
    }

    fn of(run: &Run, index: usize) -> Self {
        match run.plan.scenario {
            Scenario::Connect => Self::Idle,
            Scenario::Echo | Scenario::Churn => Self::Call,
            Scenario::Broadcast | Scenario::Rooms if index < run.plan.connections => {
                Self::Listen(index % run.plan.rooms)
            }
            Scenario::Broadcast | Scenario::Rooms => Self::Speak,
        }
    }
}

/// A client that is connected and waits for the start.
#[derive(Debug)]
pub(super) struct Worker {
    client: Client,
    index: usize,
    part: Part,
    turns: Turns,
}

impl Worker {
    /// Connects client number `index` and takes it to its room.
    pub(super) async fn connect(run: &Run, index: usize) -> Result<Self, Error> {
        let connected = Self::try_connect(run, index).await;
        match &connected {
            Ok(_) => {
                run.stats.connected.add(1);
                run.stats.live.add(1);
                run.stats.failed_in_a_row.reset();
            }
            Err(error) => {
                run.stats.failed.add(1);
                run.stats.failed_in_a_row.add(1);
                run.stats.error(format!("not connected: {error}"));
            }
        }
        connected
    }

    async fn try_connect(run: &Run, index: usize) -> Result<Self, Error> {
        let begin = run.stats.now();
        let connecting = Client::connect(run.target.clone(), index, run.plan.transport);
        let patience = run.plan.connect_timeout;
        let connected = timeout(patience, connecting).await;
        let mut client = connected.map_err(|_| Error::Timeout("the handshake"))??;
        run.stats.connecting.add(run.stats.now() - begin);
        let part = Part::of(run, index);
        if let Part::Listen(room) = part {
            let joined = timeout(patience, join(run, &mut client, room)).await;
            joined.map_err(|_| Error::Timeout("the acknowledgement of the join event"))??;
            run.board.enter(room);
        }
        let turns = Turns::new(run.pace.as_ref().filter(|_| part.emits()));
        Ok(Self {
            client,
            index,
            part,
            turns,
        })
    }

    /// Works until the connection is lost.
    pub(super) async fn work(self, run: Arc<Run>) {
        let part = self.part;
        let error = self.act(&run).await;
        if let Part::Listen(room) = part {
            run.board.leave(room);
        }
        run.stats.live.subtract(1);
        run.stats.closed.add(1);
        run.stats.error(format!("connection lost: {error}"));
    }

    async fn act(self, run: &Run) -> Error {
        let Self {
            mut client,
            index,
            part,
            turns,
        } = self;
        if part.emits()
            && let Err(error) = wait(run, &mut client).await
        {
            return error;
        }
        match part {
            Part::Idle => idle(client).await,
            Part::Call => Caller::new(run, client, index, turns).work().await,
            Part::Listen(room) => listen(run, client, room).await,
            Part::Speak => Speaker::new(run, client, turns).work().await,
        }
    }
}

/// Answers pings until the start.
async fn wait(run: &Run, client: &mut Client) -> Result<(), Error> {
    let mut started = std::pin::pin!(run.stage.started());
    loop {
        tokio::select! {
            () = &mut started => return Ok(()),
            packet = client.next() => drop(packet?),
        }
    }
}

/// Answers pings.
async fn idle(mut client: Client) -> Error {
    loop {
        if let Err(error) = client.next().await {
            return error;
        }
    }
}

async fn join(run: &Run, client: &mut Client, room: usize) -> Result<(), Error> {
    let event = array(&[&run.plan.events.join, &run.plan.room(room)]);
    client.emit(Some(0), &[&event], None);
    while client.next().await?.kind != Kind::Ack(0) {}
    Ok(())
}
