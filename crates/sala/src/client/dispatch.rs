//! From an event to its handlers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use sala_engine::Scope;
use sala_proto::Args;

use super::{Live, Member};
use crate::error::ErrorKind;
use crate::gate::{ErasedGate, GatedEvent};
use crate::handler::{Failure, HandlerFuture};
use crate::namespace::table::Table;
use crate::socket::acks::AckSender;
use crate::socket::inner::Phase;
use crate::socket::{Incoming, Socket};

impl Live {
    /// Calls whoever wants to know of an event.
    pub(super) fn event(
        &mut self,
        index: usize,
        args: &Args<'_>,
        id: Option<u64>,
        scope: &mut Scope<'_, '_>,
    ) {
        let Member { socket, table, .. } = &mut self.members[index];
        let Some(name) = args.event() else {
            return;
        };
        if socket.0.phase() != Phase::Connected {
            return;
        }
        let table = table.get(&socket.nsp().inner.table);
        let own = socket.own_table();
        let own = own.as_deref();
        show_incoming(
            socket,
            &Incoming::new(&name, args, id.is_some()),
            table,
            own,
        );
        let gates: Vec<Arc<dyn ErasedGate>> = table
            .gates
            .iter()
            .chain(own.into_iter().flat_map(|own| &own.gates))
            .map(|gate| gate.hook.clone())
            .collect();
        if gates.is_empty() {
            start(socket, &name, args, id, table, own, |running| {
                scope.run(running)
            });
        } else {
            let event = GatedEvent::new(
                name.to_string(),
                args.clone().into_owned().after_event(),
                id.is_some(),
            );
            scope.run(Box::pin(pass_gates(gates, socket.clone(), event, id)));
        }
    }
}

/// Tells the catch-all listeners.
fn show_incoming(socket: &Socket, event: &Incoming<'_>, table: &Table, own: Option<&Table>) {
    for listener in table
        .any
        .iter()
        .chain(own.into_iter().flat_map(|own| &own.any))
    {
        let call = AssertUnwindSafe(|| (listener.hook)(socket, event));
        if let Err(panic) = catch_unwind(call) {
            Failure::panic(&*panic).report(socket, Some(event.name()));
        }
    }
}

/// Starts all handlers of an event, those of the namespace first.
fn start(
    socket: &Socket,
    name: &str,
    args: &Args<'_>,
    id: Option<u64>,
    table: &Table,
    own: Option<&Table>,
    mut run: impl FnMut(HandlerFuture),
) {
    let shared = table.event(name);
    let own = own.and_then(|own| own.event(name));
    let mut left = [shared, own]
        .iter()
        .flatten()
        .map(|listeners| listeners.list.len())
        .sum::<usize>();
    let mut ack = id.map(|id| AckSender::new(socket.clone(), id));
    if left > 1
        && let Some(ack) = &mut ack
    {
        ack.share();
    }
    for listeners in [shared, own].into_iter().flatten() {
        for listener in &listeners.list {
            // A listener for one event goes before it is called.
            if listener.once {
                socket.remove_listener(listener.id);
            }
            let ack = if left == 1 { ack.take() } else { ack.clone() };
            left -= 1;
            match listener
                .handler
                .call(socket.clone(), &listeners.key, args, ack)
            {
                Ok(running) => run(running),
                Err(failure) => failure.report(socket, Some(name)),
            }
        }
    }
}

/// Runs the gates, then the handlers of what they let through.
async fn pass_gates(
    gates: Vec<Arc<dyn ErasedGate>>,
    socket: Socket,
    mut event: GatedEvent,
    id: Option<u64>,
) {
    for gate in gates {
        let name = event.name().to_owned();
        let passed = AssertUnwindSafe(gate.call(socket.clone(), event))
            .catch_unwind()
            .await;
        event = match passed {
            Ok(Ok(event)) => event,
            Ok(Err(error)) => return socket.failed(Some(&name), ErrorKind::Gate, error),
            Err(panic) => return Failure::panic(&*panic).report(&socket, Some(&name)),
        };
    }
    if socket.0.phase() != Phase::Connected {
        return;
    }
    let table = socket.nsp().inner.table.get();
    let own = socket.own_table();
    let mut running = Vec::new();
    start(
        &socket,
        event.name(),
        event.args(),
        id,
        &table,
        own.as_deref(),
        |future| {
            running.push(future);
        },
    );
    join_all(running).await;
}
