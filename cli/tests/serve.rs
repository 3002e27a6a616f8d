//! The command as people meet it: from outside, as a process.

use std::process::{Output, Stdio};
use std::time::Instant;

use sala_testkit::{Child, ChildBuilder, http, within};
use tokio::process::Command;

const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

fn sala() -> ChildBuilder {
    Child::command(env!("CARGO_BIN_EXE_sala")).arg("serve")
}

/// Runs a command that ends by itself, without the settings of whoever runs the tests.
async fn ended(args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sala"));
    command
        .args(args)
        .env_clear()
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    within("the command to end", command.output())
        .await
        .expect("the command can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn assert_refused(output: &Output, expected: &[&str]) {
    let stderr = text(&output.stderr);
    assert!(
        !output.status.success(),
        "it must fail, but said: {}",
        text(&output.stdout)
    );
    for part in expected {
        assert!(stderr.contains(part), "`{part}` is missing in: {stderr}");
    }
}

/// Help shows what the variables are set to, and the URL of Redis has a password in it.
#[tokio::test]
async fn help_shows_no_password() {
    let secret = [("SALA_REDIS", "redis://:hunter2@localhost")];
    for command in ["serve", "emit", "join", "leave", "disconnect"] {
        let output = ended(&[command, "--help"], &secret).await;
        let help = text(&output.stdout);
        assert!(help.contains("SALA_REDIS"), "{help}");
        assert!(!help.contains("hunter2"), "{help}");
    }
}

#[tokio::test]
async fn help_names_every_option_with_its_variable() {
    let output = ended(&["serve", "--help"], &[]).await;
    assert!(output.status.success());
    let help = text(&output.stdout);
    for part in [
        "--host",
        "SALA_HOST",
        "--port",
        "PORT",
        "--path",
        "SALA_PATH",
        "--transports",
        "SALA_TRANSPORTS",
        "--ping-interval",
        "--ping-timeout",
        "--connect-timeout",
        "--allow-v2",
        "--trusted-proxies",
        "SALA_TRUSTED_PROXIES",
        "--deflate",
        "--cors-origins",
        "--allowed-origins",
        "--max-payload",
        "--max-buffered-bytes",
        "--max-sessions",
        "--max-namespaces",
        "--recovery",
        "--log-level",
        "--log-format",
        "--grace",
    ] {
        assert!(help.contains(part), "{part} is missing in:\n{help}");
    }
}

#[tokio::test]
async fn an_unknown_option_is_refused_with_the_likely_one() {
    let output = ended(&["serve", "--prot", "3000"], &[]).await;
    assert_refused(&output, &["--prot", "--port"]);
}

#[tokio::test]
async fn a_bad_value_is_refused_with_what_to_write() {
    for (args, expected) in [
        (["--ping-interval", "25"], "such as 25s"),
        (["--max-payload", "lots"], "such as 8MiB"),
        (["--max-sessions", "few"], "`none` for no limit"),
        (["--transports", "carrier-pigeon"], "polling, websocket"),
        (["--path", "chat"], "starts with /"),
        (["--port", "70000"], "65535"),
        (["--log-format", "xml"], "text, json"),
    ] {
        let output = ended(&[&["serve"], &args[..]].concat(), &[]).await;
        assert_refused(&output, &[args[0], expected]);
    }
}

#[tokio::test]
async fn a_bad_variable_is_refused_as_an_option_is() {
    let output = ended(&["serve"], &[("SALA_PING_TIMEOUT", "soon")]).await;
    assert_refused(&output, &["--ping-timeout", "soon", "such as 25s"]);
}

#[tokio::test]
async fn any_origin_with_credentials_is_refused_since_browsers_would() {
    let output = ended(
        &[
            "serve",
            "--port",
            "0",
            "--cors-origins",
            "*",
            "--cors-credentials",
        ],
        &[],
    )
    .await;
    assert_refused(&output, &["browsers refuse", "--cors-origins"]);
}

#[tokio::test]
async fn a_port_in_use_is_reported_with_what_to_do() {
    let first = sala().start().await;
    let port = first.addr().port().to_string();
    let output = ended(&["serve", "--port", &port], &[]).await;
    assert_refused(&output, &[&port, "--port", "another program listens there"]);
}

#[tokio::test]
async fn it_serves_the_page_the_client_and_handshakes() {
    let server = sala().start().await;
    let page = http::get(server.addr(), "/").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("Sala chat"));
    for file in ["/app.js", "/style.css", "/socket.io/socket.io.js"] {
        assert_eq!(http::get(server.addr(), file).await.status, 200, "{file}");
    }
    assert_eq!(http::get(server.addr(), "/nothing").await.status, 404);
    let handshake = http::get(server.addr(), HANDSHAKE).await;
    assert!(handshake.text().starts_with("0{\"sid\":"), "{handshake:?}");
}

#[tokio::test]
async fn options_reach_the_server() {
    let server = sala()
        .arg("--ping-interval")
        .arg("10s")
        .arg("--max-payload")
        .arg("64kB")
        .arg("--transports")
        .arg("polling")
        .arg("--path")
        .arg("/chat")
        .arg("--cors-origins")
        .arg("https://a.example,https://b.example")
        .start()
        .await;
    let origin = [("origin", "https://b.example")];
    let target = "/chat/?EIO=4&transport=polling";
    let reply = http::send(server.addr(), "GET", target, &origin, b"").await;
    assert_eq!(
        reply.header("access-control-allow-origin"),
        Some("https://b.example")
    );
    let open = reply.text();
    for part in [
        r#""pingInterval":10000"#,
        r#""maxPayload":64000"#,
        r#""upgrades":[]"#,
    ] {
        assert!(open.contains(part), "{part} is missing in {open}");
    }
}

#[tokio::test]
async fn variables_reach_the_server_and_options_win() {
    let server = sala()
        .env("SALA_PING_INTERVAL", "7s")
        .env("SALA_PING_TIMEOUT", "5s")
        .arg("--ping-timeout")
        .arg("3s")
        .start()
        .await;
    let handshake = http::get(server.addr(), HANDSHAKE).await;
    let open = handshake.text();
    assert!(
        open.contains(r#""pingInterval":7000,"pingTimeout":3000"#),
        "{open}"
    );
}

#[tokio::test]
async fn logs_can_be_json() {
    let server = sala()
        .env("SALA_LOG_FORMAT", "json")
        .arg("--log-level")
        .arg("debug")
        .start()
        .await;
    http::get(server.addr(), HANDSHAKE).await;
    let opened = async {
        while !server
            .log()
            .lines()
            .any(|line| line.starts_with('{') && line.contains("\"level\":\"DEBUG\""))
        {
            tokio::task::yield_now().await;
        }
    };
    within("a line of JSON about the session", opened).await;
}

#[tokio::test]
async fn the_page_follows_the_path_and_the_transports() {
    let server = sala()
        .arg("--path")
        .arg("/here/")
        .arg("--transports")
        .arg("websocket")
        .start()
        .await;
    let page = http::get(server.addr(), "/").await;
    assert!(
        page.text().contains(r#"<script src="/here/socket.io.js">"#),
        "{}",
        page.text()
    );
    assert_eq!(
        http::get(server.addr(), "/here/socket.io.js").await.status,
        200
    );
}

#[tokio::test]
async fn sigterm_ends_it_cleanly_although_a_client_is_polling() {
    let mut server = sala().start().await;
    let mut client = http::Connection::open(server.addr()).await;
    let handshake = client.request("GET", HANDSHAKE, &[], b"").await;
    let sid = handshake
        .text()
        .split('"')
        .nth(3)
        .expect("an open packet holds a sid")
        .to_owned();
    client
        .send(http::request(
            "GET",
            &format!("{HANDSHAKE}&sid={sid}"),
            &[],
            b"",
        ))
        .await;
    server.terminate().await;
    let poll = client.response().await;
    assert!(
        poll.text().ends_with('1'),
        "the session is closed: {poll:?}"
    );
    assert!(within("the server to stop", server.exit()).await.success());
}

#[tokio::test]
async fn it_is_ready_soon() {
    let started = Instant::now();
    let server = sala().start().await;
    let ready = started.elapsed();
    http::get(server.addr(), HANDSHAKE).await;
    println!(
        "listening after {ready:?}, first handshake answered after {:?}",
        started.elapsed()
    );
}
