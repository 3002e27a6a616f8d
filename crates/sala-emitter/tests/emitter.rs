//! What an emitter hands to its backend, and what it tells of failures.

use std::sync::{Arc, Mutex};

use sala_adapter::backend::{BackendError, BackendErrorKind, Outlet, Parcel, State};
use sala_adapter::{Envelope, Message, Target};
use sala_emitter::{EmitError, Emitter};

/// Takes everything, unless told otherwise.
#[derive(Clone, Default)]
struct Recorder {
    taken: Arc<Mutex<Vec<Envelope>>>,
    batches: Arc<Mutex<Vec<usize>>>,
    is_broken: Arc<Mutex<bool>>,
    forgets: Arc<Mutex<bool>>,
    is_closed: Arc<Mutex<bool>>,
}

impl Outlet for Recorder {
    async fn send(&mut self, batch: &mut [Parcel]) -> Result<(), BackendError> {
        tokio::task::yield_now().await;
        self.batches.lock().expect("fine").push(batch.len());
        if *self.is_broken.lock().expect("fine") {
            return Err(BackendError::new(
                BackendErrorKind::Unreachable,
                "the cable is cut",
            ));
        }
        if *self.forgets.lock().expect("fine") {
            return Ok(());
        }
        for parcel in batch {
            let is_event = matches!(&parcel.envelope.message, Message::Broadcast { packet, .. }
                if packet.event().expect("an event").to_string() == "refused");
            parcel.state = match is_event {
                true => State::Failed(BackendError::new(BackendErrorKind::TooLarge, "too large")),
                false => State::Sent(None),
            };
            self.taken
                .lock()
                .expect("fine")
                .push(parcel.envelope.clone());
        }
        Ok(())
    }

    async fn close(&mut self) {
        *self.is_closed.lock().expect("fine") = true;
    }
}

fn emitter() -> (Emitter, Recorder) {
    let recorder = Recorder::default();
    (Emitter::new(recorder.clone()), recorder)
}

impl Recorder {
    fn last(&self) -> Envelope {
        self.taken
            .lock()
            .expect("fine")
            .last()
            .expect("something was sent")
            .clone()
    }
}

fn target_of(envelope: &Envelope) -> Target {
    match &envelope.message {
        Message::Broadcast { target, .. }
        | Message::Join { target, .. }
        | Message::Leave { target, .. }
        | Message::Disconnect { target, .. } => target.clone(),
        other => panic!("no target: {other:?}"),
    }
}

#[tokio::test]
async fn the_whole_cheat_sheet_is_sent_under_the_name_of_emitters() {
    let (emitter, recorder) = emitter();
    emitter
        .emit("hello", &(1, "2", bytes::Bytes::from_static(&[3])))
        .await
        .expect("sent");
    match recorder.last().message {
        Message::Broadcast {
            packet,
            target,
            request,
        } => {
            assert_eq!(packet.event().expect("an event").to_string(), "hello");
            assert_eq!(packet.len(), 3);
            assert!(packet.has_binary());
            assert_eq!((target, request), (Target::all(), None));
        }
        other => panic!("{other:?}"),
    }
    let rooms = emitter
        .to("a")
        .in_(["b", "c"])
        .except("d")
        .volatile()
        .compress(false);
    rooms.emit("x", &()).await.expect("sent");
    let expected = Target::all()
        .to(["a", "b", "c"])
        .except("d")
        .volatile()
        .compress(false);
    assert_eq!(target_of(&recorder.last()), expected);

    emitter
        .in_("id")
        .sockets_join(["r1", "r2"])
        .await
        .expect("sent");
    assert!(matches!(recorder.last().message, Message::Join { rooms, .. } if rooms.len() == 2));
    emitter.sockets_leave("r1").await.expect("sent");
    assert!(matches!(recorder.last().message, Message::Leave { rooms, .. } if rooms.len() == 1));
    emitter
        .in_("id")
        .disconnect_sockets(true)
        .await
        .expect("sent");
    assert!(matches!(
        recorder.last().message,
        Message::Disconnect { close: true, .. }
    ));
    assert_eq!(target_of(&recorder.last()), Target::all().to("id"));
    emitter.server_side_emit("ping", &1).await.expect("sent");
    assert!(matches!(
        recorder.last().message,
        Message::ServerSideEmit { request: None, .. }
    ));
    for envelope in &*recorder.taken.lock().expect("fine") {
        assert!(
            envelope
                .sender
                .as_ref()
                .is_some_and(|sender| sender.is_emitter())
        );
        assert_eq!(envelope.namespace, "/");
    }
}

#[tokio::test]
async fn a_namespace_needs_no_slash() {
    let (emitter, recorder) = emitter();
    for (name, expected) in [("chat", "/chat"), ("/chat", "/chat"), ("", "/"), ("/", "/")] {
        emitter.of(name).emit("x", &()).await.expect("sent");
        assert_eq!(recorder.last().namespace, expected);
    }
}

#[tokio::test]
async fn operators_leave_what_they_were_called_on_as_it_was() {
    let (emitter, recorder) = emitter();
    let room = emitter.to("room");
    let _volatile = room.clone().volatile().except("x");
    let _chat = emitter.of("/chat");
    room.emit("x", &()).await.expect("sent");
    assert_eq!(target_of(&recorder.last()), Target::all().to("room"));
    emitter.emit("x", &()).await.expect("sent");
    assert_eq!(target_of(&recorder.last()), Target::all());
}

#[tokio::test]
async fn reserved_names_and_acknowledgements_are_refused_and_nothing_is_sent() {
    let (emitter, recorder) = emitter();
    for name in sala_proto::RESERVED_EVENTS {
        let error = emitter
            .to("room")
            .emit(name, &())
            .await
            .expect_err("refused");
        assert_eq!(
            error.to_string(),
            format!("\"{name}\" is a reserved event name")
        );
    }
    for name in ["connect", "connection", "new_namespace"] {
        let error = emitter
            .server_side_emit(name, &())
            .await
            .expect_err("refused");
        assert!(matches!(error, EmitError::Reserved(_)));
    }
    let error = emitter
        .server_side_emit_with_ack("x", &())
        .expect_err("refused");
    assert_eq!(error.to_string(), "Acknowledgements are not supported");
    let unserializable = std::collections::HashMap::from([(vec![1], 1)]);
    let error = emitter
        .emit("x", &unserializable)
        .await
        .expect_err("no JSON");
    assert!(matches!(error, EmitError::Encode(_)), "{error}");
    assert!(recorder.taken.lock().expect("fine").is_empty());
}

#[tokio::test]
async fn what_the_backend_says_reaches_whoever_emitted() {
    let (emitter, recorder) = emitter();
    let error = emitter.emit("refused", &()).await.expect_err("refused");
    assert!(!error.is_unreachable());
    *recorder.is_broken.lock().expect("fine") = true;
    let error = emitter.emit("x", &()).await.expect_err("the cable is cut");
    assert!(error.is_unreachable());
    assert_eq!(error.to_string(), "the cable is cut");
    *recorder.is_broken.lock().expect("fine") = false;
    emitter.emit("x", &()).await.expect("the cable is mended");
}

#[tokio::test]
async fn messages_that_wait_leave_together_and_in_their_order() {
    let (emitter, recorder) = emitter();
    let name = |i: usize| format!("{i}");
    let all = (0..2000).map(|i| {
        let emitter = emitter.clone();
        tokio::spawn(async move { emitter.emit(&name(i), &()).await })
    });
    for one in all.collect::<Vec<_>>() {
        one.await.expect("no panic").expect("sent");
    }
    let taken = recorder.taken.lock().expect("fine");
    for (i, envelope) in taken.iter().enumerate() {
        let Message::Broadcast { packet, .. } = &envelope.message else {
            panic!("{envelope:?}");
        };
        assert_eq!(packet.event().expect("an event").to_string(), name(i));
    }
    let batches = recorder.batches.lock().expect("fine").len();
    assert!(
        batches < 100,
        "{batches} batches for {} messages",
        taken.len()
    );
}

#[tokio::test]
async fn the_outlet_is_closed_when_the_last_emitter_is_dropped() {
    let (emitter, recorder) = emitter();
    let other = emitter.of("/chat");
    drop(emitter);
    other.emit("x", &()).await.expect("sent");
    drop(other);
    while !*recorder.is_closed.lock().expect("fine") {
        tokio::task::yield_now().await;
    }
}

/// A future may be sent to another task, even if the data could not.
#[tokio::test]
async fn a_future_borrows_neither_the_emitter_nor_the_data() {
    let (emitter, recorder) = emitter();
    let future = {
        let data = std::cell::Cell::new(1);
        emitter.of("/chat").to("room").emit("x", &data)
    };
    tokio::spawn(future).await.expect("no panic").expect("sent");
    assert_eq!(recorder.last().namespace, "/chat");
}

/// A backend said that all went well and had left a message out. The emitter told that it was sent.
#[tokio::test]
async fn what_the_backend_leaves_out_is_not_told_as_sent() {
    let (emitter, recorder) = emitter();
    *recorder.forgets.lock().expect("fine") = true;
    let error = emitter.emit("x", &()).await.expect_err("it was not sent");
    assert_eq!(error.to_string(), "the backend left it out");
    assert!(!error.is_unreachable());
}
