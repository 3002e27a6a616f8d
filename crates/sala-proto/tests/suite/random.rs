//! What random data must do: come back as it was, from every codec, and never panic.

use bytes::Bytes;
use sala_proto::{
    Assembler, Codec, Limits, Message, Packet, PacketKind, RawArgs, Value, ValuePacket, is_reserved,
};
use serde::de::IgnoredAny;

use crate::support::{Random, decode, messages};

fn packet(random: &mut Random) -> ValuePacket {
    let mut values: Vec<Value> = (0..random.below(4)).map(|_| random.value(3)).collect();
    let kind = match random.below(4) {
        0 => PacketKind::Connect,
        1 => PacketKind::Ack,
        _ => PacketKind::Event,
    };
    let data = match kind {
        PacketKind::Connect => random
            .below(2)
            .eq(&0)
            .then(|| crate::support::value("{\"a\":[1]}")),
        PacketKind::Ack => Some(values.into()),
        _ => {
            let name = match random.below(3) {
                0 => Value::from(random.below(1000)),
                _ => Value::from(random.text()),
            };
            values.insert(0, name);
            Some(values.into())
        }
    };
    ValuePacket {
        kind,
        nsp: ["/", "/a", "/é?x=1"][random.below(3) as usize].to_owned(),
        id: (kind != PacketKind::Connect && random.below(2) == 0).then(|| random.below(1 << 53)),
        data,
    }
}

/// Whether the reference's own check for bytes would mistake some of the data.
fn has_placeholder_key(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_placeholder_key),
        Value::Object(o) => o
            .iter()
            .any(|(k, v)| k == "_placeholder" || has_placeholder_key(v)),
        _ => false,
    }
}

#[test]
fn what_is_encoded_is_decoded_as_it_was() {
    let mut random = Random(1);
    let codecs = [Codec::default(), Codec::MsgPack];
    for _ in 0..20_000 {
        let packet = packet(&mut random);
        assert!(packet.is_valid());
        assert!(!packet.data.as_ref().is_some_and(has_placeholder_key));
        for codec in &codecs {
            let sent = messages(|buf| codec.encode_packet(buf, packet.clone()));
            assert_eq!(decode(codec, &sent).unwrap().unwrap(), packet, "{sent:?}");
        }
    }
}

#[test]
fn raw_arguments_survive_any_chain_of_codecs() {
    let mut random = Random(2);
    let codecs = [Codec::default(), Codec::MsgPack];
    for _ in 0..5_000 {
        let values: Vec<Value> = (0..random.below(4)).map(|_| random.value(3)).collect();
        let mut args = RawArgs::from_values(values.clone());
        for _ in 0..4 {
            let codec = &codecs[random.below(2) as usize];
            let sent = messages(|buf| codec.encode_ack(buf, "/", 1, &args));
            let mut assembler = Assembler::new(codec, Limits::default().attachments(1000));
            let mut packet = None;
            for message in &sent {
                packet = match message {
                    Message::Text(text) => {
                        assembler.push_text(text).unwrap().map(Packet::into_owned)
                    }
                    Message::Binary(bytes) => assembler.push_binary(bytes.clone()).unwrap(),
                };
            }
            args = packet.unwrap().data.unwrap().parse().unwrap();
            assert_eq!(args.to_values(), values);
            assert_eq!(args.len(), values.len());
        }
    }
}

#[test]
fn accepted_json_is_exactly_what_serde_json_accepts() {
    const PIECES: [&str; 30] = [
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\"\\u00e9\"",
        "\\",
        "1",
        "-",
        "0",
        ".5",
        "1e5",
        "e",
        "E+",
        "true",
        "false",
        "null",
        "nul",
        " ",
        "\n",
        "\t",
        "é",
        "\"k\":",
        "[1,2]",
        "{}",
        "\u{1}",
        "\"\\n\"",
    ];
    let mut random = Random(3);
    let mut accepted = 0;
    for _ in 0..200_000 {
        let inner: String = (0..random.below(7))
            .map(|_| PIECES[random.below(30) as usize])
            .collect();
        let list = format!("[\"e\",{inner}]");
        let ours = Assembler::new(&Codec::default(), Limits::default())
            .push_text(&format!("2{list}"))
            .is_ok();
        let theirs = serde_json::from_str::<IgnoredAny>(&list).is_ok();
        assert_eq!(ours, theirs, "{list}");
        accepted += usize::from(ours);
    }
    assert!(accepted > 1000, "{accepted}");
}

#[test]
fn random_bytes_never_panic_and_what_passes_can_be_sent_again() {
    const START: [&str; 6] = ["2[\"e\",", "51-[\"e\",", "3", "0/a,{", "4\"", "6"];
    let mut random = Random(4);
    for _ in 0..50_000 {
        let mut text = START[random.below(6) as usize].to_owned();
        text.extend((0..random.below(30)).map(|_| char::from(random.below(128) as u8)));
        check(&Codec::default(), &[Message::Text(text)]);
        let mut bytes = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data".to_vec();
        bytes.push(0x90 | random.below(4) as u8);
        bytes.extend((0..random.below(30)).map(|_| random.next() as u8));
        check(&Codec::MsgPack, &[Message::Binary(bytes.into())]);
    }
}

fn check(codec: &Codec, sent: &[Message]) {
    let Ok(Some(packet)) = decode_all(codec, sent) else {
        return;
    };
    if !packet.is_valid() {
        // No data at all, or MessagePack with a reserved or no event name: both are let through.
        let name = packet
            .data
            .as_ref()
            .and_then(|data| data.as_array()?.first().cloned());
        assert!(name.is_none_or(|name| name.as_str().is_some_and(is_reserved)));
        return;
    }
    let again = messages(|buf| codec.encode_packet(buf, packet.clone()));
    let back = decode_all(codec, &again).unwrap().unwrap();
    assert_eq!(messages(|buf| codec.encode_packet(buf, back)), again);
}

fn decode_all(
    codec: &Codec,
    sent: &[Message],
) -> Result<Option<ValuePacket>, sala_proto::DecodeError> {
    let mut assembler = Assembler::new(codec, Limits::default());
    let mut packet = None;
    for message in sent {
        packet = match message {
            Message::Text(text) => assembler.push_text(text)?.map(Packet::into_owned),
            Message::Binary(bytes) => assembler.push_binary(bytes.clone())?,
        };
    }
    while packet.is_none() {
        packet = assembler.push_binary(Bytes::from_static(b"x"))?;
    }
    Ok(packet.map(ValuePacket::from))
}
