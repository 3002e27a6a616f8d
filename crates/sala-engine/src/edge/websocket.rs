//! WebSocket handshakes.

use std::borrow::Cow;

use http::StatusCode;
use http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use sala_engine_proto::ws;

use super::{Answer, EngineResponse, Via, reply};
use crate::app::App;
use crate::engine::Engine;
use crate::http::error;
use crate::session::{Incoming, SessionHandle, WrapWebSocket};
use crate::transport::io::Upgrading;

/// A WebSocket handshake that can be answered with 101.
pub(super) struct Accepted {
    pub(super) upgrade: Upgrading,
    pub(super) response: EngineResponse,
    pub(super) deflate: Option<ws::deflate::Agreed>,
}

impl<A: App> Engine<A> {
    /// A WebSocket that wants to take over from polling.
    pub(super) fn probe(
        &self,
        session: &SessionHandle,
        parts: &mut Parts,
        via: Via,
    ) -> Result<EngineResponse, Answer> {
        let Accepted {
            upgrade,
            mut response,
            deflate,
        } = self.accept_websocket(parts, via.upgrading)?;
        self.run_headers_hook(response.headers_mut(), parts);
        let wrap = self.wrap_websocket(session, deflate);
        let session = session.clone();
        tokio::spawn(async move {
            // A handshake that breaks off concerns nobody: polling goes on.
            if let Some(upgraded) = upgrade.await {
                session.leave(Incoming::Upgrade(Box::new(wrap.wrap(upgraded))));
            }
        });
        Ok(response)
    }

    pub(super) fn wrap_websocket(
        &self,
        session: &SessionHandle,
        deflate: Option<ws::deflate::Agreed>,
    ) -> WrapWebSocket {
        WrapWebSocket {
            max_message: self.core.config.max_payload,
            deflate: deflate.zip(self.core.config.deflate.clone()),
            revision: session.revision(),
            base64: session.wants_base64(),
        }
    }

    /// Checks the WebSocket handshake and makes its 101.
    pub(super) fn accept_websocket(
        &self,
        parts: &mut Parts,
        upgrading: Option<Upgrading>,
    ) -> Result<Accepted, Answer> {
        let headers = &parts.headers;
        let [upgrade, key, version, protocol, extensions] = [
            &UPGRADE,
            &SEC_WEBSOCKET_KEY,
            &SEC_WEBSOCKET_VERSION,
            &SEC_WEBSOCKET_PROTOCOL,
            &SEC_WEBSOCKET_EXTENSIONS,
        ]
        .map(|name| joined(headers, name));
        let request = ws::handshake::Request {
            method: parts.method.as_str(),
            upgrade: upgrade.as_deref(),
            key: key.as_deref(),
            version: version.as_deref(),
            protocol: protocol.as_deref(),
            extensions: extensions.as_deref(),
        };
        let accept = ws::handshake::check(&request, self.core.config.deflate.as_ref())
            .map_err(error::refuse_handshake)?;
        let upgrading = upgrading.or_else(|| Upgrading::by_hyper(&mut parts.extensions));
        let Some(upgrade) = upgrading else {
            tracing::error!(
                "a WebSocket handshake came without hyper's OnUpgrade: serve connections with \
                 upgrades enabled, and keep the request's extensions"
            );
            return Err(reply(StatusCode::INTERNAL_SERVER_ERROR).into());
        };
        let mut response = reply(StatusCode::SWITCHING_PROTOCOLS);
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        let deflate = accept.deflate;
        let values = [
            (SEC_WEBSOCKET_ACCEPT, Some(accept.accept_key)),
            (SEC_WEBSOCKET_PROTOCOL, accept.protocol),
            (
                SEC_WEBSOCKET_EXTENSIONS,
                deflate.as_ref().map(ToString::to_string),
            ),
        ];
        for (name, value) in values {
            // All three are made of tokens, which are legal in headers.
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                headers.insert(name, value);
            }
        }
        Ok(Accepted {
            upgrade,
            response,
            deflate,
        })
    }
}

/// A header's value; several lines of the same name are one list.
pub(super) fn joined<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Cow<'h, [u8]>> {
    let mut values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let first = values.next()?;
    let Some(second) = values.next() else {
        return Some(Cow::Borrowed(first));
    };
    let mut list = [first, b", ", second].concat();
    for value in values {
        list.extend_from_slice(b", ");
        list.extend_from_slice(value);
    }
    Some(Cow::Owned(list))
}
