//! The two servers that the official clients' own suites expect: see `reference/client-fixture.js`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderValue, StatusCode, header};
use sala::engine::{
    App, CloseReason, Connection, Data, Engine, EngineConfig, EngineLayer, Frame, Otherwise,
    Refusal, Scope, SessionHandle,
};
use sala::{Attempt, Bytes, Recovery, Refused, Server, Socket, Value};
use sala_interop::server::{echo_frame, listen, terminated};
use serde_json::json;
use tower_layer::Layer;

const TEXTS: [&str; 5] = [
    "てすと",
    "Я Б Г Д Ж Й",
    "Ä ä Ü ü ß",
    "utf8 — string",
    "utf8 — string",
];

type Sent = Result<(), sala::Error>;

/// The steps of a client that must come in order: `abuff1` before `abuff2`, `blob1` to `blob3`.
#[derive(Default)]
struct Steps {
    buffers: AtomicU8,
    blobs: AtomicU8,
}

fn steps(socket: &Socket) -> std::sync::Arc<Steps> {
    if let Some(steps) = socket.extensions().get() {
        return steps;
    }
    let steps = std::sync::Arc::new(Steps::default());
    socket.extensions().insert(steps.clone());
    steps
}

fn handshake(socket: &Socket) -> serde_json::Value {
    let handshake = socket.handshake();
    json!({
        "headers": handshake.headers().collect::<HashMap<_, _>>(),
        "time": rfc3339(handshake.time()),
        "address": handshake.address(),
        "xdomain": handshake.is_xdomain(),
        "secure": handshake.is_secure(),
        "issued": handshake.issued(),
        "url": handshake.url(),
        "query": handshake.queries(),
        "auth": handshake.auth::<serde_json::Value>().unwrap_or_default(),
    })
}

/// A time as JavaScript writes dates.
fn rfc3339(time: SystemTime) -> String {
    let millis = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis());
    let (days, of_day) = ((millis / 86_400_000) as i64, millis % 86_400_000);
    // Days since 0000-03-01, in eras of 400 years.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hours, minutes) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (seconds, millis) = (of_day / 1000 % 60, of_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
}

/// `{hello: "lol", message: bytes, goodbye: "gotcha"}`.
fn is_the_mixed_object(value: &Value) -> bool {
    let text = |key| value.get(key).and_then(Value::as_str);
    text("hello") == Some("lol")
        && text("goodbye") == Some("gotcha")
        && value
            .get("message")
            .is_some_and(|value| value.as_binary().is_some())
}

fn socket_server() -> Server {
    let io = Server::builder()
        .ping_interval(Duration::from_secs(2))
        .recovery(Recovery::new())
        .allow_request(async |_| {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok::<(), Refusal>(())
        })
        .build();

    io.admit(
        async |attempt: Attempt| match attempt.handshake().query("fail") {
            Some(_) => Err(Refused::new("Auth failed (main namespace)")),
            None => Ok(()),
        },
    );
    io.of("/foo")
        .on("getId", async |socket: Socket| socket.id().to_string());
    for name in ["/timeout_socket", "/valid", "/asd"] {
        drop(io.of(name));
    }
    io.of("/abc").on_connect(async |socket: Socket| -> Sent {
        socket.emit("handshake", &handshake(&socket))
    });
    io.of("/no")
        .admit(async |_: Attempt| Err::<(), _>("Auth failed (custom namespace)"));

    io.on("hi", async |socket: Socket| -> Sent {
        socket.emit("hi", &())
    });
    io.on("echo", async |_: Socket, value: Value| value);
    io.on("ack", async |socket: Socket| -> Sent {
        if let Ok((5, reply)) = socket.emit_with_ack::<(i64, Value)>("ack", &()).await
            && reply.get("test").and_then(Value::as_bool) == Some(true)
        {
            socket.emit("got it", &())?;
        }
        Ok(())
    });
    io.on("getAckDate", async |_: Socket| rfc3339(SystemTime::now()));
    io.on("getDate", async |socket: Socket| -> Sent {
        socket.emit("takeDate", &rfc3339(SystemTime::now()))
    });
    io.on("getDateObj", async |socket: Socket| -> Sent {
        socket.emit("takeDateObj", &json!({"date": rfc3339(SystemTime::now())}))
    });
    io.on("getUtf8", async |socket: Socket| -> Sent {
        TEXTS
            .iter()
            .try_for_each(|text| socket.emit("takeUtf8", text))
    });
    io.on("false", async |socket: Socket| -> Sent {
        socket.emit("false", &false)
    });
    io.on("doge", async |socket: Socket| -> Sent {
        socket.emit("doge", &Bytes::from_static(b"asdfasdf"))
    });
    io.on("getbin", async |socket: Socket| -> Sent {
        socket.emit("takebin", &Bytes::from_static(b"asdfasdf"))
    });
    io.on("getHandshake", async |socket: Socket| handshake(&socket));
    io.on("getId", async |socket: Socket| socket.id().to_string());
    binary_events(&io);
    io
}

/// Events that want bytes; anything else is not answered.
fn binary_events(io: &Server) {
    io.on("buffa", async |socket: Socket, _: Bytes| -> Sent {
        socket.emit("buffack", &())
    });
    io.on("blob", async |socket: Socket, _: Bytes| -> Sent {
        socket.emit("back", &())
    });
    for name in ["jsonbuff", "jsonblob"] {
        io.on(name, async move |socket: Socket, value: Value| -> Sent {
            if is_the_mixed_object(&value) {
                socket.emit(&format!("{name}-ack"), &())?;
            }
            Ok(())
        });
    }
    io.on("abuff1", async |socket: Socket, _: Bytes| {
        steps(&socket).buffers.store(1, Ordering::Relaxed)
    });
    io.on("abuff2", async |socket: Socket, _: String| -> Sent {
        if steps(&socket).buffers.load(Ordering::Relaxed) == 1 {
            socket.emit("abuff2-ack", &())?;
        }
        Ok(())
    });
    io.on("blob1", async |socket: Socket, _: Bytes| {
        steps(&socket).blobs.store(1, Ordering::Relaxed)
    });
    io.on("blob2", async |socket: Socket, text: String| {
        let next = if text == "second" && steps(&socket).blobs.load(Ordering::Relaxed) == 1 {
            2
        } else {
            0
        };
        steps(&socket).blobs.store(next, Ordering::Relaxed);
    });
    io.on("blob3", async |socket: Socket, _: Bytes| -> Sent {
        if steps(&socket).blobs.load(Ordering::Relaxed) == 2 {
            socket.emit("blob3-ack", &())?;
        }
        Ok(())
    });
}

struct Talker;

struct TalkerConnection(SessionHandle);

impl App for Talker {
    type Connection = TalkerConnection;

    fn connect(&self, session: &SessionHandle, _: &mut Scope<'_, '_>) -> TalkerConnection {
        // A client that has gone needs no greeting.
        let _ = session.send(echo_frame(&Data::Text("hi")));
        TalkerConnection(session.clone())
    }
}

impl Connection for TalkerConnection {
    fn message(&mut self, data: Data<'_>, _: &mut Scope<'_, '_>) {
        let answer = match &data {
            Data::Text("give binary") => {
                Frame::binary(|buf| buf.extend_from_slice(&[0, 1, 2, 3, 4]))
            }
            Data::Text("give utf8") => echo_frame(&Data::Text("пойду спать всем спокойной ночи")),
            Data::Text("sendHeaders") => {
                let headers: HashMap<_, _> = self.0.request().headers().collect();
                echo_frame(&Data::Text(&json!(headers).to_string()))
            }
            _ => echo_frame(&data),
        };
        // A client that has gone needs no answer.
        let _ = self.0.send(answer);
    }

    fn close(&mut self, _: CloseReason, _: Option<&str>, _: &mut Scope<'_, '_>) {}
}

fn engine_config() -> EngineConfig {
    EngineConfig::new()
        .ping_interval(Duration::from_millis(500))
        .max_payload(100)
        .allow_request(async |request| {
            let denied = request.query().iter().any(|(key, _)| key == "deny");
            if denied { Err(Refusal::new()) } else { Ok(()) }
        })
        .on_initial_headers(|headers, _| {
            let fixed = [
                "1=1; Max-Age=86400",
                "2=2; Path=/; HttpOnly; Secure; SameSite=Strict",
                "3=3; Max-Age=0",
            ];
            for cookie in fixed {
                headers.append(header::SET_COOKIE, HeaderValue::from_static(cookie));
            }
            let now = format!(
                "4=4; Expires={}",
                httpdate::fmt_http_date(SystemTime::now())
            );
            headers.append(
                header::SET_COOKIE,
                HeaderValue::try_from(now).expect("a date is a legal header value"),
            );
        })
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = socket_server();
    let engine = Engine::new(engine_config(), Talker);
    let service = EngineLayer::new(engine.clone()).layer(Otherwise::new(StatusCode::NOT_FOUND, ""));
    let terminated = terminated();
    let sockets = listen("PORT", 3210).await;
    let engines = listen("ENGINE_PORT", 3001).await;
    tokio::select! {
        served = io.serve(sockets) => served,
        served = engine.serve(engines, service, std::future::pending()) => served,
        () = terminated => {
            io.close().await;
            Ok(())
        }
    }
}
