//! Messages between servers: one reader and one writer for JSON text and MessagePack.
//!
//! Both go through a message once. What is not needed is skipped, and what is handed on, the arguments
//! of an event, stays the bytes that it is.

mod reader;
mod writer;

pub use reader::{Kind, Reader};
pub use writer::{Members, Writer};
