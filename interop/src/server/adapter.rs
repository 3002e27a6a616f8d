//! The option `adapter` of a probe, see `reference/adapter.js`: which Redis, and the options of the backend under the
//! names of the reference.

use sala_redis::{
    Classic, ClassicOptions, Redis, Sharded, ShardedOptions, Streams, StreamsOptions,
    SubscriptionMode,
};
use serde_json::Value;

use super::options::millis;
use super::value::texts;

/// Where Redis is, in the words of `reference/adapter.js`.
pub fn redis(given: &Value) -> Redis {
    if let Some(name) = given["name"].as_str() {
        let sentinels = texts(&given["sentinels"]).join(",");
        return Redis::from(format!("redis+sentinel://{sentinels}/{name}"));
    }
    match given["url"].as_str() {
        Some(url) => Redis::from(url),
        None => Redis::from(texts(&given["cluster"])),
    }
}

/// The options of the classic adapter.
pub fn classic(given: &Value) -> ClassicOptions {
    let mut options = Classic::options();
    if let Some(key) = given["key"].as_str() {
        options = options.key(key);
    }
    if let Some(timeout) = millis(&given["requestsTimeout"]) {
        options = options.request_timeout(timeout);
    }
    if let Some(specific) = given["publishOnSpecificResponseChannel"].as_bool() {
        options = options.publish_on_specific_response_channel(specific);
    }
    options
}

/// The options of the sharded adapter.
///
/// # Panics
///
/// With an unknown mode.
pub fn sharded(given: &Value) -> ShardedOptions {
    let mut options = Sharded::options();
    if let Some(prefix) = given["channelPrefix"].as_str() {
        options = options.channel_prefix(prefix);
    }
    options.subscription_mode(match given["subscriptionMode"].as_str() {
        None | Some("dynamic") => SubscriptionMode::Dynamic,
        Some("static") => SubscriptionMode::Static,
        Some("dynamic-private") => SubscriptionMode::DynamicPrivate,
        Some(mode) => panic!("the twin does not know the mode {mode}"),
    })
}

/// The options of the streams adapter.
///
/// # Panics
///
/// With an unknown option.
pub fn streams(given: &Value) -> StreamsOptions {
    let mut options = Streams::options();
    for (key, value) in given.as_object().into_iter().flatten() {
        let number = || value.as_u64().expect("a number");
        let name = || value.as_str().expect("a text");
        options = match key.as_str() {
            "streamName" => options.stream_name(name()),
            "streamCount" => options.stream_count(number() as u32),
            "channelPrefix" => options.channel_prefix(name()),
            "useShardedPubSub" => options.sharded_pubsub(value == true),
            "maxLen" => options.max_len(number()),
            "readCount" => options.read_count(number() as usize),
            "blockTimeInMs" => options.block_time(millis(value).expect("milliseconds")),
            "sessionKeyPrefix" => options.session_key_prefix(name()),
            "onlyPlaintext" => options.only_plaintext(value == true),
            other => panic!("the twin does not know the option {other}"),
        };
    }
    options
}
