//! The HTTP edge: what is decided from the head of a request, and the headers of a reply.
//!
//! Everything here is a function of its arguments: no I/O, no clock, no state.

pub mod compress;
pub mod cookie;
pub mod cors;
pub mod error;
pub mod forwarded;
pub mod origin;
pub mod path;
pub mod polling;

pub use compress::Encoding;
pub use cookie::{Cookie, CookieBuilder, InvalidCookie, Priority, SameSite};
pub use cors::{AllowOrigin, Applied, Cors, CorsBuilder, InvalidCors, OriginMatcher};
pub use forwarded::TrustedProxies;
pub use origin::{origin_allowed, origin_is_valid};
pub use path::PathPrefix;
