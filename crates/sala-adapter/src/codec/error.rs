//! Why a message cannot be read or written.

use std::fmt;

use sala_proto::{DecodeError, EncodeError};

use crate::backend::{BackendError, BackendErrorKind};

/// Why a message cannot be read or written. The text names the member that is wrong.
///
/// A backend reports it as [`BackendError`] with [`From`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecError {
    kind: CodecErrorKind,
    /// Where: names of members, from the outermost to the innermost, with dots.
    place: String,
    message: String,
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodecErrorKind {
    /// It is none of ours, or cannot be expressed.
    Malformed,
    /// It is larger than [`MAX_MESSAGE_BYTES`](super::MAX_MESSAGE_BYTES).
    TooLarge,
    /// It is of a type that this version does not know. The reference ignores such messages without a
    /// word; they are no fault of the sender, which may be newer.
    UnknownType(u64),
}

impl CodecError {
    /// An error with a text that says what is wrong.
    pub fn new(kind: CodecErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            place: String::new(),
            message: message.into(),
        }
    }

    /// Something that is none of our messages.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(CodecErrorKind::Malformed, message)
    }

    /// A member that must be there and is not.
    #[must_use]
    pub fn missing(member: &str) -> Self {
        Self::malformed("is missing").inside(member)
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> CodecErrorKind {
        self.kind
    }

    fn inside(mut self, member: &str) -> Self {
        if !self.place.is_empty() {
            self.place.insert(0, '.');
        }
        self.place.insert_str(0, member);
        self
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.as_str() {
            "" => f.write_str(&self.message),
            place => write!(f, "`{place}`: {}", self.message),
        }
    }
}

impl std::error::Error for CodecError {}

impl From<DecodeError> for CodecError {
    fn from(error: DecodeError) -> Self {
        Self::malformed(match error {
            DecodeError::InvalidPayload => "broken, or of another kind than expected".to_owned(),
            DecodeError::Malformed => "broken or cut off".to_owned(),
            error => error.to_string(),
        })
    }
}

impl From<EncodeError> for CodecError {
    fn from(error: EncodeError) -> Self {
        Self::malformed(error.to_string())
    }
}

impl From<CodecError> for BackendError {
    fn from(error: CodecError) -> Self {
        let kind = match error.kind {
            CodecErrorKind::TooLarge => BackendErrorKind::TooLarge,
            CodecErrorKind::Malformed | CodecErrorKind::UnknownType(_) => {
                BackendErrorKind::Malformed
            }
        };
        Self::new(kind, error.to_string())
    }
}

/// Says in which member an error happened.
pub trait Within<T> {
    /// The same, with the name of the member in front of the place of the error.
    ///
    /// # Errors
    ///
    /// The error that it was.
    fn within(self, member: &str) -> Result<T, CodecError>;
}

impl<T, E: Into<CodecError>> Within<T> for Result<T, E> {
    fn within(self, member: &str) -> Result<T, CodecError> {
        self.map_err(|error| error.into().inside(member))
    }
}
