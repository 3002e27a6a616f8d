//! How [`RawArgs`](crate::RawArgs) pass through serde unchanged, and [`Value`](crate::Value)s are read
//! without it.
//!
//! serde has no way to ask a serializer who it is, and no way to hand over shared bytes. So the
//! arguments announce themselves with a reserved type name, and our own (de)serializers, which know
//! the name, take or leave them in a slot of the current thread. Everybody else sees a plain list.

use std::cell::{Cell, RefCell};

use serde::Serialize;

use crate::{RawArgs, Value};

/// The reserved type name.
pub(crate) const RAW_ARGS: &str = "$sala::RawArgs";

/// The reserved name of a [`Value`] that is read. Who does not know it finds a wrapper around any value.
pub(crate) const VALUE: &str = "$sala::Value";

thread_local! {
    static READ: Cell<Option<Value>> = const { Cell::new(None) };
    static WANTED: Cell<bool> = const { Cell::new(false) };
    static SLOT: RefCell<Option<RawArgs>> = const { RefCell::new(None) };
}

/// Called by our serializers with what a type named [`RAW_ARGS`] wants to serialize.
pub(crate) fn request<T: Serialize + ?Sized>(value: &T) -> Option<RawArgs> {
    WANTED.set(true);
    // Any serializer does: the arguments leave themselves in the slot and write a unit.
    let written = value.serialize(serde_json::value::Serializer);
    WANTED.set(false);
    written.ok().and_then(|_| collect())
}

/// Whether one of our serializers asks; the question is answered once.
pub(crate) fn wanted() -> bool {
    WANTED.replace(false)
}

/// Leaves arguments for the other side, which is next on this thread.
pub(crate) fn offer(args: RawArgs) {
    SLOT.set(Some(args));
}

/// Takes what the other side left.
#[inline]
pub(crate) fn collect() -> Option<RawArgs> {
    SLOT.take()
}

/// Leaves a value for [`collect_value`], which is next on this thread.
pub(crate) fn offer_value(value: Value) {
    READ.set(Some(value));
}

/// Takes the value that our deserializer left.
pub(crate) fn collect_value() -> Option<Value> {
    READ.take()
}
