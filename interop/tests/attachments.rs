//! B.4: binary attachments.

use std::time::Duration;

use sala_interop::{Probe, Sio, differs};
use sala_testkit::within_long;
use serde_json::json;

use crate::support::{connect, forced_close};

#[tokio::test]
async fn attachments_are_put_back_in_place() {
    // B033, B034, B035
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.text(r#"453-["a",{"_placeholder":true,"num":0},[{"deep":{"_placeholder":true,"num":2}}],{"_placeholder":true,"num":1}]"#).await;
    client.binary([1]).await;
    client.binary([]).await;
    client.quiet(Duration::from_millis(30)).await;
    probe.expect_none("event").await;
    client.binary([3]).await;
    let event = probe.event("event").await;
    assert_eq!(
        event["args"],
        json!([{"$bin": "AQ=="}, [{"deep": {"$bin": "Aw=="}}], {"$bin": ""}])
    );
}

#[tokio::test]
async fn an_incomplete_set_is_forgotten_with_its_connection() {
    // B043
    let mut probe = Probe::start(json!({})).await;
    for _ in 0..20 {
        let (mut client, _) = Sio::connect(probe.addr()).await;
        client
            .text(r#"452-["a",{"_placeholder":true,"num":0}]"#)
            .await;
        client.binary(vec![0; 500_000]).await;
        drop(client);
        assert_eq!(probe.event("disconnect").await["reason"], "transport close");
    }
    probe.expect_none("event").await;
    probe.expect_none("error").await;
}

#[tokio::test]
async fn attachments_may_be_unused_or_used_twice() {
    // B035
    let (mut probe, mut client, _) = connect(json!({})).await;
    client
        .text(r#"452-["a",{"_placeholder":true,"num":1},{"_placeholder":true,"num":1}]"#)
        .await;
    client.binary([1]).await;
    client.binary([2]).await;
    assert_eq!(
        probe.event("event").await["args"],
        json!([{"$bin": "Ag=="}, {"$bin": "Ag=="}])
    );
}

#[tokio::test]
async fn ten_attachments_are_fine_and_eleven_are_not() {
    // B036
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.text(r#"4510-["ten"]"#).await;
    for _ in 0..10 {
        client.binary([1]).await;
    }
    assert_eq!(probe.event("event").await["name"], "ten");
    client.text(r#"4511-["eleven"]"#).await;
    assert_eq!(
        probe.event("error").await["message"],
        "too many attachments"
    );
    forced_close(&mut probe, &mut client, "eleven").await;
}

#[tokio::test]
async fn a_binary_packet_needs_a_sound_number_of_attachments() {
    // B037, B038, I025
    for packet in [
        r#"450-["a"]"#,
        r#"45-["a"]"#,
        r#"451["a"]"#,
        r#"45["a"]"#,
        r#"45-1-["a"]"#,
        r#"451.5-["a"]"#,
        "451",
        "451-",
    ] {
        let (mut probe, mut client, _) = connect(json!({})).await;
        client.text(packet).await;
        if packet == "451-" {
            // Accepted by the reference until its attachment arrives.
            client.binary([1]).await;
        } else {
            assert_eq!(
                probe.event("error").await["message"],
                "Illegal attachments",
                "{packet}"
            );
            forced_close(&mut probe, &mut client, packet).await;
        }
        assert!(probe.process().is_running());
    }
}

#[tokio::test]
async fn a_placeholder_must_name_an_attachment() {
    // B039, I022
    for num in [
        r#""splice""#,
        r#""constructor""#,
        "-1",
        "1",
        "1.5",
        "null",
        "{}",
        r#""0""#,
    ] {
        let (mut probe, mut client, _) = connect(json!({})).await;
        client
            .text(format!(r#"451-["a",{{"_placeholder":true,"num":{num}}}]"#))
            .await;
        client.binary([1]).await;
        assert_eq!(
            probe.event("error").await["message"],
            "illegal attachments",
            "{num}"
        );
        forced_close(&mut probe, &mut client, num).await;
    }
}

#[tokio::test]
async fn text_between_attachments_closes_the_connection() {
    // B040
    let (mut probe, mut client, _) = connect(json!({})).await;
    client
        .text(r#"451-["a",{"_placeholder":true,"num":0}]"#)
        .await;
    client.text(r#"42["b"]"#).await;
    assert_eq!(
        probe.event("error").await["message"],
        "got plaintext data when reconstructing a packet"
    );
    forced_close(&mut probe, &mut client, "text").await;
}

#[tokio::test]
async fn pongs_between_attachments_are_fine() {
    // B040
    let (mut probe, mut client, _) = connect(json!({"pingInterval": 100})).await;
    client
        .text(r#"452-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#)
        .await;
    client.binary([1]).await;
    client.pong().await;
    client.binary([2]).await;
    assert_eq!(probe.event("event").await["name"], "a");
}

#[tokio::test]
async fn bytes_without_a_packet_close_the_connection() {
    // B041
    let (mut probe, mut client, _) = connect(json!({})).await;
    client.binary([1]).await;
    assert_eq!(
        probe.event("error").await["message"],
        "got binary data when not reconstructing a packet"
    );
    forced_close(&mut probe, &mut client, "bytes").await;
}

#[tokio::test]
async fn a_placeholder_in_a_plain_event_is_an_object() {
    // B042
    let (mut probe, mut client, _) = connect(json!({})).await;
    client
        .text(r#"42["a",{"_placeholder":true,"num":0}]"#)
        .await;
    assert_eq!(
        probe.event("event").await["args"],
        json!([{"_placeholder": true, "num": 0}])
    );
}

#[tokio::test]
async fn the_bytes_of_one_packet_are_bounded_before_anyone_has_joined() {
    // B044, J185, I041
    let mut probe = Probe::start(json!({"maxHttpBufferSize": 4_000_000})).await;
    let mut client = Sio::open(probe.addr()).await;
    client.text(r#"4510-["a"]"#).await;
    for _ in 0..9 {
        client.binary(vec![0; 3_000_000]).await;
    }
    if differs("B044", "it buffers count times maxHttpBufferSize") {
        return;
    }
    within_long(Duration::from_secs(10), "the refusal", client.closed()).await;
    assert!(probe.process().is_running());
}
