//! Input that was made to hurt: it must be answered in time that grows with its length, without a
//! panic and without deep stacks.

use bytes::Bytes;
use sala_proto::{Assembler, Codec, DecodeError, Limits, Packet, Value, ValuePacket};

fn json(message: &str) -> Result<Option<ValuePacket>, DecodeError> {
    let mut assembler = Assembler::new(&Codec::default(), Limits::default());
    let packet = assembler.push_text(message)?;
    Ok(packet.map(Packet::into_owned).map(ValuePacket::from))
}

fn msgpack(bytes: impl Into<Bytes>) -> Result<Option<ValuePacket>, DecodeError> {
    let mut assembler = Assembler::new(&Codec::MsgPack, Limits::default());
    Ok(assembler.push_binary(bytes.into())?.map(ValuePacket::from))
}

#[test]
fn megabytes_of_header_are_linear() {
    // I021: with quadratic work each of these would take minutes.
    let many = 1_000_000;
    assert_eq!(
        json(&format!("2{}", "9".repeat(many))),
        Err(DecodeError::InvalidPayload)
    );
    assert_eq!(
        json(&format!("2{}7[\"a\"]", "0".repeat(many)))
            .unwrap()
            .unwrap()
            .id,
        Some(7)
    );
    assert_eq!(
        json(&format!("5{}", "9".repeat(many))),
        Err(DecodeError::IllegalAttachmentCount)
    );
    assert_eq!(
        json(&format!("5{}-", "9".repeat(many))),
        Err(DecodeError::TooManyAttachments)
    );
    assert_eq!(
        json(&format!("0/{}", "n".repeat(many))),
        Err(DecodeError::NamespaceTooLong)
    );
    assert_eq!(
        json(&format!("2[\"{}\"]", "n".repeat(many))),
        Err(DecodeError::EventNameTooLong)
    );
    assert_eq!(
        json(&format!("2[\"{}\"]", "\\u0063".repeat(many))),
        Err(DecodeError::EventNameTooLong)
    );
    assert_eq!(
        json(&format!("2[{}]", "9".repeat(many))),
        Err(DecodeError::EventNameTooLong)
    );
    assert_eq!(
        json(&format!("2[\"a\"{}", " ".repeat(many))),
        Err(DecodeError::InvalidPayload)
    );
    // A number of a million digits is a number.
    let packet = json(&format!("2[\"a\",{}]", "9".repeat(many)))
        .unwrap()
        .unwrap();
    assert_eq!(
        packet.data.unwrap().as_array().unwrap()[1].as_f64(),
        Some(f64::INFINITY)
    );
    let keys: String = (0..100_000).map(|n| format!(",\"k{n}\":1")).collect();
    let packet = json(&format!("2[\"a\",{{{}}}]", &keys[1..]))
        .unwrap()
        .unwrap();
    assert_eq!(
        packet.data.unwrap().as_array().unwrap()[1]
            .as_object()
            .unwrap()
            .len(),
        100_000
    );
}

#[test]
fn deep_json_is_refused_without_recursion() {
    let deep = 100_000;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let closed = format!("2[\"a\",{}1{}]", open.repeat(deep), close.repeat(deep));
        assert_eq!(json(&closed), Err(DecodeError::TooDeep));
        assert_eq!(
            json(&format!("2[\"a\",{}", open.repeat(deep))),
            Err(DecodeError::TooDeep)
        );
        assert_eq!(
            json(&format!("51-[\"a\",{}", open.repeat(deep))),
            Err(DecodeError::TooDeep)
        );
    }
}

#[test]
fn what_is_as_deep_as_allowed_is_read_cloned_written_and_dropped_in_a_small_thread() {
    let levels = Limits::default().max_depth - 1;
    let data = format!(
        "{}{}",
        "[{\"a\":".repeat(levels / 2),
        "1".to_owned() + &"}]".repeat(levels / 2)
    );
    let message = format!("2[\"a\",{data}]");
    let test = move || {
        let mut assembler = Assembler::new(&Codec::default(), Limits::default());
        let packet = assembler.push_text(&message).unwrap().unwrap();
        let args = packet.data.unwrap();
        // Typed data is bounded as in serde_json, whatever form the arguments have.
        assert!(args.parse::<serde_json::Value>().is_err());
        let values = args.to_values();
        assert!(
            values[0]
                .clone()
                .deserialize_into::<serde_json::Value>()
                .is_err()
        );
        assert!(!values[0].has_binary());
        let mut buf = Vec::new();
        let _ = Codec::default()
            .encode_event(&mut buf, "/", None, "a", &(&values[0],), None)
            .unwrap();
        assert_eq!(buf, message.as_bytes());
        buf.clear();
        let _ = Codec::MsgPack
            .encode_event(&mut buf, "/", None, "a", &(&values[0],), None)
            .unwrap();
        let packet = msgpack(buf).unwrap().unwrap();
        assert_eq!(packet.data.unwrap().as_array().unwrap()[1], values[0]);
    };
    // Two megabytes are what threads of a runtime have.
    let thread = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(test)
        .unwrap();
    thread.join().unwrap();
}

#[test]
fn every_cut_of_a_packet_is_answered() {
    let whole =
        r#"52-/ns€,12["naïve \"\u00e9",{"_placeholder":true,"num":1},[-1.5e-7,null,{"😀":[]}]]"#;
    assert!(json(whole).unwrap().is_none());
    for (cut, _) in whole.char_indices() {
        if let Ok(packet) = json(&whole[..cut]) {
            // Only a header whose data is missing altogether can pass.
            assert!(
                packet.is_none() && !whole[..cut].contains('['),
                "{}",
                &whole[..cut]
            );
        }
    }
}

#[test]
fn every_changed_byte_of_a_packet_is_answered() {
    let text = r#"2/n,1["a",{"b":[1,"\n",true]}]"#;
    for at in 0..text.len() {
        for byte in 0..=0x7f {
            let mut changed = text.as_bytes().to_vec();
            changed[at] = byte;
            let changed = String::from_utf8(changed).unwrap();
            let mut assembler = Assembler::new(&Codec::default(), Limits::default());
            let Ok(Some(packet)) = assembler.push_text(&changed) else {
                continue;
            };
            // What was accepted must be JSON in serde_json's eyes too.
            if let Some(args) = packet.data {
                let inner = format!("[{}]", args.as_json().unwrap());
                let ours = args.to_values();
                let theirs: Vec<Value> = serde_json::from_str(&inner).expect(&changed);
                assert_eq!(ours, theirs);
                assert_eq!(ours.len(), args.len());
            }
        }
    }
}

/// A packet `{type: 2, nsp: "/", data: …}` with the given bytes as data.
fn event(data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data".to_vec();
    bytes.extend_from_slice(data);
    bytes
}

#[test]
fn messagepack_lengths_beyond_the_input_are_refused() {
    for data in [
        &b"\x92\xa1a"[..],
        b"\xdc\xff\xff\xa1a",
        b"\xdd\xff\xff\xff\xff\xa1a",
        b"\x92\xa1a\xdf\xff\xff\xff\xff",
        b"\x92\xa1a\xdf\x80\x00\x00\x00",
        b"\x92\xa1a\xdb\xff\xff\xff\xff",
        b"\x92\xa1a\xc6\xff\xff\xff\xff",
        b"\x92\xa1a\xc9\xff\xff\xff\xff\x00",
        b"\x92\xa1a\xc7\xff",
        b"\x92\xa1a\xd8\x01",
        b"\x92\xa1a\xcf\x00",
        b"\x92\xa1a\xcb",
        b"\x92\xa1a\xc1",
        b"\x92\xbfa",
    ] {
        assert_eq!(
            msgpack(event(data)),
            Err(DecodeError::Malformed),
            "{data:?}"
        );
    }
    assert_eq!(msgpack(&b""[..]), Err(DecodeError::Malformed));
    assert_eq!(
        msgpack(&b"\xdf\xff\xff\xff\xff"[..]),
        Err(DecodeError::Malformed)
    );
}

#[test]
fn messagepack_is_refused_when_deep_and_cheap_when_it_lies() {
    let mut deep = b"\x92\xa1a".to_vec();
    deep.extend(std::iter::repeat_n(0x91, 100_000));
    deep.push(0xc0);
    assert_eq!(msgpack(event(&deep)), Err(DecodeError::TooDeep));
    let mut deep = b"\x92\xa1a".to_vec();
    for _ in 0..100_000 {
        deep.extend_from_slice(b"\x81\xa1k");
    }
    deep.push(0xc0);
    assert_eq!(msgpack(event(&deep)), Err(DecodeError::TooDeep));
    // Each list claims as much as the rest of the input could hold; nothing may be reserved for it.
    let mut liar = b"\x92\xa1a".to_vec();
    for _ in 0..400 {
        liar.extend_from_slice(b"\xdd\x00\x0f\x00\x00");
    }
    liar.resize(1 << 20, 0xc0);
    assert_eq!(msgpack(event(&liar)), Err(DecodeError::Malformed));
}

#[test]
fn messagepack_in_odd_but_legal_form_is_read() {
    let odd = b"\xde\x00\x06\xa4data\x92\xd9\x01a\xd9\x03\xff\xfe!\xa2id\xcb\x40\x1c\x00\x00\x00\x00\x00\x00\
        \x05\xc0\xa7options\x81\xa8compress\xc3\xa3nsp\xda\x00\x02/n\xa4type\xcf\x00\x00\x00\x00\x00\x00\x00\x02";
    let packet = msgpack(&odd[..]).unwrap().unwrap();
    assert_eq!((packet.nsp.as_str(), packet.id), ("/n", Some(7)));
    let data = packet.data.unwrap();
    // Text that is no UTF-8 is repaired.
    assert_eq!(
        data.as_array().unwrap()[1].as_str(),
        Some("\u{fffd}\u{fffd}!")
    );
    // Of two equal keys the last counts, keys may be anything, `undefined` is as good as absent.
    let twice = b"\x86\xa4type\x00\x91\x01\x02\xa4type\x01\xa3nsp\xa1/\xa2id\xd4\x00\x00\xa4data\xd4\x00\x00";
    let packet = msgpack(&twice[..]).unwrap().unwrap();
    assert_eq!(
        (packet.kind.number(), packet.id, packet.data),
        (1, None, None)
    );
}

#[test]
fn messagepack_packets_are_checked_in_the_order_of_the_reference() {
    for (bytes, expected) in [
        (&b"\x90"[..], "invalid packet type"),
        (b"\xc0", "invalid packet type"),
        (b"\x80", "invalid packet type"),
        (b"\x81\xa4type\x05", "invalid packet type"),
        (b"\x81\xa4type\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00", "invalid packet type"),
        (b"\x82\xa4type\x02\xa3nsp\x01", "invalid namespace"),
        (b"\x82\xa4type\x02\xa3nsp\xa1\xff", "invalid namespace"),
        (b"\x82\xa4type\x02\xa3nsp\xa1/", "invalid payload"),
        (b"\x83\xa4type\x00\xa3nsp\xa1/\xa4data\xc0", "invalid payload"),
        (b"\x83\xa4type\x01\xa3nsp\xa1/\xa4data\xc0", "invalid payload"),
        (b"\x83\xa4type\x03\xa3nsp\xa1/\xa4data\x80", "invalid payload"),
        (b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\x80", "invalid payload"),
        (b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xc0", "invalid payload"),
        (b"\x84\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa1a\xa2id\xff", "invalid packet id"),
        (b"\x84\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa1a\xa2id\xcf\x00\x20\x00\x00\x00\x00\x00\x00", "invalid packet id"),
        (b"\x84\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa1a\xa2id\xa11", "invalid packet id"),
        (b"\x82\xa4type\x01\xa3nsp\xa1/abc", "3 trailing bytes"),
    ] {
        let error = msgpack(bytes).unwrap_err().to_string();
        assert_eq!(error, expected, "{bytes:?}");
    }
    let long = Limits::default().namespace(1).event(3);
    let mut assembler = Assembler::new(&Codec::MsgPack, long);
    assert_eq!(
        assembler
            .push_binary(Bytes::from_static(b"\x82\xa4type\x01\xa3nsp\xa2/n"))
            .unwrap_err(),
        DecodeError::NamespaceTooLong
    );
    assert_eq!(
        assembler
            .push_binary(event(b"\x91\xa3abc").into())
            .unwrap_err(),
        DecodeError::EventNameTooLong
    );
    assert_eq!(
        assembler.push_text("2[\"a\"]").unwrap_err(),
        DecodeError::Malformed
    );
}
