//! What was set, and the names that follow from it.

use std::time::Duration;

use sala_adapter::target::ServerId;

use super::name;

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) stream_name: String,
    pub(super) stream_count: u32,
    pub(super) channel_prefix: String,
    pub(super) sharded: bool,
    pub(super) max_len: u64,
    pub(super) read_count: usize,
    pub(super) block: Duration,
    pub(super) session_prefix: String,
    pub(super) only_plaintext: bool,
    pub(super) request_timeout: Duration,
    /// Emitters put into the stream what servers publish.
    pub(super) logs_all: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            stream_name: "socket.io".to_owned(),
            stream_count: 1,
            channel_prefix: "socket.io".to_owned(),
            sharded: false,
            max_len: 10_000,
            read_count: 100,
            block: Duration::from_secs(5),
            session_prefix: "sio:session:".to_owned(),
            only_plaintext: false,
            request_timeout: Duration::from_secs(5),
            logs_all: false,
        }
    }
}

impl Options {
    pub(super) fn stream_of(&self, namespace: &str) -> String {
        name::stream_of(namespace, &self.stream_name, self.stream_count)
    }

    /// The channel of a namespace, or of one server in it.
    pub(super) fn channel(&self, namespace: &str, server: Option<&ServerId>) -> String {
        let prefix = &self.channel_prefix;
        match server {
            Some(server) => format!("{prefix}#{namespace}#{server}#"),
            None => format!("{prefix}#{namespace}#"),
        }
    }

    /// The command that publishes.
    pub(super) fn publish(&self) -> &'static str {
        if self.sharded { "SPUBLISH" } else { "PUBLISH" }
    }

    /// What cannot work, if anything.
    pub(super) fn mistake(&self) -> Option<&'static str> {
        if self.stream_name.is_empty() {
            return Some("the stream needs a name");
        }
        if self.stream_count == 0 {
            return Some("stream_count must be at least 1");
        }
        if self.max_len == 0 {
            return Some("max_len must be at least 1: nothing would be kept to be read");
        }
        if self.read_count == 0 {
            return Some("read_count must be at least 1");
        }
        (self.block.as_millis() == 0)
            .then_some("the block time must be at least 1 ms: Redis takes 0 for ever")
    }
}
