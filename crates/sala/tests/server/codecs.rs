//! Other parsers than the default one.

use std::sync::Arc;

use sala::parser::{
    CustomCodec, CustomDecoder, DecodeError, EncodeError, Message, PacketKind, ValuePacket,
};
use sala::{Bytes, Codec, RawArgs, Server, Socket, Value};
use sala_testkit::ws::{self, Ws};

use super::{open, serve};

async fn binary(ws: &mut Ws) -> Vec<u8> {
    match ws.next().await {
        ws::Message::Binary(bytes) => bytes,
        other => panic!("expected bytes, got {other:?}"),
    }
}

/// A map of MessagePack by hand: the fields of a packet, whose data is given as bytes.
fn packet(kind: u8, data: Option<&[u8]>, id: Option<u8>) -> Vec<u8> {
    let fields = 2 + u8::from(data.is_some()) + u8::from(id.is_some());
    let mut bytes = vec![0x80 | fields, 0xa4];
    bytes.extend(b"type");
    bytes.push(kind);
    if let Some(data) = data {
        bytes.push(0xa4);
        bytes.extend(b"data");
        bytes.extend(data);
    }
    bytes.push(0xa3);
    bytes.extend(b"nsp");
    bytes.extend([0xa1, b'/']);
    if let Some(id) = id {
        bytes.push(0xa2);
        bytes.extend(b"id");
        bytes.push(id);
    }
    bytes
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn messagepack_packets_are_one_binary_message_each_b059() {
    let io = Server::builder().codec(Codec::MsgPack).build();
    io.on("echo", async |_socket: Socket, args: RawArgs| args)
        .on("len", async |_socket: Socket, bytes: Bytes| bytes.len());
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    ws.binary(packet(0, None, None)).await;
    let reply = binary(&mut ws).await;
    assert!(contains(&reply, b"\xa3sid\xb4"), "{reply:?}");

    // ["echo", 7, bytes]
    ws.binary(packet(2, Some(b"\x93\xa4echo\x07\xc4\x02ab"), Some(5)))
        .await;
    let reply = binary(&mut ws).await;
    assert!(contains(&reply, b"\xa4type\x03"), "an ack: {reply:?}");
    assert!(contains(&reply, b"\x92\x07\xc4\x02ab"), "{reply:?}");
    assert!(contains(&reply, b"\xa2id\x05"), "{reply:?}");
    ws.binary(packet(2, Some(b"\x92\xa3len\xc4\x02ab"), Some(6)))
        .await;
    assert!(contains(&binary(&mut ws).await, b"\x91\x02"));

    io.emit("hello", &(1, Bytes::from_static(b"x"))).unwrap();
    assert!(contains(
        &binary(&mut ws).await,
        b"\x93\xa5hello\x01\xc4\x01x"
    ));
    let answer = io.sockets()[0].emit_with_ack::<u8>("q", &());
    binary(&mut ws).await;
    ws.binary(packet(3, Some(b"\x91\x09"), Some(0))).await;
    assert_eq!(answer.await.unwrap(), 9);

    for garbage in [
        &b"\xc1"[..],
        b"\x81",
        b"\xdf\xff\xff\xff\xff",
        &packet(9, None, None),
    ] {
        let mut ws = open(addr).await;
        ws.binary(garbage).await;
        ws.expect_close(None).await;
    }
    let mut ws = open(addr).await;
    ws.text("40").await;
    ws.expect_close(None).await;
}

/// A parser that writes names and numbers with spaces in between.
struct Words;

impl CustomCodec for Words {
    fn encode(&self, packet: &ValuePacket) -> Result<Vec<Message>, EncodeError> {
        let words = match &packet.data {
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>(),
            _ => Vec::new(),
        };
        if words.contains(&"unspeakable") {
            return Err(EncodeError::new("no"));
        }
        let id = packet.id.map_or_else(String::new, |id| id.to_string());
        let text = format!("{}|{id}|{}", packet.kind.number(), words.join(" "));
        Ok(vec![Message::Text(text)])
    }

    fn new_decoder(&self) -> Box<dyn CustomDecoder> {
        Box::new(Words)
    }
}

impl CustomDecoder for Words {
    fn add(&mut self, message: Message) -> Result<Option<ValuePacket>, DecodeError> {
        let Message::Text(text) = message else {
            return Err(DecodeError::Custom("bytes".into()));
        };
        let mut parts = text.splitn(3, '|');
        let kind = parts.next().and_then(|kind| kind.parse().ok());
        let kind = kind.and_then(PacketKind::from_number);
        let id = parts.next().and_then(|id| id.parse().ok());
        let words = parts.next().unwrap_or("");
        let kind = kind.ok_or_else(|| DecodeError::Custom("no type".into()))?;
        let data =
            (!words.is_empty()).then(|| Value::Array(words.split(' ').map(Value::from).collect()));
        Ok(Some(ValuePacket {
            kind,
            nsp: "/".into(),
            id,
            data,
        }))
    }
}

#[tokio::test]
async fn a_parser_of_the_user_is_used_for_everything_b056_c008() {
    let io = Server::builder()
        .codec(Codec::Custom(Arc::new(Words)))
        .build();
    io.on("echo", async |_socket: Socket, args: RawArgs| args);
    let addr = serve(&io).await;
    let mut ws = open(addr).await;
    ws.text("40||").await;
    ws.expect("40||").await;
    ws.text("42|7|echo a b").await;
    ws.expect("43|7|a b").await;
    io.emit("hello", "world").unwrap();
    ws.expect("42||hello world").await;
    assert!(
        io.emit("hello", "unspeakable")
            .unwrap_err()
            .is_serialization()
    );
    ws.text("42||").await; // an event without data is not valid
    ws.expect_close(None).await;
}
