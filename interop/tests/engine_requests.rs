//! A.1 to A.3: where requests go, options, handshakes and refusals.

use sala_interop::{Probe, differs};
use sala_testkit::http;
use serde_json::json;

#[tokio::test]
async fn a_handshake_opens_a_session() {
    let probe = Probe::engine(json!({})).await;
    let reply = http::get(probe.addr(), "/engine.io/?EIO=4&transport=polling").await;
    println!("{reply:?}");
    let _ = differs("A088", "x");
}
