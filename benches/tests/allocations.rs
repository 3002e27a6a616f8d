//! How many times each operation allocates. A change of a number is a decision: write it down here.
//!
//! A `realloc` counts as an allocation. Buffers that a connection keeps are warm.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sala_benches::operations;

const EXPECTED: &[(&str, u64)] = &[
    // Decoding borrows; base64 needs room for the bytes.
    ("payload-v4-decode-16x116", 0),
    ("payload-v4-decode-bin-1k", 1),
    // The body, whose length is known.
    ("payload-v4-encode-16x116", 1),
    ("payload-v3-decode-16x116", 0),
    // The body grows: its length is not known beforehand.
    ("payload-v3-encode-16x116", 6),
    // A message that arrives whole is borrowed; one in pieces needs a buffer.
    ("ws-read-64x32", 0),
    ("ws-read-1k", 0),
    ("ws-read-16k", 0),
    ("ws-read-bin-1k", 0),
    ("ws-read-bin-16k", 0),
    ("ws-read-16k-in-pieces", 1),
    ("ws-write-header-64", 0),
    // The bytes and the frame; above 16 KiB the buffer itself, which has grown, and its share count.
    ("frame-32", 2),
    ("frame-1k", 2),
    ("frame-16k", 4),
    // The codec writes into the same buffer. Bytes: a copy, two lists of attachments.
    ("frame-event-32", 2),
    ("frame-event-1k", 2),
    ("frame-event-16k", 5),
    ("frame-event-bin-1k", 5),
    ("frame-event-bin-16k", 5),
    ("frame-event-msgpack-32", 2),
    ("frame-base64-1k", 5),
    // Text needs nothing, however long. An attachment: the packet that waits, its list.
    ("json-decode-32", 0),
    ("json-decode-1k", 0),
    ("json-decode-16k", 0),
    ("json-decode-objects-1k", 0),
    ("json-decode-objects-16k", 0),
    ("json-decode-bin-1k", 5),
    ("json-decode-bin-16k", 5),
    // What the handler asked for, and nothing else.
    ("json-parse-32", 1),
    ("json-parse-1k", 1),
    ("json-parse-objects-1k", 22),
    ("json-parse-16k", 1),
    ("json-parse-value-1k", 112),
    ("json-parse-tree-1k", 23),
    ("json-parse-bin-1k", 11),
    // Into the caller's buffer. Bytes are copied, to be shared.
    ("json-encode-32", 0),
    ("json-encode-1k", 0),
    ("json-encode-16k", 0),
    ("json-encode-objects-1k", 0),
    ("json-encode-value-1k", 0),
    ("json-encode-tree-1k", 0),
    ("json-encode-bin-1k", 2),
    ("json-encode-bin-16k", 2),
    // The arguments outlive the message.
    ("json-ack-raw-32", 1),
    ("json-ack-raw-1k", 1),
    // The event's name, the stacks of the walk.
    ("msgpack-decode-32", 2),
    ("msgpack-decode-1k", 2),
    ("msgpack-decode-16k", 2),
    ("msgpack-decode-objects-1k", 2),
    ("msgpack-decode-bin-16k", 2),
    ("msgpack-parse-32", 4),
    ("msgpack-parse-1k", 4),
    ("msgpack-parse-objects-1k", 45),
    // The head of the list, which is corrected.
    ("msgpack-encode-32", 0),
    ("msgpack-encode-1k", 0),
    ("msgpack-encode-16k", 0),
    ("msgpack-encode-objects-1k", 0),
    ("msgpack-encode-bin-16k", 0),
    // Between servers.
    ("cluster-encode-json-1k", 10),
    ("cluster-encode-msgpack-1k", 15),
    ("cluster-decode-json-1k", 8),
    ("cluster-decode-msgpack-1k", 9),
    ("cluster-deliver-json-1k", 8),
    ("cluster-deliver-msgpack-1k", 10),
];

#[test]
fn every_operation_allocates_exactly_as_often_as_the_table_says() {
    let mut expected: BTreeMap<_, _> = EXPECTED.iter().copied().collect();
    let mut different = String::new();
    for operation in operations() {
        let mut run = operation.prepare();
        let counted = allocation_counter::measure(&mut run).count_total;
        match expected.remove(operation.name) {
            Some(count) if count == counted => {}
            other => {
                let name = operation.name;
                let _ = writeln!(different, "{name}: {counted}, the table says {other:?}");
            }
        }
    }
    assert!(different.is_empty(), "\n{different}");
    assert!(
        expected.is_empty(),
        "in the table, but no operation: {expected:?}"
    );
}
