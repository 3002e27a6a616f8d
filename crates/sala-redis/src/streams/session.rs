//! A saved session as text: base64 of MessagePack, as the reference keeps it.

use sala_adapter::codec::{self, CodecError, CodecErrorKind};
use sala_adapter::recovery::SavedSession;
use sala_proto::Value;
use sala_proto::wire::{Reader, Writer};

use super::entry::{decode_base64, encode_base64};

/// Writes a session as the value of its key.
///
/// # Errors
///
/// If the data of its socket cannot be expressed.
pub fn encode(session: &SavedSession<Value>) -> Result<bytes::Bytes, CodecError> {
    let mut out = Vec::new();
    Writer::msgpack(&mut out).map(4, |map| {
        map.key("sid").text(session.sid.as_str());
        map.key("pid").text(session.pid.as_str());
        codec::write_rooms(map.key("rooms"), &session.rooms)?;
        map.key("data").value(&session.data)
    })?;
    Ok(encode_base64(&out))
}

/// Reads a session that was saved under its key.
///
/// # Errors
///
/// If it is none, with what is wrong.
pub fn decode(text: &[u8]) -> Result<SavedSession<Value>, CodecError> {
    let bytes = decode_base64(text).ok_or_else(|| malformed("a session that is not base64"))?;
    let (mut sid, mut pid, mut rooms, mut data) = (None, None, None, Value::Null);
    let mut reader = Reader::msgpack(&bytes);
    reader.map(|reader, key| -> Result<(), CodecError> {
        match key {
            "sid" => sid = Some(reader.text()?.as_ref().into()),
            "pid" => pid = Some(reader.text()?.as_ref().into()),
            "rooms" => rooms = Some(codec::read_rooms(reader)?),
            "data" => data = reader.value()?,
            _ => {}
        }
        Ok(())
    })?;
    reader.end()?;
    let missing = || malformed("a session without sid, pid or rooms");
    Ok(SavedSession {
        sid: sid.ok_or_else(missing)?,
        pid: pid.ok_or_else(missing)?,
        rooms: rooms.ok_or_else(missing)?,
        data,
    })
}

fn malformed(text: &str) -> CodecError {
    CodecError::new(CodecErrorKind::Malformed, text)
}
