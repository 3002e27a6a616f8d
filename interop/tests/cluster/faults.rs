//! What happens when parts of a cluster die. Each test prints what it measured.

mod nodes;
mod outages;
mod servers;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sala_interop::Peer;
use sala_testkit::{PATIENCE, within_long};
use serde_json::{Value, json};

use crate::lab::{ALL, Lab, NAMES, peer_of};
use crate::modes::Kind;

/// How often the senders emit.
const PACE: u64 = 5; // milliseconds

/// How soon after the return of Redis the servers must hear each other.
const RESUMES_WITHIN: u64 = 2_000; // milliseconds

/// The longest pause that clients of the sender's own server may see: far more than [`PACE`] because all of this
/// shares a machine, far less than the time that Redis is away.
const UNINTERRUPTED: u64 = 600; // milliseconds

/// How long Redis stays away.
const OUTAGE: Duration = Duration::from_millis(1_500);

/// The servers that emit: one of each kind.
const SENDERS: [usize; 2] = [0, 2];

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

/// A number that a client heard, and when.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    number: u64,
    at: u64,
}

/// A cluster with one client on each server, and a server of each kind that emits without pause.
async fn under_load(lab: &mut Lab) {
    for server in ALL {
        lab.connect(server, NAMES[server], "/", &[]).await;
    }
    lab.warm_up().await;
    for sender in SENDERS {
        let load = json!({"do": "load", "args": ["tally", NAMES[sender]], "every": PACE});
        lab.run(sender, load).await;
    }
    all_hear_after(lab, now()).await;
}

async fn arrivals(lab: &mut Lab, client: &str, sender: usize) -> Vec<Arrival> {
    let tallies = lab
        .driver
        .run(json!({"do": "tallies", "client": client}))
        .await;
    let entries = tallies[NAMES[sender]].as_array().into_iter().flatten();
    let arrival = |entry: &Value| Arrival {
        number: entry[0].as_u64().unwrap(),
        at: entry[1].as_u64().unwrap(),
    };
    entries.map(arrival).collect()
}

/// Waits until each client has heard each sender after a moment, and returns when the first of these arrived, for
/// each pair of sender and hearer.
async fn all_hear_after(lab: &mut Lab, moment: u64) -> Vec<(usize, usize, u64)> {
    let mut found = Vec::new();
    for sender in SENDERS {
        for hearer in ALL {
            found.push((
                sender,
                hearer,
                hears_after(lab, hearer, sender, moment).await,
            ));
        }
    }
    found
}

/// Waits until a client has heard a sender after a moment, and returns when.
async fn hears_after(lab: &mut Lab, hearer: usize, sender: usize, moment: u64) -> u64 {
    let what = format!("{} to hear {}", NAMES[hearer], NAMES[sender]);
    within_long(PATIENCE * 3, &what, async {
        loop {
            let heard = arrivals(lab, NAMES[hearer], sender).await;
            if let Some(first) = heard.iter().find(|arrival| arrival.at > moment) {
                return first.at;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

async fn stop_load(lab: &mut Lab) {
    for sender in SENDERS {
        lab.run(sender, json!({"do": "unload", "name": NAMES[sender]}))
            .await;
    }
    lab.settle(SENDERS[0]).await;
    lab.settle(SENDERS[1]).await;
}

/// Asserts that the client of the sender's own server heard everything without a pause.
async fn local_delivery_was_uninterrupted(lab: &mut Lab, sender: usize) {
    let heard = arrivals(lab, NAMES[sender], sender).await;
    let pause = heard.windows(2).map(|pair| pair[1].at - pair[0].at).max();
    let pause = pause.unwrap();
    let count = heard.len();
    eprintln!(
        "{}: {count} events heard locally, longest pause {pause} ms",
        NAMES[sender]
    );
    if peer_of(sender) == Peer::Reference && lab.mode.kind != Kind::Classic {
        // Its local delivery waits for Redis.
        return;
    }
    assert!(
        heard
            .iter()
            .map(|arrival| arrival.number)
            .eq(0..count as u64)
    );
    assert!(
        pause < UNINTERRUPTED,
        "a pause of {pause} ms at {}",
        NAMES[sender]
    );
}

/// Prints and asserts how soon the servers heard each other.
fn resumed(found: &[(usize, usize, u64)], since: u64, what: &str) {
    for (sender, hearer, at) in found.iter().filter(|(sender, hearer, _)| sender != hearer) {
        let after = at - since;
        eprintln!(
            "{} hears {} again {after} ms after {what}",
            NAMES[*hearer], NAMES[*sender]
        );
        assert!(after <= RESUMES_WITHIN, "{after} ms are too long");
    }
}

/// Asserts that each client heard the numbers of each sender in order and none twice; prints how many are missing.
async fn nothing_came_twice(lab: &mut Lab) {
    for sender in SENDERS {
        let all = arrivals(lab, NAMES[sender], sender).await.len();
        for hearer in ALL {
            let heard = arrivals(lab, NAMES[hearer], sender).await;
            let ascending = heard.windows(2).all(|pair| pair[0].number < pair[1].number);
            assert!(
                ascending,
                "{} heard {} twice or out of order",
                NAMES[hearer], NAMES[sender]
            );
            eprintln!(
                "{} missed {} of {all} events of {}",
                NAMES[hearer],
                all - heard.len(),
                NAMES[sender]
            );
        }
    }
}
