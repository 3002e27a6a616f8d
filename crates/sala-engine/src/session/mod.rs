//! Sessions: the task that owns one, the handle that others hold, the queue between them.

mod handle;
mod mailbox;
mod protocol;
mod running;
mod task;

pub(crate) use mailbox::{Incoming, PollReply, PostBody};
pub(crate) use task::{Opening, Start, Task, WrapWebSocket};

pub use handle::{ConnectionEvent, SendError, SessionHandle};
pub use running::{BoxFuture, Scope};
