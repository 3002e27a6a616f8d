//! What a handler returns.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use sala_proto::{RawArgs, Value};
use serde::Serialize;

use super::ack::AckSlot;
use super::erased::Failure;
use crate::error::{ErrorKind, HandlerError};

/// What a handler may return: the answer to the client, if the client asked for one.
///
/// - `()`: an answer without arguments. (The reference leaves such a client waiting.)
/// - [`Reply(value)`](Reply): any value that serializes. A tuple spreads over the arguments of the
///   client's callback, anything else is its only argument.
/// - Numbers, text, `bool`, `Option`, lists, maps, tuples, [`Bytes`], [`Value`], [`RawArgs`] and
///   `serde_json::Value` need no wrapper.
/// - `Result<T, E>`: `T` is any value that serializes, without wrapper. An `Err` reaches
///   [`on_error`](crate::ServerBuilder::on_error) with the socket and the event, and the client is
///   not answered: its own timeout tells it, as if a handler of the reference had thrown. To tell
///   the client what went wrong, answer with a value that says so. `E` is any type that converts
///   into [`HandlerError`]: errors, boxed errors, text.
/// - `!`: a handler that loops for ever never answers.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    label = "`{Self}` is not an answer to the client",
    note = "return `Reply(value)` with a value that implements `serde::Serialize`, a `Result<T, E>` with such a `T`, or `()`"
)]
pub trait IntoReply {
    #[doc(hidden)]
    fn reply(self, ack: AckSlot) -> Finished;
}

/// What a handler may return that has sent its answer itself, or that nobody waits for: `()` or
/// `Result<(), E>`, where `E` is any type that converts into [`HandlerError`].
#[diagnostic::on_unimplemented(
    message = "this handler cannot return `{Self}`",
    label = "nobody would get this `{Self}`",
    note = "return `()` or `Result<(), E>`; a handler that takes an `Ack` answers with `ack.send(&value)`"
)]
pub trait IntoOutcome {
    #[doc(hidden)]
    fn outcome(self) -> Finished;
}

/// How a call ended.
pub struct Finished(pub(super) Result<(), Failure>);

impl Finished {
    pub(super) const OK: Self = Self(Ok(()));

    pub(crate) fn failed(error: impl Into<HandlerError>) -> Self {
        Self(Err(Failure {
            kind: ErrorKind::Handler,
            error: error.into(),
        }))
    }
}

/// An answer to the client of any type that serializes.
///
/// ```
/// use sala::{Reply, Socket};
///
/// #[derive(serde::Serialize)]
/// struct User { name: String }
///
/// async fn whoami(_socket: Socket) -> Reply<User> {
///     Reply(User { name: "Ada".into() })
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reply<T>(pub T);

impl<T: Serialize> IntoReply for Reply<T> {
    fn reply(self, ack: AckSlot) -> Finished {
        ack.finish(&self.0)
    }
}

impl<T: Serialize, E: Into<HandlerError>> IntoReply for Result<T, E> {
    fn reply(self, ack: AckSlot) -> Finished {
        match self {
            Ok(value) => ack.finish(&value),
            Err(error) => Finished::failed(error),
        }
    }
}

impl IntoOutcome for () {
    fn outcome(self) -> Finished {
        Finished::OK
    }
}

impl<E: Into<HandlerError>> IntoOutcome for Result<(), E> {
    fn outcome(self) -> Finished {
        self.map_or_else(Finished::failed, |()| Finished::OK)
    }
}

/// What a function returns.
pub trait Function {
    type Output;
}

impl<O> Function for fn() -> O {
    type Output = O;
}

/// `!`, which has no other name in stable Rust: what a handler returns that loops for ever.
type Never = <fn() -> ! as Function>::Output;

impl IntoReply for Never {
    fn reply(self, _: AckSlot) -> Finished {
        self
    }
}

impl IntoOutcome for Never {
    fn outcome(self) -> Finished {
        self
    }
}

/// Types of others that are an answer as they are.
macro_rules! replies {
    ($(($($param:ident),*) $type:ty;)*) => {$(
        impl<$($param: Serialize),*> IntoReply for $type {
            fn reply(self, ack: AckSlot) -> Finished {
                ack.finish(&self)
            }
        }
    )*};
}

replies! {
    () (); () bool; () char;
    () i8; () i16; () i32; () i64; () i128; () isize;
    () u8; () u16; () u32; () u64; () u128; () usize;
    () f32; () f64;
    () String; () &'static str; () Cow<'static, str>; () Box<str>;
    () Bytes; () Value; () RawArgs; () serde_json::Value;
    (T) Option<T>; (T) Vec<T>; (T) Box<T>; (T) Box<[T]>;
    (A) (A,); (A, B) (A, B); (A, B, C) (A, B, C); (A, B, C, D) (A, B, C, D);
    (A, B, C, D, E) (A, B, C, D, E); (A, B, C, D, E, F) (A, B, C, D, E, F);
}

impl<K: Serialize, V: Serialize> IntoReply for BTreeMap<K, V> {
    fn reply(self, ack: AckSlot) -> Finished {
        ack.finish(&self)
    }
}

impl<K: Serialize, V: Serialize, S> IntoReply for HashMap<K, V, S> {
    fn reply(self, ack: AckSlot) -> Finished {
        ack.finish(&self)
    }
}
