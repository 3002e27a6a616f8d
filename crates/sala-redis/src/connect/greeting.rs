//! What a server says of itself when it is greeted.

use redis::Value;
use sala_adapter::{BackendError, BackendErrorKind};

use super::text_of;

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    pub(super) version: String,
    pub(super) mode: String,
    pub(super) role: String,
}

impl Greeting {
    /// Reads the reply of `HELLO`.
    pub(super) fn of(hello: &Value) -> Self {
        let of = |name: &str| {
            let mut pairs = hello.as_map_iter().into_iter().flatten();
            let value = pairs
                .find(|(key, _)| text_of(key) == Some(name))
                .map(|(_, value)| value);
            value.and_then(text_of).unwrap_or_default().to_owned()
        };
        Self {
            version: of("version"),
            mode: of("mode"),
            role: of("role"),
        }
    }

    /// Checks that it is at least of this version.
    pub(super) fn check_version(
        &self,
        what: &str,
        least: (u32, u32),
        at: &str,
    ) -> Result<(), BackendError> {
        let mut numbers = self.version.split('.').map_while(|n| n.parse::<u32>().ok());
        let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else {
            // A proxy or a fork with a version of its own: its commands will tell.
            return Ok(());
        };
        if (major, minor) >= least {
            return Ok(());
        }
        let (least_major, least_minor) = least;
        let text = format!(
            "{what} needs Redis {least_major}.{least_minor} or newer, but {at} runs {}: update it, or use the classic backend",
            self.version
        );
        Err(BackendError::new(BackendErrorKind::Refused, text))
    }
}
