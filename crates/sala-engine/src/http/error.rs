//! Replies that refuse a request, as the reference words them.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_VERSION},
};
use sala_engine_proto::HandshakeError;
use sala_engine_proto::ws::handshake::Refusal;

/// Refuses a plain request: 400, or 403 if the application refused, with the code and the message
/// as JSON. `message` replaces the usual text: what the application gave as its reason.
#[must_use]
pub fn refuse(error: HandshakeError, message: Option<&str>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(error.body(message)));
    *response.status_mut() = if error == HandshakeError::Forbidden {
        StatusCode::FORBIDDEN
    } else {
        StatusCode::BAD_REQUEST
    };
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Refuses a WebSocket handshake: always 400, the message as plain text, and the connection ends.
#[must_use]
pub fn refuse_upgrade(error: HandshakeError, message: Option<&str>) -> Response<Bytes> {
    let text = message.unwrap_or(error.message());
    let mut response = Response::new(Bytes::copy_from_slice(text.as_bytes()));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}

/// The reply to a malformed WebSocket handshake (A100).
#[must_use]
pub fn refuse_handshake(refusal: Refusal) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(refusal.text().as_bytes()));
    *response.status_mut() = match refusal {
        Refusal::Method => StatusCode::METHOD_NOT_ALLOWED,
        _ => StatusCode::BAD_REQUEST,
    };
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    if refusal == Refusal::Version {
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13, 8"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [HandshakeError; 6] = [
        HandshakeError::UnknownTransport,
        HandshakeError::UnknownSid,
        HandshakeError::BadHandshakeMethod,
        HandshakeError::BadRequest,
        HandshakeError::Forbidden,
        HandshakeError::UnsupportedProtocolVersion,
    ];

    #[test]
    fn a_refused_request_gets_the_code_as_json() {
        for error in ALL {
            let response = refuse(error, None);
            let status = if error.code() == 4 { 403 } else { 400 };
            assert_eq!(response.status(), status, "{error}");
            assert_eq!(response.headers().len(), 1);
            assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
            let body = format!(r#"{{"code":{},"message":"{error}"}}"#, error.code());
            assert_eq!(response.body(), &body);
        }
    }

    #[test]
    fn the_application_may_give_its_own_message() {
        let response = refuse(HandshakeError::Forbidden, Some("no \"bots\"\n"));
        assert_eq!(response.body(), r#"{"code":4,"message":"no \"bots\"\n"}"#);
        let response = refuse_upgrade(HandshakeError::Forbidden, Some("no bots"));
        assert_eq!(response.body(), "no bots");
    }

    #[test]
    fn a_refused_upgrade_gets_400_and_plain_text() {
        for error in ALL {
            let response = refuse_upgrade(error, None);
            assert_eq!(response.status(), 400, "A051: 403 is never used here");
            assert_eq!(response.headers()[CONNECTION], "close");
            assert_eq!(response.headers()[CONTENT_TYPE], "text/html");
            assert_eq!(response.body(), error.message());
        }
    }
}
