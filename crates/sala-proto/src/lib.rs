//! Socket.IO without I/O: packets, the JSON and MessagePack parsers, arguments and attachments.
//!
//! A [`Codec`] turns packets into messages; an [`Assembler`], one per connection, turns messages
//! into [`Packet`]s. The arguments of a packet stay bytes ([`Args`]) until somebody asks for a type.
//! [`wire`] reads and writes messages between servers, which carry the same arguments.
//! Nothing here opens a socket, reads a clock or spawns a task.
//!
//! # Example
//!
//! ```
//! use sala_proto::{Assembler, Codec, Limits};
//!
//! let codec = Codec::default();
//! let mut text = Vec::new();
//! // A tuple spreads over the arguments, anything else is one argument, `()` is none.
//! codec.encode_event(&mut text, "/chat", Some(7), "move", &(1, 2.5), None)?;
//! assert_eq!(text, br#"2/chat,7["move",1,2.5]"#);
//!
//! let mut assembler = Assembler::new(&codec, Limits::default());
//! let text = std::str::from_utf8(&text)?;
//! let packet = assembler.push_text(text)?.expect("a text without attachments is a whole packet");
//! assert_eq!((packet.nsp.as_ref(), packet.id), ("/chat", Some(7)));
//! let args = packet.data.expect("it has arguments");
//! assert_eq!(args.event().as_deref(), Some("move"));
//! assert_eq!(args.parse::<(i32, f64)>()?, (1, 2.5));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod args;
mod assemble;
mod bridge;
mod codec;
mod custom;
mod error;
mod json;
mod limits;
mod msgpack;
mod packet;
mod spread;
mod transform;
mod value;
pub mod wire;

pub use args::{Args, EventName, RawArgs};
pub use assemble::Assembler;
pub use codec::{Codec, Encoded, JsonOptions};
pub use custom::{CustomCodec, CustomDecoder, Message};
pub use error::{ArgsError, DecodeError, EncodeError};
pub use limits::Limits;
pub use packet::{
    Packet, PacketKind, RESERVED_EVENTS, REVISION, ValuePacket, is_reserved, split_query,
};
pub use transform::Transform;
pub use value::{Number, Object, Text, Value, to_value};
