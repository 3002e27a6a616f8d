//! What is written is read as it was, whatever it is.

use bytes::Bytes;
use sala_adapter::Message;
use sala_adapter::codec::{self, Form};

use crate::samples;
use crate::values::Random;
use crate::view::{self, same};

#[test]
fn what_is_written_is_read_as_it_was() {
    let mut random = Random(41);
    for round in 0..4_000 {
        let number = 1 + (round % 13) as u8;
        let envelope = samples::envelope(number, &mut random);
        let expected = view::envelope(&envelope);
        for form in [Form::Json, Form::Notepack, Form::MsgPack] {
            // Bytes do not come back from JSON, and nothing as an answer not from @msgpack/msgpack.
            if form == Form::Json && codec::has_binary(&envelope.message)
                || form == Form::MsgPack && is_without_answer(&envelope.message)
            {
                continue;
            }
            let bytes: Bytes = codec::encode(&envelope, form).unwrap().into();
            let read = codec::decode(&bytes, None).unwrap();
            let ours = view::envelope(&read);
            assert!(same(&ours, &expected), "{form:?}\n {ours:?}\n {expected:?}");
            // From then on it is copied.
            assert_eq!(codec::encode(&read, form).unwrap(), bytes);

            let data = codec::encode_data(&envelope, form)
                .unwrap()
                .map(Bytes::from);
            let read = codec::decode_data(number.into(), data.as_ref()).unwrap();
            assert_eq!(
                view::data(&read).map(|data| same(&data, expected.get("data").unwrap())),
                data.map(|_| true)
            );
        }
    }
}

fn is_without_answer(message: &Message) -> bool {
    match message {
        Message::ServerSideEmitResponse { answer, .. } | Message::BroadcastAck { answer, .. } => {
            answer.is_empty()
        }
        _ => false,
    }
}

#[test]
fn nothing_as_an_answer_is_nil_in_one_dialect_and_absent_in_the_others() {
    let message = Message::BroadcastAck {
        request: "id".into(),
        answer: Default::default(),
    };
    let envelope = sala_adapter::Envelope {
        namespace: "/".into(),
        sender: None,
        recipient: None,
        message,
    };
    for (form, expected) in [
        (Form::Json, &br#"{"requestId":"id"}"#[..]),
        (Form::Notepack, b"\x81\xa9requestId\xa2id"),
        (Form::MsgPack, b"\x82\xa9requestId\xa2id\xa6packet\xc0"),
    ] {
        let data = codec::encode_data(&envelope, form).unwrap().unwrap();
        assert_eq!(data, expected);
        let read = codec::decode_data(12, Some(&data.into())).unwrap();
        assert!(matches!(read, Message::BroadcastAck { answer, .. }
            if answer.parse::<Option<u8>>().unwrap().is_none()));
    }
}
