//! Which requests are the engine's: those whose target starts with its path.

#[cfg(test)]
mod tests;

/// The path of the engine, ready to be compared with request targets.
///
/// As in the reference, one trailing slash of the option is dropped and, unless switched off, one is
/// added; a request is the engine's if its raw target *starts with* the result. So `/socket.io` owns
/// `/socket.io/?EIO=4` and `/socket.io/any/thing`, but neither `/socket.io?EIO=4` nor
/// `/socket.io-admin`. Without the added slash the last two are the engine's as well: keep the slash
/// if other routes begin with the same letters. Nothing is decoded or normalized, and no leading
/// slash is added.
///
/// ```
/// use sala_engine::http::PathPrefix;
///
/// let path = PathPrefix::new("/socket.io", true);
/// assert!(path.matches("/socket.io/?EIO=4&transport=polling"));
/// assert!(!path.matches("/socket.io-admin/"));
/// assert_eq!(path.file_name("/socket.io/socket.io.js?v=1"), Some("socket.io.js"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPrefix {
    prefix: Box<str>,
    /// Length of the path without the slash that was added.
    base: usize,
}

impl PathPrefix {
    /// `path` and `add_trailing_slash` are the options of these names. An empty path and `/` both
    /// own every request.
    #[must_use]
    pub fn new(path: &str, add_trailing_slash: bool) -> Self {
        let base = path.strip_suffix('/').unwrap_or(path);
        let slash = if add_trailing_slash { "/" } else { "" };
        Self {
            prefix: [base, slash].concat().into(),
            base: base.len(),
        }
    }

    /// What targets are compared with, such as `/socket.io/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.prefix
    }

    /// Whether a raw request target (path and query) is the engine's.
    #[must_use]
    pub fn matches(&self, target: &str) -> bool {
        target.starts_with(&*self.prefix)
    }

    /// Whether a raw request target is the path itself, with or without a query: where polls and
    /// WebSocket handshakes go.
    #[must_use]
    pub fn is_exactly(&self, target: &str) -> bool {
        let rest = target.strip_prefix(&*self.prefix);
        // An empty path owns targets that are no paths too, such as `*`.
        target.starts_with('/') && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('?'))
    }

    /// What follows the path and its slash, without the query: the name under which a static file
    /// is looked up. None for the targets of others, and without that slash.
    #[must_use]
    pub fn file_name<'a>(&self, target: &'a str) -> Option<&'a str> {
        let rest = target
            .strip_prefix(&self.prefix[..self.base])?
            .strip_prefix('/')?;
        Some(rest.split_once('?').map_or(rest, |(name, _)| name))
    }
}
