//! What every backend has to do, whatever its broker.
//!
//! ```text
//! sala_testkit::backend_suite!(MyFactory::start().await);
//! ```
//!
//! makes a test of each case. A case starts two to four servers over the backends of one [`Factory`], in a namespace of
//! its own; so the cases may share one broker. All waits end as soon as what they wait for happens.

mod answers;
mod faults;
mod messages;
mod recovery;
mod stage;

use std::time::Duration;

use sala_adapter::backend::Backend;

pub use answers::*;
pub use faults::*;
pub use messages::*;
pub use recovery::*;

/// Makes backends that meet at one broker.
pub trait Factory: Send + Sync {
    /// The backend under test.
    type Backend: Backend;

    /// The backend of one more server.
    fn backend(&self) -> Self::Backend;

    /// Stops the broker. `false` if it cannot be stopped: what needs it is then not tested.
    fn stop(&self) -> impl Future<Output = bool> + Send {
        async { false }
    }

    /// Starts it again after [`stop`](Self::stop), with what it should remember.
    fn start(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// How patient the suite is.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long something may take that must happen.
    pub patience: Duration,
    /// How long nothing must happen where nothing may. Every such wait takes that long.
    pub quiet: Duration,
    /// How many messages a burst has.
    pub burst: usize,
    /// How many bytes a large message has.
    pub large: usize,
}

impl Default for Limits {
    /// 20 s, 200 ms, 500 messages, 1 MiB.
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(20),
            quiet: Duration::from_millis(200),
            burst: 500,
            large: 1024 * 1024,
        }
    }
}

/// Makes a test of each case of the [suite](mod@crate::cluster::suite). The first argument is an expression that makes a
/// [`Factory`](crate::cluster::suite::Factory), evaluated within each test; it may `.await`. The second one,
/// [`Limits`](crate::cluster::suite::Limits), may be left out.
#[macro_export]
macro_rules! backend_suite {
    ($factory:expr) => {
        $crate::backend_suite!($factory, $crate::cluster::suite::Limits::default());
    };
    ($factory:expr, $limits:expr) => {
        $crate::backend_suite!(@cases $factory, $limits;
            a_broadcast_reaches_every_other_server_with_its_target
            binary_and_large_payloads_arrive_as_they_were_sent
            broadcasts_of_each_server_arrive_in_their_order
            commands_reach_the_other_servers
            events_between_servers_need_no_answer
            namespaces_are_apart
            a_room_is_heard_of_from_when_it_is_entered
            a_namespace_that_joins_later_is_heard_of
            servers_are_counted_as_they_come_and_go
            sockets_of_all_servers_are_fetched
            acknowledgements_of_all_clients_are_collected
            the_first_answer_is_enough_for_a_single_socket
            listeners_of_all_servers_answer
            all_servers_ask_at_once
            a_server_without_an_answer_is_missed
            what_is_sent_during_an_outage_arrives_after_it
            requests_fail_at_once_during_an_outage
            rooms_are_followed_again_after_an_outage
            logged_broadcasts_have_one_order_and_one_offset_everywhere
            a_session_is_taken_back_once_with_what_it_missed
        );
    };
    (@cases $factory:expr, $limits:expr; $($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                let factory = $factory;
                $crate::cluster::suite::$case(&factory, &$limits).await;
            }
        )*
    };
}
