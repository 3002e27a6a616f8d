//! What a peer can do wrong.

use std::fmt;

/// The peer broke a rule of WebSocket. The connection is closed with [`code`](Self::code) and the
/// session ends with the reason `transport error`; `Display` gives the reference's description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WsError {
    /// A reserved bit is set, or bit 1 without an extension that gives it a meaning.
    ReservedBits {
        /// Whether it is bit 1, the one that permessage-deflate uses.
        first: bool,
    },
    /// The opcode is reserved, or a data frame or continuation comes where none may.
    Opcode(u8),
    /// A control frame is fragmented.
    FragmentedControl,
    /// A control frame is longer than 125 bytes, or a close frame is one byte long.
    PayloadLength(u8),
    /// A length is not written in its shortest form.
    LengthForm,
    /// The frame is not masked.
    Unmasked,
    /// A close frame carries a code that may not be sent.
    CloseCode(u16),
    /// A text message or the reason of a close frame is not UTF-8.
    InvalidUtf8,
    /// A compressed message cannot be decompressed.
    InvalidDeflate,
    /// A message has more than [`MAX_FRAGMENTS`](super::MAX_FRAGMENTS) fragments.
    TooManyFragments,
    /// The declared length is above 2^53 - 1.
    LengthOverflow,
    /// A message is longer than the limit, as declared, in sum, or decompressed.
    TooBig,
}

impl WsError {
    /// The code of the close frame that answers it: 1002, 1007, 1008 or 1009.
    #[must_use]
    pub const fn code(&self) -> u16 {
        match self {
            Self::ReservedBits { .. }
            | Self::Opcode(_)
            | Self::FragmentedControl
            | Self::PayloadLength(_)
            | Self::LengthForm
            | Self::Unmasked
            | Self::CloseCode(_) => 1002,
            Self::InvalidUtf8 | Self::InvalidDeflate => 1007,
            Self::TooManyFragments => 1008,
            Self::LengthOverflow | Self::TooBig => 1009,
        }
    }
}

impl fmt::Display for WsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const INVALID: &str = "Invalid WebSocket frame";
        match self {
            Self::ReservedBits { first: true } => write!(f, "{INVALID}: RSV1 must be clear"),
            Self::ReservedBits { first: false } => {
                write!(f, "{INVALID}: RSV2 and RSV3 must be clear")
            }
            Self::Opcode(opcode) => write!(f, "{INVALID}: invalid opcode {opcode}"),
            Self::FragmentedControl => write!(f, "{INVALID}: FIN must be set"),
            Self::PayloadLength(len) => write!(f, "{INVALID}: invalid payload length {len}"),
            Self::LengthForm => write!(f, "{INVALID}: payload length is not in its shortest form"),
            Self::Unmasked => write!(f, "{INVALID}: MASK must be set"),
            Self::CloseCode(code) => write!(f, "{INVALID}: invalid status code {code}"),
            Self::InvalidUtf8 => write!(f, "{INVALID}: invalid UTF-8 sequence"),
            Self::InvalidDeflate => f.write_str("invalid compressed data"),
            Self::TooManyFragments => f.write_str("Too many message fragments"),
            Self::LengthOverflow => {
                f.write_str("Unsupported WebSocket frame: payload length > 2^53 - 1")
            }
            Self::TooBig => f.write_str("Max payload size exceeded"),
        }
    }
}

impl std::error::Error for WsError {}
