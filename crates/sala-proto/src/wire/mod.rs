//! Messages between servers: one reader and one writer for JSON text and MessagePack.
//!
//! Both go through a message once, from its start to its end. What is not needed is skipped, and what is
//! only handed on, an event with its arguments, stays the bytes that it is.
//!
//! ```
//! use bytes::Bytes;
//! use sala_proto::wire::{Reader, Writer};
//! use sala_proto::{DecodeError, RawArgs};
//!
//! let event = RawArgs::new_event("news", &("hello", 1))?;
//! let mut message = Vec::new();
//! Writer::json(&mut message).map(2, |members| {
//!     members.key("type").uint(3);
//!     members.key("data").event(&event)
//! })?;
//! assert_eq!(message, br#"{"type":3,"data":["news","hello",1]}"#);
//!
//! let message = Bytes::from(message);
//! let mut received = None;
//! let mut reader = Reader::new(&message)?;
//! reader.map(|reader, key| -> Result<(), DecodeError> {
//!     if key == "data" {
//!         received = Some(reader.event()?);
//!     }
//!     Ok(())
//! })?;
//! reader.end()?;
//! assert_eq!(received.unwrap().parse::<(String, u8)>()?, ("hello".to_owned(), 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod json;
mod msgpack;
mod reader;
mod writer;

pub use reader::{Kind, Reader};
pub use writer::{Members, Writer};
