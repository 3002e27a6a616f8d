//! Refusals.

use std::error::Error as StdError;
use std::fmt;

use sala_proto::{Value, to_value};
use serde::Serialize;

/// Why a client may not enter a namespace. The client gets it as a CONNECT_ERROR packet, which
/// official clients hand to `socket.on("connect_error", err => …)`, with `err.message` and
/// `err.data`.
///
/// Text, errors and boxed errors convert into it, so `?` works on them; the client then reads their
/// `Display` text. Write a text of your own if that could tell strangers too much.
///
/// ```
/// use sala::Refused;
///
/// let refused = Refused::new("not authorized").with_data(&("retry", 30));
/// assert_eq!(refused.message(), "not authorized");
/// ```
#[derive(Clone, PartialEq)]
pub struct Refused {
    message: Box<str>,
    data: Option<Value>,
}

impl Refused {
    /// A refusal with this text.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into().into_boxed_str(),
            data: None,
        }
    }

    /// Adds details for the client: any one value that serializes. One that fails to is left out,
    /// with a warning in the log: the client is refused all the same.
    #[must_use]
    pub fn with_data<T: Serialize + ?Sized>(mut self, data: &T) -> Self {
        self.data = to_value(data)
            .inspect_err(|error| tracing::warn!(%error, "the data of a refusal is left out"))
            .ok();
        self
    }

    /// The text.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The details.
    #[must_use]
    pub fn data(&self) -> Option<&Value> {
        self.data.as_ref()
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::new(error.into().to_string())
    }
}

/// As the payload of a CONNECT_ERROR packet: `{"message":…}`, with `data` if there is some.
impl Serialize for Refused {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let fields = 1 + usize::from(self.data.is_some());
        let mut refused = serializer.serialize_struct("Refused", fields)?;
        refused.serialize_field("message", &self.message)?;
        match &self.data {
            Some(data) => refused.serialize_field("data", data)?,
            None => refused.skip_field("data")?,
        }
        refused.end()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused")
            .field("message", &self.message)
            .field("data", &self.data)
            .finish()
    }
}
