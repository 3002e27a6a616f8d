//! The decoders of Socket.IO.

use sala_proto::{
    Args, Assembler, Codec, DecodeError, Limits, Packet, PacketKind, Value, ValuePacket,
    is_reserved,
};

/// Messages for one connection with the JSON codec, one per line; lines that start with `b` are
/// binary. Whole packets are read, written again and compared.
pub fn json_assembler(input: &[u8]) {
    let limits = Limits::default()
        .attachment_bytes(1000)
        .event(100)
        .namespace(100);
    let mut assembler = Assembler::new(&Codec::default(), limits);
    for line in input.split(|byte| *byte == b'\n') {
        let text;
        let packet = match line.split_first() {
            Some((b'b', bytes)) => assembler.push_binary(bytes.to_vec().into()),
            _ => {
                text = String::from_utf8_lossy(line);
                assembler.push_text(&text)
            }
        };
        match packet {
            Ok(Some(packet)) => {
                assert!(!assembler.is_assembling());
                check_packet(packet, &Codec::default());
            }
            Ok(None) => assert!(assembler.is_assembling() && assembler.pending_bytes() <= 1000),
            Err(_) => assert!(!assembler.is_assembling() && assembler.pending_bytes() == 0),
        }
    }
}

/// One message for a connection with the MessagePack codec.
pub fn msgpack(input: &[u8]) {
    let limits = Limits::default().event(100).namespace(100);
    let mut assembler = Assembler::new(&Codec::MsgPack, limits);
    if let Ok(packet) = assembler.push_binary(input.to_vec().into()) {
        let packet = packet.expect("a MessagePack packet is one message");
        check_packet(packet, &Codec::MsgPack);
    }
}

fn check_packet(packet: Packet<'_>, codec: &Codec) {
    assert!(packet.nsp.len() <= 100);
    let Some(args) = &packet.data else { return };
    if packet.kind == PacketKind::Event
        && let Some(name) = args.event()
        && let Codec::Json(_) = codec
    {
        assert!(!is_reserved(&name));
    }
    check_args(args);
    for other in [Codec::default(), Codec::MsgPack] {
        let event = encode_and_decode(&other, |buf, codec| {
            codec.encode_event(buf, "/n", packet.id, "e", args, None)
        });
        // Raw arguments are the same behind any codec; but trees that go into JSON text lose what
        // is no number, and data can look like a placeholder.
        match event {
            Ok(event) => {
                let data = event.data.expect("an event with a name has data");
                let same = same(&data.to_values(), &args.to_values());
                assert!(same || matches!(other, Codec::Json(_)));
            }
            Err(error) => assert!(
                matches!(other, Codec::Json(_))
                    && matches!(
                        error,
                        DecodeError::TooManyAttachments | DecodeError::IllegalAttachments
                    ),
                "{error}"
            ),
        }
    }
    // A number too large for JavaScript is a name that JSON has no word for.
    let endless = args
        .event()
        .is_some_and(|name| name.is_number() && name.contains("nf"));
    let tree = ValuePacket::from(packet.into_owned());
    if tree.is_valid() && !endless && !has_placeholder(tree.data.as_ref()) {
        let again = encode_and_decode(codec, |buf, codec| codec.encode_packet(buf, tree.clone()));
        let again = ValuePacket::from(again.unwrap_or_else(|error| panic!("{error}: {tree:?}")));
        assert_eq!(
            (again.kind, &again.nsp, again.id),
            (tree.kind, &tree.nsp, tree.id)
        );
    }
}

/// Every way to read arguments, twice: reading uses nothing up.
fn check_args(args: &Args<'_>) {
    let values = args.to_values();
    assert_eq!(values.len(), args.len());
    for _ in 0..2 {
        args.parse::<()>().expect("a unit takes anything");
        let _ = args.parse::<(String, u64)>();
        if let Ok(first) = args.parse::<Value>() {
            assert!(
                same(std::slice::from_ref(&first), &values[..1]),
                "{first:?} {values:?}"
            );
        }
        if let Ok((first, _)) = args.parse::<(Value, Option<Value>)>() {
            assert!(
                same(std::slice::from_ref(&first), &values[..1]),
                "{first:?} {values:?}"
            );
        }
    }
    let owned = args.clone().into_owned();
    assert!(same(&owned.to_values(), &values));
    assert_eq!(owned.event(), args.event());
}

/// Equal, also where a float is none.
fn same(a: &[Value], b: &[Value]) -> bool {
    a == b || format!("{a:?}") == format!("{b:?}")
}

fn has_placeholder(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Array(items)) => items.iter().any(|item| has_placeholder(Some(item))),
        Some(Value::Object(object)) => object
            .iter()
            .any(|(key, value)| key == "_placeholder" || has_placeholder(Some(value))),
        _ => false,
    }
}

fn encode_and_decode(
    codec: &Codec,
    encode: impl FnOnce(&mut Vec<u8>, &Codec) -> Result<sala_proto::Encoded, sala_proto::EncodeError>,
) -> Result<Packet<'static>, DecodeError> {
    let mut buf = Vec::new();
    let encoded = encode(&mut buf, codec).expect("what was decoded can be encoded");
    let mut assembler = Assembler::new(codec, Limits::default());
    let mut packet = if encoded.binary {
        assembler.push_binary(buf.into())?
    } else {
        let text = String::from_utf8(buf).expect("text packets are UTF-8");
        assembler.push_text(&text)?.map(Packet::into_owned)
    };
    for attachment in encoded.attachments {
        assert!(packet.is_none());
        packet = assembler.push_binary(attachment)?;
    }
    Ok(packet.expect("all messages of the packet were pushed"))
}
