//! The text that JSON arguments are a part of.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;

/// Text from wherever it came.
#[derive(Clone)]
pub(super) enum Text<'a> {
    Borrowed(&'a str),
    Shared(Arc<str>),
    /// A part of a message, which was checked to be UTF-8. Shared, so that packets of clients, which
    /// have none, are not larger for it.
    Part(Arc<Bytes>),
}

impl Text<'_> {
    /// The bytes of the text. Cheaper than to look at it as a text.
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(text) => text.as_bytes(),
            Self::Shared(text) => text.as_bytes(),
            Self::Part(bytes) => bytes,
        }
    }

    /// The text without borrows: a part of `message` if it is one, otherwise copied.
    pub(super) fn into_owned(self, message: Option<&Bytes>) -> Text<'static> {
        match self {
            Self::Borrowed(text) => match message {
                Some(message) if is_part(text, message) => {
                    Text::Part(Arc::new(message.slice_ref(text.as_bytes())))
                }
                _ => Text::Shared(text.into()),
            },
            Self::Shared(text) => Text::Shared(text),
            Self::Part(bytes) => Text::Part(bytes),
        }
    }
}

fn is_part(text: &str, message: &Bytes) -> bool {
    let message = message.as_ptr_range();
    let text = text.as_bytes().as_ptr_range();
    message.start <= text.start && text.end <= message.end
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
            Self::Part(bytes) => std::str::from_utf8(bytes).unwrap_or_default(), // checked before
        }
    }
}
