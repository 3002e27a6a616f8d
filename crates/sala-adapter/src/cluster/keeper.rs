//! What has to be done from time to time while the broker is connected: heartbeats, members that fell
//! silent, broadcasts whose offset does not come.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::namespace::Sign;
use super::receive::departed;
use super::shared::Shared;

/// How often silent members are looked for, as in the reference.
const PERIOD: Duration = Duration::from_secs(1);

pub(super) async fn keep(shared: &Shared) -> Infallible {
    let patience = shared.options.offset_patience;
    let patience = patience.unwrap_or(shared.profile.offset_patience);
    let recovers = shared.profile.recovery.is_some();
    let period = if recovers {
        PERIOD.min(patience / 4).max(Duration::from_millis(1))
    } else {
        PERIOD
    };
    loop {
        let now = Instant::now();
        let heartbeat = heartbeats(shared, now);
        expire(shared, now);
        if recovers {
            shared.give_up_offsets(now.checked_sub(patience));
        }
        let next = now + period;
        sleep_until(heartbeat.map_or(next, |due| due.min(next))).await;
    }
}

/// Sends the heartbeats that are due, and says when the next one is.
fn heartbeats(shared: &Shared, now: Instant) -> Option<Instant> {
    let mut next = None;
    for namespace in shared.namespaces() {
        let mut due = namespace.heartbeat_due();
        if due.is_some_and(|due| due <= now) {
            shared.say(&namespace, Sign::Heartbeat);
            due = namespace.heartbeat_due();
        }
        next = next.into_iter().chain(due).min();
    }
    next
}

fn expire(shared: &Shared, now: Instant) {
    for namespace in shared.namespaces() {
        let gone = namespace.members().expire(now);
        for server in gone {
            departed(shared, &namespace, &server, true);
        }
    }
}
