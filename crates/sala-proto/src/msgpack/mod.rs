//! MessagePack as `socket.io-msgpack-parser` 3 speaks it: each packet is one binary message, a map
//! of `type`, `nsp`, `data` and `id`, in the forms that notepack.io 2 writes.

mod copy;
mod date;
mod form;
mod grow;
mod packet;
mod read;
mod to_json;
mod write;

pub(crate) use copy::copy_values;
pub(crate) use form::{Kind, write_bin, write_head, write_number, write_str, write_uint};
pub(crate) use grow::Growing;
pub(crate) use packet::{decode, encode};
pub(crate) use read::{
    Cursor, Dialect, Token, has_binary, key_text, read_value, read_values, text_of,
};
pub(crate) use to_json::write_json;
pub(crate) use write::{MsgPackSink, MsgPackWriter, write_list};
