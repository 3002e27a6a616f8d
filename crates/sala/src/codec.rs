//! Packets into frames.

use bytes::Bytes;
use sala_engine::Frame;
use sala_proto::{Codec, EncodeError, Encoded};
use serde::Serialize;

use crate::error::{Error, Refused};
use crate::server::ServerInner;

/// What a client is told when it has connected.
#[derive(Serialize)]
struct Connected<'a> {
    sid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<&'a str>,
}

impl ServerInner {
    fn frame(
        &self,
        write: impl FnOnce(&Codec, &mut Vec<u8>) -> Result<Encoded, EncodeError>,
    ) -> Result<Frame, Error> {
        Frame::try_message(|buf| -> Result<(Vec<Bytes>, bool), Error> {
            let encoded = write(&self.options.codec, buf)?;
            Ok((encoded.attachments, encoded.binary))
        })
    }

    pub(crate) fn encode_event<T: Serialize + ?Sized>(
        &self,
        nsp: &str,
        id: Option<u64>,
        event: &str,
        data: &T,
        offset: Option<&str>,
    ) -> Result<Frame, Error> {
        self.frame(|codec, buf| codec.encode_event(buf, nsp, id, event, data, offset))
    }

    pub(crate) fn encode_ack<T: Serialize + ?Sized>(
        &self,
        nsp: &str,
        id: u64,
        data: &T,
    ) -> Result<Frame, Error> {
        self.frame(|codec, buf| codec.encode_ack(buf, nsp, id, data))
    }

    /// The answer to a CONNECT packet. Clients of revision 4 get no data.
    pub(crate) fn encode_connect(
        &self,
        nsp: &str,
        ids: Option<(&str, Option<&str>)>,
    ) -> Result<Frame, Error> {
        let data = ids.map(|(sid, pid)| Connected { sid, pid });
        self.frame(|codec, buf| codec.encode_connect(buf, nsp, data.as_ref()))
    }

    /// A refusal. Clients of revision 4 get the bare data, or the bare message.
    pub(crate) fn encode_refusal(
        &self,
        nsp: &str,
        refused: &Refused,
        bare: bool,
    ) -> Result<Frame, Error> {
        self.frame(|codec, buf| match (bare, refused.data()) {
            (false, _) => codec.encode_connect_error(buf, nsp, refused),
            (true, Some(data)) => codec.encode_connect_error(buf, nsp, data),
            (true, None) => codec.encode_connect_error(buf, nsp, refused.message()),
        })
    }

    pub(crate) fn encode_disconnect(&self, nsp: &str) -> Result<Frame, Error> {
        self.frame(|codec, buf| codec.encode_disconnect(buf, nsp))
    }
}
