//! Every operation, from a server of either kind, in any mode.

mod broadcasts;
mod emitter;
mod queries;
mod requests;

use futures_util::future::LocalBoxFuture;

use crate::lab::{Lab, NAMES};
use crate::modes::Kind;

/// What is done by the server `from`.
type Operation = for<'a> fn(&'a mut Lab, usize) -> LocalBoxFuture<'a, ()>;

/// Operations by their names.
macro_rules! operations {
    ($($module:ident: $($name:ident),+;)+) => {
        &[$($((stringify!($name), |lab, from| Box::pin($module::$name(lab, from)))),+),+]
    };
}

const OPERATIONS: &[(&str, Operation)] = operations! {
    // Begun first, because it takes as long as the adapters wait.
    queries: a_riddle_is_asked;
    broadcasts: all_hear, a_room_hears, two_rooms_hear_once, an_exception_does_not_hear, one_client_hears,
        the_sender_does_not_hear, bytes_arrive, odd_values_arrive, long_messages_arrive, namespaces_are_apart,
        dynamic_namespaces_hear, volatile_and_compressed_events_arrive, local_events_stay, order_is_kept;
    requests: clients_join_and_leave_from_afar, clients_are_disconnected_from_afar, a_remote_socket_is_commanded;
    queries: servers_are_counted, all_answer, a_room_answers, bytes_are_answered, nobody_is_asked,
        a_silent_client_is_missed, sockets_are_fetched, servers_hear, servers_answer, half_a_cluster_is_asked;
    queries: a_riddle_is_given_up;
};

/// Runs all of them from a server of each kind, and those of emitters.
pub(crate) async fn run(mut lab: Lab) {
    for (name, operation) in OPERATIONS {
        for from in [0, 2] {
            lab.doing(format!("`{name}` from {}", NAMES[from]));
            operation(&mut lab, from).await;
        }
    }
    if lab.mode.kind == Kind::Classic {
        emitter::official(&mut lab).await;
        emit(&mut lab, "official").await;
    }
    emitter::ours(&mut lab).await;
    emit(&mut lab, "own").await;
}

/// Has an emitter do all that it can do.
async fn emit(lab: &mut Lab, whose: &str) {
    lab.doing(format!("events of the {whose} emitter"));
    emitter::it_is_heard(lab).await;
    lab.doing(format!("commands of the {whose} emitter"));
    emitter::it_moves_clients(lab).await;
    lab.doing(format!("messages of the {whose} emitter to servers"));
    emitter::it_tells_servers(lab).await;
}
