//! Sessions: the task that owns one, the handle that others hold, the queue between them.

mod handle;
mod lane;
mod mailbox;
mod protocol;
mod running;
mod task;

pub(crate) use lane::{Opening, WrapWebSocket};
pub(crate) use mailbox::{Incoming, PollReply, PostBody};
pub(crate) use task::{Start, Task};

pub use handle::{ConnectionEvent, SendError, SessionHandle};
pub use running::{BoxFuture, Scope};
