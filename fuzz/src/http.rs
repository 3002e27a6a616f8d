//! What the engine's own HTTP reads: heads and chunked bodies of requests.

use sala_engine::fuzzing::chunked::{Decoder, Malformed};
use sala_engine::fuzzing::head::{self, Framing, Head, MAX_HEAD, NoHead};

/// How many places an input is split at.
const SPLITS: usize = 16;

/// Places within an input, spread over all of it.
pub(crate) fn splits(len: usize) -> impl Iterator<Item = usize> {
    (0..len).step_by((len / SPLITS).max(1))
}

/// The head of a request. What was decided on some bytes is not decided otherwise on more of them,
/// and the end of a head is never overlooked.
pub fn http_head(input: &[u8]) {
    let parse = |input: &[u8]| head::parse(input, |target| target.starts_with("/engine.io/"));
    let input = &input[..input.len().min(MAX_HEAD)];
    let whole = parse(input);
    let decided = match &whole {
        Ok(head) => {
            check_head(head, input);
            head.len
        }
        Err(_) => input.len(),
    };
    for at in splits(input.len()) {
        match (parse(&input[..at]), &whole) {
            (Err(NoHead::Partial), _) => {}
            (Err(early), Err(late)) => assert_eq!(early, *late, "at {at}"),
            (Ok(early), Ok(late)) => assert_eq!(early.len, late.len, "at {at}"),
            (early, late) => panic!("at {at}: {early:?}, then {late:?}"),
        }
        if whole.is_ok() && at < decided {
            assert!(head::may_end(&input[..decided], at), "at {at}");
        }
    }
}

fn check_head(head: &Head, input: &[u8]) {
    assert!(head.len <= input.len());
    assert!(head.parts.uri.path_and_query().is_some());
    let length = head.parts.headers.contains_key("content-length");
    let coding = head.parts.headers.contains_key("transfer-encoding");
    assert!(!(length && coding), "the end of the body is doubtful");
    assert_eq!(coding, head.framing == Framing::Chunked);
    assert!(length || coding || head.framing == Framing::Length(0));
}

/// A chunked body. It is the same in whatever pieces it arrives, and after another round.
pub fn http_chunked(input: &[u8]) {
    let whole = decode([input]);
    for at in splits(input.len()) {
        let (head, tail) = input.split_at(at);
        assert_eq!(decode([head, tail]), whole, "at {at}");
    }
    let bytes = input.chunks(1);
    assert_eq!(decode(bytes), whole, "byte by byte");
    let Ok((data, used, done)) = whole else {
        return;
    };
    assert!(data.len() <= used && used <= input.len());
    assert!(done || used == input.len());
    if !data.is_empty() {
        let mut again = format!("{:X}\r\n", data.len()).into_bytes();
        again.extend_from_slice(&data);
        again.extend_from_slice(b"\r\n0\r\n\r\n");
        let len = again.len();
        assert_eq!(decode([&again[..]]), Ok((data, len, true)));
    }
}

/// The data, how many bytes were used, and whether that was the end.
fn decode<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(Vec<u8>, usize, bool), Malformed> {
    let mut decoder = Decoder::default();
    let mut data = Vec::new();
    let mut used = 0;
    for mut piece in pieces {
        let len = piece.len();
        decoder.decode(&mut piece, &mut data)?;
        used += len - piece.len();
    }
    Ok((data, used, decoder.is_done()))
}
