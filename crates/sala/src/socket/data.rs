//! What an application attaches to a socket.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use sala_proto::{Object, Value, to_value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::inner::SocketInner;
use crate::error::Error;

/// Named values, JSON and bytes: what `data` of a socket was when somebody looked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Data(Object);

impl Data {
    /// The value with this name, if there is one and it is a `T`.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.0.get(name)?.clone().deserialize_into().ok()
    }

    /// All values as one `T`, usually a struct whose fields have the names.
    ///
    /// # Errors
    ///
    /// If a field is missing or of another type.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, Error> {
        Ok(self.to_value().deserialize_into()?)
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name)
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values as an object.
    #[must_use]
    pub fn to_value(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// What another server calls the `data` of a socket. One that is no object is empty here.
    pub(crate) fn from_value(value: Value) -> Self {
        match value {
            Value::Object(object) => Self(object),
            _ => Self::default(),
        }
    }

    /// The values as a JSON object; bytes are lists of numbers in it.
    #[must_use]
    pub fn to_json(&self) -> String {
        // A tree always is JSON.
        serde_json::to_string(&self.0).unwrap_or_default()
    }
}

/// The `data` of a socket: named values that travel with it, to other servers by
/// [`fetch_sockets`](crate::Namespace::fetch_sockets) and to a later connection by recovery. So they
/// are kept as JSON values and bytes; what only this process needs goes into [`Extensions`].
///
/// ```
/// # fn example(socket: &sala::Socket) -> Result<(), sala::Error> {
/// socket.data().set("name", "Ada")?;
/// assert_eq!(socket.data().get::<String>("name").as_deref(), Some("Ada"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct SocketData<'a>(pub(super) &'a SocketInner);

impl SocketData<'_> {
    /// The value with this name, if there is one and it is a `T`.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.0.extra.get()?.data().get(name)
    }

    /// Sets a value; one with the same name is replaced.
    ///
    /// # Errors
    ///
    /// If the value cannot be encoded, such as a map whose keys are no text.
    pub fn set<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<(), Error> {
        let value = to_value(value)?;
        self.0.extra().data().0.insert(name, value);
        Ok(())
    }

    /// Removes a value; returns whether there was one.
    pub fn remove(&self, name: &str) -> bool {
        self.0
            .extra
            .get()
            .is_some_and(|extra| extra.data().0.remove(name).is_some())
    }

    /// Sets all values at once: `value` must serialize as a map or a struct.
    ///
    /// # Errors
    ///
    /// If it is something else or cannot be encoded.
    pub fn replace<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Error> {
        match to_value(value)? {
            Value::Object(object) => {
                *self.0.extra().data() = Data(object);
                Ok(())
            }
            _ => Err(Error::encode("the data of a socket is a map")),
        }
    }

    /// All values as one `T`, see [`Data::to`].
    ///
    /// # Errors
    ///
    /// If a field is missing or of another type.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.snapshot().to()
    }

    /// Sets what a recovered session had.
    pub(crate) fn restore(&self, data: Data) {
        if !data.is_empty() {
            *self.0.extra().data() = data;
        }
    }

    /// The values as they are now.
    #[must_use]
    pub fn snapshot(&self) -> Data {
        self.0
            .extra
            .get()
            .map(|extra| extra.data().clone())
            .unwrap_or_default()
    }
}

impl fmt::Debug for SocketData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot().fmt(f)
    }
}

/// Values of any type, one for each type.
#[derive(Default)]
pub(crate) struct TypeMap(HashMap<TypeId, Box<dyn Any + Send + Sync>, RandomState>);

impl TypeMap {
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, value: T) -> Option<T> {
        let old = self.0.insert(TypeId::of::<T>(), Box::new(value))?;
        old.downcast().ok().map(|old| *old)
    }

    pub(crate) fn get<T: 'static>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref()
    }

    fn get_mut<T: 'static>(&mut self) -> Option<&mut T> {
        self.0.get_mut(&TypeId::of::<T>())?.downcast_mut()
    }

    fn remove<T: 'static>(&mut self) -> Option<T> {
        let old = self.0.remove(&TypeId::of::<T>())?;
        old.downcast().ok().map(|old| *old)
    }
}

/// Values that the application keeps with a socket in this process, one for each type. They are
/// neither sent to other servers nor recovered; [`SocketData`] is.
///
/// ```
/// # fn example(socket: &sala::Socket) {
/// #[derive(Clone)]
/// struct User { id: u64 }
///
/// socket.extensions().insert(User { id: 1 });
/// assert_eq!(socket.extensions().get::<User>().map(|user| user.id), Some(1));
/// # }
/// ```
#[derive(Default)]
pub struct Extensions(Mutex<TypeMap>);

impl Extensions {
    /// Keeps a value; returns the one of the same type that it replaces.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) -> Option<T> {
        self.lock().insert(value)
    }

    /// A copy of the value of this type. Use an [`Arc`](std::sync::Arc) for what is costly to copy.
    #[must_use]
    pub fn get<T: Clone + 'static>(&self) -> Option<T> {
        self.lock().get().cloned()
    }

    /// Calls `f` with the value of this type, if there is one. A lock is held meanwhile: `f` must
    /// not use the same socket's extensions.
    pub fn with<T: 'static, R>(&self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.lock().get_mut().map(f)
    }

    /// Takes the value of this type out.
    pub fn remove<T: 'static>(&self) -> Option<T> {
        self.lock().remove()
    }

    fn lock(&self) -> MutexGuard<'_, TypeMap> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extensions")
            .field("len", &self.lock().0.len())
            .finish()
    }
}
