//! The messages of the official package, read and written again.

#![allow(clippy::unwrap_used)]

use sala_adapter::codec::{self, Form};
use sala_adapter::{Envelope, ServerId};

use super::SubscriptionMode::{self, Dynamic, DynamicPrivate, Static};
use super::channels::Channels;
use crate::vectors::{Row, rows};

const FILES: [(&str, SubscriptionMode); 4] = [
    ("redis-sharded-static", Static),
    ("redis-sharded-dynamic", Dynamic),
    ("redis-sharded-dynamic-private", DynamicPrivate),
    ("redis-sharded-csr", Dynamic),
];

fn read(row: &Row) -> Envelope {
    codec::decode(&row.raw, None).unwrap_or_else(|error| panic!("{}: {error}", row.call))
}

#[test]
fn every_message_is_written_again_as_it_was_for_the_same_channel() {
    let mut count = 0;
    for (file, mode) in FILES {
        let channels = Channels {
            prefix: "socket.io".into(),
            mode,
        };
        for row in rows(file).iter().filter(|row| !row.is_injected()) {
            let mut envelope = read(row);
            if envelope.message.answers().is_some() {
                let to = row.decoded_channel_of_answer();
                envelope.recipient = Some(ServerId::from(to));
            }
            assert_eq!(channels.of(&envelope), row.channel, "{file}: {}", row.call);
            if is_not_the_same_to_us(row) {
                continue;
            }
            let form = Form::for_message(&envelope.message, Form::Notepack);
            let written = codec::encode(&envelope, form).unwrap();
            let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert_eq!(
                written,
                row.raw,
                "{}: {} {}",
                row.call,
                shown(&written),
                shown(&row.raw)
            );
            count += 1;
        }
    }
    assert!(count > 150, "{count}");
}

#[test]
fn a_message_cut_at_any_byte_is_an_error_and_nothing_more() {
    for (file, _) in FILES {
        for row in rows(file) {
            for len in 0..row.raw.len() {
                let cut = row.raw.slice(..len);
                assert!(codec::decode(&cut, None).is_err(), "{} at {len}", row.call);
            }
        }
    }
}

/// A room that is a number becomes text, and so does a date in the data of a socket; the id under which
/// one server waits for an acknowledgement is left out.
fn is_not_the_same_to_us(row: &Row) -> bool {
    let has_id = !row.decoded["data"]["packet"]["id"].is_null();
    let has_date = row.decoded["data"]["sockets"].to_string().contains("$date");
    row.call.contains("io.to(42)") || has_date || has_id
}

impl Row {
    /// The server in the name of its response channel.
    fn decoded_channel_of_answer(&self) -> &str {
        self.channel
            .trim_end_matches('#')
            .rsplit('#')
            .next()
            .unwrap()
    }
}
