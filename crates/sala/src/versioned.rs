//! A value that is read all the time and changed almost never.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A shared value, copied when it is changed. Readers keep a [`Cached`] copy, so that reading
/// costs one load of a line that nobody writes.
#[derive(Debug, Default)]
pub(crate) struct Versioned<T> {
    version: AtomicU64,
    value: Mutex<Arc<T>>,
}

/// A reader's copy of a [`Versioned`] value.
#[derive(Debug)]
pub(crate) struct Cached<T> {
    version: u64,
    value: Arc<T>,
}

impl<T: Clone> Versioned<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            version: AtomicU64::new(0),
            value: Mutex::new(Arc::new(value)),
        }
    }

    /// The value now.
    pub(crate) fn get(&self) -> Arc<T> {
        self.value
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The value now, unless it is still the first one.
    pub(crate) fn get_if_changed(&self) -> Option<Arc<T>> {
        (self.version.load(Ordering::Acquire) > 0).then(|| self.get())
    }

    /// Changes the value. Copies that are in use stay as they are.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(Arc::make_mut(&mut value));
        self.version.fetch_add(1, Ordering::Release);
        result
    }

    /// A copy to read from.
    pub(crate) fn cached(&self) -> Cached<T> {
        // The version first: a change in between makes the copy look old, never new.
        let version = self.version.load(Ordering::Acquire);
        Cached {
            version,
            value: self.get(),
        }
    }
}

impl<T: Clone> Cached<T> {
    /// The value now.
    pub(crate) fn get(&mut self, origin: &Versioned<T>) -> &Arc<T> {
        if self.version != origin.version.load(Ordering::Acquire) {
            *self = origin.cached();
        }
        &self.value
    }
}
