//! Why a message cannot be read or written.

use std::fmt;

use sala_proto::{DecodeError, EncodeError};

use crate::backend::{BackendError, BackendErrorKind};

/// Why a message cannot be read or written. The text names the part that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecError {
    kind: CodecErrorKind,
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
    /// It is of a type that this version does not know: from a newer server, to be ignored.
    UnknownType(u64),
}

impl CodecError {
    /// An error with a text that says what is wrong.
    pub fn new(kind: CodecErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> CodecErrorKind {
        self.kind
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CodecError {}

impl From<DecodeError> for CodecError {
    fn from(error: DecodeError) -> Self {
        Self::new(CodecErrorKind::Malformed, error.to_string())
    }
}

impl From<EncodeError> for CodecError {
    fn from(error: EncodeError) -> Self {
        Self::new(CodecErrorKind::Malformed, error.to_string())
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
        Self::new(kind, error.message)
    }
}
