//! Which worker a request belongs to.

mod balance;
mod head;
mod prefix;
mod proxy_protocol;

pub use self::balance::{Balance, UnknownBalance};
pub(crate) use self::head::{MAX_LINE, Seen, look};
pub(crate) use self::prefix::Prefix;
pub(crate) use self::proxy_protocol::{Announced, announced};
