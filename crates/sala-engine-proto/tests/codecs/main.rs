//! The codecs of Engine.IO from the outside: vectors, rows of the specification, hostile input,
//! other implementations.

mod common;
mod payload;
mod vectors;
mod ws_deflate;
mod ws_differential;
mod ws_handshake;
mod ws_reader;
