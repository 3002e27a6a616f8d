//! `sala emit` and its relatives, against a real Redis.

use std::process::{Output, Stdio};

use sala_testkit::redis::Redis;
use sala_testkit::within;
use tokio::process::Command;

async fn sala(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sala"));
    command
        .args(args)
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true);
    within("the command to end", command.output())
        .await
        .expect("it can be started")
}

async fn succeeds(args: &[&str]) {
    let output = sala(args).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
}

async fn fails(args: &[&str]) -> String {
    let output = sala(args).await;
    assert!(!output.status.success(), "{args:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Type and data of the newest entry.
async fn newest(redis: &Redis, stream: &str) -> (String, String) {
    let newest = redis
        .run(&["XREVRANGE", stream, "+", "-", "COUNT", "1"])
        .await;
    let fields = newest.items()[0].items()[1].items();
    (fields[5].text(), fields[7].text())
}

#[tokio::test]
async fn what_is_said_on_the_command_line_is_what_an_emitter_writes() {
    let redis = Redis::start().await;
    let url = redis.url();
    let sala = async |args: &[&str]| {
        let (command, rest) = args.split_first().expect("a command");
        let mut all = vec![*command, "--redis", &url];
        all.extend(rest);
        succeeds(&all).await;
        newest(&redis, "socket.io").await
    };
    let packet =
        |data: &str, nsp: &str| format!(r#"{{"packet":{{"type":2,"data":{data},"nsp":"{nsp}"}}"#);

    let (kind, data) = sala(&["emit", "hello", "-1", "\"two\"", r#"{"a":[null]}"#]).await;
    assert_eq!(kind, "3");
    let opts = r#","opts":{"rooms":[],"flags":{},"except":[]}}"#;
    assert_eq!(
        data,
        packet(r#"["hello",-1,"two",{"a":[null]}]"#, "/") + opts
    );

    let to = [
        "emit",
        "--of",
        "chat",
        "--to",
        "a",
        "--to",
        "b",
        "--except",
        "c",
        "--volatile",
        "x",
    ];
    let (_, data) = sala(&to).await;
    let opts = r#","opts":{"rooms":["a","b"],"flags":{"volatile":true},"except":["c"]}}"#;
    assert_eq!(data, packet(r#"["x"]"#, "/chat") + opts);

    let (kind, data) = sala(&["emit", "--server-side", "ping", "1"]).await;
    assert_eq!((&*kind, &*data), ("9", r#"{"packet":["ping",1]}"#));

    let opts = |rooms: &str| format!(r#"{{"opts":{{"rooms":{rooms},"except":[],"flags":{{}}}}"#);
    let (kind, data) = sala(&["join", "--to", "a", "x", "y"]).await;
    assert_eq!(
        (&*kind, data),
        ("4", opts(r#"["a"]"#) + r#","rooms":["x","y"]}"#)
    );
    let (kind, data) = sala(&["leave", "x"]).await;
    assert_eq!((&*kind, data), ("5", opts("[]") + r#","rooms":["x"]}"#));
    let (kind, data) = sala(&["disconnect", "--to", "id", "--close"]).await;
    assert_eq!(
        (&*kind, data),
        ("6", opts(r#"["id"]"#) + r#","close":true}"#)
    );

    succeeds(&["emit", "--redis", &url, "--key", "other", "x"]).await;
    assert_eq!(newest(&redis, "other").await.0, "3");
}

#[tokio::test]
async fn the_classic_adapter_is_spoken_too() {
    let redis = Redis::start().await;
    let mut listener = redis.client().await;
    listener.run(["PSUBSCRIBE", "*"]).await;
    let classic = [
        "emit",
        "--redis",
        &redis.url(),
        "--adapter",
        "classic",
        "--to",
        "room",
        "x",
    ];
    succeeds(&classic).await;
    let message = listener.message().await;
    assert_eq!(message.items()[2].text(), "socket.io#/#room#");
}

#[tokio::test]
async fn what_cannot_work_is_said_in_one_line() {
    let nobody = ["emit", "--redis", "redis://127.0.0.1:1", "x"];
    assert!(fails(&nobody).await.contains("is Redis running?"));
    let text = fails(&["emit", "x", "hello"]).await;
    assert!(
        text.contains("`hello` is not JSON") && text.contains("'\"hello\"'"),
        "{text}"
    );
    let redis = Redis::start().await;
    let text = fails(&["emit", "--redis", &redis.url(), "disconnect"]).await;
    assert!(
        text.contains("\"disconnect\" is a reserved event name"),
        "{text}"
    );
    // Nobody throws everybody out by forgetting an option.
    let text = fails(&["disconnect", "--redis", &redis.url()]).await;
    assert!(text.contains("--all"), "{text}");
    assert_eq!(redis.run(&["EXISTS", "socket.io"]).await.number(), 0);
}
