//! What the fixture servers in `servers/` share: the control channel, the options, the application around them.

pub mod adapter;
pub mod application;
pub mod channel;
pub mod options;
pub mod value;

use std::io::Write;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Listens on 127.0.0.1 at the port in this environment variable and says so; port 0 picks a free one.
///
/// # Panics
///
/// When the port is taken or not a number.
pub async fn listen(variable: &str, default: u16) -> TcpListener {
    let port =
        std::env::var(variable).map_or(default, |port| port.parse().expect("the port is a number"));
    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .expect("the port is free");
    let address = listener.local_addr().expect("a listener has an address");
    let mut stdout = std::io::stdout().lock();
    // Whoever started this process may have stopped listening to it.
    let _ = writeln!(stdout, "listening on http://{address}");
    let _ = stdout.flush();
    listener
}

/// Resolves on SIGTERM. The signal is watched from the call on: call it before [`listen`].
///
/// # Panics
///
/// When the signal cannot be watched.
pub fn terminated() -> impl Future<Output = ()> {
    let mut signals = signal(SignalKind::terminate()).expect("signals can be watched");
    async move {
        signals.recv().await;
    }
}

/// A message of the engine as the channel shows it.
pub fn data_value(data: &sala_engine::Data<'_>) -> serde_json::Value {
    match data {
        sala_engine::Data::Text(text) => serde_json::json!(text),
        sala_engine::Data::Binary(bytes) => channel::bytes(bytes),
    }
}

/// A message of the engine from what the channel says.
pub fn message_frame(value: &serde_json::Value) -> sala_engine::Frame {
    use sala_engine::Frame;
    match (channel::as_bytes(value), value.as_str()) {
        (Some(bytes), _) => Frame::binary(|buf| buf.extend_from_slice(&bytes)),
        (None, Some(text)) => Frame::message(|buf| buf.extend_from_slice(text.as_bytes()), vec![]),
        (None, None) => panic!("neither text nor bytes: {value}"),
    }
}

/// A message that sends `data` back.
pub fn echo_frame(data: &sala_engine::Data<'_>) -> sala_engine::Frame {
    use sala_engine::{Data, Frame};
    match data {
        Data::Text(text) => Frame::message(|buf| buf.extend_from_slice(text.as_bytes()), vec![]),
        Data::Binary(bytes) => Frame::binary(|buf| buf.extend_from_slice(bytes)),
    }
}
