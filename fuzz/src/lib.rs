//! Fuzz targets: one function per decoder, run by libFuzzer and, shortly, by the tests.
//!
//! A target panics if something is wrong. It checks more than the absence of panics: what decodes is
//! encoded again, and what may arrive in pieces gives the same in whatever pieces it arrives.

pub mod classic;
pub mod cluster;
pub mod engineio;
pub mod http;
pub mod mutate;
pub mod processes;
pub mod socketio;
pub mod streams;

/// A target: takes any bytes, panics on a bug.
pub type Target = fn(&[u8]);

/// All targets by name. Each has seeds in `corpus/<name>/` and an entry point in
/// `fuzz_targets/<name>.rs`.
pub const TARGETS: &[(&str, Target)] = &[
    ("packet_text", engineio::packet_text),
    ("packet_binary", engineio::packet_binary),
    ("payload_v4", engineio::payload_v4),
    ("payload_v3", engineio::payload_v3),
    ("payload_v3_binary", engineio::payload_v3_binary),
    ("jsonp", engineio::jsonp),
    ("jsonp_post", engineio::jsonp_post),
    ("query", engineio::query),
    ("ws_handshake", engineio::ws_handshake),
    ("ws_reader", engineio::ws_reader),
    ("ws_reader_deflate", engineio::ws_reader_deflate),
    ("ws_deflate_round_trip", engineio::ws_deflate_round_trip),
    ("http_head", http::http_head),
    ("http_chunked", http::http_chunked),
    ("json_assembler", socketio::json_assembler),
    ("msgpack", socketio::msgpack),
    ("cluster_message", cluster::cluster_message),
    ("cluster_event", cluster::cluster_event),
    ("classic_broadcast", classic::classic_broadcast),
    ("classic_request", classic::classic_request),
    ("classic_response", classic::classic_response),
    ("streams_entry", streams::streams_entry),
    ("streams_session", streams::streams_session),
    ("channel_frames", processes::channel_frames),
    ("node_messages", processes::node_messages),
    ("v8_clone", processes::v8_clone),
    ("first_line", processes::first_line),
    ("proxy_header", processes::proxy_header),
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name)?;
    Some(*target)
}
