//! permessage-deflate: negotiation and the two contexts.

mod context;
mod offer;

pub use context::{Deflater, Inflater};
pub use offer::{Agreed, Config, Unacceptable, WindowBits, negotiate};
