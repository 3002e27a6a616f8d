//! MessagePack as `socket.io-msgpack-parser` 3 speaks it: each packet is one binary message, a map
//! of `type`, `nsp`, `data` and `id`, in the forms that notepack.io 2 writes.

mod date;
mod form;
mod packet;
mod read;
mod write;

pub(crate) use packet::{decode, encode};
pub(crate) use read::read_values;
pub(crate) use write::{MsgPackSink, MsgPackWriter, write_list};
