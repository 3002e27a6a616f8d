//! The options of a probe: JSON under the names of the reference, turned into ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use sala_engine::http::{AllowOrigin, Cookie, Cors, OriginMatcher, Priority, SameSite};
use sala_engine::{
    DeflateConfig, EngineConfig, ErrorContext, Frame, Refusal, Request, Revision, Sid, Transport,
};
use serde_json::{Value, json};

use super::channel::report;

/// The options in `PROBE_OPTIONS`.
///
/// # Panics
///
/// When they are not JSON.
pub fn read() -> Value {
    let text = std::env::var("PROBE_OPTIONS").unwrap_or_else(|_| "{}".to_owned());
    serde_json::from_str(&text).expect("PROBE_OPTIONS is JSON")
}

/// A number of milliseconds.
pub fn millis(value: &Value) -> Option<Duration> {
    value.as_u64().map(Duration::from_millis)
}

/// Whether the test asked for reports of this kind.
pub fn reports(options: &Value, kind: &str) -> bool {
    options["report"]
        .as_array()
        .is_some_and(|kinds| kinds.iter().any(|have| have == kind))
}

/// The engine's options.
pub fn engine(options: &Value, mut config: EngineConfig) -> EngineConfig {
    if let Some(interval) = millis(&options["pingInterval"]) {
        config = config.ping_interval(interval);
    }
    if let Some(timeout) = millis(&options["pingTimeout"]) {
        config = config.ping_timeout(timeout);
    }
    if let Some(timeout) = millis(&options["upgradeTimeout"]) {
        config = config.upgrade_timeout(timeout);
    }
    if let Some(bytes) = options["maxHttpBufferSize"].as_u64() {
        config = config.max_payload(bytes as usize);
    }
    if let Some(list) = options["transports"].as_array() {
        let transports: Vec<_> = list.iter().map(transport).collect();
        config = config.transports(&transports);
    }
    if let Some(allow) = options["allowUpgrades"].as_bool() {
        config = config.allow_upgrades(allow);
    }
    if let Some(allow) = options["allowEIO3"].as_bool() {
        config = config.allow_revision_3(allow);
    }
    if let Some(text) = options["initialPacket"].as_str() {
        config = config.initial_packet(Some(Frame::message(
            |buf| buf.extend_from_slice(text.as_bytes()),
            vec![],
        )));
    }
    match &options["httpCompression"] {
        Value::Bool(false) => config = config.http_compression(None),
        Value::Object(given) => {
            config = config.http_compression(given["threshold"].as_u64().map(|n| n as usize))
        }
        _ => {}
    }
    match &options["perMessageDeflate"] {
        Value::Bool(true) => config = config.per_message_deflate(Some(DeflateConfig::default())),
        Value::Object(given) => {
            let threshold = given["threshold"].as_u64().expect("the only option in use") as usize;
            config = config.per_message_deflate(Some(DeflateConfig {
                threshold,
                ..DeflateConfig::default()
            }));
        }
        _ => {}
    }
    config = limits(options, config);
    config = config
        .cookie(cookie(&options["cookie"]))
        .cors(cors(&options["cors"]));
    hooks(options, config)
}

/// Limits that the reference does not have.
fn limits(options: &Value, mut config: EngineConfig) -> EngineConfig {
    if options["allowedOrigins"].is_array() {
        config = config.allowed_origins(Some(texts(&options["allowedOrigins"])));
    }
    if let Some(timeout) = millis(&options["postTimeout"]) {
        config = config.post_timeout(timeout);
    }
    if let Some(count) = options["maxSilentSessions"].as_u64() {
        config = config.max_silent_sessions(Some(count as usize));
    }
    config
}

fn transport(name: &Value) -> Transport {
    match name.as_str() {
        Some("polling") => Transport::Polling,
        Some("websocket") => Transport::WebSocket,
        _ => panic!("unknown transport {name}"),
    }
}

fn hooks(options: &Value, mut config: EngineConfig) -> EngineConfig {
    if options["allowRequest"].is_object() {
        let rule = options["allowRequest"].clone();
        config = config.allow_request(move |request| allow(rule.clone(), request));
    }
    if let Some(text) = options["generateId"]["fail"].as_str() {
        let text = text.to_owned();
        config = config.generate_id(move |_| std::future::ready(Err(text.clone())));
    } else if let Some(prefix) = options["generateId"]["prefix"].as_str() {
        let (prefix, next) = (prefix.to_owned(), AtomicUsize::new(0));
        config = config.generate_id(move |_| {
            let id = format!("{prefix}{}", next.fetch_add(1, Ordering::Relaxed));
            std::future::ready(id.parse::<Sid>().map_err(|error| error.to_string()))
        });
    }
    for (key, event) in [
        ("initialHeaders", "initial_headers"),
        ("headers", "headers"),
    ] {
        let (add, tell) = (options[key].clone(), reports(options, "headers"));
        let hook = move |headers: &mut http::HeaderMap, request: &Request| {
            for (name, value) in add.as_object().into_iter().flatten() {
                let name: http::HeaderName = name.parse().expect("a header name");
                headers.insert(
                    name,
                    value
                        .as_str()
                        .expect("a header value")
                        .parse()
                        .expect("a header value"),
                );
            }
            if tell {
                report(
                    event,
                    json!({"url": request.url(), "method": request.method().as_str()}),
                );
            }
        };
        config = if key == "headers" {
            config.on_headers(hook)
        } else {
            config.on_initial_headers(hook)
        };
    }
    config.on_connection_error(|error| {
        report(
            "connection_error",
            json!({
                "code": error.error.code(),
                "message": error.error.message(),
                "context": context(&error.context),
                "url": error.request.uri.to_string(),
                "method": error.request.method.as_str(),
            }),
        );
    })
}

/// The context of a refusal in the reference's words.
fn context(context: &ErrorContext<'_>) -> Value {
    let mut fields = match context {
        ErrorContext::UnknownTransport(transport) => json!({"transport": transport}),
        ErrorContext::UnknownSid(sid) => json!({"sid": sid}),
        ErrorContext::Method(method) => json!({"method": method}),
        ErrorContext::TransportMismatch {
            transport,
            previous,
        } => {
            json!({"transport": transport_name(*transport), "previousTransport": transport_name(*previous)})
        }
        ErrorContext::ProtocolMismatch { protocol, previous } => {
            json!({"protocol": revision_number(*protocol), "previousProtocol": revision_number(*previous)})
        }
        ErrorContext::Refused(text) => json!({"message": text}),
        // The only revision that is ever refused.
        ErrorContext::UnsupportedRevision => json!({"protocol": 3}),
        _ => json!({}),
    };
    if let Some(name) = context.name() {
        fields["name"] = json!(name);
    }
    fields
}

/// A transport as the reference names it.
pub fn transport_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Polling => "polling",
        Transport::WebSocket => "websocket",
    }
}

/// A revision as the reference counts it.
pub fn revision_number(revision: Revision) -> u8 {
    match revision {
        Revision::V3 => 3,
        Revision::V4 => 4,
    }
}

async fn allow(rule: Value, request: Arc<Request>) -> Result<(), Refusal> {
    report("allow_request", json!({"url": request.url()}));
    if let Some(delay) = millis(&rule["delay"]) {
        tokio::time::sleep(delay).await;
    }
    let query = request.query();
    let applies = rule["when"]
        .as_str()
        .is_none_or(|key| query.iter().any(|(name, _)| name == key));
    match &rule["refuse"] {
        Value::Null => Ok(()),
        _ if !applies => Ok(()),
        Value::String(text) => Err(Refusal::with_message(text)),
        Value::Number(number) => Err(Refusal::with_message(number.to_string())),
        _ => Err(Refusal::new()),
    }
}

fn cookie(given: &Value) -> Option<Cookie> {
    let options = match given {
        Value::Bool(true) => return Some(Cookie::default()),
        Value::Object(options) => options,
        _ => return None,
    };
    let mut cookie = Cookie::builder(options.get("name").and_then(Value::as_str).unwrap_or("io"));
    for (name, value) in options {
        cookie = match (name.as_str(), value) {
            ("name", _) => cookie,
            ("path", Value::Bool(false)) => cookie.path(None),
            ("path", value) => cookie.path(value.as_str()),
            ("domain", value) => cookie.domain(value.as_str().expect("a domain")),
            ("httpOnly", value) => cookie.http_only(value == true),
            ("secure", value) => cookie.secure(value == true),
            ("partitioned", value) => cookie.partitioned(value == true),
            ("maxAge", value) => {
                cookie.max_age(Duration::from_secs(value.as_u64().expect("seconds")))
            }
            ("expires", _) => {
                cookie.expires(SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_553_445))
            }
            ("priority", _) => cookie.priority(Priority::High),
            ("sameSite", Value::Bool(true)) => cookie.same_site(SameSite::Strict),
            ("sameSite", value) if value == "strict" => cookie.same_site(SameSite::Strict),
            ("sameSite", value) if value == "none" => cookie.same_site(SameSite::None),
            (name, value) => panic!("the twin does not know the cookie option {name}: {value}"),
        };
    }
    Some(cookie.build().expect("the cookie is legal"))
}

fn texts(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

fn cors(given: &Value) -> Option<Cors> {
    let options = match given {
        Value::Bool(true) => return Some(Cors::any()),
        Value::Object(options) => options,
        _ => return None,
    };
    let mut cors = Cors::builder();
    for (name, value) in options {
        cors = match name.as_str() {
            "origin" => cors.origin(origin(value)),
            "methods" => cors.methods(
                texts(value)
                    .iter()
                    .map(|method| method.parse().expect("a method")),
            ),
            "allowedHeaders" => cors.allowed_headers(texts(value)),
            "exposedHeaders" => cors.exposed_headers(texts(value)),
            "credentials" => cors.credentials(value == true),
            "maxAge" => cors.max_age(Duration::from_secs(value.as_u64().expect("seconds"))),
            "preflightContinue" => cors.preflight_continue(value == true),
            "optionsSuccessStatus" => {
                let status = value
                    .as_u64()
                    .and_then(|status| u16::try_from(status).ok())
                    .expect("a status");
                cors.options_success_status(http::StatusCode::from_u16(status).expect("a status"))
            }
            other => panic!("the twin does not know the cors option {other}"),
        };
    }
    Some(cors.build().expect("the cors options are legal"))
}

fn origin(value: &Value) -> AllowOrigin {
    match value {
        Value::String(text) => AllowOrigin::from(text.as_str()),
        Value::Bool(mirror) => AllowOrigin::from(*mirror),
        Value::Array(_) => {
            AllowOrigin::List(texts(value).into_iter().map(OriginMatcher::Exact).collect())
        }
        Value::Object(_) => AllowOrigin::matching(|origin| origin.ends_with(".a.com")),
        _ => panic!("the twin does not know the origin {value}"),
    }
}
