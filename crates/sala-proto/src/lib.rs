//! Socket.IO without I/O: packets, the JSON and MessagePack parsers, arguments and attachments.
