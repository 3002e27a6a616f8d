use std::time::Duration;

/// How long a test waits for something that should happen at once.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Waits for `future`, at most [`PATIENCE`].
///
/// # Panics
///
/// When the time is over, naming `what` was awaited.
#[track_caller]
pub fn within<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> + use<F> {
    within_long(PATIENCE, what, future)
}

/// Waits for `future`, at most `limit`.
///
/// # Panics
///
/// When the time is over, naming `what` was awaited.
#[track_caller]
pub fn within_long<F: Future>(
    limit: Duration,
    what: &str,
    future: F,
) -> impl Future<Output = F::Output> + use<F> {
    let place = std::panic::Location::caller();
    let what = what.to_owned();
    async move {
        match tokio::time::timeout(limit, future).await {
            Ok(value) => value,
            Err(_) => panic!("waited {limit:?} in vain for {what} ({place})"),
        }
    }
}

/// Asserts that `future` stays pending for `span`; used where the right behaviour is that nothing happens.
///
/// # Panics
///
/// When the future completes, naming `what` must not happen.
#[track_caller]
pub fn quiet_for<F: Future>(
    span: Duration,
    what: &str,
    future: F,
) -> impl Future<Output = ()> + use<F>
where
    F::Output: std::fmt::Debug,
{
    let place = std::panic::Location::caller();
    let what = what.to_owned();
    async move {
        if let Ok(value) = tokio::time::timeout(span, future).await {
            panic!("{what} must not happen, but: {value:?} ({place})");
        }
    }
}
