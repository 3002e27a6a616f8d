//! Middlewares of a namespace.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::Refused;
use crate::namespace::Attempt;

/// An async function that decides whether a client may enter a namespace: the reference's
/// `namespace.use`.
///
/// ```text
/// async fn(Attempt)  -> () or Result<(), E>
/// ```
///
/// `E` is [`Refused`] or whatever converts into it: errors, boxed errors, text. A refusal is sent to
/// the client as it is, so beware of errors that tell more than strangers should know.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a middleware",
    label = "not a middleware of a namespace",
    note = "a middleware is an async function or async closure with this signature:\n\
            \x20   async fn(Attempt) -> () or Result<(), E>",
    note = "`E` converts into `Refused`: an error, a boxed error, text",
    note = "a closure must be `Clone` and must not change what it captures: use an `Arc` around a lock or an atomic"
)]
pub trait AdmitHandler: Send + Sync + 'static {
    #[doc(hidden)]
    fn erase(self) -> ErasedAdmitBox;
}

/// What a middleware may return: `()` lets the client in.
#[diagnostic::on_unimplemented(
    message = "a middleware cannot return `{Self}`",
    label = "`{Self}` does not say whether the client may enter",
    note = "return `()` or `Result<(), E>`, where `E` converts into `Refused`"
)]
pub trait IntoVerdict {
    #[doc(hidden)]
    fn verdict(self) -> Result<(), Refused>;
}

impl IntoVerdict for () {
    fn verdict(self) -> Result<(), Refused> {
        Ok(())
    }
}

impl<E: Into<Refused>> IntoVerdict for Result<(), E> {
    fn verdict(self) -> Result<(), Refused> {
        self.map_err(Into::into)
    }
}

/// A middleware in a box that only this crate can open.
pub struct ErasedAdmitBox(Arc<dyn ErasedAdmit>);

/// The future of a middleware. A panic of the middleware comes through.
pub(crate) type AdmitFuture = Pin<Box<dyn Future<Output = Result<(), Refused>> + Send>>;

/// A middleware without its types.
pub(crate) trait ErasedAdmit: Send + Sync {
    /// Starts the middleware, whose first poll is up to the caller. All code of the user runs in
    /// the future.
    fn call(&self, attempt: Attempt) -> AdmitFuture;
}

/// A middleware without its types.
pub(crate) fn erase_admit(handler: impl AdmitHandler) -> Arc<dyn ErasedAdmit> {
    handler.erase().0
}

/// A function of the right shape, for one call. Apart from [`AdmitHandler`] for the sake of the
/// compiler's messages, as [`Callable`](super::shape::Callable).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a middleware",
    label = "not a middleware of a namespace",
    note = "a middleware is an async function or async closure with this signature:\n\
            \x20   async fn(Attempt) -> () or Result<(), E>",
    note = "`E` converts into `Refused`: an error, a boxed error, text",
    note = "a closure must be `Clone` and must not change what it captures: use an `Arc` around a lock or an atomic"
)]
pub trait AdmitCallable {
    type Future: Future;

    fn start(self, attempt: Attempt) -> Self::Future;
}

#[diagnostic::do_not_recommend]
impl<F, Fut> AdmitCallable for F
where
    F: AsyncFn(Attempt) -> Fut::Output + FnOnce(Attempt) -> Fut,
    Fut: Future,
{
    type Future = Fut;

    fn start(self, attempt: Attempt) -> Fut {
        self(attempt)
    }
}

impl<F> AdmitHandler for F
where
    F: AdmitCallable + Clone + Send + Sync + 'static,
    F::Future: Future<Output: IntoVerdict> + Send + 'static,
{
    fn erase(self) -> ErasedAdmitBox {
        ErasedAdmitBox(Arc::new(Middleware(self)))
    }
}

struct Middleware<F>(F);

impl<F> ErasedAdmit for Middleware<F>
where
    F: AdmitCallable + Clone + Send + Sync + 'static,
    F::Future: Future<Output: IntoVerdict> + Send + 'static,
{
    fn call(&self, attempt: Attempt) -> AdmitFuture {
        let function = self.0.clone();
        Box::pin(async move { function.start(attempt).await.verdict() })
    }
}
