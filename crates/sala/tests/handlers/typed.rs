//! Typed events.

use sala::{Ack, ErrorKind, Event, HandlerResult, Socket};
use serde::{Deserialize, Serialize};

use crate::{ask, connect, report, reporting, serve};

#[derive(Serialize, Deserialize)]
struct Message {
    text: String,
}

impl Event for Message {
    const NAME: &'static str = "message";
    type Ack = Receipt;
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Receipt {
    id: u64,
}

/// Spreads over the arguments.
#[derive(Serialize, Deserialize)]
struct Move((i32, i32));

impl Event for Move {
    const NAME: &'static str = "move";
    type Ack = i32;
}

/// One list.
#[derive(Serialize, Deserialize)]
struct Pair(i32, i32);

impl Event for Pair {
    const NAME: &'static str = "pair";
    type Ack = (i32, i32);
}

/// No arguments.
#[derive(Serialize, Deserialize)]
struct Ping;

impl Event for Ping {
    const NAME: &'static str = "ping";
    type Ack = ();
}

#[tokio::test]
async fn handlers_of_typed_events_answer_with_the_type_of_the_event() {
    let (io, mut reports) = reporting();
    io.on_event(
        async |_socket: Socket, message: Message| -> HandlerResult<Receipt> {
            Ok(Receipt {
                id: message.text.parse()?,
            })
        },
    );
    io.on_event(async |_socket: Socket, Move((x, y)): Move| x + y);
    io.on_event(async |_socket: Socket, Pair(a, b): Pair, ack: Ack<(i32, i32)>| ack.send(&(b, a)));
    io.on_event(async |_socket: Socket, Ping: Ping| {});
    let mut ws = connect(serve(&io).await).await;
    ask(&mut ws, r#"["message",{"text":"5"}]"#, r#"[{"id":5}]"#).await;
    ask(&mut ws, r#"["move",1,2]"#, "[3]").await;
    ask(&mut ws, r#"["pair",[1,2]]"#, "[2,1]").await;
    ask(&mut ws, r#"["ping"]"#, "[]").await;

    ws.text(r#"421["message",{"text":"x"}]"#).await;
    let (kind, _, event, ..) = report(&mut reports).await;
    assert_eq!(
        (kind, event.as_deref()),
        (ErrorKind::Handler, Some("message"))
    );
    ws.text(r#"421["message","x"]"#).await;
    assert_eq!(report(&mut reports).await.0, ErrorKind::Arguments);
}

#[tokio::test]
async fn typed_events_are_sent_as_they_are_read() {
    let (io, _reports) = reporting();
    io.on("start", async |socket: Socket| -> HandlerResult {
        socket.send(&Message { text: "hi".into() })?;
        socket.send(&Move((1, 2)))?;
        socket.send(&Pair(3, 4))?;
        socket.send(&Ping)?;
        let receipt = socket.ask(&Message { text: "?".into() }).await?;
        assert_eq!(receipt, Receipt { id: 7 });
        let swapped = socket.ask(&Pair(1, 2)).await?;
        assert_eq!(swapped, (2, 1));
        Ok(())
    });
    let mut ws = connect(serve(&io).await).await;
    ws.text(r#"421["start"]"#).await;
    ws.expect(r#"42["message",{"text":"hi"}]"#).await;
    ws.expect(r#"42["move",1,2]"#).await;
    ws.expect(r#"42["pair",[3,4]]"#).await;
    ws.expect(r#"42["ping"]"#).await;
    ws.expect(r#"420["message",{"text":"?"}]"#).await;
    ws.text(r#"430[{"id":7}]"#).await;
    ws.expect(r#"421["pair",[1,2]]"#).await;
    ws.text("431[2,1]").await;
    ws.expect("431[]").await;
}
