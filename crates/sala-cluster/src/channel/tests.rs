use std::io::{Read as _, Write as _};

use super::*;

fn frame(kind: u8, body: &[u8]) -> Bytes {
    wire::frame(kind, |out| out.extend_from_slice(body))
}

fn pair() -> (Sender, Receiver, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (sender, _) = split(ours);
    // The other ends are kept as raw streams, to write what no sender would.
    let (raw, other) = UnixStream::pair().unwrap();
    drop(theirs);
    let (_, receiver) = split(other);
    (sender, receiver, raw)
}

async fn write(raw: &UnixStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        raw.writable().await.unwrap();
        match raw.try_write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
}

#[tokio::test]
async fn frames_arrive_whole_wherever_they_are_split() {
    let bytes = [frame(1, b"one"), frame(2, b""), frame(3, &[7; 300])].concat();
    for at in 0..bytes.len() {
        let (_, mut receiver, raw) = pair();
        let (head, tail) = bytes.split_at(at);
        write(&raw, head).await;
        // As much as there is, before the rest comes.
        let mut frames = Vec::new();
        while let Some(frame) = take_ready(&mut receiver).await {
            frames.push(frame);
        }
        write(&raw, tail).await;
        drop(raw);
        while let Some(frame) = receiver.recv().await.unwrap() {
            frames.push(frame);
        }
        let lens: Vec<_> = frames.iter().map(|f| (f.kind, f.body.len())).collect();
        assert_eq!(lens, [(1, 3), (2, 0), (3, 300)], "split at {at}");
    }
}

async fn take_ready(receiver: &mut Receiver) -> Option<Frame> {
    tokio::select! {
        biased;
        frame = receiver.recv() => frame.unwrap(),
        () = tokio::task::yield_now() => None,
    }
}

#[tokio::test]
async fn an_end_within_a_frame_and_a_frame_without_end_are_errors() {
    let (_, mut receiver, raw) = pair();
    write(&raw, &frame(1, b"abc")[..6]).await;
    drop(raw);
    assert!(receiver.recv().await.is_err());

    let (_, mut receiver, raw) = pair();
    write(&raw, &[0xff; 8]).await;
    assert!(receiver.recv().await.is_err());
}

#[tokio::test]
async fn descriptors_arrive_with_their_frames() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (mut sender, _) = split(ours);
    let (_, mut receiver) = split(theirs);
    let queue = Queue::new(1 << 20);
    let mut ends = Vec::new();
    for i in 0..20_u8 {
        let (here, there) = std::os::unix::net::UnixStream::pair().unwrap();
        ends.push(here);
        queue.push(frame(1, &[i; 40]).into()).unwrap();
        queue
            .push(Parcel::with(frame(2, &[i]), there.into()))
            .unwrap();
    }
    queue.close();
    let sent = tokio::spawn(async move { sender.drive(&queue).await });
    let mut got = 0;
    while got < 20 {
        let frame = receiver.recv().await.unwrap().unwrap();
        if frame.kind == 2 {
            let there = receiver.take_descriptor().unwrap();
            let mut there = std::os::unix::net::UnixStream::from(there);
            there.write_all(&[frame.body[0]]).unwrap();
            let mut byte = [0];
            ends[got].read_exact(&mut byte).unwrap();
            assert_eq!(usize::from(byte[0]), got);
            got += 1;
        }
    }
    sent.await.unwrap();
}
